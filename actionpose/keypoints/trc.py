"""TRC in pixels: tab-separated markers with X, Y and Z, where Z is 0, as written by Sports2D."""

import math

import numpy as np

from actionpose.keypoints.detections import Detections
from actionpose.keypoints.frame_times import in_seconds
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.keypoints.tables import detections_of_bodies, numbers, skeleton_of
from actionpose.utils.errors import UserError

NAME = "trc"
TITLE = "TRC"
FORM = "named markers without depth, such as Sports2D's `..._px_person00.trc`"
NOTE = (
    "coordinates are in pixels, regardless of the units field; files in meters are rejected, "
    "files in mm and cm are read with a note. Times are those of the rows"
)
KEYS = ("PathFileType", "Frame#")
_METERS = 50.0  # coordinates in meters do not exceed this value, unlike those in pixels


def matches(file: KeypointFile) -> bool:
    return file.start.lower().startswith(b"pathfiletype")


def read(file: KeypointFile) -> Detections:
    cells = [line.split("\t") for line in file.lines]
    if len(cells) < 5 or cells[3][0].strip().lower() != "frame#":
        raise UserError("not a TRC table: its fourth line does not begin with Frame#")
    about = dict(zip((word.strip() for word in cells[1]), cells[2], strict=False))
    names = [cell.strip() for cell in cells[3][2:] if cell.strip()]
    rows = [row for row in cells[5:] if row and row[0].strip()]
    if not rows:
        raise UserError("the table has no frames")
    markers = numbers([row[2:] for row in rows], 3 * len(names)).reshape(len(rows), -1, 3)
    if np.nanmax(np.abs(markers[..., 2]), initial=0) > 0:
        raise UserError("the markers have a depth: this is 3D, and only 2D can be lifted")
    if np.nanmax(np.abs(markers[..., :2]), initial=0) <= _METERS:
        raise UserError(
            "the markers look like meters: give them in pixels (Sports2D writes such a file, "
            "..._px_person00.trc)"
        )
    skeleton, sources = skeleton_of(names)
    body = np.zeros((len(rows), len(skeleton), 3))
    for joint, name in sources.items():
        marker = markers[:, names.index(name), :2]
        body[:, joint, :2] = marker
        body[:, joint, 2] = (marker != 0).any(-1)
    units = about.get("Units", "").strip().lower()
    note = f"the markers are in {units}, not pixels: where they are in an image is unknown"
    times = in_seconds([_number(row[1] if len(row) > 1 else "") for row in rows], 1.0)
    return detections_of_bodies(
        [row[0].strip() for row in rows],
        [body],
        times,
        joints=skeleton.joints,
        fps=_rate(about.get("DataRate", "")),
        notes=(note,) if units in ("mm", "cm") else (),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _rate(text: str) -> float | None:
    rate = _number(text)
    return rate if rate > 0 and math.isfinite(rate) else None
