"""Tables with a row per frame, or per person and frame, and x and y columns of each joint."""

import re
from typing import Any

import numpy as np

from actionpose.keypoints.detections import Detections, Identity
from actionpose.keypoints.frame_numbers import frame_numbers
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.keypoints.layout import NUMBERS_OF_JOINTS
from actionpose.keypoints.tables import (
    FRAME,
    PERSON,
    column_named,
    joint_name,
    number_or_name,
    numbers,
    part_columns,
    skeleton_of,
    time_column,
)
from actionpose.skeletons import MEDIAPIPE33
from actionpose.utils.errors import UserError

NAME = "csv_columns"
TITLE = "csv with columns per joint: MediaPipe scripts, SLEAP's analysis csv, MocapNET"
FORM = (
    "columns nose.x, nose_x, noseX, 2DX_nose, or x1, y1, v1; optionally `frame`, `track` and a time"
)
NOTE = (
    "numbered joints are in the order of their layout; normalized coordinates need `--image-size`"
)
KEYS = ("nose_x", "nose_y")
_MIN_PARTS = 8
_BODY_AND_FACE = 501  # MediaPipe Holistic: 33 body landmarks and 468 face landmarks


def matches(file: KeypointFile) -> bool:
    return len(file.table) > 1 and len(part_columns(file.table[0])) >= _MIN_PARTS


def read(file: KeypointFile) -> Detections:
    if not matches(file):
        raise UserError("its first row does not name columns x and y of joints")
    header, *rows = file.table
    parts = part_columns(header)
    if sum(joint_name(part) is not None for part in parts) >= _MIN_PARTS:
        skeleton, sources = skeleton_of(list(parts))
        columns = [parts.get(sources.get(joint, "")) for joint in range(len(skeleton))]
        joints: tuple[str, ...] | None = skeleton.joints
    else:
        columns, joints = _numbered(parts), None
    used = sorted({column for axes in columns if axes for column in axes.values()})
    table = numbers([[row[c] if c < len(row) else "" for c in used] for row in rows], len(used))
    values = np.zeros((len(rows), len(columns), 3))
    for joint, axes in enumerate(columns):
        if axes is None:
            continue
        xy = table[:, [used.index(axes[axis]) for axis in "xy"]]
        values[:, joint, :2] = xy
        values[:, joint, 2] = table[:, used.index(axes["c"])] if "c" in axes else (xy != 0).any(1)
    values[~np.isfinite(values).all(-1)] = 0
    return _sorted(header, rows, values, joints)


def _numbered(parts: dict[str, dict[str, int]]) -> list[dict[str, int] | None]:
    """The columns of numbered joints in the order of their numbers."""
    number_of = {part: int(found[-1]) for part in parts if (found := re.findall(r"\d+", part))}
    ordered = sorted(number_of, key=lambda part: number_of[part])
    first = number_of[ordered[0]] if ordered else 0
    if [number_of[part] - first for part in ordered] != list(range(len(parts))):
        raise UserError(f"the joints are not known by name, and not numbered: {', '.join(parts)}")
    if len(ordered) == _BODY_AND_FACE:
        ordered = ordered[: len(MEDIAPIPE33)]
    if len(ordered) not in NUMBERS_OF_JOINTS:
        raise UserError(
            f"has {len(ordered)} numbered joints; layouts are known with "
            f"{', '.join(map(str, NUMBERS_OF_JOINTS))}"
        )
    return [parts[part] for part in ordered]


def _sorted(
    header: list[str], rows: list[list[str]], values: Any, joints: tuple[str, ...] | None
) -> Detections:
    """Detections of the rows (N), with frames and people from their columns."""
    people = column_named(header, PERSON)
    ids: list[Identity] = [None] * len(rows)
    if people is not None:
        ids = [row[people] or None if people < len(row) else None for row in rows]
    frame = column_named(header, FRAME)
    times = time_column(rows, header)
    if frame is not None:
        cells = [row[frame] if frame < len(row) else "" for row in rows]
        numbered = frame_numbers([number_or_name(cell) for cell in cells])
    elif times is not None:
        numbered = np.unique(times, return_inverse=True)[1].tolist()
    else:
        numbered = list(range(len(rows)))
    blaze = values.shape[1] == len(MEDIAPIPE33)
    found = [
        (number, body.tolist(), who)
        for number, body, who in zip(numbered, values, ids, strict=True)
    ]
    return Detections.from_rows(
        found,
        numbered,
        times,
        joints=joints,
        detector="MediaPipe" if blaze else "",
        largest_fraction=4.0 if blaze else 2.0,
    )
