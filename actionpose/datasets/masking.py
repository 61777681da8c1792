"""What training does to clean 2D keypoints: a detector's errors, and joints and frames hidden.

All randomness comes from the generator passed in. One clip at a time; T frames, J = 17 joints.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from actionpose.config import MaskConfig
from actionpose.skeletons import BODY_PARTS, H36M17

Array = NDArray[np.floating]


def random_mask(
    num_frames: int, num_joints: int, joint_ratio: float, frame_ratio: float, rng: Generator
) -> NDArray[np.bool_]:
    """Single joints and whole frames at random: (T, J), True where the input is hidden."""
    joints = rng.random((num_frames, num_joints)) < joint_ratio
    frames = rng.random((num_frames, 1)) < frame_ratio
    return joints | frames


def part_mask(num_frames: int, rng: Generator) -> NDArray[np.bool_]:
    """One of the six body parts, hidden throughout: (T, 17), True where the input is hidden."""
    parts = list(BODY_PARTS.values())
    hidden = np.zeros((num_frames, len(H36M17)), dtype=bool)
    hidden[:, H36M17.indices(*parts[rng.integers(len(parts))])] = True
    return hidden


def window_mask(
    num_frames: int, shortest: int, longest: int, rng: Generator, *, overhang: bool = False
) -> NDArray[np.bool_]:
    """A window of time, all joints: (T, 17), True where the input is hidden.

    Its length is uniform in [shortest, min(longest, T - 1)], but T / 2 at most for T < 60; its
    start is uniform among those that keep it inside. With uniform starts the ends are hidden much
    more rarely than the middle; with `overhang` all frames are hidden equally often, and a window
    that hangs over an end hides less than its length.
    """
    hidden = np.zeros((num_frames, len(H36M17)), dtype=bool)
    most = min(longest, num_frames - 1 if num_frames >= 60 else num_frames // 2)
    if most < 1:
        return hidden
    length = int(rng.integers(min(shortest, most), most + 1))
    first, last = (1 - length, num_frames - 1) if overhang else (0, num_frames - length)
    start = int(rng.integers(first, last + 1))
    hidden[max(start, 0) : start + length] = True
    return hidden


def draw_mask(num_frames: int, masks: MaskConfig, rng: Generator) -> NDArray[np.bool_]:
    """One mask of the mixture: (T, 17), True where the input is hidden."""
    draw = rng.random()
    if draw < masks.random:
        return random_mask(num_frames, len(H36M17), masks.joint_ratio, masks.frame_ratio, rng)
    if draw < masks.random + masks.part:
        return part_mask(num_frames, rng)
    if draw < masks.random + masks.part + masks.window:
        return window_mask(num_frames, *masks.window_frames, rng, overhang=masks.overhang)
    return np.zeros((num_frames, len(H36M17)), dtype=bool)
