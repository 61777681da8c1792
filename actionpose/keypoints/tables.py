"""Shared code of text table formats, whose columns have names of body parts.

The matching of names ignores case, punctuation and the position of the side: LHip, left_hip, hip.L.
"""

import math
import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from actionpose.keypoints.detections import Detections
from actionpose.keypoints.frame_numbers import frame_numbers
from actionpose.keypoints.frame_times import time_unit, times_of
from actionpose.skeletons import H36M17, SKELETONS, Skeleton, convert
from actionpose.utils.errors import UserError

_MIN_JOINTS = 8  # minimum number of known joints among the input joints of the model
_OTHER_NAMES = {
    "pelvis": ("hip", "hips", "midhip", "root"),
    "head": ("headtop", "tophead"),
    "left_wrist": ("lefthand", "lhand"),
    "right_wrist": ("righthand", "rhand"),
    "left_ankle": ("leftfoot", "lfoot"),
    "right_ankle": ("rightfoot", "rfoot"),
    "left_big_toe": ("leftbigtoe", "lbigtoe", "lefttoe", "ltoe"),
    "right_big_toe": ("rightbigtoe", "rbigtoe", "righttoe", "rtoe"),
}


FRAME = (
    *("frame", "frameidx", "frameindex", "framenumber", "frameid", "framenr", "frameno"),
    *("image", "imageid", "imagename", "imagepath", "filename", "file", "img"),
)
PERSON = ("track", "trackid", "person", "personid", "id", "instance", "individual", "animal")
_CONFIDENCE = "score|likelihood|confidence|conf|visibility|visible|vis|prob|probability|v|c|p"
_AXIS = rf"(?P<axis>x|y|{_CONFIDENCE})(?:_?px)?"
_COLUMNS = (  # such as nose.x, nose_x, noseX; x1, x_1, 2DX_nose
    re.compile(rf"(?P<part>.*[^\W_])(?:[\W_]+|(?<=[a-z0-9])(?=[XY]$)){_AXIS}", re.IGNORECASE),
    re.compile(rf"(?:2d)?{_AXIS}[\W_]*(?P<part>\d+|[^\W_].*)", re.IGNORECASE),
)


def plain(name: str) -> str:
    """A name in lower case without punctuation."""
    return re.sub("[^a-z0-9]", "", name.lower())


def axis_of(name: str) -> str | None:
    """The axis of a column: "x", "y", "c" for a confidence, or None."""
    match = re.fullmatch(_AXIS, name.strip(), re.IGNORECASE)
    if match is None:
        return None
    axis = match["axis"].lower()
    return axis if axis in "xy" else "c"


def part_columns(header: Sequence[str]) -> dict[str, dict[str, int]]:
    """The columns x, y and optionally c of each body part, from names such as nose_x or x1.

    Parts without x or y are omitted.
    """
    best: dict[str, dict[str, int]] = {}
    for pattern in _COLUMNS:
        parts: dict[str, dict[str, int]] = {}
        for column, name in enumerate(header):
            if match := pattern.fullmatch(name.strip()):
                axis = axis_of(match["axis"]) or ""
                parts.setdefault(match["part"], {}).setdefault(axis, column)
        parts = {part: axes for part, axes in parts.items() if {"x", "y"} <= axes.keys()}
        best = max(best, parts, key=len)
    return best


def column_named(header: Sequence[str], names: Sequence[str]) -> int | None:
    """The column with the first existing name of `names`; None if there is none."""
    found = [plain(name) for name in header]
    return next((found.index(name) for name in names if name in found), None)


def time_column(rows: Sequence[Sequence[str]], header: Sequence[str]) -> list[float] | None:
    """Times of the rows in seconds, or None without a time column."""
    names = [name for name in header if time_unit(name) is not None]
    columns = [header.index(name) for name in names]
    return times_of(
        [
            {n: row[c] if c < len(row) else None for n, c in zip(names, columns, strict=True)}
            for row in rows
        ]
    )


