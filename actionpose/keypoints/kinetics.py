"""Kinetics-Skeleton, the JSON format of ST-GCN: OpenPose joints with separate scores."""

from typing import Any

from actionpose.keypoints.detections import Detections, Person, checked_list, field
from actionpose.keypoints.json_frames import frames_in, identity, require_frames
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError

NAME = "kinetics"
TITLE = "Kinetics-skeleton (ST-GCN)"
FORM = "`data[]` of frames with `frame_index` and `skeleton[]` of `pose` and `score`"
NOTE = "normalized coordinates: give `--image-size`; (0, 0) is a missing joint"
KEYS = ("data", "frame_index", "skeleton", "pose", "score")


def is_frame(data: Any) -> bool:
    """Whether JSON data are the people of one frame."""
    return isinstance(data, dict) and isinstance(data.get("skeleton"), list)


def matches(file: KeypointFile) -> bool:
    return frames_in(file, is_frame) is not None


def read(file: KeypointFile) -> Detections:
    return require_frames(file, is_frame, "skeleton").detections(_people, detector="OpenPose")


def _people(data: Any, where: str) -> list[Person]:
    found: list[Person] = []
    for item in checked_list(field(data, "skeleton", where), where):
        xy = checked_list(field(item, "pose", where), where)
        scores = checked_list(item.get("score", [1.0] * (len(xy) // 2)), where)
        if len(xy) != 2 * len(scores):
            raise UserError(f"{where}: pose must have x and y for each score")
        joints = [list(row) for row in zip(xy[::2], xy[1::2], scores, strict=True)]
        found.append((joints, identity(item)))
    return found
