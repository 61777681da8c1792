"""MediaPipe's landmarks as people write them to JSON: there is no one format, but a family.

A list of frames, bare or under "frames" beside width, height and fps. A frame is a list of 33
landmarks, or of such lists (one per person), bare or under one of `_PEOPLE`. A landmark is
{"x", "y", "z", "visibility"} or [x, y, z, visibility]; x and y are fractions of the image's sides.
"""

from typing import Any

from actionpose.keypoints.detections import Detections
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.skeletons import MEDIAPIPE33
from actionpose.utils.errors import UserError

NAME = "mediapipe"
_PEOPLE = ("poseLandmarks", "pose_landmarks", "landmarks", "pose")
_NUMBERS = ("frame", "frame_id", "frame_number", "frameNumber", "frame_index", "index")
_RATES = ("fps", "frame_rate", "rate_hz")
_MAX_FRACTION = 4.0  # landmarks may lie outside of the image, but not by so many images


def matches(file: KeypointFile) -> bool:
    return any(map(_people, _frames(file.json)[:1000]))


def read(file: KeypointFile) -> Detections:
    about = file.json if isinstance(file.json, dict) else {}
    frames = []
    for place, frame in enumerate(_frames(file.json)):
        named = frame if isinstance(frame, dict) else {}
        number = next((named[key] for key in _NUMBERS if key in named), place)
        if not isinstance(number, int) or isinstance(number, bool):
            raise UserError(f"entry {place}: {number!r} is no frame number")
        frames.append((number, [(_flat(person, number), None) for person in _people(frame)]))
    width, height = about.get("width"), about.get("height")
    size = file.image_size
    if size is None and isinstance(width, int) and isinstance(height, int):
        size = (width, height)
    people = [flat for _, some in frames for flat, _ in some]
    values = [abs(value) for flat in people for value in (*flat[::3], *flat[1::3])]
    if people and max(values) <= _MAX_FRACTION:
        if size is None:
            raise UserError(
                "MediaPipe's coordinates are fractions of the image: give image_size, its width "
                "and height in pixels"
            )
        for flat in people:
            flat[::3] = [x * size[0] for x in flat[::3]]
            flat[1::3] = [y * size[1] for y in flat[1::3]]
    fps = next((about[key] for key in _RATES if isinstance(about.get(key), int | float)), None)
    return Detections.from_frames(
        frames,
        detector="MediaPipe",
        image_size=size,
        fps=None if fps is None else float(fps),
        joints=MEDIAPIPE33.joints,
    )


def _frames(data: Any) -> list[Any]:
    frames = data.get("frames") if isinstance(data, dict) else data
    return frames if isinstance(frames, list) else []


def _people(frame: Any) -> list[list[Any]]:
    """The lists of 33 landmarks in a frame; none if nobody is there."""
    if isinstance(frame, dict):
        frame = next((frame[key] for key in _PEOPLE if frame.get(key)), [])
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


def _flat(person: list[Any], frame: int) -> list[float]:
    points = [
        (p["x"], p["y"], p.get("visibility", 1.0)) if isinstance(p, dict) else (p[0], p[1], p[3])
        for p in person
    ]
    try:
        return [float(value) for point in points for value in point]
    except (TypeError, ValueError):
        raise UserError(f"frame {frame}: a landmark is not numbers") from None
