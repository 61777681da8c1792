"""AlphaPose: one list over the video of image_id, flat keypoints and maybe idx.

Or an object with each image's people in the form of OpenPose or CMU-Pose.
"""

from actionpose.keypoints import coco, openpose
from actionpose.keypoints.detections import Detections, first_entry, frame_number
from actionpose.keypoints.keypoint_file import KeypointFile

NAME = "alphapose"


def matches(file: KeypointFile) -> bool:
    if isinstance(file.json, dict):
        return bool(file.json) and all(map(openpose.is_frame, file.json.values()))
    entry = first_entry(file.json)
    image = entry.get("image_id")
    return image is not None and (isinstance(image, str) or bool(entry.keys() & {"idx", "box"}))


def read(file: KeypointFile) -> Detections:
    data = file.json
    if isinstance(data, list):
        return coco.from_results(data, detector="AlphaPose")
    if not isinstance(data, dict) or openpose.is_frame(data):
        return openpose.read(file)
    frames = [(frame_number(image), people) for image, people in data.items()]
    return openpose.from_frames(frames, "AlphaPose")
