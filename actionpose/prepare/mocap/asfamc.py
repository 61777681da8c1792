"""Acclaim skeletons and motions (.asf, .amc), as Vicon's programs and CMU's database write them.

A bone turns about axes of its own, which the skeleton gives as a rotation C: its rotation in its
parent's axes is C R inverse(C). The first axis listed (`axis ... XYZ`, `dof rx ry rz`) turns first.
Directions are in the axes of the world at rest. Limits, masses and skins are ignored: limits are
what the capturing program aimed at, and real motions exceed them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
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
    about,
)
from actionpose.utils.errors import UserError

INCH_M = 0.0254  # CMU: a length in the file, over its unit `length`, is inches

Lines = list[tuple[int, str]]  # with their numbers


@dataclass(frozen=True)
class Skeleton:
    """What an ASF says: joints, and which values each has in a frame of an AMC."""

    path: Path
    tree: Tree
    columns: dict[str, tuple[int, ...]]  # of each bone that moves, in the order of its AMC line
    in_radians: bool
    angles: tuple[int, ...]  # the columns that are angles


@dataclass
class _Bone:
    name: str = ""
    direction: Vector = (0.0, 0.0, 0.0)
    length: float = 0.0
    axes: Floats = field(default_factory=lambda: np.eye(3))
    dof: list[str] = field(default_factory=list)


def read_asf(path: Path) -> Skeleton:
    """Read a skeleton.

    Raises:
        UserError: not an ASF, or with what is not supported, naming the line.
    """
    sections = _sections(path)
    units = {line.split()[0]: line.split()[-1] for _, line in sections["units"]}
    in_radians = units.get("angle", "deg").lower().startswith("rad")
    length = _numbers(f"{path}, units", [units.get("length", "1")], 1)[0]
    if length <= 0:
        raise UserError(f"{path}: its unit of length is {length:g}, which cannot be")
    root_order = _root_order(path, sections["root"])
    bones = _bones(path, sections["bonedata"], in_radians)
    parents = _hierarchy(path, sections["hierarchy"], bones)

    joints = [_joint("root", None, (0.0, 0.0, 0.0), root_order, 0, None)]
    columns = {"root": tuple(range(len(root_order)))}
    index, num_values = {"root": 0}, len(root_order)
    for name, parent in parents.items():
        above, bone = joints[index[parent]], bones[name]
        index[name] = len(joints)
        start = above.end or (0.0, 0.0, 0.0)
        made = _joint(name, index[parent], start, bone.dof, num_values, bone)
        joints.append(made)
        if bone.dof:
            columns[name] = tuple(range(num_values, num_values + len(bone.dof)))
            num_values += len(bone.dof)
    tree = Tree(tuple(joints), num_values, unit_m=INCH_M / length)
    angles = tuple(channel.column for joint in joints for channel in joint.rotations)
    return Skeleton(path, tree, columns, in_radians, angles)


def _sections(path: Path) -> dict[str, Lines]:
    """Lines of each section, without comments; a keyword's own line may hold its first value."""
    try:
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    sections: dict[str, Lines] = {}
    name = ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if line.startswith(":"):
            name, _, line = line[1:].partition(" ")
            name = name.lower()
            sections.setdefault(name, [])
        if name and line.strip():
            sections[name].append((number, line.strip()))
    missing = {"units", "root", "bonedata", "hierarchy"} - sections.keys()
    if missing:
        raise UserError(f"{path} is no ASF: it has no section {', '.join(sorted(missing))}")
    return sections


def _root_order(path: Path, lines: Lines) -> list[str]:
    order: list[str] = []
    for number, line in lines:
        word, *values = line.split()
        if word.lower() == "order":
            order = [value.lower() for value in values]
            if not set(order) <= {"tx", "ty", "tz", "rx", "ry", "rz"}:
                raise UserError(f"{path}, line {number}: the root cannot have the order {line!r}")
        elif word.lower() == "orientation":
            if any(_numbers(f"{path}, line {number}", values, 3)):
                raise UserError(
                    f"{path}, line {number}: a root that is turned at rest is not supported; "
                    "write the skeleton with orientation 0 0 0"
                )
    if not order:
        raise UserError(f"{path}: the root has no order")
    return order


def _bones(path: Path, lines: Lines, in_radians: bool) -> dict[str, _Bone]:
    bones: dict[str, _Bone] = {}
    bone = _Bone()
    for number, line in lines:
        word, *values = line.split()
        where = f"{path}, line {number}"
        match word.lower():
            case "begin":
                bone = _Bone()
            case "name":
                bone.name = " ".join(values)
            case "direction":
                bone.direction = _vector(where, values)
            case "length":
                bone.length = _numbers(where, values, 1)[0]
            case "axis":
                bone.axes = _axes(where, values, in_radians)
            case "dof":
                bone.dof = [value.lower() for value in values]
                if not set(bone.dof) <= {"rx", "ry", "rz"}:
                    raise UserError(f"{where}: of degrees of freedom, only rx, ry, rz are read")
            case "end":
                if not bone.name or bone.name in bones:
                    raise UserError(f"{where}: a bone ends that has no name, or one that was used")
                norm = math.hypot(*bone.direction)
                if bone.length and not norm:
                    raise UserError(f"{where}: bone {bone.name} has a length but no direction")
                bones[bone.name] = bone
            case _:  # id, limits and the lines that go on with them, masses
                continue
    return bones


