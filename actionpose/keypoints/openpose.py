"""OpenPose and similar formats: frames with `people[].pose_keypoints_2d`.

CMU-Pose has `bodies[].joints` instead; AlphaPose writes both forms. OpenPose up to 1.1 has
`pose_keypoints`. ControlNet, DWPose and ComfyUI write a list of frames with the canvas size.
"""

from typing import Any

from actionpose.keypoints.detections import Detections, Person, checked_list, field
from actionpose.keypoints.json_frames import frames_in, identity, require_frames, rows
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError

NAME = "openpose"
TITLE = "OpenPose, DWPose, ControlNet, ComfyUI; CMU-Pose form of AlphaPose"
FORM = (
    "a folder with one json per frame, a single such file, or a list of frames; "
    "`people[].pose_keypoints_2d`, `pose_keypoints` (up to 1.1), or `bodies[].joints`"
)
NOTE = (
    "no identities, unless `person_id` is 0 or more; image size from `canvas_width`, "
    "`canvas_height`. `--keypoint_scale` 3 and 4 (0 to 1, -1 to 1) need `--image-size`. One "
    "folder per video"
)
KEYS = ("people", "pose_keypoints_2d")
_PEOPLE = {"people": ("pose_keypoints_2d", "pose_keypoints"), "bodies": ("joints",)}


def is_frame(data: Any) -> bool:
    """Whether JSON data are the people of one frame."""
    if not isinstance(data, dict):
        return False
    return any(isinstance(data.get(key, 0), list | None) for key in _PEOPLE)


def matches(file: KeypointFile) -> bool:
    return frames_in(file, is_frame) is not None


def read(file: KeypointFile) -> Detections:
    frames = require_frames(file, is_frame, "people")
    first: dict[str, Any] = next(filter(is_frame, frames.contents), {})
    detector = "AlphaPose" if "AlphaPose" in str(first.get("version")) else "OpenPose"
    return frames.detections(_people, detector=detector)


def _people(data: Any, where: str) -> list[Person]:
    for group, names in _PEOPLE.items():
        if isinstance(data, dict) and group in data:
            found = []
            for person in checked_list(data[group] or [], where):
                if person is None:
                    continue
                key = next((n for n in names if isinstance(person, dict) and n in person), names[0])
                points = field(person, key, where)
                if points not in (None, []):  # otherwise only a hand or a face
                    found.append((rows(points, None, where), identity(person)))
            return found
    raise UserError(f'{where}: "people" is missing')
