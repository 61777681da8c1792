"""Keypoint file formats. The first format that matches a file is used.

A format is a module with the names of `Format`. To add a format, write its module and list it here.
`read` raises a `UserError` if the file is not valid in the format.
`python -m actionpose.keypoints.formats` prints the table of docs/inference.md.
"""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from actionpose.keypoints import (
    alphapose,
    coco,
    csv_columns,
    csv_joints,
    deeplabcut,
    kinetics,
    mediapipe,
    mmpose,
    movenet,
    npz,
    openpifpaf,
    openpose,
    tracked_people,
    trc,
    ultralytics,
)
from actionpose.keypoints.detections import Detections
from actionpose.keypoints.keypoint_file import KeypointFile, frame_files
from actionpose.utils.errors import UserError


class Format(Protocol):
    """Interface of the module of a format."""

    NAME: str  # value of `format=`
    TITLE: str  # tools that write the format
    FORM: str  # how the format is recognized
    NOTE: str

    @property
    def KEYS(self) -> tuple[str, ...]:  # noqa: N802
        """Keys that occur in a file of the format."""
        ...

    def matches(self, file: KeypointFile) -> bool:
        """Whether the content of a file is in this format."""
        ...

    def read(self, file: KeypointFile) -> Detections: ...


_TABLES: tuple[Format, ...] = (deeplabcut, trc, csv_joints, csv_columns)
_JSON: tuple[Format, ...] = (
    # results of COCO lack the distinctive keys of AlphaPose; the last format accepts any list
    *(openpose, mmpose, alphapose, coco, ultralytics, mediapipe, movenet, kinetics),
    *(tracked_people, openpifpaf),
)
FORMATS: dict[str, Format] = {module.NAME: module for module in (*_TABLES, *_JSON)}
NAMES = ("auto", *FORMATS, npz.NAME)
_NEAR = 0.75  # minimum similarity of two words, one of which may be misspelled
_BINARY = {  # by the first bytes: what the user can do instead
    b"\x89HDF\r\n\x1a\n": "an HDF5 file: save it as csv, as DeepLabCut and SLEAP can",
    b"\x80": "a pickle, which is not opened as it could run code: save arrays with numpy.savez",
    b"MATLAB": "a MATLAB file: save its array (frames, joints, 3) with numpy.savez",
}


def read_detections(file: KeypointFile, format: str = "auto") -> Detections:
    """Read a file in one of `FORMATS`, which is detected from its content by default.

    Raises:
        UserError: If the format is unknown, the file is damaged, or no person is in it.
    """
    if format != "auto":
        module = FORMATS[format]
        try:
            return module.read(file)
        except UserError as error:
            if module.matches(file):
                raise
            why = f"not what {format} writes ({error}): leave the format to be found"
            raise file.refusal(why) from None
    for module in FORMATS.values():
        if module.matches(file):
            return module.read(file)
    if file.json == []:
        raise UserError("the list is empty: nobody was detected")
    for start, what in _BINARY.items():
        if file.start.startswith(start):
            raise UserError(what)
    if len(file.table) > 1 and file.json is None and len(file.table[0]) > 1:
        raise UserError(
            "a table, but not of a form in which a tool writes keypoints: it needs rows named "
            "bodyparts and coords (DeepLabCut), columns x and y of each joint (nose_x, nose_y, or "
            "x1, y1), or columns frame, joint, x and y; its first row is "
            f"{', '.join(file.table[0])[:100]}"
        )
    raise file.refusal(_nearest(file.sample if file.is_folder else file.json))


def _nearest(data: Any) -> str:
    """The error message for unknown JSON, with the missing keys of the most similar format."""
    words = set(_keys(data))

    def has(key: str) -> bool:
        return bool(difflib.get_close_matches(key, words, 1, _NEAR))

    reason = f"JSON, but not of a form in which a tool writes keypoints ({', '.join(FORMATS)})"
    near = max(_JSON, key=lambda module: sum(map(has, module.KEYS)) / len(module.KEYS))
    missing = [key for key in near.KEYS if key not in words]
    if len(missing) == len(near.KEYS) and not any(map(has, near.KEYS)):
        return reason
    lacking = []
    for key in missing:
        [other] = difflib.get_close_matches(key, words, 1, _NEAR) or [""]
        lacking.append(f'"{key}"' + (f' (it has "{other[:40]}")' if other else ""))
    what = f"without {', '.join(lacking)}" if lacking else "in another arrangement"
    return f"{reason}; it is most like {near.NAME}, but {what}. There, keypoints are: {near.FORM}"


def _keys(data: Any, depth: int = 4) -> Iterator[str]:
    """The keys in JSON data, from the first few entries of each list and object."""
    if isinstance(data, dict):
        yield from list(data)[:100]
        data = list(data.values())[:100]
    if isinstance(data, list) and depth:
        for value in data[:3] if depth < 4 else data[:20]:
            yield from _keys(value, depth - 1)


def is_folder_of_frames(folder: Path) -> bool:
    """Whether a folder is one recording with one file per frame, in a known format."""
    if not frame_files(folder):
        return False
    file = KeypointFile(folder, as_frames=True)
    try:
        return any(module.matches(file) for module in _JSON)
    except UserError:
        return False


def document() -> str:
    """The Markdown table of all formats."""
    lines = ["| format | name | recognized by | note |", "|---|---|---|---|"]
    for m in FORMATS.values():
        lines.append(f"| {m.TITLE} | `{m.NAME}` | {m.FORM} | {m.NOTE} |")
    lines.append(f"| {npz.TITLE} | `{npz.NAME}` | {npz.FORM} | {npz.NOTE} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(), end="")
