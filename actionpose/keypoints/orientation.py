"""Detection and correction of keypoints that are upside down or mirrored."""

import numpy as np
from numpy.typing import NDArray

from actionpose.skeletons import MEDIAPIPE33, Skeleton
from actionpose.utils.typing import Array, BoolArray

_UPPER = ("nose", "head", "left_eye", "right_eye", "left_shoulder", "right_shoulder")
_LOWER = ("left_knee", "right_knee", "left_ankle", "right_ankle")
_FACE = ("nose", "left_eye", "right_eye")
_MOST = 0.8  # fraction of the frames
_SURE = 0.5  # minimum confidence of a visible face
_SURE_MEDIAPIPE = 0.9  # MediaPipe often has a high confidence for hidden faces
_LEAST_WIDTH = 0.15  # minimum shoulder width in person sizes; smaller in side views


def orientation_notes(keypoints: Array, valid: BoolArray, skeleton: Skeleton) -> list[str]:
    """Notes on people who are upside down, or whose left and right are swapped.

    Args:
        keypoints: (P, T, J, 3) x and y in pixels, and confidence.
        valid: (P, T) True where the person was detected.
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
    """Fraction of poses (N, J, 3), with head and legs detected, whose head is below the legs."""
    upper, lower = (_mean_y(points, skeleton, names) for names in (_UPPER, _LOWER))
    both = np.isfinite(upper) & np.isfinite(lower)
    return float((upper > lower)[both].mean()) if both.any() else 0.0


def _mean_y(points: Array, skeleton: Skeleton, names: tuple[str, ...]) -> Array:
    """(N,) Mean y of the detected joints; NaN if there are none."""
    some = points[:, [skeleton.joints.index(name) for name in names if name in skeleton.joints]]
    found = some[..., 2] > 0
    count = found.sum(1)
    mean = (some[..., 1] * found).sum(1) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)


def fraction_mirrored(points: Array, skeleton: Skeleton) -> float:
    """Fraction of poses (N, J, 3) with a visible face whose eyes and shoulders show the back."""
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
    """Flip the y axis of keypoints (P, T, J, 3), at the image height or else the highest value."""
    return _reflected(keypoints, 1, None if image_size is None else image_size[1])


def unmirrored(
    keypoints: NDArray[np.float32],
    valid: BoolArray,
    skeleton: Skeleton,
    image_size: tuple[int, int] | None,
    *,
    exchange_sides: bool = False,
) -> tuple[NDArray[np.float32], str]:
    """Flip the x axis of keypoints (P, T, J, 3), and describe what was done with left and right.

    A detector confuses left and right in a mirrored image, such as that of a selfie camera, so left
    and right joints are swapped. If faces are visible but the sides are those of the back, only the
    x axis was flipped: left and right are then kept, unless `exchange_sides` is True.
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
