"""OpenPifPaf: a JSON file per image with a list of people; for videos, a JSON object per line."""

from typing import Any

from actionpose.keypoints.detections import Detections, Person, field
from actionpose.keypoints.json_frames import first_person, frames_in, people, require_frames
from actionpose.keypoints.keypoint_file import KeypointFile

NAME = "openpifpaf"
TITLE = "OpenPifPaf"
FORM = (
    "`X.jpg.predictions.json` with a list of `keypoints`, as one file or a folder; or one json "
    "per line with `frame` and `predictions`"
)
NOTE = "other lists of people with `keypoints`, one per frame, are read in the same way"
KEYS = ("frame", "predictions", "keypoints")


def is_frame(data: Any) -> bool:
    """Whether JSON data are the people of one frame."""
    if isinstance(data, dict):
        return isinstance(data.get("predictions"), list) and "keypoints" in first_person(
            data["predictions"]
        )
    return "keypoints" in (first := first_person(data)) and "image_id" not in first


def matches(file: KeypointFile) -> bool:
    return frames_in(file, is_frame) is not None


def read(file: KeypointFile) -> Detections:
    frames = require_frames(file, is_frame, "keypoints")
    first = next(filter(is_frame, frames.contents))
    person = first_person(first["predictions"] if isinstance(first, dict) else first)
    return frames.detections(_people, detector="OpenPifPaf" if "category_id" in person else "")


def _people(data: Any, where: str) -> list[Person]:
    return people(field(data, "predictions", where) if isinstance(data, dict) else data, where)
