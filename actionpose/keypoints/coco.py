"""COCO: a list of results, or a dataset with `images` and `annotations`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actionpose.keypoints.detections import (
    Detections,
    checked_list,
    field,
    first_entry,
    track_number,
)
from actionpose.keypoints.frame_numbers import frame_numbers
from actionpose.keypoints.frame_times import times_of
from actionpose.keypoints.json_frames import identity
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.utils.errors import UserError

NAME = "coco"
TITLE = "COCO"
FORM = (
    "results: a list with an integer `image_id` and without `box` or `idx`; dataset: an object "
    "with `images` and `annotations`"
)
NOTE = (
    "the third value is a score from 0 to 1 in results; in datasets, the visibility 0, 1, 2 "
    "becomes confidence 0, 0.5, 1. The image size is used if all images have the same one"
)
KEYS = ("images", "annotations", "image_id", "keypoints")
_CONFIDENCE = np.array([0.0, 0.5, 1.0])  # of visibility 0 not labeled, 1 occluded, 2 visible


def matches(file: KeypointFile) -> bool:
    if isinstance(file.json, dict):
        return "annotations" in file.json
    return "image_id" in first_entry(file.json)


def read(file: KeypointFile) -> Detections:
    return from_results(file.json) if isinstance(file.json, list) else _from_dataset(file.json)


def from_results(results: Sequence[Any], detector: str = "") -> Detections:
    """Convert a list with image_id, keypoints and optionally a track id for each detection."""
    numbers = frame_numbers(
        [field(entry, "image_id", f"detection {i}") for i, entry in enumerate(results)]
    )
    rows = [
        (n, field(entry, "keypoints", f"frame {n}"), identity(entry))
        for n, entry in zip(numbers, results, strict=True)
    ]
    return Detections.from_rows(rows, numbers, times_of(results), detector=detector)


def _from_dataset(data: Any) -> Detections:
    """Convert annotated images. Frame numbers are from frame_id, file_name or id, in this order."""
    images = checked_list(field(data, "images", "the file"), '"images"')
    annotations = checked_list(field(data, "annotations", "the file"), '"annotations"')
    names: list[object] = []
    keys = []
    sizes = set()
    for i, image in enumerate(images):
        keys.append(str(field(image, "id", f"image {i}")))
        name = str(image.get("file_name", ""))
        numbered = name if re.search(r"\d", Path(name).stem) else keys[-1]
        names.append(image.get("frame_id", numbered))
        width, height = image.get("width"), image.get("height")
        known = isinstance(width, int) and isinstance(height, int)
        sizes.add((width, height) if known else None)
    number_of = dict(zip(keys, frame_numbers(names), strict=True))
    if len(set(number_of.values())) < len(images):
        raise UserError("two images have the same frame number: one video at a time")
    rows = []
    for i, annotation in enumerate(annotations):
        key = str(field(annotation, "image_id", f"annotation {i}"))
        if key not in number_of:
            raise UserError(f'annotation {i}: image {key} is not among the "images"')
        if annotation.get("num_keypoints") == 0 or "keypoints" not in annotation:
            continue  # a crowd, or a person without labeled joints
        track = track_number(annotation.get("track_id"))
        rows.append((number_of[key], annotation["keypoints"], track))
    info = data.get("info")
    found = Detections.from_rows(
        rows,
        list(number_of.values()),
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
