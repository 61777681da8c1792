"""Biovision hierarchies (.bvh), with any channel order and position channels of any joint.

The format has no standard. Its variants differ in the meaning of a position channel of a joint that
has an OFFSET. Here, the channel replaces this coordinate of the offset, as in files of
MotionBuilder, Maya and Unreal; a coordinate without a channel is kept. A BVH file contains neither
its unit nor its vertical axis, which are defined by a joint map (`joint_map.py`).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from actionpose.prepare.mocap.tree import (
    Channel,
    Joint,
    KinematicTree,
    MocapFile,
    in_blocks,
    parse_numbers,
    parse_vector,
)
from actionpose.utils.errors import UserError
from actionpose.utils.files import reading

RATE_SNAP = 2.5e-4  # ".0083333" means 120 Hz; 29.97 Hz, which differs by a thousandth, is kept

Lines = Iterator[tuple[int, str]]


def read_bvh(path: Path) -> MocapFile:
    """Read the header of a file: its joints, and the stated number of frames and frame rate.

    Raises:
        UserError: If the file is not a BVH; names the line. Reading the blocks also raises it for a
            value that is not a number, a line with the wrong number of values, and a number of
            frames that differs from the header, as in truncated files.
    """
    with reading(path), path.open(encoding="latin-1") as file:
        lines = _lines(file)
        tree = _hierarchy(path, lines)
        num_frames, fps, line = _motion_header(path, lines)
    return MocapFile(path, tree, fps, lambda: in_blocks(_rows(path, tree, num_frames, line)))


def _lines(file: Iterable[str]) -> Lines:
    """Lines that are not empty, with their numbers; a brace is a separate line."""
    for number, line in enumerate(file, 1):
        line = line.removeprefix("\xef\xbb\xbf")  # a byte order mark, decoded as latin-1
        for part in re.split(r"([{}])", line):
            if part := part.strip():
                yield number, part


def _hierarchy(path: Path, lines: Lines) -> KinematicTree:
    """Parse everything up to the word MOTION."""
    number, line = next(lines, (1, ""))
    if line.upper() != "HIERARCHY":
        raise UserError(f"{path} is no BVH: line {number} is not HIERARCHY")
    joints: list[Joint] = []
    above: list[int] = []  # joints with open braces
    num_values, is_end, num_open = 0, False, 0
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
            num_open += 1
        elif word == "}":
            num_open -= 1
            if is_end:
                is_end = False
            elif above:
                above.pop()
            if num_open < 0:
                raise UserError(f"{where}: a brace closes that was not opened")
        elif word == "OFFSET" and above:
            vector, joint = parse_vector(where, rest.split()), joints[above[-1]]
            joint = replace(joint, end=vector) if is_end else replace(joint, offset=vector)
            joints[above[-1]] = joint
        elif word == "CHANNELS" and above and not is_end:
            count, *names = rest.split() or [""]
            if count != str(len(names)):
                raise UserError(f"{where}: {line!r} does not name as many channels as it claims")
            joints[above[-1]] = _with_channels(where, joints[above[-1]], names, num_values)
            num_values += len(names)
        elif word == "MOTION":
            if num_open or not joints:
                raise UserError(f"{where}: MOTION comes before the hierarchy is complete")
            return KinematicTree(tuple(joints), num_values)
        else:
            raise UserError(f"{where}: {line[:60]!r} is no part of a hierarchy")
    raise UserError(f"{path} ends in its hierarchy, at line {number}")


def _with_channels(where: str, joint: Joint, names: list[str], first_column: int) -> Joint:
    channels: dict[str, list[Channel]] = {"position": [], "rotation": []}
    for column, name in enumerate(names, first_column):
        axis, kind = "xyz".find(name[:1].lower()), name[1:].lower()
        if axis < 0 or kind not in channels:
            raise UserError(f"{where}: no channel is called {name!r}")
        channels[kind].append(Channel(column, axis))
    return replace(
        joint, positions=tuple(channels["position"]), rotations=tuple(channels["rotation"])
    )


def _motion_header(path: Path, lines: Lines) -> tuple[int, float, int]:
    """The number of frames, the frame rate, and the last line of the header."""
    found = []
    for label in ("Frames:", "Frame Time:"):
        number, line = next(lines, (0, ""))
        where = f"{path}, line {number}"
        if not line.lower().startswith(label.lower()):
            raise UserError(f"{where}: {label!r} is missing after MOTION")
        found += parse_numbers(where, [line[len(label) :]], 1)
    num_frames, frame_s = found
    if not (num_frames >= 1 and num_frames.is_integer()):
        raise UserError(f"{path}: it has {num_frames:g} frames")
    if frame_s <= 0:
        raise UserError(f"{where}: a frame cannot last {frame_s:g} s")
    fps = 1 / frame_s
    if abs(fps - round(fps)) < RATE_SNAP * fps:
        fps = float(round(fps))
    return int(num_frames), fps, number


def _rows(
    path: Path, tree: KinematicTree, num_frames: int, header_lines: int
) -> Iterator[list[float]]:
    num_read, number = 0, header_lines
    with path.open(encoding="latin-1") as file:
        for number, line in enumerate(file, 1):
            if number > header_lines and line.strip():
                yield parse_numbers(f"{path}, line {number}", line.split(), tree.num_values)
                num_read += 1
    if num_read != num_frames:
        raise UserError(
            f"{path} has {num_read} frames up to line {number}, but claims {num_frames}"
        )
