"""Overlapping windows over a sequence, and the blending of their predictions.

Letters in shapes: T frames, W windows, L frames of a window, J joints.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from actionpose.utils.typing import Array, BoolArray, IntArray

_MIN_VISIBLE = 0.5  # minimum fraction of the frames of a window in which the person is visible


def sliding_windows(num_frames: int, length: int, *, overlap: int = 2) -> IntArray:
    """Start and stop frames (W, 2) of the windows that cover a sequence.

    A window starts every `length // overlap` frames, and the last one ends at the end of the
    sequence.

    Args:
        length: Length of the windows. A shorter sequence is one window.
        overlap: Number of windows that cover a frame.
    """
    length = max(1, min(length, num_frames))
    last = num_frames - length
    starts = np.array([*range(0, last, max(1, length // overlap)), last])
    return starts[:, None] + [0, length]


def visible_windows(spans: IntArray, valid: BoolArray) -> BoolArray:
    """Whether a person, visible in frames `valid` (T,), is so in half of each window: (W,)."""
    count = np.concatenate([[0], np.cumsum(valid)])
    frames = spans[:, 1] - spans[:, 0]
    return count[spans[:, 1]] - count[spans[:, 0]] >= np.maximum(1, _MIN_VISIBLE * frames)


def blend(windows: Iterable[tuple[int, Array]], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Weighted mean of overlapping windows, continuous at their starts.

    The weights decrease linearly from the middle of a window to both ends.

    Args:
        windows: First frame and values (..., L, J, C) of each window.
        shape: Shape of the result, (..., T, J, C).

    Returns:
        The weighted mean, zero in frames that no window covers.
    """
    total, weights = np.zeros(shape), np.zeros((shape[-3], 1, 1))
    for start, values in windows:
        ramp = np.arange(1, values.shape[-3] + 1)
        weight = np.minimum(ramp, ramp[::-1])[:, None, None]
        frames = slice(start, start + len(ramp))
        total[..., frames, :, :] += weight * values
        weights[frames] += weight
    return total / np.maximum(weights, 1)
