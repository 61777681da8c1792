"""Positions of people in the scene of pictures, pages and videos.

Coordinates are in meters, x right, y up, z toward the viewer (`Axes.Y_UP`). The floor is at y = 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from actionpose.postprocessing.common import positions
from actionpose.result import Result
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array

FLOOR_PERCENTILE = 5  # of the lowest joint over time, so that outliers do not lower the floor
CLEARANCE_M = 0.04  # height of the lowest joint, so that the floor does not cut limbs
SPACING_M = 1.2  # between persons with unknown positions
MAX_ROW = 12  # persons side by side; more persons are placed in rows
GRID_M = 0.5  # between the lines of the floor


def scene_positions(result: Result) -> tuple[Array, Array]:
    """Positions of all people in the scene.

    With `root_m`, the relative positions are kept, the scene is moved to the origin, and there is
    one floor. Otherwise positions are unknown: each person is on the floor, side by side in the
    order of the image. More than `MAX_ROW` persons are placed in rows, with those lower in the
    image in front.

    Returns:
        (P, T, J, 3) positions in meters, NaN where a person is not visible, and (P, 3) offsets that
        were subtracted from `postprocessing.common.positions`.

    Raises:
        UserError: If no frame is valid.
    """
    pose = np.where(result.valid[..., None, None], positions(result), np.nan)
    if not np.isfinite(pose).all(axis=-1).any():
        raise UserError("there is nothing to draw: the result has no valid frame")
    persons = range(len(pose))
    groups = [[i] for i in persons] if result.root_m is None else [list(persons)]
    offset = np.zeros((len(pose), 3))
    for group in groups:
        y = pose[group, ..., 1]
        y = y[np.isfinite(y).any(axis=-1)]  # (frames of all persons, J)
        lowest = np.fmin.reduce(y, axis=-1)
        if lowest.size:
            offset[group, 1] = np.percentile(lowest, FLOOR_PERCENTILE) - CLEARANCE_M
    if result.root_m is None:
        offset[:, [0, 2]] -= SPACING_M * _places_in_rows(result)
    else:
        offset[:, [0, 2]] = np.nanmedian(pose[..., [0, 2]], axis=(0, 1, 2))
    return pose - offset[:, None, None], offset


def _places_in_rows(result: Result) -> Array:
    """(P, 2) Column and row of each person in the order of the image, centered at 0."""
    visible = (result.keypoints_px[..., 2] > 0) & result.valid[..., None]
    px = np.where(visible[..., None], result.keypoints_px[..., :2], 0).sum(axis=(1, 2))
    x, y = (px / np.maximum(visible.sum(axis=(1, 2)), 1)[:, None]).T
    num = len(px)
    columns = num if num <= MAX_ROW else math.ceil(math.sqrt(2 * num))
    row = np.argsort(np.argsort(y, kind="stable"), kind="stable") // columns
    place = np.empty((num, 2))
    for r in range(row.max() + 1):
        members = np.flatnonzero(row == r)
        members = members[np.argsort(x[members], kind="stable")]
        place[members, 0] = np.arange(len(members)) - (len(members) - 1) / 2
    place[:, 1] = row - row.max() / 2
    return place


def view_rotation(*, azimuth_deg: float, elevation_deg: float) -> Array:
    """The rotation (3, 3) from the scene to view coordinates: right, up and toward the viewer."""
    (sin_a, sin_e) = np.sin(np.radians([azimuth_deg, elevation_deg]))
    (cos_a, cos_e) = np.cos(np.radians([azimuth_deg, elevation_deg]))
    about_up = np.array([[cos_a, 0, -sin_a], [0, 1, 0], [sin_a, 0, cos_a]])
    downwards = np.array([[1, 0, 0], [0, cos_e, -sin_e], [0, sin_e, cos_e]])
    return downwards @ about_up


@dataclass(frozen=True)
class VideoLink:
    """Relation between the times and images of a result and its video.

    Attributes:
        offset_s: Offset to add to times of the result, because keypoint files may start at a later
            frame.
        time_scale: Seconds of the video per second of the motion, by which the sum is multiplied,
            for example for slow motion.
        mirrored: Whether the keypoints are those of the mirrored video.
    """

    offset_s: float
    time_scale: float
    mirrored: bool


def video_link(result: Result) -> VideoLink:
    """The relation of a result to its video, from the header."""
    facts = result.header.get("video")
    facts = facts if isinstance(facts, dict) else {}
    scale = facts.get("time_scale", 1.0)
    is_scale = isinstance(scale, int | float) and 0 < scale < math.inf
    fps = result.header.get("fps") or 0
    return VideoLink(
        offset_s=float(result.header.get("first_frame") or 0) / fps if fps else 0.0,
        time_scale=float(scale) if is_scale else 1.0,
        mirrored=facts.get("mirrored") is True,
    )
