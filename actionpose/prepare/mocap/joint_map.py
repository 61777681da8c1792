"""Joint maps: the points of a motion file that are the 17 joints, its unit and axes.

A joint map is a small YAML file. Those of the package are in the folder `joint_maps/`, where
`example.yaml` explains all keys. A file does not fit if it lacks a joint that is named in its joint
map; nothing is guessed.
"""

import math
import os
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from actionpose.prepare.mocap.tree import (
    KinematicTree,
    MocapFile,
    Vector,
    forward_kinematics,
)
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array
from actionpose.utils.yaml_config import parse_yaml

KEYS = ("about", "unit_m", "up", "skip_frames", "strip", "offsets", "joints")
# (x, y, z) of the file to (x, y, z) with z up; both are rotations, so that sides are preserved
Z_UP = {"y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)), "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1))}
LEG_M = (0.25, 1.4)  # hip to ankle: from a small child to a very tall adult


@dataclass(frozen=True)
class JointPoint:
    """A point that moves with a joint."""

    joint: str
    is_end: bool = False  # end of the bone of the joint
    offset_m: Vector = (0.0, 0.0, 0.0)  # in the axes of the joint


@dataclass(frozen=True)
class JointMap:
    """The mapping of a kind of file. Each of the 17 joints is the mean of its points."""

    name: str
    joints: dict[str, tuple[JointPoint, ...]]
    about: str = ""  # source of such files
    up: str = "y"
    unit_m: float | None = None  # meters per unit of the file; None: stated in the file
    skip_frames: int = 0  # at the start: a reference pose that is not motion
    strip: str = ""  # pattern of a prefix to remove from names in the file
    offsets: tuple[tuple[str, str, float], ...] = ()  # (joint, joint of the offset, factor)

    def _plain(self, tree: KinematicTree) -> KinematicTree:
        """The tree with the names of the joint map."""
        prefix = re.compile(f"^(?:{self.strip})")
        return replace(
            tree, joints=tuple(replace(j, name=prefix.sub("", j.name)) for j in tree.joints)
        )

    def missing(self, tree: KinematicTree) -> list[str]:
        """The joints in the joint map that a file lacks."""
        joints = self._plain(tree).joints
        names = {joint.name for joint in joints}
        ends = {joint.name for joint in joints if joint.end is not None}
        points = {point for points in self.joints.values() for point in points}
        wanted = {point.joint for point in points}.union(*(pair[:2] for pair in self.offsets))
        bones = {point.joint for point in points if point.is_end} & names
        return sorted((wanted - names) | {f"{name}.end" for name in bones - ends})

    def read(self, file: MocapFile) -> Array:
        """The joints of all frames at the frame rate of the file.

        Returns:
            (T, 17, 3) joints in meters, z up, with the pelvis of the first frame at x = y = 0.

        Raises:
            UserError: If the file does not fit, no frames remain, or the body size is implausible.
        """
        if lacks := self.missing(file.tree):
            raise UserError(
                f"{file.path} does not fit the joint map {self.name}: "
                f"it has no {', '.join(lacks[:6])}{' ...' if len(lacks) > 6 else ''}"
            )
        tree = self._with_offsets(file)
        unit_m = self.unit_m or tree.unit_m
        if unit_m is None:
            raise UserError(f"{file.path} has no unit: the joint map {self.name} needs unit_m")
        points_m = np.concatenate([self._points_m(tree, unit_m, block) for block in file.blocks()])
        joints_m = points_m[self.skip_frames :] @ np.array(Z_UP[self.up], dtype=np.float64).T
        if not len(joints_m):
            raise UserError(f"{file.path} has no frame after the {self.skip_frames} skipped")
        leg_m = _leg_length(joints_m)
        if not LEG_M[0] <= leg_m <= LEG_M[1]:  # wrong unit
            raise UserError(
                f"{file.path}: the legs are {leg_m:.3g} m long by the joint map {self.name}; "
                "set its unit_m to the meters in a unit of this file"
            )
        joints_m[..., :2] -= joints_m[0, 0, :2]
        return joints_m

    def _with_offsets(self, file: MocapFile) -> KinematicTree:
        """The tree with the names of the joint map and with its modified offsets."""
        tree = self._plain(file.tree)
        joints = {joint.name: joint for joint in tree.joints}
        changed = {}
        for name, like, times in self.offsets:
            if joints[name].positions:
                raise UserError(
                    f"{file.path}: the joint map {self.name} changes the offset of {name}, "
                    "but position channels replace it"
                )
            x, y, z = joints[like].offset
            changed[name] = replace(joints[name], offset=(times * x, times * y, times * z))
        return replace(tree, joints=tuple(changed.get(j.name, j) for j in tree.joints))

    def _points_m(self, tree: KinematicTree, unit_m: float, values: Array) -> Array:
        """(T, 17, 3) in the axes of the file."""
        index = {joint.name: i for i, joint in enumerate(tree.joints)}
        wanted = {index[point.joint] for points in self.joints.values() for point in points}
        placed = forward_kinematics(tree, values, wanted)
        result = np.empty((len(values), len(H36M17), 3))
        for number, joint in enumerate(H36M17.joints):
            points = []
            for point in self.joints[joint]:
                origin, axes = placed[index[point.joint]]
                offset_m = np.array(point.offset_m)
                if point.is_end:
                    offset_m = offset_m + unit_m * np.array(tree.joints[index[point.joint]].end)
                points.append(unit_m * origin + axes @ offset_m)
            result[:, number] = np.mean(points, axis=0)
        return result