def detections_of_bodies(
    row_names: Sequence[str],
    bodies: Sequence[NDArray[np.float64]],
    times: Sequence[float] | None = None,
    **about: object,
) -> Detections:
    """Create detections from a table with a row per frame.

    Args:
        row_names: T frame numbers or image names.
        bodies: (T, K, 3) Keypoints of each person. A joint with a value that is not finite is
            missing.
        times: (T,) Times in seconds, if the file contains them.
        about: Further fields of `Detections`.
    """
    frames = np.array(frame_numbers([number_or_name(name) for name in row_names]))
    keypoints = np.concatenate(bodies)
    keypoints[~np.isfinite(keypoints).all(-1)] = 0
    persons = np.repeat(np.arange(len(bodies)), len(frames))
    found = Detections(
        frame=np.tile(frames, len(bodies)),
        keypoints=keypoints,
        person=persons if len(bodies) > 1 else None,
        span=(int(frames.min()), int(frames.max())),
        **about,  # type: ignore[arg-type]
    )
    return found if times is None else found.with_times(frames.tolist(), times)


def number_or_name(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def numbers(rows: Sequence[Sequence[str]], columns: int) -> NDArray[np.float64]:
    """Convert a table to numbers (rows, columns). Empty cells and missing cells at the end are NaN.

    Raises:
        UserError: If a row has more columns, or a cell is not a number.
    """
    table = np.full((len(rows), columns), np.nan)
    for number, row in enumerate(rows):
        if any(cell.strip() for cell in row[columns:]):
            raise UserError(f"row {number} has more than {columns} numbers")
        try:
            values = [float(cell) if cell.strip() else math.nan for cell in row[:columns]]
        except ValueError as error:
            raise UserError(f"row {number}: {error}") from None
        table[number, : len(values)] = values
    return table


@cache
def _joint_of() -> dict[str, str]:
    """Mapping from names in lower case without punctuation to joint names."""
    known: dict[str, str] = {}
    for joint in dict.fromkeys(j for skeleton in SKELETONS.values() for j in skeleton.joints):
        side, _, part = joint.partition("_")
        if side in ("left", "right"):
            part = part.replace("_", "")
            spellings = [side + part, side[0] + part, part + side, part + side[0]]
        else:
            spellings = [joint.replace("_", "")]
        known |= dict.fromkeys([*spellings, *_OTHER_NAMES.get(joint, ())], joint)
    return known


def joint_name(part: str) -> str | None:
    """The joint name of a body part, or None if unknown."""
    return _joint_of().get(plain(part))


def skeleton_of(names: Sequence[str]) -> tuple[Skeleton, dict[int, str]]:
    """The skeleton that matches body parts best, and the part of each of its joints.

    A skeleton with exactly these joints is preferred, otherwise the one that gives the most input
    joints of the model.

    Raises:
        UserError: If too few of the body parts are known.
    """
    for skeleton in SKELETONS.values():
        if set(names) == set(skeleton.joints):
            return skeleton, dict(enumerate(skeleton.joints))
    part_of: dict[str, str] = {}
    for name in names:
        if joint := joint_name(name):
            part_of.setdefault(joint, name)

    def gain(skeleton: Skeleton) -> tuple[int, int, int]:
        given = np.array([[[0.0, 0.0, float(joint in part_of)] for joint in skeleton.joints]])
        converted = convert(given, skeleton, H36M17)[..., 2]
        return int(converted.sum()), sum(j in part_of for j in skeleton.joints), -len(skeleton)

    best = max(SKELETONS.values(), key=gain)
    if gain(best)[0] < _MIN_JOINTS:
        raise UserError(
            f"only {len(part_of)} of the body parts are known ({', '.join(part_of) or 'none'}): "
            "call them left_hip, right_knee, nose and so on"
        )
    return best, {best.joints.index(j): name for j, name in part_of.items() if j in best.joints}
