"""An object from people to their frames, as tracks for anomaly detection are kept."""

from typing import Any

from actionpose.keypoints.detections import Detections, Identity, checked_list
from actionpose.keypoints.frame_numbers import frame_numbers
from actionpose.keypoints.json_frames import people, rows
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError

NAME = "tracked_people"
TITLE = "tracks by person (ShanghaiTech pose, STG-NF, GEPC)"
FORM = "object from person to frame to `keypoints`, or to a list of joints"
NOTE = "names of people are their identities, names of frames the frames"
KEYS = ("keypoints", "scores")


def matches(file: KeypointFile) -> bool:
    if not isinstance(file.json, dict) or not file.json:
        return False
    person = next((value for value in file.json.values() if value), None)
    if not isinstance(person, dict) or not all(isinstance(v, dict) for v in file.json.values()):
        return False
    return all(_is_frame_name(name) and _keypoints(value) for name, value in person.items())


def read(file: KeypointFile) -> Detections:
    if not matches(file):
        raise UserError("there is no person with frames that have keypoints")
    found: list[tuple[object, Any, Identity]] = []
    for person, track in file.json.items():
        if not isinstance(track, dict):
            raise UserError(f"person {person}: an object of frames is expected")
        for name, value in track.items():
            where = f"person {person}, frame {name}"
            one = people([value], where) if isinstance(value, dict) else None
            points = one[0][0] if one else rows(checked_list(value, where), None, where)
            found.append((name, points, person))
    numbers = frame_numbers([name for name, _, _ in found])
    return Detections.from_rows(
        [(n, points, who) for n, (_, points, who) in zip(numbers, found, strict=True)], numbers
    )


def _is_frame_name(name: str) -> bool:
    return any(letter.isdigit() for letter in name)


def _keypoints(value: Any) -> bool:
    points = value.get("keypoints") if isinstance(value, dict) else value
    return isinstance(points, list) and bool(points)
