"""MMPose: a list over frames of `instances`, maybe under `instance_info`, or a file per image."""

from typing import Any

from actionpose.keypoints.detections import (
    Detections,
    Person,
    checked_list,
    field,
    frame_number,
    track_number,
)
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError

NAME = "mmpose"


def is_image(data: Any) -> bool:
    """Whether JSON data are the people of one image."""
    first = data[0] if isinstance(data, list) and data else None
    return isinstance(first, dict) and "keypoints" in first and "image_id" not in first


def matches(file: KeypointFile) -> bool:
    data = file.json
    if isinstance(data, dict):
        return "instance_info" in data
    if file.frames:
        return isinstance(file.frames[0][1], list)
    first = data[0] if isinstance(data, list) and data else None
    return isinstance(first, dict) and ("instances" in first or "keypoint_scores" in first)


def read(file: KeypointFile) -> Detections:
    if file.frames:
        return _from_frames(file.frames)
    data, joints = file.json, None
    if data is None:
        raise file.refusal(NAME)
    if isinstance(data, dict):
        meta = data.get("meta_info")
        names = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
        if isinstance(names, dict):
            joints = tuple(names.get(str(i), "") for i in range(len(names)))
        data = field(data, "instance_info", "the file")
    entries = checked_list(data, "instance_info")
    if not entries:
        raise UserError("the list is empty: there is no frame")
    if isinstance(entries[0], dict) and "keypoints" in entries[0]:
        return _from_frames([(0, entries)], joints)
    frames = []
    for i, entry in enumerate(entries):
        people = checked_list(field(entry, "instances", f"entry {i}"), f'"instances" of entry {i}')
        frames.append((frame_number(entry.get("frame_id", i)), people))
    return _from_frames(frames, joints)


def _from_frames(
    frames: list[tuple[int, Any]], joints: tuple[str, ...] | None = None
) -> Detections:
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
