"""MediaPipe landmarks in JSON, for which there are several similar formats.

The file is a list of frames, possibly under "frames" beside width, height and fps. A frame is a
list of 33 landmarks or a list of such lists (one per person), possibly under a key in `_PEOPLE`. A
landmark is {"x", "y", "z", "visibility"} or [x, y, z, visibility]; x and y are fractions of the
width and height of the image.
"""

from typing import Any

from actionpose.keypoints.detections import Detections, Person
from actionpose.keypoints.json_frames import frames_in, require_frames
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.skeletons import MEDIAPIPE33
from actionpose.utils.errors import UserError

NAME = "mediapipe"
TITLE = "MediaPipe json"
FORM = (
    "list of frames, at the top level or under `frames`, each with 33 landmarks, as a list or "
    "under `poseLandmarks`, `pose_landmarks`, `landmarks` or `pose`"
)
NOTE = (
    "normalized coordinates: give `--image-size 1920x1080` unless the file has `width` and "
    '`height`. "World landmarks" are not supported'
)
KEYS = ("landmarks", "x", "y", "visibility")
_PEOPLE = ("poseLandmarks", "pose_landmarks", "landmarks", "pose")
_MAX_PEOPLE = 10  # maximum number of people in a frame
_LARGEST_FRACTION = 4.0  # landmarks may be outside of the image, but not beyond this limit


def is_frame(data: Any) -> bool:
    """Whether JSON data are a frame with at least one person."""
    return 0 < len(_landmarks(data)) <= _MAX_PEOPLE  # a longer list is a list of frames


def matches(file: KeypointFile) -> bool:
    return frames_in(file, is_frame) is not None


def read(file: KeypointFile) -> Detections:
    return require_frames(file, is_frame, "landmarks").detections(
        _people,
        detector="MediaPipe",
        joints=MEDIAPIPE33.joints,
        largest_fraction=_LARGEST_FRACTION,
    )


def _landmarks(frame: Any) -> list[list[Any]]:
    """The lists of 33 landmarks in a frame; empty if there is no person."""
    if isinstance(frame, dict):
        frame = next((frame[key] for key in _PEOPLE if frame.get(key)), [])
    if isinstance(frame, dict):  # the form of protobuf: {"landmark": [...]}
        frame = frame.get("landmark", [])
    if not isinstance(frame, list):
        return []
    return [person for person in (frame, *frame) if _is_person(person)]


def _is_person(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == len(MEDIAPIPE33)
        and all(_is_landmark(point) for point in value)
    )


def _is_landmark(value: Any) -> bool:
    if isinstance(value, dict):
        return "x" in value and "y" in value
    return isinstance(value, list) and len(value) == 4


def _people(frame: Any, where: str) -> list[Person]:
    return [(_flat(person, where), None) for person in _landmarks(frame)]


def _flat(person: list[Any], where: str) -> list[float]:
    points = [
        (p["x"], p["y"], p.get("visibility", 1.0)) if isinstance(p, dict) else (p[0], p[1], p[3])
        for p in person
    ]
    try:
        return [float(value) for point in points for value in point]
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{where}: a landmark is not numbers") from None
