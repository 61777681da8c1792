"""Checks of keypoints and poses: keys, shapes, units, sides, body sizes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.numpy_files import checked_numbers
from actionpose.utils.typing import Array

_LARGEST_NORMALIZED = 2.0  # maximum of normalized coordinates, below pixel coordinates
_SAMPLE = 2000  # number of frames sufficient for checks


class Checks:
    """Checks that valid files may fail, with their results.

    Args:
        force: Whether to continue after a failure, which is recorded in `failed`.
    """

    def __init__(self, force: bool = False):
        self.force = force
        self.failed: list[str] = []

    def __call__(self, check: Callable[..., None], *arguments: Any) -> None:
        """Run a check.

        Raises:
            UserError: If the check fails, unless `force` is set.
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
    """The missing keys of a dict as text, empty if there are none."""
    if not isinstance(table, dict):
        return "everything"
    return ", ".join(key for key in keys if key not in table)


def is_synthetic(content: Mapping[str, Any]) -> bool:
    """Whether a file was created by the tests; the key was `imitated` in version 0.1."""
    return any(np.array_equal(content.get(key, False), True) for key in ("synthetic", "imitated"))


def float_array(values: Any, where: str, shape: tuple[int | None, ...]) -> Array:
    """Convert to a float array with its own precision; integers and objects become float64.

    Args:
        values: Values to convert.
        where: Description for errors.
        shape: Expected shape; None for any number of frames.

    Raises:
        UserError: If values are not numbers, or the shape is wrong.
    """
    array = checked_numbers(values, where, shape, finite=False)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def with_confidence(points: Array, confidence: Array | None = None) -> Array:
    """Append a confidence to coordinates (..., 2), by default 1: (..., 3)."""
    confidence = np.ones(points.shape[:-1]) if confidence is None else confidence
    return np.concatenate([points, confidence[..., None]], axis=-1)


def sample(values: Array) -> Array:
    """At most `_SAMPLE` evenly spaced frames."""
    return np.asarray(values[:: max(1, len(values) // _SAMPLE)], dtype=np.float64)


def check_pixels(keypoints: Array, where: str) -> None:
    """Check that coordinates are pixels and not normalized.

    Raises:
        UserError: If no coordinate is above 2.
    """
    largest = float(np.nanmax(np.abs(sample(keypoints)[..., :2]), initial=0.0))
    if largest <= _LARGEST_NORMALIZED:
        raise UserError(
            f"{where}: the 2D keypoints are normalized (no coordinate is beyond {largest:.2g}), "
            "but pixels are expected: use the original file"
        )


def check_metric(pose_mm: Array, where: str) -> None:
    """Check that poses are in millimeters: the extent of a person is between 300 and 5000.

    Raises:
        UserError: If the median extent of the poses is not.
    """
    extent = float(np.nanmedian(np.ptp(sample(pose_mm), axis=1).max(axis=-1)))
    if not 300 < extent < 5000:
        raise UserError(
            f"{where}: people are {extent:.3g} units tall, so these are not millimeters: "
            "convert them, or use the original file"
        )


def check_sides(keypoints_px: Array, pose: Array, where: str) -> None:
    """Check that left and right are not swapped: in 2D versus 3D, or in both, by knee flexion.

    Args:
        keypoints_px: (T, 17, 2 or 3) Keypoints.
        pose: (T, 17, 3) Poses in camera axes, x right, y down, z away, in any unit.
        where: Description for errors.

    Raises:
        UserError: If left and right are swapped.
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
    """Mean distance of the knees in front of hips and ankles, as a fraction of the torso length.

    The forward direction is computed from left and right, so that swapped sides give a negative
    value. The axes must be right-handed.
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
    """Median length of knee to hip plus pelvis to spine to neck, equal for all "universal" poses.

    Args:
        pose_mm: (T, 17, 3) Poses in millimeters.
    """
    body = sample(pose_mm)
    joint = dict(zip(H36M17.joints, body.swapaxes(0, 1), strict=True))
    chain = [("left_knee", "left_hip"), ("pelvis", "spine"), ("spine", "thorax")]
    return float(np.nanmedian(sum(np.linalg.norm(joint[a] - joint[b], axis=-1) for a, b in chain)))
