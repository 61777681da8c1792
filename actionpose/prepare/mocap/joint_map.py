"""Rigs: which points of a motion file are the 17 joints, and in what unit and axes it is written.

A rig is a small YAML file; those of the package are in the folder `rigs/`, where `example.yaml`
explains every key. A file that lacks a joint that its rig names does not fit, and nothing is
guessed.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from actionpose.prepare.mocap.tree import Floats, Recording, Tree, Vector, pose
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

KEYS = {"about", "unit_m", "up", "skip_frames", "strip", "offsets", "joints"}
# (x, y, z) of the file as (x, y, z) with z up; both are rotations, so that left stays left
Z_UP = {"y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)), "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1))}
LEG_M = (0.25, 1.4)  # hip to ankle: from a small child to the tallest adult


@dataclass(frozen=True)
class Spot:
    """A point that moves with a joint."""

    joint: str
    is_end: bool = False  # of the joint's bone
    offset_m: Vector = (0.0, 0.0, 0.0)  # in the joint's axes


@dataclass(frozen=True)
class Rig:
    """How to read a kind of file. `joints` has the spots of each of the 17, whose mean it is."""

    name: str
    joints: dict[str, tuple[Spot, ...]]
    about: str = ""  # where such files come from
    up: str = "y"
    unit_m: float | None = None  # meters in a unit of the file; None: the file says it itself
    skip_frames: int = 0  # at the start: a pose of reference that is no motion
    strip: str = ""  # pattern of what is cut off the front of the file's names
    offsets: tuple[tuple[str, str, float], ...] = ()  # (of joint, is that of joint, times)

    def missing(self, tree: Tree) -> list[str]:
        """The joints that the rig names and a file lacks."""
        known = {self._plain(joint.name) for joint in tree.joints}
        ends = {self._plain(joint.name) for joint in tree.joints if joint.end is not None}
        lacks = {spot.joint for spots in self.joints.values() for spot in spots} - known
        lacks |= {name for names in self.offsets for name in names[:2]} - known
        lacks |= {
            f"{spot.joint}.end"
            for spots in self.joints.values()
            for spot in spots
            if spot.is_end and spot.joint in known - ends
        }
        return sorted(lacks)

    def read(self, recording: Recording) -> NDArray[np.float64]:
        """The joints of every frame, at the file's rate.

        Returns:
            (T, 17, 3) meters, z up, the pelvis of the first frame over x = y = 0.

        Raises:
            UserError: the file does not fit, has no frame left, or a body of impossible size.
        """
        if lacks := self.missing(recording.tree):
            raise UserError(
                f"{recording.path} does not fit the rig {self.name}: "
                f"it has no {', '.join(lacks[:6])}{' ...' if len(lacks) > 6 else ''}"
            )
        tree = self._adapted(recording)
        unit_m = self.unit_m or tree.unit_m
        if unit_m is None:
            raise UserError(f"{recording.path} names no unit: the rig {self.name} needs unit_m")
        index = {joint.name: i for i, joint in enumerate(tree.joints)}
        blocks = [self._points(tree, index, unit_m, block) for block in recording.blocks()]
        points = np.concatenate(blocks)[self.skip_frames :]
        if not len(points):
            raise UserError(f"{recording.path} has no frame after the {self.skip_frames} skipped")
        joints_m = points @ np.array(Z_UP[self.up], dtype=np.float64).T
        _check_size(joints_m, recording.path, self.name)
        joints_m[..., :2] -= joints_m[0, 0, :2]
        return joints_m

    def _plain(self, name: str) -> str:
        return re.sub(f"^(?:{self.strip})", "", name) if self.strip else name

    def _adapted(self, recording: Recording) -> Tree:
        """The tree with plain names, and with the offsets that the rig changes."""
        tree = recording.tree
        joints = [replace(joint, name=self._plain(joint.name)) for joint in tree.joints]
        given = {joint.name: joint.offset for joint in joints}
        for i, joint in enumerate(joints):
            for name, like, times in self.offsets:
                if name != joint.name:
                    continue
                if joint.positions:
                    raise UserError(
                        f"{recording.path}: the rig {self.name} changes the offset of {name}, "
                        "but position channels replace it"
                    )
                x, y, z = given[like]
                joints[i] = replace(joint, offset=(times * x, times * y, times * z))
        return replace(tree, joints=tuple(joints))

    def _points(self, tree: Tree, index: dict[str, int], unit_m: float, values: Floats) -> Floats:
        """(T, 17, 3) meters in the axes of the file."""
        wanted = {index[spot.joint] for spots in self.joints.values() for spot in spots}
        placed = pose(tree, values, wanted)
        points = np.empty((len(values), len(H36M17), 3))
        for number, joint in enumerate(H36M17.joints):
            parts = []
            for spot in self.joints[joint]:
                origin, axes = placed[index[spot.joint]]
                away = np.array(spot.offset_m)
                if spot.is_end:
                    away = away + unit_m * np.array(tree.joints[index[spot.joint]].end)
                parts.append(unit_m * origin + axes @ away)
            points[:, number] = np.mean(parts, axis=0)
        return points


def _check_size(joints_m: Floats, path: Path, rig: str) -> None:
    """Refuse a body that shows a wrong unit."""
    hip, knee, ankle = (
        joints_m[:, H36M17.indices(f"left_{part}", f"right_{part}")]
        for part in ("hip", "knee", "ankle")
    )
    lengths = np.linalg.norm(hip - knee, axis=-1) + np.linalg.norm(knee - ankle, axis=-1)
    leg_m = float(np.median(lengths))
    if not LEG_M[0] <= leg_m <= LEG_M[1]:
        raise UserError(
            f"{path}: the legs are {leg_m:.3g} m long by the rig {rig}; "
            "set its unit_m to the meters in a unit of this file"
        )


@cache
def shipped() -> tuple[str, ...]:
    """The names of the rigs of the package."""
    folder = resources.files("actionpose.prepare.mocap") / "joint_maps"
    names = [Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml")]
    return tuple(sorted(names))


def shipped_text(name: str) -> str:
    """The YAML of a rig of the package.

    Raises:
        UserError: there is none of that name.
    """
    if name not in shipped():
        raise UserError(f"the package has no rig {name}; it has {', '.join(shipped())}")
    return (resources.files("actionpose.prepare.mocap") / "joint_maps" / f"{name}.yaml").read_text(
        "utf-8"
    )


def load_rig(name_or_path: str | os.PathLike[str]) -> Rig:
    """A rig of the package by name, or one of the user's by path.

    Raises:
        UserError: no such rig, or its file is not as `example.yaml` explains.
    """
    if os.fspath(name_or_path) in shipped():
        return _shipped_rig(os.fspath(name_or_path))
    path = Path(name_or_path)
    try:
        return parse_rig(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise UserError(
            f"there is no rig {name_or_path}: give a YAML file, or one of {', '.join(shipped())}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the rig {path}: {error}") from error


@cache
def _shipped_rig(name: str) -> Rig:
    return parse_rig(shipped_text(name), name)


def parse_rig(text: str, name: str) -> Rig:
    """Read a rig from YAML; the keys are those of `rigs/example.yaml`."""
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"rig {name} is no YAML: {error}".replace("\n", " ")) from None
    given = _mapping(given, f"rig {name}", KEYS)
    joints = _mapping(given.get("joints"), f"rig {name}, joints", set(H36M17.joints))
    if lacks := [joint for joint in H36M17.joints if joint not in joints]:
        raise UserError(f"rig {name} does not say where to find: {', '.join(lacks)}")
    up = given.get("up", "y")
    if not isinstance(up, str) or up not in Z_UP:
        raise UserError(f"rig {name}: up is y or z, not {up!r}")
    unit_m = given.get("unit_m")
    if unit_m is not None and not _is_number(unit_m, lambda value: value > 0):
        raise UserError(f"rig {name}: unit_m is the meters in a unit of the file, not {unit_m!r}")
    skip = given.get("skip_frames", 0)
    if not _is_number(skip, lambda value: value >= 0) or not isinstance(skip, int):
        raise UserError(f"rig {name}: skip_frames is a number of frames, not {skip!r}")
    strip = given.get("strip", "")
    try:
        re.compile(strip)
    except (re.error, TypeError) as error:
        raise UserError(f"rig {name}: strip is no pattern: {error}") from None
    return Rig(
        name=name,
        joints={joint: _spots(joints[joint], f"rig {name}, {joint}") for joint in H36M17.joints},
        about=str(given.get("about", "")),
        up=up,
        unit_m=None if unit_m is None else float(unit_m),
        skip_frames=skip,
        strip=strip,
        offsets=_offsets(given.get("offsets") or {}, f"rig {name}, offsets"),
    )


def _mapping(value: Any, where: str, keys: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: names and values are expected, not {value!r}")
    if keys is not None and (unknown := value.keys() - keys):
        raise UserError(
            f"{where}: there is no {', '.join(sorted(map(str, unknown)))}; "
            f"there are {', '.join(sorted(keys))}"
        )
    return value


def _is_number(value: Any, accepts: Callable[[float], bool]) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and bool(np.isfinite(value)) and accepts(value)


def _spots(value: Any, where: str) -> tuple[Spot, ...]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise UserError(f"{where}: an empty list names no joint")
    return tuple(_spot(each, where) for each in values)


def _spot(value: Any, where: str) -> Spot:
    if isinstance(value, str):
        return Spot(value.removesuffix(".end"), is_end=value.endswith(".end"))
    keys = _mapping(value, where, {"at", "offset_m"})
    offset = keys.get("offset_m")
    if not isinstance(keys.get("at"), str) or not isinstance(offset, list) or len(offset) != 3:
        raise UserError(f"{where}: a point beside a joint is {{at: JOINT, offset_m: [x, y, z]}}")
    if not all(_is_number(each, lambda _: True) for each in offset):
        raise UserError(f"{where}: offset_m is three numbers, not {offset!r}")
    x, y, z = map(float, offset)
    return replace(_spot(keys["at"], where), offset_m=(x, y, z))


def _offsets(value: Any, where: str) -> tuple[tuple[str, str, float], ...]:
    changes = []
    for joint, change in _mapping(value, where).items():
        change = _mapping(change, f"{where}, {joint}", {"of", "times"})
        times = change.get("times", 1)
        if not _is_number(times, lambda value: value != 0):
            raise UserError(f"{where}, {joint}: times is a number other than 0, not {times!r}")
        changes.append((str(joint), str(change.get("of", joint)), float(times)))
    return tuple(changes)
