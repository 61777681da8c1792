"""MediaPipe's landmarks as people write them to json: there is no one format, but a family.

A list of frames, bare or under "frames" beside width, height and fps. A frame is a list of 33
landmarks, or of such lists (one per person), bare or under one of `KEYS`. A landmark is
{"x", "y", "z", "visibility"} or [x, y, z, visibility]; x and y are shares of the image's sides.
"""

from typing import Any, NamedTuple

from actionpose.skeletons import MEDIAPIPE33
from actionpose.utils.errors import UserError

KEYS = ("poseLandmarks", "pose_landmarks", "landmarks", "pose")
NUMBERS = ("frame", "frame_id", "frame_number", "frameNumber", "frame_index", "index")
RATES = ("fps", "frame_rate", "fps")
_NORMALIZED = 4.0  # landmarks may lie outside of the image, but not by so many images


class Landmarks(NamedTuple):
    """What such a file says."""

    frames: list[tuple[int, list[list[float]]]]  # number, and per person x, y, visibility, x, ...
    image_size: tuple[int, int] | None
    fps: float | None


def is_landmarks(data: Any) -> bool:
    """Whether json data are of this family."""
    frames = _frames(data)
    return frames is not None and any(_people(frame) for frame in frames[:1000])


def read_landmarks(data: Any, image_size: tuple[int, int] | None) -> Landmarks:
    """The landmarks in pixels.

    Args:
        data: for which `is_landmarks` holds.
        image_size: else what the file says.

    Raises:
        UserError: no image size is known, or a landmark is not numbers.
    """
    about = data if isinstance(data, dict) else {}
    size = image_size or _size(about)
    frames = []
    for place, frame in enumerate(_frames(data) or []):
        number = (
            next((frame[k] for k in NUMBERS if k in frame), place) if _is_dict(frame) else place
        )
        if not isinstance(number, int) or isinstance(number, bool):
            raise UserError(f"entry {place}: {number!r} is no frame number")
        frames.append((number, [_flat(person, number) for person in _people(frame)]))
    values = [abs(v) for _, people in frames for flat in people for v in (*flat[::3], *flat[1::3])]
    if max(values, default=0) <= _NORMALIZED:
        if size is None:
            raise UserError(
                "MediaPipe's coordinates are shares of the image: say how large it is, with "
                "--image-size WIDTHxHEIGHT (in Python, image_size=)"
            )
        for _, people in frames:
            for flat in people:
                flat[::3] = [x * size[0] for x in flat[::3]]
                flat[1::3] = [y * size[1] for y in flat[1::3]]
    rate = next((about[key] for key in RATES if isinstance(about.get(key), int | float)), None)
    return Landmarks(frames, size, None if rate is None else float(rate))


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _frames(data: Any) -> list[Any] | None:
    frames = data.get("frames") if isinstance(data, dict) else data
    return frames if isinstance(frames, list) else None


def _people(frame: Any) -> list[list[Any]]:
    """The lists of 33 landmarks in a frame; none if nobody is there."""
    if isinstance(frame, dict):
        frame = next((frame[key] for key in KEYS if frame.get(key)), [])
    if not isinstance(frame, list):
        return []
    if _is_person(frame):
        return [frame]
    return [person for person in frame if _is_person(person)]


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


def _size(about: dict[str, Any]) -> tuple[int, int] | None:
    width, height = about.get("width"), about.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None
