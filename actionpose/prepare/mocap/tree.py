"""Kinematic trees and their forward kinematics, which BVH and ASF/AMC share.

Letters: T frames, C values of a frame. Lengths are in the file's own unit, angles in degrees.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array

Vector = tuple[float, float, float]

BLOCK_FRAMES = 1024  # read and posed at a time, so that memory does not grow with a file's values


@dataclass(frozen=True)
class Channel:
    """One of the values of a frame, and the axis that it moves along or turns about."""

    column: int
    axis: int  # 0 x, 1 y, 2 z


@dataclass(frozen=True, eq=False)
class Joint:
    """A joint and the bone that starts there."""

    name: str
    parent: int | None
    offset: Vector  # of its origin from its parent's, in the parent's axes
    positions: tuple[Channel, ...] = ()  # replace coordinates of the offset
    rotations: tuple[Channel, ...] = ()  # the first is the outermost
    rest: Array | None = None  # (3, 3) axes of the rotations; None: the parent's
    end: Vector | None = None  # of its bone, in its own axes


@dataclass(frozen=True)
class KinematicTree:
    """Joints, parents before children."""

    joints: tuple[Joint, ...]
    num_values: int  # C
    unit_m: float | None = None  # meters in a unit; None: not in the file


@dataclass(frozen=True)
class MocapFile:
    """A motion file whose header was read; `blocks` reads the frames, anew at each call."""

    path: Path
    tree: KinematicTree
    fps: float
    blocks: Callable[[], Iterator[Array]]  # (up to BLOCK_FRAMES, C)


def in_blocks(rows: Iterator[list[float]]) -> Iterator[Array]:
    """Rows of C values as arrays of up to `BLOCK_FRAMES` of them."""
    while block := list(islice(rows, BLOCK_FRAMES)):
        yield np.array(block)


def parse_numbers(where: str, words: list[str], count: int) -> list[float]:
    """Finite numbers.

    Args:
        where: file and line, for errors.

    Raises:
        UserError: a word is no number, a number is not finite, or there are more or fewer.
    """
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    if len(numbers) != count:
        raise UserError(f"{where}: it has {len(numbers)} numbers, not {count}")
    if not all(map(math.isfinite, numbers)):
        raise UserError(f"{where}: a number is not finite")
    return numbers


def parse_vector(where: str, words: list[str]) -> Vector:
    """Three finite numbers; raises as `parse_numbers` does."""
    x, y, z = parse_numbers(where, words, 3)
    return x, y, z


def forward_kinematics(
    tree: KinematicTree, values: Array, wanted: Iterable[int]
) -> dict[int, tuple[Array, Array]]:
    """Positions and orientations of joints.

    Args:
        values: (T, C).
        wanted: joints; these and their ancestors are computed, the others are not.

    Returns:
        For each joint its origin (T, 3) and axes (T, 3, 3), columns in the axes of the world.
    """
    needed: set[int] = set()
    for index in wanted:
        at: int | None = index
        while at is not None and at not in needed:
            needed.add(at)
            at = tree.joints[at].parent
    placed: dict[int, tuple[Array, Array]] = {}
    for index in sorted(needed):  # parents come first
        joint = tree.joints[index]
        offset = np.tile(np.array(joint.offset), (len(values), 1))
        for channel in joint.positions:
            offset[:, channel.axis] = values[:, channel.column]
        rotation = np.tile(np.eye(3), (len(values), 1, 1))
        for channel in joint.rotations:
            rotation = rotation @ axis_rotation(channel.axis, values[:, channel.column])
        if joint.rest is not None:
            rotation = joint.rest @ rotation @ joint.rest.T
        if joint.parent is None:
            placed[index] = (offset, rotation)
        else:
            origin, axes = placed[joint.parent]
            placed[index] = (origin + (axes @ offset[..., None])[..., 0], axes @ rotation)
    return placed


def axis_rotation(axis: int, angle_deg: Array) -> Array:
    """(T, 3, 3) rotations about one axis, right-handed, acting on column vectors."""
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    second, third = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.zeros((*angle_deg.shape, 3, 3))
    rotation[..., axis, axis] = 1
    rotation[..., second, second] = rotation[..., third, third] = cos
    rotation[..., third, second], rotation[..., second, third] = sin, -sin
    return rotation
