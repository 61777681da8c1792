"""Somebody to draw."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.results import make_result, standing_pose

from actionpose.geometry.axes import Axes
from actionpose.result import Result
from actionpose.skeletons import H36M17


@pytest.fixture
def waving() -> Callable[..., Result]:
    """Makes results of persons who face the camera and raise the left arm."""

    def make(persons: int = 1, frames: int = 8, **changes: Any) -> Result:
        standing = np.array([standing_pose()[joint] for joint in H36M17.joints])
        pose = (standing - standing[0]) @ Axes.Y_UP.rotation_to(Axes.CAMERA).T
        pose = np.broadcast_to(pose, (persons, frames, 17, 3)).copy()
        arm = H36M17.indices("left_elbow", "left_wrist")
        pose[..., arm, 1] -= 0.4 * np.linspace(0, 1, frames)[:, None]  # raised over time
        keypoints = np.ones((persons, frames, 17, 3))
        keypoints[..., :2] = [320, 240] + 150 * pose[..., :2]
        keypoints[..., 0] -= 60 * np.arange(persons)[:, None, None]  # the first is furthest right
        fields = {
            "keypoints_px": keypoints,
            "track_id": np.arange(persons) + 7,
            "time_s": np.arange(frames) / 25,
            "header": {"image_size": [640, 480]} | changes.pop("header", {}),
        }
        return make_result(pose, **fields | changes)

    return make
