"""What formats share that are tables of text, whose columns have the names of body parts.

Names are matched without regard to case, signs and the place of the side: LHip, left_hip, hip.L.
"""

import math
import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from actionpose.keypoints.detections import Detections, frame_number
from actionpose.skeletons import H36M17, SKELETONS, Skeleton, convert
from actionpose.utils.errors import UserError

_MIN_JOINTS = 8  # known joints, of those that the model takes
_OTHER_NAMES = {
    "pelvis": ("hip", "hips", "midhip", "root"),
    "head": ("headtop", "tophead"),
    "left_big_toe": ("leftbigtoe", "lbigtoe", "lefttoe", "ltoe"),
    "right_big_toe": ("rightbigtoe", "rbigtoe", "righttoe", "rtoe"),
}


def detections_of_bodies(
    row_names: Sequence[str], bodies: Sequence[NDArray[np.float64]], **about: object
) -> Detections:
    """From a table with a row per frame.

    Args:
        row_names: T numbers of frames, or names of images.
        bodies: of each person (T, K, 3); a joint of which a value is not finite is missing.
        about: further fields of `Detections`.
    """
    frames = np.array([frame_number(_number_or_name(name)) for name in row_names])
    keypoints = np.concatenate(bodies)
    keypoints[~np.isfinite(keypoints).all(-1)] = 0
    persons = np.repeat(np.arange(len(bodies)), len(frames))
    return Detections(
        frame=np.tile(frames, len(bodies)),
        keypoints=keypoints,
        person=persons if len(bodies) > 1 else None,
        span=(int(frames.min()), int(frames.max())),
        **about,  # type: ignore[arg-type]
    )


def _number_or_name(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def numbers(rows: Sequence[Sequence[str]], columns: int) -> NDArray[np.float64]:
    """(rows, columns); an empty cell is NaN. Cells that a program left off at the end are empty.

    Raises:
        UserError: a row has more columns, or something that is no number.
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
    """Names without signs, in small letters -> our names of joints."""
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


def skeleton_of(names: Sequence[str]) -> tuple[Skeleton, dict[int, str]]:
    """The skeleton that body parts fit best, and which part each of its joints is.

    Best is the one that gives most of the joints which the model takes.

    Raises:
        UserError: too few of the body parts are known.
    """
    part_of: dict[str, str] = {}
    for name in names:
        if joint := _joint_of().get(re.sub("[^a-z0-9]", "", name.lower())):
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
