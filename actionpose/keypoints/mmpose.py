"""MMPose: a list over frames of `instances`, maybe under `instance_info`, or a file per image."""

from typing import Any

from actionpose.keypoints.detections import (
    Detections,
    Person,
    checked_list,
    field,
    first_entry,
    frame_number,
    track_number,
)
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError

NAME = "mmpose"


def is_image(data: Any) -> bool:
    """Whether JSON data are the people of one image."""
    entry = first_entry(data)
    return "keypoints" in entry and "image_id" not in entry


def matches(file: KeypointFile) -> bool:
    if isinstance(file.json, dict):
        return "instance_info" in file.json
    if file.frames:
        return isinstance(file.frames[0][1], list)
    return bool(first_entry(file.json).keys() & {"instances", "keypoint_scores"})


def read(file: KeypointFile) -> Detections:
    data, joints = file.json, None
    if isinstance(data, dict):
        meta = data.get("meta_info")
        names = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
        if isinstance(names, dict):
            joints = tuple(names.get(str(i), "") for i in range(len(names)))
        data = field(data, "instance_info", "the file")
    frames = file.frames
    if not frames:
        entries = checked_list(data, "instance_info")
        if not entries:
            raise UserError("the list is empty: there is no frame")
        frames = [(0, entries)]
        if "keypoints" not in first_entry(entries):
            some = [field(entry, "instances", f"entry {i}") for i, entry in enumerate(entries)]
            numbers = [frame_number(entry.get("frame_id", i)) for i, entry in enumerate(entries)]
            frames = list(zip(numbers, some, strict=True))
    people = [
        (number, [_person(one, f"frame {number}") for one in checked_list(some, f"frame {number}")])
        for number, some in frames
    ]
    return Detections.from_frames(people, detector="MMPose", joints=joints)


def _person(instance: Any, where: str) -> Person:
    points = checked_list(field(instance, "keypoints", where), where)
    scores = checked_list(field(instance, "keypoint_scores", where), where)
    try:
        flat = [
            value for (x, y), score in zip(points, scores, strict=True) for value in (x, y, score)
        ]
    except (TypeError, ValueError):
        raise UserError(f"{where}: keypoints must be [x, y] pairs, with a score for each") from None
    return flat, track_number(instance.get("track_id"))
