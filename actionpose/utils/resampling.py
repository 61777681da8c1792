"""Time series: frame rates, linear resampling with missing values, and runs of equal values."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.utils.typing import Array, BoolArray

_SAME_RATE = 0.1  # frames whose rate differs by less than this fraction are not resampled
SAME_TIME_S = 1e-6  # times that differ by less are equal
_EVEN = 0.02  # time steps that differ by less than this fraction are even


def same_rate(times: Array, fps: float) -> bool:
    """Whether frames at `times` (T,) have the rate `fps` and need no resampling.

    Each pair of consecutive frames is compared, because a mean rate would hide dropped frames and
    pauses.
    """
    return bool((np.abs(np.diff(times) * fps - 1) <= _SAME_RATE).all())


def on_both_sides(mask: BoolArray, times: Array, grid: Array) -> BoolArray:
    """Whether a mask (T, ...) at `times` is True on both sides of each time of `grid`: (G, ...).

    A frame at the same time is on both sides.
    """
    first = np.searchsorted(times, grid - SAME_TIME_S)
    last = np.searchsorted(times, grid + SAME_TIME_S, side="right") - 1
    before, after = np.minimum(first, last), np.maximum(first, last)
    return mask[np.clip(before, 0, len(times) - 1)] & mask[np.clip(after, 0, len(times) - 1)]


def interpolate(values: Array, times: Array, grid: Array) -> Array:
    """Interpolate (T, ...) at `times` linearly to (G, ...) at `grid`, constant at the ends."""
    if len(times) == 1:
        return np.repeat(values, len(grid), axis=0)
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    step = np.maximum(times[after] - times[after - 1], 1e-12)  # equal time stamps are allowed
    alpha = np.clip((grid - times[after - 1]) / step, 0, 1)
    alpha = alpha.reshape(-1, *[1] * (values.ndim - 1))
    return values[after - 1] * (1 - alpha) + values[after] * alpha


def runs(values: NDArray[Any]) -> list[slice]:
    """The runs of equal values of an array (T,), in order."""
    bounds = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return [slice(start, stop) for start, stop in pairwise(bounds) if stop > start]


def true_runs(mask: BoolArray) -> list[slice]:
    """The runs of True in a mask (T,), in order."""
    return [run for run in runs(mask) if mask[run.start]]


def is_even(times: Array) -> bool:
    """Whether the time steps are equal within 2 %."""
    steps = np.diff(times)
    return steps.size == 0 or bool(np.abs(steps - steps.mean()).max() <= _EVEN * steps.mean())


def frame_rate(times: Array) -> float:
    """Frames per second, the median if times are uneven; 0 if fewer than two times differ."""
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not steps.size:
        return 0.0
    return float(1 / (steps.mean() if is_even(times) else np.median(steps)))
