"""Ultralytics: the output of `to_json` for each frame, or the folder of labels of `save_txt`."""

from typing import Any

import numpy as np

from actionpose.keypoints.detections import Detections, Identity
from actionpose.keypoints.frame_numbers import frame_numbers
from actionpose.keypoints.json_frames import first_person, frames_in, people, require_frames
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.keypoints.layout import NUMBERS_OF_JOINTS
from actionpose.utils.errors import UserError

NAME = "ultralytics"
TITLE = "Ultralytics pose"
FORM = (
    "output of `to_json` for each frame, in one list, one json per line, or a folder of files; "
    "or the folder of `save_txt` with one text file per frame"
)
NOTE = (
    "`keypoints` has the lists x, y and visible. Text files have normalized coordinates and "
    "need `--image-size`. Frames without a file have no people"
)
KEYS = ("name", "box", "keypoints", "x", "y", "visible")
_BOX = 5  # values before the joints in a line of text: class, and center and size of the box


def is_frame(data: Any) -> bool:
    """Whether JSON data are the people of one frame."""
    return isinstance(first_person(data).get("keypoints"), dict)


def matches(file: KeypointFile) -> bool:
    _, first = next(((name, text) for name, text in file.texts if text.strip()), ("", ""))
    if first:
        try:
            return _joints(first.splitlines()[0].split()) is not None
        except ValueError:
            return False
    return frames_in(file, is_frame) is not None


def read(file: KeypointFile) -> Detections:
    texts = list(file.texts)
    if not texts:
        frames = require_frames(file, is_frame, "keypoints")
        return frames.detections(people, detector="Ultralytics")
    numbers = frame_numbers([name for name, _ in texts])
    rows: list[tuple[int, Any, Identity]] = []
    for number, (name, text) in zip(numbers, texts, strict=True):
        for line in filter(str.strip, text.splitlines()):
            cells = line.split()
            try:
                joints = _joints(cells)
            except ValueError:
                joints = None
            if joints is None:
                raise UserError(f"{name}.txt: {len(cells)} numbers are no box with joints")
            after = cells[_BOX + joints.size :]
            # optionally followed by a confidence, a track, or both
            track = int(after[-1]) if after and after[-1].isdecimal() else None
            rows.append((number, joints.tolist(), track))
    return Detections.from_rows(rows, numbers, detector="Ultralytics")


def _joints(cells: list[str]) -> Any:
    """(K, 2 or 3) Joints in a line of labels; None for another number of cells."""
    for channels in (3, 2):
        for extra in range(3):
            count, rest = divmod(len(cells) - _BOX - extra, channels)
            if rest == 0 and count in NUMBERS_OF_JOINTS:
                values = np.array(cells, dtype=np.float64)[_BOX : _BOX + count * channels]
                return values.reshape(count, channels)
    return None
