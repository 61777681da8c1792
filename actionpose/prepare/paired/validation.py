"""Checks of keypoints and poses that look right: keys, shapes, units, sides, body sizes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.numpy_files import checked_numbers
from actionpose.utils.typing import Array

_LARGEST_NORMALIZED = 2.0  # coordinates of no image that has pixels
_SAMPLE = 2000  # frames are enough to tell


class Checks:
    """Checks that real files may fail for good reasons, and what they found.

    Args:
        force: go on, and keep what was found in `failed`.
    """

    def __init__(self, force: bool = False):
        self.force = force
        self.failed: list[str] = []

    def __call__(self, check: Callable[..., None], *arguments: Any) -> None:
        """Make a check.

        Raises:
            UserError: what the check says, unless `force`.
        """
        try:
            check(*arguments)
        except UserError as error:
            if not self.force:
                raise UserError(
                    f"{error}; actionpose prepare takes it with force=True, and marks its scores"
                ) from error
            self.failed.append(str(error))


def missing_keys(table: Any, keys: Iterable[str]) -> str:
    """The keys that a dict lacks, in words; empty if it has them all."""
    if not isinstance(table, dict):
        return "everything"
    return ", ".join(key for key in keys if key not in table)


def is_synthetic(content: Mapping[str, Any]) -> bool:
    """Whether a file was made by the tests; those of version 0.1 say `imitated`."""
    return any(np.array_equal(content.get(key, False), True) for key in ("synthetic", "imitated"))


def float_array(values: Any, where: str, shape: tuple[int | None, ...]) -> Array:
    """In its own precision; whole numbers and objects become float64.

    Args:
        shape: None is any number of frames.

    Raises:
        UserError: these are no numbers, or they have another shape.
    """
    array = checked_numbers(values, where, shape, finite=False)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def with_confidence(points: Array, confidence: Array | None = None) -> Array:
    """(..., 2) coordinates to (..., 3) with a confidence, which is 1 by default."""
    confidence = np.ones(points.shape[:-1]) if confidence is None else confidence
    return np.concatenate([points, confidence[..., None]], axis=-1)


def sample(values: Array) -> Array:
    """At most `_SAMPLE` frames, evenly spread."""
    return np.asarray(values[:: max(1, len(values) // _SAMPLE)], dtype=np.float64)


def check_pixels(keypoints: Array, where: str) -> None:
    """Refuse normalized coordinates where pixels are expected.

    Raises:
        UserError: no coordinate is beyond 2.
    """
    largest = float(np.nanmax(np.abs(sample(keypoints)[..., :2]), initial=0.0))
    if largest <= _LARGEST_NORMALIZED:
        raise UserError(
            f"{where}: the 2D keypoints are normalized (no coordinate is beyond {largest:.2g}), "
            "but pixels are expected: use the original file"
        )


def check_metric(pose_mm: Array, where: str) -> None:
    """Refuse poses that cannot be millimeters: a person measures more than 300 and less than 5000.

    Raises:
        UserError: the median extent of the poses says meters, pixels or something else.
    """
    extent = float(np.nanmedian(np.ptp(sample(pose_mm), axis=1).max(axis=-1)))
    if not 300 < extent < 5000:
        raise UserError(
            f"{where}: people are {extent:.3g} units tall, so these are not millimeters: "
            "convert them, or use the original file"
        )


def check_sides(keypoints_px: Array, pose: Array, where: str) -> None:
    """Refuse swapped sides: of the 2D against the 3D, or of both against how knees bend.

    Args:
        keypoints_px: (T, 17, 2 or 3).
        pose: (T, 17, 3) camera axes, x right, y down, z away, in any unit.

    Raises:
        UserError: left and right are swapped.
    """
    points_px, body = sample(keypoints_px), sample(pose)
    left, right = H36M17.indices("left_hip", "right_hip")
    across = (body[:, left] - body[:, right])[:, 0]
    across_px = (points_px[:, left] - points_px[:, right])[:, 0]
    if np.nansum(across * across_px) < 0:
        raise UserError(f"{where}: left and right of the 2D keypoints are swapped against the 3D")
    if knees_ahead(body) < 0:
        raise UserError(
            f"{where}: left and right are swapped (knees would bend backwards): "
            "exchange the sides' joints in both 2D and 3D"
        )


def knees_ahead(pose: Array) -> float:
    """How far the knees are ahead of hips and ankles, on average, as a fraction of the torso.

    "Ahead" follows from what is called left and right, so that swapped sides make it negative;
    the axes must be right-handed.
    """
    joint = dict(zip(H36M17.joints, pose.swapaxes(0, 1), strict=True))
    torso = joint["thorax"] - joint["pelvis"]
    ahead = np.cross(joint["left_hip"] - joint["right_hip"], torso)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-12)
    size = np.maximum(np.linalg.norm(torso, axis=-1), 1e-12)
    fractions = []
    for side in ("left", "right"):
        middle = (joint[f"{side}_hip"] + joint[f"{side}_ankle"]) / 2
        fractions.append(((joint[f"{side}_knee"] - middle) * ahead).sum(axis=-1) / size)
    return float(np.nanmean(fractions))


def knee_neck_mm(pose_mm: Array) -> float:
    """Median length of the chain knee, hip, pelvis to spine to neck, which "universal" poses share.

    Args:
        pose_mm: (T, 17, 3).
    """
    body = sample(pose_mm)
    joint = dict(zip(H36M17.joints, body.swapaxes(0, 1), strict=True))
    chain = [("left_knee", "left_hip"), ("pelvis", "spine"), ("spine", "thorax")]
    return float(np.nanmedian(sum(np.linalg.norm(joint[a] - joint[b], axis=-1) for a, b in chain)))
