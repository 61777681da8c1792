"""Filters, against signals whose response is known."""

from typing import Literal

import numpy as np
import pytest
from helpers.results import Array, make_result

from actionpose.postprocessing.smoothing import smooth
from actionpose.utils.errors import UserError


def wave(hz: float, time_s: Array) -> Array:
    pose = np.zeros((len(time_s), 17, 3))
    pose[:, 5, 1] = np.sin(2 * np.pi * hz * time_s)
    return pose


@pytest.mark.parametrize(("hz", "gain"), [(0.5, 1.0), (4.0, np.sqrt(0.5)), (12.0, 0.01)])
def test_butterworth_passes_slow_motion_without_lag(hz: float, gain: float) -> None:
    time_s = np.arange(300) / 30
    result = smooth(make_result(wave(hz, time_s)), "butterworth", cutoff_hz=4)
    middle = slice(60, 240)
    smoothed = result.pose_m[0, middle, 5, 1]
    expected = gain * wave(hz, time_s)[middle, 5, 1]
    np.testing.assert_allclose(smoothed, expected, atol=0.012)
    assert result.header["processing"] == [
        {"step": "smooth", "method": "butterworth", "cutoff_hz": 4, "lag_s": 0}
    ]


def test_butterworth_filters_uneven_times_by_time() -> None:
    """A video whose rate doubles: the cutoff is in Hz all the way."""
    time_s = np.concatenate([np.arange(60) / 15, 4 + np.arange(180) / 30])
    fast = wave(6, time_s) * (time_s > 4)[:, None, None]
    result = make_result(wave(0.5, time_s) + fast, time_s=time_s)
    smoothed = smooth(result, cutoff_hz=2).pose_m[0, :, 5, 1]
    inner = (time_s > 0.5) & (time_s < 9.4) & (np.abs(time_s - 4) > 0.5)
    np.testing.assert_allclose(smoothed[inner], wave(0.5, time_s)[inner, 5, 1], atol=0.03)


@pytest.mark.parametrize("method", ["butterworth", "one-euro"])
def test_smooth_stops_at_gaps(method: Literal["butterworth", "one-euro"]) -> None:
    pose = np.zeros((60, 17, 3))
    pose[30:] = 1.0
    pose[28:32] = 1e6  # nobody visible: means nothing
    valid = np.ones((1, 60), bool)
    valid[0, 28:32] = False
    result = smooth(make_result(pose, valid=valid), method)
    np.testing.assert_allclose(result.pose_m[0], pose, atol=1e-6)


@pytest.mark.parametrize("method", ["butterworth", "one-euro"])
def test_smooth_takes_short_absences_that_were_filled(
    method: Literal["butterworth", "one-euro"],
) -> None:
    pose = np.random.default_rng(3).normal(0, 0.01, (60, 17, 3))
    valid = np.ones((1, 60), bool)
    valid[0, 28:32] = False
    gappy = smooth(make_result(pose, valid=valid, header={"max_gap_s": 0.5}), method)
    np.testing.assert_array_equal(gappy.pose_m, smooth(make_result(pose), method).pose_m)


def test_one_euro_is_causal_and_smooths_rest() -> None:
    rng = np.random.default_rng(1)
    pose = rng.normal(0, 0.01, (90, 17, 3))
    other = pose.copy()
    other[50:] += 1
    one, two = (smooth(make_result(p), "one-euro").pose_m[0] for p in (pose, other))
    np.testing.assert_array_equal(one[:50], two[:50])
    assert one[20:50].std() < 0.6 * pose[20:50].std()
    # and follows what is fast: within a few frames it is there
    assert np.abs(two[56] - 1).max() < 0.25


def test_smooth_keeps_short_runs() -> None:
    for frames in (1, 2):
        pose = np.random.default_rng(0).normal(size=(frames, 17, 3))
        smoothed = smooth(make_result(pose)).pose_m[0]
        np.testing.assert_allclose(smoothed, pose, atol=1e-6)


def test_smooth_refuses_cutoffs_and_methods() -> None:
    result = make_result(np.zeros((50, 17, 3)))
    with pytest.raises(UserError, match="cutoff of 16 Hz does not fit 30 frames a second"):
        smooth(result, cutoff_hz=16)
    with pytest.raises(UserError, match="cutoff_hz is above 0, not -1"):
        smooth(result, "one-euro", cutoff_hz=-1)
    with pytest.raises(UserError, match="cutoff_hz is above 0, not nan"):
        smooth(result, "one-euro", cutoff_hz=float("nan"))
    with pytest.raises(UserError, match="method is butterworth or one-euro, not median"):
        smooth(result, "median")  # type: ignore[arg-type]
