"""Overlapping windows over a sequence, and the blending of what is predicted in each.

Letters in shapes: T frames, W windows, L frames of a window, J joints.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from actionpose.utils.typing import Array, BoolArray, IntArray

_MIN_VISIBLE = 0.5  # fraction of a window's frames in which a person has to be visible


def sliding_windows(num_frames: int, length: int, *, overlap: int = 2) -> IntArray:
    """First and one past the last frame of the windows that cover a sequence: (W, 2).

    A window starts every `length // overlap` frames, and the last one ends with the sequence.

    Args:
        length: of the windows; a shorter sequence is one window.
        overlap: windows that cover a frame.
    """
    length = max(1, min(length, num_frames))
    last = num_frames - length
    starts = np.array([*range(0, last, max(1, length // overlap)), last])
    return starts[:, None] + [0, length]


def visible_windows(spans: IntArray, valid: BoolArray) -> BoolArray:
    """(W,) whether a person, visible in the frames `valid` (T,), is so in half of a window."""
    count = np.concatenate([[0], np.cumsum(valid)])
    frames = spans[:, 1] - spans[:, 0]
    return count[spans[:, 1]] - count[spans[:, 0]] >= np.maximum(1, _MIN_VISIBLE * frames)


def blend(windows: Iterable[tuple[int, Array]], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Weighted mean of overlapping windows, so that nothing jumps where one begins.

    A window's weights fall linearly from its middle to both ends.

    Args:
        windows: the first frame of each, and its values (..., L, J, C).
        shape: of the result, (..., T, J, C).

    Returns:
        Zeros in frames that no window covers.
    """
    total, weights = np.zeros(shape), np.zeros((shape[-3], 1, 1))
    for start, values in windows:
        ramp = np.arange(1, values.shape[-3] + 1)
        weight = np.minimum(ramp, ramp[::-1])[:, None, None]
        frames = slice(start, start + len(ramp))
        total[..., frames, :, :] += weight * values
        weights[frames] += weight
    return total / np.maximum(weights, 1)