def _leg_length(joints_m: Array) -> float:
    """Median length of hip to knee to ankle over frames and sides."""
    hip, knee, ankle = (
        joints_m[:, H36M17.indices(f"left_{part}", f"right_{part}")]
        for part in ("hip", "knee", "ankle")
    )
    lengths = np.linalg.norm(hip - knee, axis=-1) + np.linalg.norm(knee - ankle, axis=-1)
    return float(np.median(lengths))


@cache
def shipped() -> tuple[str, ...]:
    """The names of the joint maps of the package."""
    folder = resources.files("actionpose.prepare.mocap") / "joint_maps"
    names = [Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml")]
    return tuple(sorted(names))


def shipped_text(name: str) -> str:
    """The YAML of a joint map of the package.

    Raises:
        UserError: If it does not exist.
    """
    if name not in shipped():
        raise UserError(f"the package has no joint map {name}; it has {', '.join(shipped())}")
    folder = resources.files("actionpose.prepare.mocap") / "joint_maps"
    return (folder / f"{name}.yaml").read_text("utf-8")


def load_joint_map(name_or_path: str | os.PathLike[str]) -> JointMap:
    """Load a joint map of the package by name, or of the user by path.

    Raises:
        UserError: If it does not exist, or is invalid; `example.yaml` explains the format.
    """
    name = os.fspath(name_or_path)
    if name in shipped():
        return parse_joint_map(shipped_text(name), name)
    try:
        return parse_joint_map(Path(name).read_text(encoding="utf-8"), name)
    except FileNotFoundError:
        raise UserError(
            f"there is no joint map {name}: give a YAML file, or one of {', '.join(shipped())}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the joint map {name}: {error}") from error


@cache
def parse_joint_map(text: str, name: str) -> JointMap:
    """Parse a joint map from YAML; `joint_maps/example.yaml` explains the keys.

    Raises:
        UserError: If a key is invalid; names it.
    """
    where = f"joint map {name}"
    given = _mapping(parse_yaml(text, where), where, KEYS)
    joints = _mapping(given.get("joints"), f"{where}, joints", H36M17.joints)
    if lacks := [joint for joint in H36M17.joints if joint not in joints]:
        raise UserError(f"{where} does not locate: {', '.join(lacks)}")
    up, unit_m, skip = given.get("up", "y"), given.get("unit_m"), given.get("skip_frames", 0)
    strip = given.get("strip", "")
    if not isinstance(up, str) or up not in Z_UP:
        raise UserError(f"{where}: up is y or z, not {up!r}")
    if unit_m is not None and not (_is_number(unit_m) and unit_m > 0):
        raise UserError(f"{where}: unit_m is the meters in a unit of the file, not {unit_m!r}")
    if not (_is_number(skip) and isinstance(skip, int) and skip >= 0):
        raise UserError(f"{where}: skip_frames is a number of frames, not {skip!r}")
    try:
        re.compile(strip)
    except (re.error, TypeError) as error:
        raise UserError(f"{where}: strip is no pattern: {error}") from None
    offsets = _mapping(given.get("offsets") or {}, f"{where}, offsets")
    return JointMap(
        name=name,
        joints={joint: _points(joints[joint], f"{where}, {joint}") for joint in H36M17.joints},
        about=str(given.get("about", "")),
        up=up,
        unit_m=unit_m,
        skip_frames=skip,
        strip=strip,
        offsets=tuple(_offset(key, value, f"{where}, offsets") for key, value in offsets.items()),
    )


def _mapping(value: Any, where: str, keys: Collection[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: names and values are expected, not {value!r}")
    if keys is not None and (unknown := value.keys() - set(keys)):
        raise UserError(
            f"{where}: there is no {', '.join(sorted(map(str, unknown)))}; "
            f"there are {', '.join(sorted(keys))}"
        )
    return value


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _points(value: Any, where: str) -> tuple[JointPoint, ...]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise UserError(f"{where}: an empty list names no joint")
    return tuple(_point(value, where) for value in values)


def _point(value: Any, where: str) -> JointPoint:
    if isinstance(value, str):
        return JointPoint(value.removesuffix(".end"), is_end=value.endswith(".end"))
    keys = _mapping(value, where, ("at", "offset_m"))
    at, offset = keys.get("at"), keys.get("offset_m")
    if not isinstance(at, str) or not isinstance(offset, list) or len(offset) != 3:
        raise UserError(f"{where}: a point beside a joint is {{at: JOINT, offset_m: [x, y, z]}}")
    if not all(map(_is_number, offset)):
        raise UserError(f"{where}: offset_m is three numbers, not {offset!r}")
    x, y, z = map(float, offset)
    return replace(_point(at, where), offset_m=(x, y, z))


def _offset(joint: str, value: Any, where: str) -> tuple[str, str, float]:
    change = _mapping(value, f"{where}, {joint}", ("of", "times"))
    times = change.get("times", 1)
    if not _is_number(times) or times == 0:
        raise UserError(f"{where}, {joint}: times is a number other than 0, not {times!r}")
    return str(joint), str(change.get("of", joint)), float(times)
