"""The formats that keypoints are read from; the first one that matches a file is taken.

A format is a module with `NAME`, `matches(file)` and `read(file)`; to add one, write it and list it
here. `read` raises a `UserError` for a file that is not what the format's tools write.
"""

from pathlib import Path
from typing import Protocol

from actionpose.keypoints import (
    alphapose,
    coco,
    deeplabcut,
    mediapipe,
    mmpose,
    npz,
    openpose,
    trc,
)
from actionpose.keypoints.detections import Detections
from actionpose.keypoints.keypoint_file import KeypointFile, json_files, load_json
from actionpose.utils.errors import UserError


class Format(Protocol):
    """What the module of a format has."""

    NAME: str

    def matches(self, file: KeypointFile) -> bool:
        """Whether the content of a file is of this format."""
        ...

    def read(self, file: KeypointFile) -> Detections: ...


_FORMATS: tuple[Format, ...] = (
    *(deeplabcut, trc),
    # COCO's result list is AlphaPose's without what tells that one apart
    *(openpose, mmpose, alphapose, coco, mediapipe),
)
FORMATS = {module.NAME: module for module in _FORMATS}
NAMES = ("auto", *FORMATS, npz.NAME)
_MAX_FRAME_BYTES = 10_000_000  # a larger JSON file is not of one frame


def read_detections(file: KeypointFile, format: str = "auto") -> Detections:
    """Read a file in one of `FORMATS`, or in the one that its content tells.

    Raises:
        UserError: of no known form, damaged, or nobody is in it.
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
    raise file.refusal(
        f"JSON, but not of a form in which a tool writes keypoints ({', '.join(FORMATS)})"
    )


def is_folder_of_frames(folder: Path) -> bool:
    """Whether a tool wrote one JSON file per frame there, so that the folder is one recording."""
    files = json_files(folder)
    if not files or files[0].stat().st_size > _MAX_FRAME_BYTES:
        return False
    try:
        data = load_json(files[0])
    except UserError:
        return False
    return openpose.is_frame(data) or mmpose.is_image(data)