def _axes(where: str, values: list[str], in_radians: bool) -> Floats:
    *angles, order = values if values else [""]
    if sorted(order.lower()) != ["x", "y", "z"]:
        raise UserError(f"{where}: {order!r} is no order of axes such as XYZ")
    axes = np.eye(3)
    for letter, angle in zip(order.lower(), _numbers(where, angles, 3), strict=True):
        angle_deg = math.degrees(angle) if in_radians else angle
        axes = about("xyz".index(letter), np.array(angle_deg)) @ axes
    return axes


def _hierarchy(path: Path, lines: Lines, bones: dict[str, _Bone]) -> dict[str, str]:
    """The parent of each bone that hangs on the root, parents before children."""
    children: dict[str, list[str]] = {}
    above: set[str] = set()
    for number, line in lines:
        if line in ("begin", "end"):
            continue
        parent, *names = line.split()
        for name in names:
            if name not in bones or name in above:
                raise UserError(f"{path}, line {number}: {name} is no bone, or has two parents")
            above.add(name)
        children.setdefault(parent, []).extend(names)
    parents: dict[str, str] = {}
    waiting = ["root"]
    while waiting:
        parent = waiting.pop()
        for name in children.get(parent, []):
            parents[name] = parent
            waiting.append(name)
    if not parents:
        raise UserError(f"{path}: nothing hangs on the root")
    return parents


def _joint(
    name: str, parent: int | None, offset: Vector, order: list[str], column: int, bone: _Bone | None
) -> Joint:
    channels = [
        (kind[0], Channel(column + i, "xyz".index(kind[1]))) for i, kind in enumerate(order)
    ]
    rotations = tuple(channel for kind, channel in channels if kind == "r")
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
        rotations=rotations[::-1],  # what turns first is innermost
        rest=rest,
        end=end,
    )


def read_amc(path: Path, skeleton: Skeleton, fps: float | None = None) -> Recording:
    """Open a motion of a skeleton. The format has no rate: whoever knows it gives it.

    Raises:
        UserError: when the blocks are read: what is no AMC of this skeleton, naming the line.
    """
    return Recording(path, skeleton.tree, fps, lambda: _blocks(path, skeleton))


def _blocks(path: Path, skeleton: Skeleton) -> Iterator[Floats]:
    frames = _frames(path, skeleton)
    while rows := list(islice(frames, BLOCK_FRAMES)):
        yield np.array(rows)


def _frames(path: Path, skeleton: Skeleton) -> Iterator[list[float]]:
    """One row of values a frame. A bone that the first frame lacks stays at rest throughout."""
    in_radians = skeleton.in_radians
    expected: set[str] | None = None
    row, seen, last = [0.0] * skeleton.tree.num_values, set[str](), 0

    def complete(number: int) -> list[float]:
        nonlocal expected
        if expected is None:
            expected = set(seen)
        if seen != expected or not seen:
            names = ", ".join(sorted(seen ^ expected)) or "all"
            raise UserError(
                f"{path}, line {number}: frame {last} does not have the bones of the first: {names}"
            )
        if in_radians:
            for column in skeleton.angles:
                row[column] = math.degrees(row[column])
        return row

    number = 0
    try:
        with path.open(encoding="latin-1") as file:
            for number, line in enumerate(file, 1):
                words = line.split()
                if not words or words[0].startswith("#"):
                    continue
                if words[0].startswith(":"):
                    if words[0].upper() in (":DEGREES", ":RADIANS"):
                        in_radians = words[0].upper() == ":RADIANS"
                    continue
                where = f"{path}, line {number}"
                if len(words) == 1 and words[0].isdigit():
                    if last:
                        yield complete(number)
                    if last and int(words[0]) != last + 1:
                        raise UserError(f"{where}: frame {words[0]} follows frame {last}")
                    last = int(words[0])
                    row, seen = [0.0] * skeleton.tree.num_values, set()
                    continue
                name, columns = words[0], skeleton.columns.get(words[0])
                if columns is None or name in seen or not last:
                    raise UserError(
                        f"{where}: {name[:40]!r} is not a moving bone of {skeleton.path.name}, "
                        "comes twice, or comes before the first frame"
                    )
                seen.add(name)
                row[columns[0] : columns[-1] + 1] = _numbers(where, words[1:], len(columns))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if not last:
        raise UserError(f"{path} has no frame")
    yield complete(number)


def _vector(where: str, words: list[str]) -> Vector:
    x, y, z = _numbers(where, words, 3)
    return x, y, z


def _numbers(where: str, words: list[str], count: int) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    if len(values) != count or not all(map(math.isfinite, values)):
        raise UserError(f"{where}: {' '.join(words)[:60]!r} is not {count} finite numbers")
    return values
