"""Kinematic trees and their forward kinematics, for BVH and ASF/AMC.

Letters in shapes: T frames, C values per frame. Lengths are in the unit of the file, angles in
degrees.
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

BLOCK_FRAMES = 1024  # frames read and posed at a time, which bounds the memory


@dataclass(frozen=True)
class Channel:
    """A value of a frame, and the axis of its translation or rotation."""

    column: int
    axis: int  # 0 x, 1 y, 2 z


@dataclass(frozen=True, eq=False)
class Joint:
    """A joint, and the bone that starts at it."""

    name: str
    parent: int | None
    offset: Vector  # from the parent, in the axes of the parent
    positions: tuple[Channel, ...] = ()  # replace coordinates of the offset
    rotations: tuple[Channel, ...] = ()  # the first is the outermost
    rest: Array | None = None  # (3, 3) axes of the rotations; None: those of the parent
    end: Vector | None = None  # of its bone, in its own axes


@dataclass(frozen=True)
class KinematicTree:
    """Joints with parents before children."""

    joints: tuple[Joint, ...]
    num_values: int  # C
    unit_m: float | None = None  # meters per unit; None: not in the file


@dataclass(frozen=True)
class MocapFile:
    """A motion file with its header; each call of `blocks` reads the frames again."""

    path: Path
    tree: KinematicTree
    fps: float
    blocks: Callable[[], Iterator[Array]]  # (up to BLOCK_FRAMES, C)


def in_blocks(rows: Iterator[list[float]]) -> Iterator[Array]:
    """Group rows of C values into arrays of up to `BLOCK_FRAMES` rows."""
    while block := list(islice(rows, BLOCK_FRAMES)):
        yield np.array(block)


def parse_numbers(where: str, words: list[str], count: int) -> list[float]:
    """Parse finite numbers.

    Args:
        where: File and line, for errors.
        words: Words to parse.
        count: Expected number of words.

    Raises:
        UserError: If a word is not a number, a number is not finite, or the count is wrong.
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
    """Parse three finite numbers, see `parse_numbers`."""
    x, y, z = parse_numbers(where, words, 3)
    return x, y, z


def forward_kinematics(
    tree: KinematicTree, values: Array, wanted: Iterable[int]
) -> dict[int, tuple[Array, Array]]:
    """Positions and orientations of joints.

    Args:
        tree: Kinematic tree.
        values: (T, C) Values.
        wanted: Indices of joints, which are computed together with their ancestors only.

    Returns:
        The origin (T, 3) and axes (T, 3, 3) of each joint, with columns in world axes.
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
    """(T, 3, 3) Right-handed rotations about an axis, for column vectors."""
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    second, third = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.zeros((*angle_deg.shape, 3, 3))
    rotation[..., axis, axis] = 1
    rotation[..., second, second] = rotation[..., third, third] = cos
    rotation[..., third, second], rotation[..., second, third] = sin, -sin
    return rotation
