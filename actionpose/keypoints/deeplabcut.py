"""DeepLabCut: csv with rows scorer, maybe individuals, bodyparts, coords; also older Sports2D."""

import csv

import numpy as np

from actionpose.keypoints.detections import Detections
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.keypoints.tables import detections_of_bodies, numbers, skeleton_of
from actionpose.utils.errors import UserError

NAME = "deeplabcut"
_HEAD = ("scorer", "individuals", "bodyparts", "coords")


def matches(file: KeypointFile) -> bool:
    return file.start.lower().startswith((b"scorer,", b"bodyparts,", b"individuals,"))


def read(file: KeypointFile) -> Detections:
    try:
        rows = list(csv.reader(file.lines))
    except csv.Error as error:
        raise UserError(f"not a DeepLabCut table: {error}") from None
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
    values = numbers([row[1:] for row in rows], len(parts))
    columns: dict[tuple[str, str], dict[str, int]] = {}
    for column, key in enumerate(zip(people, parts, strict=True)):
        columns.setdefault(key, {})[coords[column]] = column
    skeleton, sources = skeleton_of(list(dict.fromkeys(parts)))
    bodies = []
    for person in dict.fromkeys(people):
        body = np.zeros((len(rows), len(skeleton), 3))
        for joint, part in sources.items():
            column_of = columns.get((person, part), {})
            if not {"x", "y"} <= column_of.keys():
                continue  # multi-animal tables have parts that belong to nobody
            body[:, joint, 2] = 1.0
            for axis, name in enumerate(("x", "y", "likelihood")):
                if name in column_of:
                    body[:, joint, axis] = values[:, column_of[name]]
        bodies.append(body)
    row_names = [row[0] for row in rows]
    return detections_of_bodies(row_names, bodies, detector="DeepLabCut", joints=skeleton.joints)
