"""Biovision hierarchies (.bvh), of any channel order, position channels on any joint.

The format has no standard and its dialects differ in one point that matters: what a position
channel means on a joint that has an OFFSET. Here the channel replaces that coordinate of the
offset, as in the files of MotionBuilder, Maya and Unreal; where a channel is missing the
coordinate stays. A BVH names neither its unit nor its upward axis: a rig does (`rig.py`).
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from actionpose.prepare.mocap.tree import (
    BLOCK_FRAMES,
    Channel,
    Floats,
    Joint,
    Recording,
    Tree,
    Vector,
)
from actionpose.utils.errors import UserError

RATE_SNAP = 2.5e-4  # ".0083333" means 120 Hz; 29.97 Hz, a thousandth off, stays

Lines = Iterator[tuple[int, str]]


def read_bvh(path: Path) -> Recording:
    """Read the head of a file: its joints, and how many frames of what rate it claims.

    Raises:
        UserError: not a BVH, naming the line. Reading the blocks raises it too: for a value that
            is no number, a line with too many or too few, and another number of frames than the
            head says, which is how a file that was cut off shows.
    """
    try:
        with path.open(encoding="latin-1") as file:
            lines = _lines(file)
            tree = _hierarchy(path, lines)
            num_frames, fps, line = _motion_head(path, lines)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    return Recording(path, tree, fps, lambda: _blocks(path, tree, num_frames, line))


def _lines(file: Iterable[str]) -> Lines:
    """Lines that are not empty, with their numbers; a brace is a line of its own."""
    for number, line in enumerate(file, 1):
        line = line.removeprefix("\xef\xbb\xbf")  # a byte order mark, seen as latin-1
        for part in re.split(r"([{}])", line):
            if part := part.strip():
                yield number, part


def _hierarchy(path: Path, lines: Lines) -> Tree:
    """Everything up to the word MOTION."""
    number, line = next(lines, (1, ""))
    if line.upper() != "HIERARCHY":
        raise UserError(f"{path} is no BVH: line {number} is not HIERARCHY")
    joints: list[Joint] = []
    above: list[int] = []  # the joints whose braces are open
    num_values, is_end, opens = 0, False, 0
    for number, line in lines:
        word, rest = (*line.split(maxsplit=1), "")[:2]
        word = word.upper()
        where = f"{path}, line {number}"
        if word in ("ROOT", "JOINT"):
            if (word == "JOINT") != bool(above) or (word == "ROOT" and joints):
                raise UserError(f"{where}: {line!r} is in the wrong place (one ROOT is read)")
            if any(joint.name == rest for joint in joints):
                raise UserError(f"{where}: a second joint is called {rest!r}")
            joints.append(Joint(rest, above[-1] if above else None, (0.0, 0.0, 0.0)))
            above.append(len(joints) - 1)
        elif word == "END" and above:
            is_end = True
        elif word == "{":
            opens += 1
        elif word == "}":
            opens -= 1
            if is_end:
                is_end = False
            elif above:
                above.pop()
            if opens < 0:
                raise UserError(f"{where}: a brace closes that was not opened")
        elif word == "OFFSET" and above:
            vector, joint = _vector(where, rest), joints[above[-1]]
            joint = replace(joint, end=vector) if is_end else replace(joint, offset=vector)
            joints[above[-1]] = joint
        elif word == "CHANNELS" and above and not is_end:
            channels = rest.split()
            if not channels[:1] or channels[0] != str(len(channels) - 1):
                raise UserError(f"{where}: {line!r} does not name as many channels as it says")
            joints[above[-1]] = _with_channels(where, joints[above[-1]], channels[1:], num_values)
            num_values += len(channels) - 1
        elif word == "MOTION":
            if opens or not joints:
                raise UserError(f"{where}: MOTION comes before the hierarchy is complete")
            return Tree(tuple(joints), num_values)
        else:
            raise UserError(f"{where}: {line[:60]!r} is no part of a hierarchy")
    raise UserError(f"{path} ends in its hierarchy, at line {number}")


def _vector(where: str, text: str) -> Vector:
    try:
        x, y, z = map(float, text.split())
    except ValueError:
        raise UserError(f"{where}: {text!r} is not three numbers") from None
    if not all(map(math.isfinite, (x, y, z))):
        raise UserError(f"{where}: {text!r} is not finite")
    return x, y, z


def _with_channels(where: str, joint: Joint, names: list[str], column: int) -> Joint:
    positions: list[Channel] = []
    rotations: list[Channel] = []
    for name in names:
        axis, kind = "xyz".find(name[:1].lower()), name[1:].lower()
        if axis < 0 or kind not in ("position", "rotation"):
            raise UserError(f"{where}: no channel is called {name!r}")
        (positions if kind == "position" else rotations).append(Channel(column, axis))
        column += 1
    return replace(joint, positions=tuple(positions), rotations=tuple(rotations))


def _motion_head(path: Path, lines: Lines) -> tuple[int, float, int]:
    """The number of frames, the rate, and the line where both were read."""
    found = []
    for label in ("Frames:", "Frame Time:"):
        number, line = next(lines, (0, ""))
        if not line.lower().startswith(label.lower()):
            raise UserError(f"{path}, line {number}: {label!r} is missing after MOTION")
        try:
            found.append(float(line[len(label) :]))
        except ValueError:
            raise UserError(f"{path}, line {number}: {line!r} is no number") from None
    num_frames, frame_s = found
    if not (num_frames >= 1 and num_frames.is_integer()):
        raise UserError(f"{path}: it has {num_frames:g} frames")
    if not (math.isfinite(frame_s) and frame_s > 0):
        raise UserError(f"{path}, line {number}: a frame cannot last {frame_s:g} s")
    fps = 1 / frame_s
    if abs(fps - round(fps)) < RATE_SNAP * fps:
        fps = round(fps)
    return int(num_frames), float(fps), number


def _blocks(path: Path, tree: Tree, num_frames: int, head_lines: int) -> Iterator[Floats]:
    seen, number = 0, head_lines
    rows: list[list[float]] = []
    with path.open(encoding="latin-1") as file:
        for number, line in enumerate(file, 1):
            if number <= head_lines or not line.strip():
                continue
            rows.append(_row(f"{path}, line {number}", line, tree.num_values))
            seen += 1
            if len(rows) == BLOCK_FRAMES:
                yield np.array(rows)
                rows = []
    if seen != num_frames:
        raise UserError(f"{path} has {seen} frames up to line {number}, but says {num_frames}")
    if rows:
        yield np.array(rows)


def _row(where: str, line: str, num_values: int) -> list[float]:
    try:
        row = [float(text) for text in line.split()]
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    if len(row) != num_values:
        raise UserError(f"{where} has {len(row)} values, but the channels are {num_values}")
    if not all(map(math.isfinite, row)):
        raise UserError(f"{where}: a value is not finite")
    return row
