"""Files of keypoints as each detector writes them, for tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionpose.keypoints import Keypoints
from actionpose.skeletons import COCO17
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


def standing(frames: int = 12, *, x: float = 600.0) -> np.ndarray:
    """(frames, 17, 3): somebody in COCO's joints who faces the camera and waves the left hand."""
    across = {"eye": 8, "ear": 16, "shoulder": 40, "elbow": 60, "wrist": 65, "hip": 25}
    down = {"nose": 100, "eye": 92, "ear": 98, "shoulder": 160, "elbow": 220, "wrist": 280}
    down |= {"hip": 290, "knee": 400, "ankle": 500}
    points = np.zeros((frames, 17, 3))
    for index, joint in enumerate(COCO17.joints):
        side, _, part = joint.partition("_")
        sign = {"left": 1, "right": -1}.get(side, 0)  # a left that is to the right in the image
        points[:, index] = (x + sign * across.get(part, 25), down[part or joint], 0.9)
    points[:, COCO17.joints.index("left_wrist"), 1] += 30 * np.sin(np.arange(frames))
    return points.round(2)


def check_read(found: Keypoints, expected: np.ndarray, atol: float = 0.01) -> None:
    """One person, whose joints are COCO's `expected` (frames, 17, 3)."""
    assert found.num_persons == 1
    columns = [found.skeleton.joints.index(joint) for joint in COCO17.joints]
    np.testing.assert_allclose(found.keypoints_px[0][:, columns], expected, atol=atol)


def keypoint_file(path: Path, seed: int = 0, frames: int = 30, people: int = 1) -> Path:
    """A body that moves about, saved in our format or as an OpenPose folder."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(200, 500, (people, 1, 17, 2)) + np.arange(people)[:, None, None, None] * 700
    moves = rng.normal(0, 3, (people, frames, 17, 2)).cumsum(1)
    points = np.concatenate([body + moves, np.full((people, frames, 17, 1), 0.9)], axis=-1)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        Keypoints.from_array(points, skeleton=COCO17, fps=30, image_size=(2000, 1000)).save(path)
        return path
    path.mkdir()
    for frame in range(frames):
        bodies = [{"pose_keypoints_2d": p.ravel().tolist()} for p in points[:, frame]]
        (path / f"{frame:06d}_keypoints.json").write_text(json.dumps({"people": bodies}))
    return path
