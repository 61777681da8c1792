"""A tree of joints and its forward kinematics: what BVH and ASF/AMC have in common.

Letters: T frames, C values of a frame. Lengths are in the file's own unit, angles in degrees.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]
Floats = NDArray[np.float64]

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
    rest: Floats | None = None  # (3, 3) axes of the rotations; None: the parent's
    end: Vector | None = None  # of its bone, in its own axes


@dataclass(frozen=True)
class Tree:
    """Joints, parents before children."""

    joints: tuple[Joint, ...]
    num_values: int  # C
    unit_m: float | None = None  # meters in a unit; None: the file does not say

    def index(self, name: str) -> int | None:
        return next((i for i, joint in enumerate(self.joints) if joint.name == name), None)


@dataclass(frozen=True)
class Recording:
    """A motion file whose head was read; `blocks` reads the frames, anew at each call."""

    path: Path
    tree: Tree
    fps: float | None  # as the file claims; None: it claims nothing
    blocks: Callable[[], Iterator[Floats]]  # (up to BLOCK_FRAMES, C)


def pose(tree: Tree, values: Floats, wanted: Iterable[int]) -> dict[int, tuple[Floats, Floats]]:
    """Where joints are.

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
    placed: dict[int, tuple[Floats, Floats]] = {}
    for index in sorted(needed):  # parents come first
        joint = tree.joints[index]
        offset = np.tile(np.array(joint.offset), (len(values), 1))
        for channel in joint.positions:
            offset[:, channel.axis] = values[:, channel.column]
        turn = _turn(joint, values)
        if joint.parent is None:
            placed[index] = (offset, turn)
        else:
            origin, axes = placed[joint.parent]
            placed[index] = (origin + (axes @ offset[..., None])[..., 0], axes @ turn)
    return placed


def _turn(joint: Joint, values: Floats) -> Floats:
    """(T, 3, 3) the rotation of a joint in its parent's axes."""
    turn = np.tile(np.eye(3), (len(values), 1, 1))
    for channel in joint.rotations:
        turn = turn @ about(channel.axis, values[:, channel.column])
    if joint.rest is None:
        return turn
    return joint.rest @ turn @ joint.rest.T


def about(axis: int, angle_deg: Floats) -> Floats:
    """(T, 3, 3) rotations about one axis, right-handed, acting on column vectors."""
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    after, last = (axis + 1) % 3, (axis + 2) % 3
    turn = np.zeros((*angle_deg.shape, 3, 3))
    turn[..., axis, axis] = 1
    turn[..., after, after] = turn[..., last, last] = cos
    turn[..., last, after], turn[..., after, last] = sin, -sin
    return turn
