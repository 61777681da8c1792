"""A person who is visible for a few frames only has a pose there, at any frame rate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from actionpose import ActionPose, Keypoints

DEMO = Path(__file__).parents[2] / "actionpose" / "assets" / "demo_keypoints.npz"


@pytest.fixture(scope="module")
def model() -> ActionPose:
    return ActionPose.from_pretrained("tiny", "cpu")


@pytest.mark.parametrize("fps", [24, 50, 60, 120])
@pytest.mark.parametrize("where", ["start", "middle", "end"])
def test_every_valid_frame_has_a_pose(model: ActionPose, fps: float, where: str) -> None:
    demo = Keypoints.read(DEMO)
    frames = 40
    demo = replace(demo, keypoints_px=demo.keypoints_px[:, :frames], valid=demo.valid[:, :frames])
    for length in (1, 2, 5):
        for shift in (0, 1) if where == "middle" else (0,):
            start = {"start": 0, "middle": 20 + shift, "end": frames - length}[where]
            valid = np.zeros((1, frames), dtype=np.bool_)
            valid[:, start : start + length] = True
            points = demo.keypoints_px * valid[..., None, None]
            result = model.lift(replace(demo, fps=fps, keypoints_px=points, valid=valid))
            assert (result.valid == valid).all()
            height = np.ptp(result.pose_m[..., 1], axis=-1)
            case = (length, shift)
            assert (height[valid] > 1.0).all() and (height[valid] < 2.3).all(), case
            assert not result.pose_m[~valid].any(), case
