"""MoveNet and PoseNet in JavaScript: joints are objects with name, x, y and score."""

from typing import Any

from actionpose.keypoints.detections import Detections, Person, checked_list
from actionpose.keypoints.json_frames import Frames, first_person, frames_in, people, require_frames
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.skeletons import COCO17, MEDIAPIPE33

NAME = "movenet"
TITLE = "MoveNet, PoseNet, BlazePose (TensorFlow.js), ml5"
FORM = "list over frames of poses, or of one pose, whose `keypoints` are objects with x, y, score"
NOTE = (
    "also with `position`, as in PoseNet; or the output array of MoveNet (1, 1, 17, 3), y "
    "before x, normalized. BlazePose has 33 joints, the others 17"
)
KEYS = ("keypoints", "x", "y", "score", "name")


def _poses(data: Any) -> Any:
    """The list of poses in a frame: a list, a list under "poses" or "pose", or a single pose."""
    if _is_output(data):  # in the order y, x, score
        points = [[x, y, score] for y, x, score in data[0][0]]
        return [{"keypoints": points, "score": 1.0}]
    if isinstance(data, dict):
        data = data.get("poses", data.get("pose", data))
    if isinstance(data, dict):
        data = [data]
    if isinstance(data, list) and data and isinstance(data[0], dict) and "pose" in data[0]:
        data = [item.get("pose") for item in data if isinstance(item, dict)]  # ml5
    return data


def _is_output(data: Any) -> bool:
    """Whether JSON data are the raw model output (1, 1, 17, 3)."""
    try:
        [[points]] = data
        return len(points) == len(COCO17) and all(
            isinstance(point, list) and len(point) == 3 for point in points
        )
    except (TypeError, ValueError):
        return False


def is_frame(data: Any) -> bool:
    """Whether JSON data are the people of one frame."""
    points = first_person(_poses(data)).get("keypoints")
    return (
        isinstance(points, list)
        and bool(points)
        and (isinstance(points[0], dict) or _is_output(data))
    )


def matches(file: KeypointFile) -> bool:
    return frames_in(file, is_frame) is not None


def read(file: KeypointFile) -> Detections:
    frames = require_frames(file, is_frame, "keypoints")
    if frames.notes:  # a list of many poses contains one person, frame by frame
        [poses] = frames.contents
        frames = Frames(list(range(len(poses))), poses, about=frames.about)
    first = first_person(_poses(next(filter(is_frame, frames.contents))))
    blaze = len(first["keypoints"]) == len(MEDIAPIPE33)
    return frames.detections(_people, detector="BlazePose" if blaze else "MoveNet")


def _people(data: Any, where: str) -> list[Person]:
    poses = checked_list(_poses(data) or [], where)
    return people([pose for pose in poses if pose is not None], where)
