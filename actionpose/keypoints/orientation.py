"""Keypoints that are upside down or mirrored: how that shows, and how to turn them back."""

import numpy as np
from numpy.typing import NDArray

from actionpose.skeletons import MEDIAPIPE33, Skeleton
from actionpose.utils.typing import Array, BoolArray

_UPPER = ("nose", "head", "left_eye", "right_eye", "left_shoulder", "right_shoulder")
_LOWER = ("left_knee", "right_knee", "left_ankle", "right_ankle")
_FACE = ("nose", "left_eye", "right_eye")
_MOST = 0.8  # of the frames
_SURE = 0.5  # confidence of a face that is seen
_SURE_MEDIAPIPE = 0.9  # which is often sure of a face that is turned away
_LEAST_WIDTH = 0.15  # of shoulders, in sizes of the person: less is a view from the side


def orientation_notes(keypoints: Array, valid: BoolArray, skeleton: Skeleton) -> list[str]:
    """Notes on people whose heads are below their feet, or whose left is on the wrong side.

    Args:
        keypoints: (P, T, J, 3) pixels and confidence.
        valid: (P, T).
    """
    notes = []
    below = _fraction_upside_down(keypoints[valid], skeleton)
    if below > _MOST:
        notes.append(
            f"heads are below the feet in {below:.0%} of the frames: if y points up in the file, "
            "read it with y_up=True"
        )
    swapped = fraction_mirrored(keypoints[valid], skeleton)
    if swapped > _MOST:
        notes.append(
            f"faces are seen, but left and right are those of a back in {swapped:.0%} of the "
            "frames: if x points left in the file, read it with mirrored=True"
        )
    return notes


def _fraction_upside_down(points: Array, skeleton: Skeleton) -> float:
    """Of (N, J, 3) with both ends, those with the head below the knees and ankles."""
    upper, lower = (_mean_y(points, skeleton, names) for names in (_UPPER, _LOWER))
    both = np.isfinite(upper) & np.isfinite(lower)
    return float((upper > lower)[both].mean()) if both.any() else 0.0


def _mean_y(points: Array, skeleton: Skeleton, names: tuple[str, ...]) -> Array:
    """(N,) the mean y of the joints that are found; NaN of none."""
    some = points[:, [skeleton.joints.index(name) for name in names if name in skeleton.joints]]
    found = some[..., 2] > 0
    count = found.sum(1)
    mean = (some[..., 1] * found).sum(1) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)


def fraction_mirrored(points: Array, skeleton: Skeleton) -> float:
    """Of (N, J, 3) with a face that is seen, those whose eyes and shoulders are those of a back."""
    needed = ("left_eye", "right_eye", "left_shoulder", "right_shoulder")
    if not {*needed, *_FACE} <= set(skeleton.joints):
        return 0.0
    least = _SURE_MEDIAPIPE if skeleton == MEDIAPIPE33 else _SURE
    sure = (points[:, skeleton.indices(*_FACE), 2] > least).all(1)
    left_eye, right_eye, left, right = np.moveaxis(points[:, skeleton.indices(*needed)], 1, 0)
    found = points[..., 2:] > 0
    high = np.where(found, points, -np.inf).max(1)[:, :2]
    low = np.where(found, points, np.inf).min(1)[:, :2]
    size = (high - low).max(1, initial=1.0)
    front = sure & (left[:, 2] > 0) & (right[:, 2] > 0)
    front &= np.abs(left[:, 0] - right[:, 0]) > _LEAST_WIDTH * size
    if not front.any():
        return 0.0
    swapped = (left[:, 0] < right[:, 0]) & (left_eye[:, 0] < right_eye[:, 0])
    return float(swapped[front].mean())


def y_downwards(
    keypoints: NDArray[np.float32], image_size: tuple[int, int] | None
) -> NDArray[np.float32]:
    """(P, T, J, 3) with y up, to y down: from the image's height, else from the highest point."""
    return _reflected(keypoints, 1, None if image_size is None else image_size[1])


def unmirrored(
    keypoints: NDArray[np.float32],
    valid: BoolArray,
    skeleton: Skeleton,
    image_size: tuple[int, int] | None,
    *,
    exchange_sides: bool = False,
) -> tuple[NDArray[np.float32], str]:
    """(P, T, J, 3) with x turned around, and what was done to the sides of the body, in words.

    A detector that sees a mirrored image, as of a selfie camera, takes left for right: sides are
    exchanged. Where the file's sides are those of a back although faces are seen, just x was
    turned around, and sides stay, unless `exchange_sides`.
    """
    turned = _reflected(keypoints, 0, None if image_size is None else image_size[0])
    if not exchange_sides and fraction_mirrored(keypoints[valid], skeleton) > _MOST:
        return turned, "mirrored: x is turned around; left and right stay as the file has them"
    words = "mirrored: x is turned around, and left and right of the body are exchanged"
    return np.ascontiguousarray(turned[:, :, skeleton.mirror]), words


def _reflected(
    keypoints: NDArray[np.float32], axis: int, side_px: int | None
) -> NDArray[np.float32]:
    found = keypoints[..., 2] > 0
    far = keypoints[..., axis][found].max(initial=0.0) if side_px is None else side_px
    turned = keypoints.copy()
    turned[..., axis] = np.where(found, far - keypoints[..., axis], 0)
    return turned
