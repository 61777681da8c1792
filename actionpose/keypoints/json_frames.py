"""Shared code of JSON formats with people in frames: extraction of frames and their people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from actionpose.keypoints.detections import (
    Detections,
    Identity,
    Person,
    checked_list,
    field,
    track_number,
)
from actionpose.keypoints.frame_numbers import frame_number
from actionpose.keypoints.frame_times import times_of
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError

_LISTS = ("frames", "instance_info", "data", "results", "predictions")
_NUMBERS = (
    *("frame", "frame_id", "frame_number", "frameNumber", "frame_index", "frame_idx", "frameId"),
    *("image_id", "image_name", "image_path", "file_name", "filename", "image", "index"),
)
_IDENTITIES = ("idx", "track_id", "person_id", "id_", "tracking_id", "track")
_SCORES = ("score", "confidence", "visibility", "conf", "likelihood", "c", "v")
_LOOK = 1000  # maximum number of initial frames without people
_MANY = 6  # number of people in one image above which a note is added
_RATES = ("fps", "frame_rate", "framerate", "rate_hz")

IsFrame = Callable[[Any], bool]


@dataclass(frozen=True)
class Frames:
    """The frames of a file in its order."""

    names: list[object]  # numbers, or image names
    contents: list[Any]
    times: list[float] | None = None  # in seconds
    about: Mapping[str, Any] | None = None  # the object that contains the frames
    notes: tuple[str, ...] = ()

    def detections(self, people: Callable[[Any, str], list[Person]], **about: Any) -> Detections:
        """Read the people of each frame.

        Args:
            people: Function from the content and the name (for messages) of a frame to its people.
            about: Further fields of `Detections`.

        Raises:
            UserError: See `Detections.from_frames`; also raised by `people`.
        """
        found = [
            (name, [] if content is None else people(content, f"frame {name}"))
            for name, content in zip(self.names, self.contents, strict=True)
        ]
        described = self.about or {}
        for key in _RATES:
            if _is_number(described.get(key)) and "fps" not in about:
                about["fps"] = float(described[key])
        first = next((c for c in self.contents if isinstance(c, Mapping)), {})
        for source in (described, first):
            if about.get("image_size") is None:
                about["image_size"] = image_size(source)
        return Detections.from_frames(found, times=self.times, notes=self.notes, **about)


def frames_in(file: KeypointFile, is_frame: IsFrame) -> Frames | None:
    """The frames of a folder or a JSON file, or None if they are not in the format.

    A file is a list of frames, a list of people with frame numbers, a single frame, an object that
    contains one of these, or an object from image names to frames.

    Args:
        is_frame: Function that tells whether JSON data are a frame with at least one person.
    """
    if file.is_folder:
        if not is_frame(file.sample):
            return None
        return Frames([name for name, _ in file.frames], [data for _, data in file.frames])
    data = file.json
    if isinstance(data, list):
        return _listed_frames(data, is_frame, file.frame_name)
    if is_frame(data):
        return Frames([file.frame_name], [data], about=data)
    if not isinstance(data, dict):
        return None
    for key in _LISTS:
        if isinstance(data.get(key), list):
            frames = _listed_frames(data[key], is_frame, file.frame_name)
            if frames is not None:
                return replace(frames, about=data)
    contents = list(data.values())
    return Frames(list(data), contents) if any(map(is_frame, contents[:_LOOK])) else None


def _listed_frames(data: list[Any], is_frame: IsFrame, own_name: object) -> Frames | None:
    """The frames of a list. `own_name` is the name of the file, which may be a single frame."""
    if is_person(data[0] if data else None) and is_frame(data[:1]):
        return _frames_of_people(data, own_name)
    if any(map(is_frame, data[:_LOOK])):
        times, names = times_of(data), frame_names(data)
        if names is None:  # the indices in the order of time
            order = range(len(data)) if times is None else np.argsort(times, kind="stable")
            names = np.argsort(order, kind="stable").tolist()
        return Frames(names, data, times)
    return Frames([own_name], [data]) if is_frame(data) else None


def _frames_of_people(data: list[Any], own_name: object) -> Frames:
    """The frames of a list of people with frame numbers or times."""
    times, names = times_of(data), frame_names(data)
    if names is None and times is not None:
        names = np.unique(times, return_inverse=True)[1].tolist()
    if names is None:
        some = f"a list of {len(data)} people without numbers of frames is taken as one frame"
        return Frames([own_name], [data], notes=(some,) if len(data) > _MANY else ())
    in_frame: dict[object, list[Any]] = {}
    time_of: dict[object, float] = {}
    for place, (name, person) in enumerate(zip(names, data, strict=True)):
        in_frame.setdefault(name, []).append(person)
        if times is not None:
            time_of[name] = times[place]
    times = list(time_of.values()) or None
    return Frames(list(in_frame), list(in_frame.values()), times)


def require_frames(file: KeypointFile, is_frame: IsFrame, key: str) -> Frames:
    """Same as `frames_in`, but raises an exception if no frame is found.

    Raises:
        UserError: If no frame is in the format, whose frames have the given key.
    """
    frames = frames_in(file, is_frame)
    if frames is None:
        raise UserError(f'there is no frame with "{key}" in it')
    return frames


def frame_names(entries: Sequence[Any]) -> list[object] | None:
    """The frame number or image name of each entry of a list; None if entries have none."""
    named = next((entry for entry in entries if isinstance(entry, dict)), {})
    for key in _NUMBERS:
        if isinstance(named.get(key), int | float | str):
            names = [entry.get(key) if isinstance(entry, dict) else None for entry in entries]
            for name in names:
                frame_number(name)
            return names
    return None


def image_size(about: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height in pixels in a JSON object, or None."""
    for prefix in ("", "canvas_", "image_", "video_"):
        sides = about.get(f"{prefix}width"), about.get(f"{prefix}height")
        if all(type(side) is int and side > 0 for side in sides):
            return sides  # type: ignore[return-value]
    return None


