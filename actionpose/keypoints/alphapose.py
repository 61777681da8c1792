"""AlphaPose: a list for the whole video with image_id, flat keypoints and optionally idx.

The file may also be an object from images to people, in the format of OpenPose or of the tracker
PoseFlow.
"""

from typing import Any

from actionpose.keypoints import coco, openpose
from actionpose.keypoints.detections import Detections, first_entry
from actionpose.keypoints.json_frames import first_person, frames_in, people
from actionpose.keypoints.keypoint_file import KeypointFile

NAME = "alphapose"
TITLE = "AlphaPose, PoseFlow"
FORM = (
    "one list for the video, with a name as `image_id` and flat `keypoints`; or an object that "
    "maps images to people; `idx` is the identity"
)
NOTE = (
    "frames are ordered by the number in the image name, not by the list. Confidences above 1 "
    "become 1. If everybody has number 0 (no tracking), people are tracked by position"
)
KEYS = ("image_id", "keypoints", "idx")


def is_frame(data: Any) -> bool:
    """Whether JSON data are the people of an image in the format of PoseFlow."""
    return bool(first_person(data).keys() & {"idx", "scores"})


def matches(file: KeypointFile) -> bool:
    if isinstance(file.json, list):
        entry = first_entry(file.json)
        image = entry.get("image_id")
        return image is not None and (isinstance(image, str) or bool(entry.keys() & {"idx", "box"}))
    return frames_in(file, is_frame) is not None


def read(file: KeypointFile) -> Detections:
    if isinstance(file.json, list):
        return coco.from_results(file.json, detector="AlphaPose")
    frames = frames_in(file, is_frame)
    return (
        openpose.read(file) if frames is None else frames.detections(people, detector="AlphaPose")
    )
