"""AlphaPose: one list over the video of image_id, flat keypoints and maybe idx.

Or a dict of each image's people in the form of OpenPose or CMU-Pose.
"""

from actionpose.keypoints import openpose
from actionpose.keypoints.detections import Detections, frame_number
from actionpose.keypoints.keypoint_file import KeypointFile

NAME = "alphapose"


def matches(file: KeypointFile) -> bool:
    data = file.json
    if isinstance(data, dict):
        return bool(data) and all(map(openpose.is_frame, data.values()))
    first = data[0] if isinstance(data, list) and data else None
    if not isinstance(first, dict) or "image_id" not in first:
        return False
    return isinstance(first["image_id"], str) or bool(first.keys() & {"idx", "box"})


def read(file: KeypointFile) -> Detections:
    data = file.json
    if file.frames or openpose.is_frame(data):
        return openpose.read(file)
    if isinstance(data, dict):
        frames = [(frame_number(image), people) for image, people in data.items()]
        return openpose.from_frames(frames, "AlphaPose")
    if isinstance(data, list):
        return Detections.from_entries(data, detector="AlphaPose")
    raise file.refusal(NAME)
