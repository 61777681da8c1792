"""An object from people to their frames, as in the tracks of anomaly detection datasets."""

from typing import Any

from actionpose.keypoints.detections import Detections, Identity, checked_list
from actionpose.keypoints.frame_numbers import frame_numbers
from actionpose.keypoints.json_frames import frame_names, is_person, people, rows
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError

NAME = "tracked_people"
TITLE = "tracks by person (ShanghaiTech pose, STG-NF, GEPC)"
FORM = (
    "object that maps person and frame to `keypoints` or a list of joints, or person to a list "
    "of `keypoints` with their `frame`"
)
NOTE = "the keys of people are identities, the keys of frames are frame numbers"
KEYS = ("keypoints", "frame")


def matches(file: KeypointFile) -> bool:
    if not isinstance(file.json, dict):
        return False
    tracks = [track for track in file.json.values() if track]
    return bool(tracks) and all(_is_track(track) for track in tracks[:10])


def read(file: KeypointFile) -> Detections:
    if not matches(file):
        raise UserError("there is no person with frames that have keypoints")
    found: list[tuple[object, Any, Identity]] = []
    for person, track in file.json.items():
        for name, value in _frames(track, f"person {person}"):
            where = f"person {person}, frame {name}"
            if isinstance(value, dict):
                found += [(name, points, person) for points, _ in people([value], where)]
            else:
                found.append((name, rows(checked_list(value, where), None, where), person))
    numbers = frame_numbers([name for name, _, _ in found])
    return Detections.from_rows(
        [(n, points, who) for n, (_, points, who) in zip(numbers, found, strict=True)], numbers
    )


def _frames(track: Any, where: str) -> list[tuple[object, Any]]:
    """The name and content of each frame of a person."""
    if isinstance(track, dict):
        return list(track.items())
    names = frame_names(checked_list(track, where))
    if names is None:
        raise UserError(f'{where}: "frame" is missing')
    return list(zip(names, track, strict=True))


def _is_track(track: Any) -> bool:
    if isinstance(track, dict):
        return all(_is_frame_name(name) and _keypoints(value) for name, value in track.items())
    return isinstance(track, list) and is_person(track[0]) and frame_names(track[:1]) is not None


def _is_frame_name(name: str) -> bool:
    return any(letter.isdigit() for letter in name)


def _keypoints(value: Any) -> bool:
    points = value.get("keypoints") if isinstance(value, dict) else value
    return isinstance(points, list) and bool(points)
