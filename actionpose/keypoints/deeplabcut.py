"""DeepLabCut csv: rows scorer, optional individuals, bodyparts and coords; also older Sports2D."""

import numpy as np

from actionpose.keypoints.detections import Detections
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.keypoints.tables import detections_of_bodies, numbers, skeleton_of
from actionpose.utils.errors import UserError

NAME = "deeplabcut"
TITLE = "DeepLabCut csv, Sports2D's older csv"
FORM = (
    "header rows `bodyparts` and `coords`, optionally `scorer` and `individuals`; separated by "
    "commas, `;` or tabs"
)
NOTE = (
    "names such as LHip, left_hip and hip.L are equivalent. The layout that covers most joints "
    "of the model is selected; other names are ignored"
)
KEYS = ("bodyparts", "coords")
_HEAD = ("scorer", "individuals", "bodyparts", "coords")


def matches(file: KeypointFile) -> bool:
    return bool(file.table) and file.table[0][0].lower() in _HEAD


def read(file: KeypointFile) -> Detections:
    rows = list(file.table)
    head: dict[str, list[str]] = {}
    while rows and rows[0][0].lower() in _HEAD:
        row = rows.pop(0)
        head[row[0].lower()] = row[1:]
    if not {"bodyparts", "coords"} <= head.keys():
        raise UserError("not a DeepLabCut table: rows named bodyparts and coords are missing")
    if not rows:
        raise UserError("the table has no frames")
    if len({len(cells) for cells in head.values()}) > 1:
        raise UserError("not a DeepLabCut table: its first rows are not of one length")
    # the name of an image is one cell, or three: folder, video and image
    more = next((i for i, part in enumerate(head["bodyparts"]) if part), 0)
    head = {name: cells[more:] for name, cells in head.items()}
    rows = [row[more:] for row in rows if len(row) > more]
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
                continue  # multi-animal tables have parts that are not assigned to an individual
            body[:, joint, 2] = 1.0
            for axis, name in enumerate(("x", "y", "likelihood")):
                if name in column_of:
                    body[:, joint, axis] = values[:, column_of[name]]
        bodies.append(body)
    row_names = [row[0] for row in rows]
    return detections_of_bodies(row_names, bodies, detector="DeepLabCut", joints=skeleton.joints)
