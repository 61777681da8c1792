"""Resampling of joints to 30 Hz."""

import warnings

import numpy as np
import pytest

from actionpose.prepare.mocap.common import resample

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # how it imports PyGLM is to be deprecated


@pytest.mark.parametrize("step", [1, 2, 4, 8])
def test_resample_whole_steps_takes_frames(step: int) -> None:
    joints = np.random.default_rng(0).normal(0, 1, (41, 17, 3))
    made = resample(joints, 30.0 * step)
    np.testing.assert_array_equal(made, joints[::step].astype(np.float32))


@pytest.mark.parametrize("fps", [24.0, 25.0, 29.97, 50.0, 100.0, 119.88, 250.0])
@pytest.mark.parametrize("frames", [1, 2, 60])
def test_resample_other_rates_interpolates_in_time(fps: float, frames: int) -> None:
    joints = np.random.default_rng(0).normal(0, 1, (frames, 17, 3))
    made = resample(joints, fps)
    times = np.arange(len(made)) / 30
    duration = (frames - 1) / fps
    assert times[-1] <= duration + 1e-6 < times[-1] + 1 / 30 + 1e-6
    own = np.arange(frames) / fps
    for joint in (0, 16):
        expected = np.interp(times, own, joints[:, joint, 1])
        np.testing.assert_allclose(made[:, joint, 1], expected, atol=1e-5)
