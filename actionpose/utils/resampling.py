"""Values and masks of frames at other times."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_SAME_RATE = 0.1  # frames whose rate is this near to another are taken as they are


def same_rate(times: Array, fps: float) -> bool:
    """Whether frames at `times` (T,) need no resampling to a rate.

    It looks at each pair of frames: a mean rate would hide dropped frames and pauses.
    """
    return bool((np.abs(np.diff(times) * fps - 1) <= _SAME_RATE).all())


def on_both_sides(mask: NDArray[np.bool_], times: Array, grid: Array) -> NDArray[np.bool_]:
    """(G, ...) whether a mask (T, ...) at `times` holds on both sides of each time of `grid`."""
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    return mask[after] & mask[after - 1]


def interpolate(values: Array, times: Array, grid: Array) -> Array:
    """(T, ...) at `times` to (G, ...) at `grid`, linearly; the ends are held."""
    if len(times) == 1:
        return np.repeat(values, len(grid), axis=0)
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    step = np.maximum(times[after] - times[after - 1], 1e-12)  # equal time stamps are allowed
    alpha = np.clip((grid - times[after - 1]) / step, 0, 1)
    alpha = alpha.reshape(-1, *[1] * (values.ndim - 1))
    return values[after - 1] * (1 - alpha) + values[after] * alpha


_EVEN = 0.02  # time steps that differ by less than this fraction are even


def runs(mask: NDArray[np.bool_]) -> Iterator[slice]:
    """The stretches (T,) of True."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield slice(start, stop)


def frame_rate_hz(time_s: Array) -> float:
    """Frames a second: one over the median time step; 0 if there are not two times."""
    steps = np.diff(time_s)
    steps = steps[steps > 0]
    return float(1 / np.median(steps)) if steps.size else 0.0


def is_even(time_s: Array) -> bool:
    """Whether all frames are equally far apart."""
    steps = np.diff(time_s)
    return steps.size == 0 or bool(np.abs(steps - steps.mean()).max() <= _EVEN * steps.mean())
