"""Masks of joints and frames that are hidden from the model in training.

All randomness comes from the given generator. Masks are for one clip of T frames and J = 17 joints,
and True where the input is hidden.
"""

import numpy as np
from numpy.random import Generator

from actionpose.config import PretrainDataConfig
from actionpose.skeletons import BODY_PARTS, H36M17
from actionpose.utils.typing import BoolArray


def random_mask(
    num_frames: int, joint_ratio: float, frame_ratio: float, rng: Generator
) -> BoolArray:
    """Hide joints and whole frames at random: (T, 17)."""
    joints = rng.random((num_frames, len(H36M17))) < joint_ratio
    frames = rng.random((num_frames, 1)) < frame_ratio
    return joints | frames


def part_mask(num_frames: int, rng: Generator) -> BoolArray:
    """Hide one of the six body parts in all frames: (T, 17)."""
    parts = list(BODY_PARTS.values())
    hidden = np.zeros((num_frames, len(H36M17)), dtype=bool)
    hidden[:, H36M17.indices(*parts[rng.integers(len(parts))])] = True
    return hidden


def window_mask(num_frames: int, shortest: int, longest: int, rng: Generator) -> BoolArray:
    """Hide all joints in a time window: (T, 17).

    Its length is uniform in [shortest, min(longest, T - 1)], with a maximum of T / 2 for T < 60.
    Its start is uniform over the positions inside the clip, so that frames at the ends are hidden
    much less often than those in the middle.
    """
    hidden = np.zeros((num_frames, len(H36M17)), dtype=bool)
    most = min(longest, num_frames - 1 if num_frames >= 60 else num_frames // 2)
    if most < 1:
        return hidden
    length = int(rng.integers(min(shortest, most), most + 1))
    start = int(rng.integers(num_frames - length + 1))
    hidden[start : start + length] = True
    return hidden


def draw_mask(num_frames: int, config: PretrainDataConfig, rng: Generator) -> BoolArray:
    """Draw a mask from the mixture `config.masks`: (T, 17)."""
    draw, (random, part, window) = (
        rng.random(),
        (config.masks.get(kind, 0.0) for kind in ("random", "part", "window")),
    )
    if draw < random:
        return random_mask(num_frames, *config.random_mask, rng)
    if draw < random + part:
        return part_mask(num_frames, rng)
    if draw < random + part + window:
        return window_mask(num_frames, *config.window_mask, rng)
    return np.zeros((num_frames, len(H36M17)), dtype=bool)
