"""OpenPose: a folder with a JSON file per frame, or one such file; `people[].pose_keypoints_2d`.

CMU-Pose calls them `bodies[].joints`. AlphaPose writes both forms.
"""

import re
from collections.abc import Sequence
from typing import Any

from actionpose.keypoints import detections
from actionpose.keypoints.detections import Detections, Person, field
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError

NAME = "openpose"
_PEOPLE = {"people": "pose_keypoints_2d", "bodies": "joints"}


def is_frame(data: Any) -> bool:
    """Whether JSON data are the people of one frame."""
    return isinstance(data, dict) and any(isinstance(data.get(key), list) for key in _PEOPLE)


def matches(file: KeypointFile) -> bool:
    return is_frame(file.json) or bool(file.frames) and not isinstance(file.frames[0][1], list)


def read(file: KeypointFile) -> Detections:
    stem = file.path.stem
    number = detections.frame_number(stem) if re.search(r"\d", stem) else 0
    frames = file.frames or [(number, file.json)]
    first = frames[0][1]
    version = str(first.get("version")) if isinstance(first, dict) else ""
    return from_frames(frames, "AlphaPose" if "AlphaPose" in version else "OpenPose")


def from_frames(frames: Sequence[tuple[int, Any]], detector: str) -> Detections:
    """From the number and the content of each frame."""
    people = [(number, _people(data, f"frame {number}")) for number, data in frames]
    return Detections.from_frames(people, detector=detector)


def _people(data: Any, where: str) -> list[Person]:
    for group, points in _PEOPLE.items():
        if isinstance(data, dict) and group in data:
            people = [
                (field(person, points, where), detections.track_number(person.get("person_id")))
                for person in detections.checked_list(data[group], where)
            ]
            return [person for person in people if person[0] != []]  # only a hand or a face
    raise UserError(f'{where}: "people" is missing')
