"""The family of MediaPipe's JSON."""

import json

import numpy as np
import pytest
from helpers.keypoint_tables import points
from helpers.keypoint_writers import KeypointsWriter

from actionpose.keypoints import Keypoints
from actionpose.skeletons import MEDIAPIPE33
from actionpose.utils.errors import UserError


def landmark(point: np.ndarray) -> dict[str, float]:
    x, y, visibility = point.tolist()
    return {"x": x / 1000, "y": y / 500, "z": -0.1, "visibility": visibility}


FORMS = {
    "list of lists": lambda bodies: [[landmark(p) for p in body] for body in bodies],
    "web": lambda bodies: [{"poseLandmarks": [landmark(p) for p in b]} for b in bodies],
    "tasks": lambda bodies: [
        {"frame": n, "landmarks": [[landmark(p) for p in body]]} for n, body in enumerate(bodies)
    ],
    "rows": lambda bodies: [
        {"pose_landmarks": [[p[0] / 1000, p[1] / 500, 0.0, p[2]] for p in body]} for body in bodies
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_mediapipe_forms(write_keypoints: KeypointsWriter, form: str) -> None:
    bodies = points(33)
    path = write_keypoints(json.dumps(FORMS[form](bodies)), "a.json")
    found = Keypoints.read(path, image_size=(1000, 500))
    assert found.skeleton is MEDIAPIPE33 and found.detector == "MediaPipe"
    np.testing.assert_allclose(found.keypoints_px[0], bodies, atol=1e-3)
    with pytest.raises(UserError, match="image_size"):
        Keypoints.read(path)


def test_mediapipe_file_that_knows_its_video(write_keypoints: KeypointsWriter) -> None:
    bodies = points(33)
    frames = FORMS["web"](bodies)
    frames[1:1] = [{"poseLandmarks": []}, {"poseLandmarks": None}]
    data = {"width": 1000, "height": 500, "fps": 25, "frames": frames}
    found = Keypoints.read(write_keypoints(json.dumps(data), "a.json"))
    assert (found.fps, found.image_size) == (25.0, (1000, 500))
    assert found.valid.tolist() == [[True, False, False, *[True] * 5]]
