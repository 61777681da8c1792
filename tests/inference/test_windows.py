"""Windows: how many cover a frame, which are mirrored, and how they are blended."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from actionpose.inference.engines import Engine
from actionpose.inference.windows import WindowLifter
from actionpose.keypoints import Keypoints
from actionpose.keypoints.model_input import PreparedTrack, prepare_tracks
from actionpose.models.dstformer import PoseOutput
from actionpose.skeletons import H36M17

FRAMES, BIAS = 8, 0.1


class Biased(Engine):
    """A standing person whose nose is too far to the right by `BIAS`, whatever the input."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.device, self.encoder = "cpu", SimpleNamespace(heads=None)
        self.pose = torch.zeros(17, 3)
        for joint, height in (("spine", 0.2), ("thorax", 0.4), ("nose", 0.5), ("head", 0.6)):
            self.pose[H36M17.joints.index(joint), 1] = -height
        for side, sign in (("left", 1), ("right", -1)):
            for joint, height in (("hip", 0), ("knee", 0.4), ("ankle", 0.8)):
                self.pose[H36M17.joints.index(f"{side}_{joint}"), :2] = torch.tensor(
                    [sign * 0.1, height]
                )
        self.pose[H36M17.joints.index("nose"), 0] = BIAS

    def __call__(self, clips: Tensor, *, embed: bool = False) -> PoseOutput:
        self.frames.append(clips.shape[0] * clips.shape[1])
        return PoseOutput(self.pose.expand(*clips.shape[:2], 17, 3), None)


@pytest.fixture
def track() -> PreparedTrack:
    points = np.random.default_rng(0).normal(500, 100, (40, 17, 3))
    points[..., 2] = 1
    return prepare_tracks(Keypoints.from_array(points, skeleton=H36M17, fps=30.0), 30.0)[0]


def test_fast_mirrors_every_other_window_and_best_every_one(track: PreparedTrack) -> None:
    nose = {}
    frames = {}
    for quality in ("fast", "best"):
        engine = Biased()
        pose = WindowLifter(engine, FRAMES, "box", "x", quality).lift(track, lambda n: None, None)
        height = np.linalg.norm(pose[:, H36M17.joints.index("head")], axis=-1) / 0.6
        nose[quality] = pose[:, H36M17.joints.index("nose"), 0] / height
        frames[quality] = sum(engine.frames) / len(pose)
    np.testing.assert_allclose(nose["best"], 0, atol=1e-7)
    # windows start every four frames: one alone at both ends, else two with opposite errors,
    # whose weights are 1 to 4 and 4 to 1
    expected = BIAS * np.array([5, 5, 5, 5, *np.tile([3, 1, -1, -3, -3, -1, 1, 3], 4), 5, 5, 5, 5])
    np.testing.assert_allclose(nose["fast"], expected / 5, atol=1e-7)
    assert (frames["fast"], frames["best"]) == (1.8, 2 * 17 * 8 / 40)


def test_fast_averages_both_sides_of_a_single_window(track: PreparedTrack) -> None:
    lifter = WindowLifter(Biased(), 64, "box", "x", "fast")
    pose = lifter.lift(track, lambda n: None, None)
    np.testing.assert_allclose(pose[:, H36M17.joints.index("nose"), 0], 0, atol=1e-7)


def test_fast_needs_few_frames_for_rough_poses(track: PreparedTrack) -> None:
    frames = {}
    for quality in ("fast", "best"):
        engine = Biased()
        lifter = WindowLifter(engine, FRAMES, "box", "x", quality)
        lifter.lift(track, lambda n: None, np.zeros((6, 3)))
        frames[quality] = sum(engine.frames) / 40
    assert frames["fast"] == pytest.approx(1.8 + 0.4)  # ten frames are two windows of eight
    assert frames["best"] == pytest.approx(6.8 + 1)