def is_person(item: Any) -> bool:
    """Whether JSON data are a person with keypoints in a form that `rows` accepts."""
    return isinstance(item, dict) and isinstance(item.get("keypoints"), list | dict)


def first_person(items: Any) -> dict[str, Any]:
    """The first person of a JSON list of people, or an empty object for other values."""
    return items[0] if isinstance(items, list) and items and is_person(items[0]) else {}


def people(items: Any, where: str, key: str = "keypoints") -> list[Person]:
    """The people of a frame that is a list of objects, without those that have no keypoints."""
    found = []
    for item in checked_list(items, where):
        points = field(item, key, where)
        if points not in (None, [], {}):
            scores = next(
                (item[k] for k in ("keypoint_scores", "keypoints_scores") if k in item), None
            )
            found.append((rows(points, scores, where), identity(item)))
    return found


def identity(item: Mapping[str, Any]) -> Identity:
    """The track of a person, by any of its usual keys."""
    return track_number(next((item[key] for key in _IDENTITIES if key in item), None))


def rows(points: Any, scores: Any, where: str) -> list[Any]:
    """Convert the keypoints of a person to the form of `Detections.from_rows`.

    Args:
        points: A flat list; a list of [x, y] or [x, y, confidence]; a list of objects with x and y
            (optionally under "position") and a score; or an object with the lists x, y and visible.
        scores: Confidence of each joint, if separate.

    Raises:
        UserError: If the keypoints have another form.
    """
    try:
        if isinstance(points, dict):
            names = next((n for n in ("visible", *_SCORES) if points.get(n)), None)
            columns = [points["x"], points["y"], *([points[names]] if names else [])]
            return [list(row) for row in zip(*columns, strict=True)]
        if points and isinstance(points[0], dict):
            return [_joint(point) for point in points]
        if scores is not None:
            return [[x, y, score] for (x, y), score in zip(points, scores, strict=True)]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{where}: keypoints must be [x, y] pairs, with a score for each") from None
    return checked_list(points, where)


def _joint(point: dict[str, Any]) -> list[Any]:
    place = point.get("position", point)
    return [place["x"], place["y"], *(point[key] for key in _SCORES if key in point)][:3]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
