"""Acclaim skeletons and motions (.asf, .amc), as in the CMU database and Vicon software.

A bone rotates about its own axes, given by a rotation C: its rotation in the axes of its parent is
C R inverse(C). The first listed axis (`axis ... XYZ`, `dof rx ry rz`) is applied first. Directions
are in the world axes of the rest pose. Limits, masses and skins are ignored: real motions exceed
the limits of the capturing software.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from actionpose.prepare.mocap.tree import (
    Channel,
    Joint,
    KinematicTree,
    MocapFile,
    Vector,
    axis_rotation,
    in_blocks,
    parse_numbers,
    parse_vector,
)
from actionpose.utils.errors import UserError
from actionpose.utils.files import reading
from actionpose.utils.typing import Array

INCH_M = 0.0254  # CMU: a length in the file divided by its unit `length` is in inches

Lines = list[tuple[str, list[str]]]  # location of each line, for errors, and its words


@dataclass(frozen=True)
class Skeleton:
    """Content of an ASF file: joints, and their values in a frame of an AMC file."""

    path: Path
    tree: KinematicTree
    columns: dict[str, tuple[int, ...]]  # of each moving bone, in the order of its AMC line
    in_radians: bool
    angles: tuple[int, ...]  # columns of angles


@dataclass
class _Bone:
    name: str = ""
    direction: Vector = (0.0, 0.0, 0.0)
    length: float = 0.0
    axes: Array = field(default_factory=lambda: np.eye(3))
    dof: list[str] = field(default_factory=list)


def read_asf(path: Path) -> Skeleton:
    """Read a skeleton.

    Raises:
        UserError: If the file is not an ASF, or a feature is not supported; names the line.
    """
    sections = _sections(path)
    units = {words[0]: words[-1] for _, words in sections["units"]}
    in_radians = units.get("angle", "deg").lower().startswith("rad")
    length = parse_numbers(f"{path}, units", [units.get("length", "1")], 1)[0]
    if length <= 0:
        raise UserError(f"{path}: its unit of length is {length:g}, which cannot be")
    root_order = _root_order(path, sections["root"])
    bones = _bones(sections["bonedata"], in_radians)

    joints = [_joint("root", None, (0.0, 0.0, 0.0), root_order, 0)]
    columns = {"root": tuple(range(len(root_order)))}
    index, num_values = {"root": 0}, len(root_order)
    for name, parent in _parents(path, sections["hierarchy"], bones).items():
        bone, index[name] = bones[name], len(joints)
        start = joints[index[parent]].end or (0.0, 0.0, 0.0)
        joints.append(_joint(name, index[parent], start, bone.dof, num_values, bone))
        if bone.dof:
            columns[name] = tuple(range(num_values, num_values + len(bone.dof)))
            num_values += len(bone.dof)
    tree = KinematicTree(tuple(joints), num_values, unit_m=INCH_M / length)
    angles = tuple(channel.column for joint in joints for channel in joint.rotations)
    return Skeleton(path, tree, columns, in_radians, angles)


def _sections(path: Path) -> dict[str, Lines]:
    """Lines of each section without comments; the line of a keyword may contain its first value."""
    with reading(path):
        text = path.read_text(encoding="latin-1")
    sections: dict[str, Lines] = {}
    name = ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if line.startswith(":"):
            name, _, line = line[1:].partition(" ")
            name = name.lower()
            sections.setdefault(name, [])
        if name and line.strip():
            sections[name].append((f"{path}, line {number}", line.split()))
    missing = {"units", "root", "bonedata", "hierarchy"} - sections.keys()
    if missing:
        raise UserError(f"{path} is no ASF: it has no section {', '.join(sorted(missing))}")
    return sections


def _root_order(path: Path, lines: Lines) -> list[str]:
    order: list[str] = []
    for where, (word, *values) in lines:
        if word.lower() == "order":
            order = [value.lower() for value in values]
            if not set(order) <= {"tx", "ty", "tz", "rx", "ry", "rz"}:
                raise UserError(f"{where}: the root cannot have the order {' '.join(values)}")
        elif word.lower() == "orientation" and any(parse_numbers(where, values, 3)):
            raise UserError(
                f"{where}: a root that is turned at rest is not supported; "
                "write the skeleton with orientation 0 0 0"
            )
    if not order:
        raise UserError(f"{path}: the root has no order")
    return order


def _bones(lines: Lines, in_radians: bool) -> dict[str, _Bone]:
    bones: dict[str, _Bone] = {}
    bone = _Bone()
    for where, (word, *values) in lines:
        match word.lower():
            case "begin":
                bone = _Bone()
            case "name":
                bone.name = " ".join(values)
            case "direction":
                bone.direction = parse_vector(where, values)
            case "length":
                bone.length = parse_numbers(where, values, 1)[0]
            case "axis":
                bone.axes = _axes(where, values, in_radians)
            case "dof":
                bone.dof = [value.lower() for value in values]
                if not set(bone.dof) <= {"rx", "ry", "rz"}:
                    raise UserError(f"{where}: of degrees of freedom, only rx, ry, rz are read")
            case "end":
                if not bone.name or bone.name in bones:
                    raise UserError(f"{where}: a bone ends that has no name, or one that was used")
                if bone.length and not any(bone.direction):
                    raise UserError(f"{where}: bone {bone.name} has a length but no direction")
                bones[bone.name] = bone
            case _:  # id, limits with their continuation lines, masses
                continue
    return bones


def _axes(where: str, values: list[str], in_radians: bool) -> Array:
    *angles, order = values or [""]
    if sorted(order.lower()) != ["x", "y", "z"]:
        raise UserError(f"{where}: {order!r} is no order of axes such as XYZ")
    axes = np.eye(3)
    for letter, angle in zip(order.lower(), parse_numbers(where, angles, 3), strict=True):
        angle_deg = math.degrees(angle) if in_radians else angle
        axes = axis_rotation("xyz".index(letter), np.array(angle_deg)) @ axes
    return axes


def _parents(path: Path, lines: Lines, bones: dict[str, _Bone]) -> dict[str, str]:
    """The parent of each bone that is connected to the root, parents before children."""
    children: dict[str, list[str]] = {}
    used: set[str] = set()
    for where, (parent, *names) in lines:
        for name in names:
            if name not in bones or name in used:
                raise UserError(f"{where}: {name} is no bone, or has two parents")
            used.add(name)
        children.setdefault(parent, []).extend(names)
    parents: dict[str, str] = {}
    waiting = ["root"]
    while waiting:
        parent = waiting.pop()
        for name in children.get(parent, []):
            parents[name] = parent
            waiting.append(name)
    if not parents:
        raise UserError(f"{path}: no bone is connected to the root")
    return parents


def _joint(
    name: str,
    parent: int | None,
    offset: Vector,
    order: list[str],
    column: int,
    bone: _Bone | None = None,
) -> Joint:
    channels = [
        (kind[0], Channel(column + i, "xyz".index(kind[1]))) for i, kind in enumerate(order)
    ]
    rest = end = None
    if bone is not None:
        rest = bone.axes
        scale = bone.length / (math.hypot(*bone.direction) or 1)
        x, y, z = bone.direction
        end = (scale * x, scale * y, scale * z)
    return Joint(
        name,
        parent,
        offset,
        positions=tuple(channel for kind, channel in channels if kind == "t"),
        # the rotation applied first is innermost
        rotations=tuple(channel for kind, channel in reversed(channels) if kind == "r"),
        rest=rest,
        end=end,
    )


def read_amc(path: Path, skeleton: Skeleton, fps: float) -> MocapFile:
    """Open a motion of a skeleton. The format does not contain the frame rate.

    Raises:
        UserError: When blocks are read, if the file is not an AMC of this skeleton; names the line.
    """
    return MocapFile(path, skeleton.tree, fps, lambda: in_blocks(_rows(path, skeleton)))


def _rows(path: Path, skeleton: Skeleton) -> Iterator[list[float]]:
    """One row of values per frame. A bone missing in the first frame remains in its rest pose."""
    in_radians = skeleton.in_radians
    expected: set[str] | None = None
    row, seen, frame, number = [0.0] * skeleton.tree.num_values, set[str](), 0, 0

    def complete() -> list[float]:
        nonlocal expected
        expected = set(seen) if expected is None else expected
        if seen != expected or not seen:
            names = ", ".join(sorted(seen ^ expected)) or "all"
            raise UserError(
                f"{path}, line {number}: frame {frame} does not have the bones of the first: "
                f"{names}"
            )
        if in_radians:
            for column in skeleton.angles:
                row[column] = math.degrees(row[column])
        return row

    with reading(path), path.open(encoding="latin-1") as file:
        for number, line in enumerate(file, 1):
            name, *values = line.split() or ["#"]
            where = f"{path}, line {number}"
            if name.startswith("#"):
                continue
            if name.startswith(":"):
                if name.upper() in (":DEGREES", ":RADIANS"):
                    in_radians = name.upper() == ":RADIANS"
                continue
            if name.isdigit() and not values:
                if frame:
                    yield complete()
                if frame and int(name) != frame + 1:
                    raise UserError(f"{where}: frame {name} follows frame {frame}")
                frame = int(name)
                row, seen = [0.0] * skeleton.tree.num_values, set()
                continue
            columns = skeleton.columns.get(name)
            if columns is None or name in seen or not frame:
                raise UserError(
                    f"{where}: {name[:40]!r} is not a moving bone of {skeleton.path.name}, "
                    "comes twice, or comes before the first frame"
                )
            seen.add(name)
            row[columns[0] : columns[-1] + 1] = parse_numbers(where, values, len(columns))
    if not frame:
        raise UserError(f"{path} has no frame")
    yield complete()
