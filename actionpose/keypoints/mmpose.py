"""MMPose: a list of frames with `instances`, possibly in `instance_info`, or a file per image."""

from typing import Any

from actionpose.keypoints.detections import Detections, Person, field
from actionpose.keypoints.json_frames import first_person, frames_in, people, require_frames
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError

NAME = "mmpose"
TITLE = "MMPose"
FORM = (
    "list over frames of `instances[]`, or `instance_info` and `meta_info`; or one file per image"
)
NOTE = (
    "`keypoints` are [x, y] pairs, with separate `keypoint_scores`. No identities without tracking"
)
KEYS = ("instances", "keypoints", "keypoint_scores")


def is_frame(data: Any) -> bool:
    """Whether JSON data are the people of one image."""
    if isinstance(data, dict):
        return isinstance(data.get("instances"), list)
    return "keypoint_scores" in first_person(data)


def matches(file: KeypointFile) -> bool:
    named = isinstance(file.json, dict) and "instance_info" in file.json
    return named or frames_in(file, is_frame) is not None


def read(file: KeypointFile) -> Detections:
    frames = require_frames(file, is_frame, "instances")
    meta = (frames.about or {}).get("meta_info")
    names = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    joints = None
    if isinstance(names, dict):
        joints = tuple(names.get(str(i), "") for i in range(len(names)))
        if not all(isinstance(joint, str) for joint in joints):
            raise UserError('"keypoint_id2name" has a name that is not a text')
    return frames.detections(_people, detector="MMPose", joints=joints)


def _people(data: Any, where: str) -> list[Person]:
    items = field(data, "instances", where) if isinstance(data, dict) else data
    found = people(items, where)
    for item in items:
        field(item, "keypoint_scores", where)
    return found
