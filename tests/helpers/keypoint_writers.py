"""Files of keypoints as each detector writes them, for tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionpose.keypoints import Keypoints
from actionpose.utils.errors import UserError

# the fixture `write_keypoints`: data, and maybe a name -> path
KeypointsWriter = Callable[..., Path]
RNG = np.random.default_rng(5)
SHAPE = {joints: RNG.uniform(0, 200, (joints, 2)).round(2) for joints in range(5, 140)}


def body(x: float, y: float, joints: int = 26, confidence: float = 0.5) -> np.ndarray:
    """(joints, 3): a fixed body 200 px high, moved to x, y."""
    points = SHAPE[joints] + (x, y)
    return np.concatenate([points, np.full((joints, 1), confidence)], axis=1)


def flat(points: np.ndarray) -> list[float]:
    return [float(value) for value in np.ravel(points)]


def alphapose(image_id: object, points: np.ndarray, **more: object) -> dict[str, Any]:
    entry = {"image_id": image_id, "category_id": 1, "keypoints": flat(points)}
    return entry | {"score": 2.9, "box": [1.0, 2.0, 3.0, 4.0]} | more


def openpose(*people: np.ndarray) -> dict[str, Any]:
    empty = {"face_keypoints_2d": [], "hand_left_keypoints_2d": [], "pose_keypoints_3d": []}
    return {
        "version": 1.3,
        "people": [
            {"person_id": [-1], "pose_keypoints_2d": flat(points), **empty} for points in people
        ],
    }


def instance(points: np.ndarray, **more: object) -> dict[str, Any]:
    box = {"bbox": [[1.0, 2.0, 3.0, 4.0]], "bbox_score": 0.9}
    scores = points[:, 2].tolist()
    return {"keypoints": points[:, :2].tolist(), "keypoint_scores": scores, **box, **more}


def refused(path: Path, *words: str, **how: Any) -> str:
    with pytest.raises(UserError) as error:
        Keypoints.read(path, **how)
    message = str(error.value)
    assert path.name in message
    assert "\n" not in message
    for word in words:
        assert word in message
    return message
