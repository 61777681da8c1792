"""Tables with a row per joint, and columns of joint name, x, y and frame."""

import numpy as np

from actionpose.keypoints.detections import Detections, Identity
from actionpose.keypoints.frame_numbers import frame_numbers
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.keypoints.tables import (
    FRAME,
    PERSON,
    axis_of,
    column_named,
    number_or_name,
    numbers,
    skeleton_of,
    time_column,
)
from actionpose.skeletons import MEDIAPIPE33
from actionpose.utils.errors import UserError

NAME = "csv_joints"
TITLE = "csv with one row per joint, as written by `lift`"
FORM = (
    "columns `frame`, `joint` (or keypoint, landmark, bodypart), `x`, `y` (or x_px), and a "
    "confidence"
)
NOTE = (
    "joints by name, or numbered from 0 in the order of their layout; optional columns `person`"
    " and time"
)
KEYS = ("frame", "joint", "x", "y")
_JOINT = (
    *("joint", "jointname", "keypoint", "keypointname", "landmark", "landmarkname", "bodypart"),
    *("part", "node", "jointid", "keypointid", "landmarkid", "landmarkindex", "point"),
)


def _columns(header: list[str]) -> dict[str, int]:
    """The columns of x, y and c; pixel columns precede meter columns, which have other names."""
    found: dict[str, int] = {}
    for column, name in enumerate(header):
        if axis := axis_of(name):
            found.setdefault(axis, column)
    return found


def matches(file: KeypointFile) -> bool:
    if len(file.table) < 2:
        return False
    header = file.table[0]
    has_joint = column_named(header, _JOINT) is not None and column_named(header, FRAME) is not None
    return has_joint and {"x", "y"} <= _columns(header).keys()


def read(file: KeypointFile) -> Detections:
    if not matches(file):
        raise UserError("its first row does not name columns frame, joint, x and y")
    header, *rows = file.table
    rows = [row + [""] * (len(header) - len(row)) for row in rows]
    joint, frame = column_named(header, _JOINT), column_named(header, FRAME)
    person = column_named(header, PERSON)
    assert joint is not None and frame is not None
    axes = _columns(header)
    values = numbers([[row[c] for c in axes.values()] for row in rows], len(axes))
    by_axis = dict(zip(axes, values.T, strict=True))
    points = np.stack([by_axis["x"], by_axis["y"], by_axis.get("c", np.ones(len(rows)))], -1)
    points[~np.isfinite(points).all(-1)] = 0
    names = list(dict.fromkeys(row[joint] for row in rows))
    if all(name.isdecimal() for name in names):
        place = {name: int(name) for name in names}
        count, joints = max(place.values()) + 1, None
        if count > 1000:
            raise UserError(f"joint {count - 1} is of no layout")
    else:
        skeleton, sources = skeleton_of(names)
        place = {name: index for index, name in sources.items()}
        count, joints = len(skeleton), skeleton.joints
    numbered = frame_numbers([number_or_name(row[frame]) for row in rows])
    people = [None if person is None else row[person] or None for row in rows]
    keys = list(zip(numbered, people, strict=True))
    order = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    bodies = np.zeros((len(order), count, 3))
    for key, row, point in zip(keys, rows, points, strict=True):
        if (index := place.get(row[joint])) is not None:
            bodies[order[key], index] = point
    found: list[tuple[int, list[list[float]], Identity]] = [
        (number, body.tolist(), who) for (number, who), body in zip(order, bodies, strict=True)
    ]
    blaze = count == len(MEDIAPIPE33)
    return Detections.from_rows(
        found,
        numbered,
        time_column(rows, header),
        joints=joints,
        detector="MediaPipe" if blaze else "",
        largest_fraction=4.0 if blaze else 2.0,
    )
