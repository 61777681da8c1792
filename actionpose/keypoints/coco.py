"""COCO: a results list, or a dataset with `images` and `annotations`."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from actionpose.keypoints.detections import (
    Detections,
    checked_list,
    field,
    frame_number,
    track_number,
)
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError

NAME = "coco"
_CONFIDENCE = np.array([0.0, 0.5, 1.0])  # of visibility 0 not labeled, 1 hidden, 2 visible


def matches(file: KeypointFile) -> bool:
    data = file.json
    if isinstance(data, dict):
        return "annotations" in data
    first = data[0] if isinstance(data, list) and data else None
    return isinstance(first, dict) and "image_id" in first


def read(file: KeypointFile) -> Detections:
    if isinstance(file.json, dict):
        return _from_dataset(file.json)
    if isinstance(file.json, list):
        return Detections.from_entries(file.json)
    raise file.refusal(NAME)


def _from_dataset(data: dict[str, Any]) -> Detections:
    """Annotated images; a frame's number is its frame_id, else is in file_name, else its id."""
    images = checked_list(field(data, "images", "the file"), '"images"')
    annotations = checked_list(field(data, "annotations", "the file"), '"annotations"')
    number_of: dict[str, int] = {}
    sizes = set()
    for i, image in enumerate(images):
        key = str(field(image, "id", f"image {i}"))
        name = str(image.get("file_name", ""))
        numbered = name if re.search(r"\d", Path(name).stem) else key
        number_of[key] = frame_number(image.get("frame_id", numbered))
        width, height = image.get("width"), image.get("height")
        known = isinstance(width, int) and isinstance(height, int)
        sizes.add((width, height) if known else None)
    if len(set(number_of.values())) < len(images):
        raise UserError("two images have the same frame number: one video at a time")
    frames, points, ids = [], [], []
    for i, annotation in enumerate(annotations):
        key = str(field(annotation, "image_id", f"annotation {i}"))
        if key not in number_of:
            raise UserError(f'annotation {i}: image {key} is not among the "images"')
        if annotation.get("num_keypoints") == 0 or "keypoints" not in annotation:
            continue  # a crowd, or a person of whom no joint is labeled
        frames.append(number_of[key])
        points.append(annotation["keypoints"])
        ids.append(track_number(annotation.get("track_id")))
    info = data.get("info")
    found = Detections.from_lists(
        *(frames, points, ids),
        all_frames=number_of.values(),
        image_size=sizes.pop() if len(sizes) == 1 else None,
        source=str(info.get("description", "")) if isinstance(info, dict) else "",
    )
    visibility = found.keypoints[..., 2]
    wrong = np.argwhere(~np.isin(visibility, (0, 1, 2)))
    if len(wrong):
        row, joint = wrong[0]
        raise UserError(
            f"frame {found.frame[row]}, joint {joint}: the visibility is "
            f"{visibility[row, joint]}, not 0, 1 or 2"
        )
    found.keypoints[..., 2] = _CONFIDENCE[visibility.astype(int)]
    return found
