"""Keypoints in tables of text, whose columns have the names of body parts.

| format | what it looks like |
|---|---|
| deeplabcut | csv; rows scorer, maybe individuals, bodyparts, coords; Sports2D's older csv too |
| trc | tab-separated; markers with X, Y, Z in pixels, Z always 0, as Sports2D writes it |

Names are matched without regard to case, signs and the place of the side: LHip, left_hip, hip.L.
"""

import csv
import math
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionpose.keypoints.detections import Detections, frame_number
from actionpose.skeletons import H36M17, SKELETONS, Skeleton, convert
from actionpose.utils.errors import UserError

FORMATS = ("deeplabcut", "trc")
_FEWEST = 8  # known joints, of those that the model takes
_METERS = 50.0  # nobody's coordinate is beyond it in meters, somebody's is in pixels
_OTHER_NAMES = {
    "pelvis": ("hip", "hips", "midhip", "root"),
    "head": ("headtop", "tophead"),
    "left_big_toe": ("leftbigtoe", "lbigtoe", "lefttoe", "ltoe"),
    "right_big_toe": ("rightbigtoe", "rbigtoe", "righttoe", "rtoe"),
}


def table_format(path: Path) -> str | None:
    """Which of `FORMATS` a file is in, by its first line; None if it is another kind of file."""
    if path.is_dir():
        return None
    with path.open("rb") as file:
        start = file.read(64).removeprefix(b"\xef\xbb\xbf").lower()
    if start.startswith(b"pathfiletype"):
        return "trc"
    return "deeplabcut" if start.startswith((b"scorer,", b"bodyparts,", b"individuals,")) else None


def read_table(path: Path, format: str) -> Detections:
    """Read a table of `FORMATS`.

    Raises:
        UserError: not of that format, damaged, or too few of its body parts are known.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("the table is not UTF-8 text") from None
    lines = text.splitlines()
    return _deeplabcut(lines) if format == "deeplabcut" else _trc(lines)


def _deeplabcut(lines: Sequence[str]) -> Detections:
    rows = list(csv.reader(lines))
    head: dict[str, list[str]] = {}
    while rows and rows[0] and rows[0][0].strip().lower() in _HEAD:
        row = rows.pop(0)
        head[row[0].strip().lower()] = [cell.strip() for cell in row[1:]]
    if not {"bodyparts", "coords"} <= head.keys():
        raise UserError("not a DeepLabCut table: rows named bodyparts and coords are missing")
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise UserError("the table has no frames")
    parts, coords = head["bodyparts"], [word.lower() for word in head["coords"]]
    people = head.get("individuals", [""] * len(parts))
    frames = np.array([frame_number(_number_or_name(row[0])) for row in rows])
    values = _numbers([row[1:] for row in rows], len(parts))
    columns: dict[tuple[str, str], dict[str, int]] = {}
    for column, key in enumerate(zip(people, parts, strict=True)):
        columns.setdefault(key, {})[coords[column]] = column
    names = list(dict.fromkeys(parts))
    skeleton, sources = _skeleton_of(names)
    points, person = [], []
    for number, one in enumerate(dict.fromkeys(people)):
        body = np.zeros((len(rows), len(skeleton), 3))
        for joint, name in sources.items():
            where = columns.get((one, name), {})
            if not {"x", "y"} <= where.keys():
                continue  # multi-animal tables have parts that belong to nobody
            body[:, joint, :2] = values[:, [where["x"], where["y"]]]
            body[:, joint, 2] = values[:, where["likelihood"]] if "likelihood" in where else 1.0
        points.append(_without_gaps(body))
        person.append(np.full(len(rows), number))
    several = len(points) > 1
    return Detections(
        frame=np.tile(frames, len(points)),
        keypoints=np.concatenate(points),
        person=np.concatenate(person) if several else None,
        span=(int(frames.min()), int(frames.max())),
        detector="DeepLabCut",
        joints=skeleton.joints,
    )


_HEAD = ("scorer", "individuals", "bodyparts", "coords")


def _number_or_name(cell: str) -> float | str:
    """A row is called by its number, or by the file of its image."""
    try:
        return float(cell)
    except ValueError:
        return cell


def _trc(lines: Sequence[str]) -> Detections:
    cells = [line.split("\t") for line in lines]
    if len(cells) < 5 or cells[3][0].strip().lower() != "frame#":
        raise UserError("not a TRC table: its fourth line does not begin with Frame#")
    about = dict(zip((word.strip() for word in cells[1]), cells[2], strict=False))
    names = [cell.strip() for cell in cells[3][2:] if cell.strip()]
    rows = [row for row in cells[5:] if row and row[0].strip()]
    if not rows:
        raise UserError("the table has no frames")
    frames = np.array([frame_number(_number_or_name(row[0].strip())) for row in rows])
    table = _numbers([row[2:] for row in rows], 3 * len(names))
    places = table.reshape(len(rows), len(names), 3)
    if np.nanmax(np.abs(places[..., 2]), initial=0) > 0:
        raise UserError("the markers have a depth: this is 3D, and only 2D can be lifted")
    if np.nanmax(np.abs(places[..., :2]), initial=0) <= _METERS:
        raise UserError(
            "the markers look like meters: give them in pixels (Sports2D writes such a file, "
            "..._px_person00.trc)"
        )
    skeleton, sources = _skeleton_of(names)
    body = np.zeros((len(rows), len(skeleton), 3))
    for joint, name in sources.items():
        body[:, joint, :2] = places[:, names.index(name), :2]
        body[:, joint, 2] = (places[:, names.index(name), :2] != 0).any(-1)
    return Detections(
        frame=frames,
        keypoints=_without_gaps(body),
        person=None,
        span=(int(frames.min()), int(frames.max())),
        joints=skeleton.joints,
        fps=_rate(about.get("DataRate", "")),
    )


def _rate(text: str) -> float | None:
    try:
        rate = float(text)
    except ValueError:
        return None
    return rate if rate > 0 and math.isfinite(rate) else None


def _numbers(rows: Sequence[Sequence[str]], columns: int) -> NDArray[np.float64]:
    """(rows, columns); an empty cell is NaN. Cells that a program left off at the end are empty."""
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


def _without_gaps(body: NDArray[np.float64]) -> NDArray[np.float64]:
    """Joints of which something is unknown become (0, 0, 0)."""
    body[~np.isfinite(body).all(-1)] = 0
    return body


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


def _skeleton_of(names: Sequence[str]) -> tuple[Skeleton, dict[int, str]]:
    """The skeleton that body parts fit best, and which part each of its joints is.

    Best is the one that gives most of the joints which the model takes.
    """
    called: dict[str, str] = {}
    for name in names:
        if joint := _joint_of().get(re.sub("[^a-z0-9]", "", name.lower())):
            called.setdefault(joint, name)

    def gain(skeleton: Skeleton) -> tuple[int, int, int]:
        there = np.array([[[0.0, 0.0, float(joint in called)]] for joint in skeleton.joints])
        given = convert(there.transpose(1, 0, 2), skeleton, H36M17)[..., 2]
        return int(given.sum()), sum(j in called for j in skeleton.joints), -len(skeleton)

    best = max(SKELETONS.values(), key=gain)
    if gain(best)[0] < _FEWEST:
        raise UserError(
            f"only {len(called)} of the body parts are known ({', '.join(called) or 'none'}): "
            "call them left_hip, right_knee, nose and so on"
        )
    return best, {best.joints.index(j): name for j, name in called.items() if j in best.joints}
