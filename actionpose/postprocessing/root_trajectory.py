"""Trajectory of the root in camera space, and change of the up axis."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from actionpose.geometry.axes import Axes
from actionpose.postprocessing.common import processed, steps, valid_frames
from actionpose.result import Result, RootOrigin
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import interpolate
from actionpose.utils.typing import Array, BoolArray

_FEWEST_JOINTS = 4  # minimum number of detected joints in a frame to estimate the root
_NEAREST_M = 0.3  # a root closer to the camera is a failed fit


def estimate_trajectory(
    result: Result, *, focal_px: float | None = None, fov_deg: float | None = None
) -> Result:
    """Estimate the trajectory of the root in camera space from 2D keypoints and focal length.

    In every frame, the root is placed at the position with the smallest reprojection error, in
    closed form: multiplied by the depth, the error is linear. Joints are weighted by the square of
    their confidence. Frames with too few joints are interpolated in time. The principal point is
    assumed at the center of the image, without lens distortion.

    Args:
        result: Result to process, in the axes of the camera.
        focal_px: Focal length in pixels of the image of the keypoints.
        fov_deg: Horizontal field of view in degrees, instead of `focal_px`.

    Returns:
        A new result with `root_m`.

    Raises:
        UserError: If not exactly one of `focal_px` and `fov_deg` is given, its value is invalid,
            the image size is unknown, or the result is not in the axes of its camera.
    """
    if (focal_px is None) == (fov_deg is None):
        raise UserError("the path of the root needs either focal_px or fov_deg")
    size = result.header.get("image_size")
    if size is None:
        raise UserError(
            "the path of the root needs the size of the image, which the result does not know: "
            "lift again with image_size WIDTHxHEIGHT"
        )
    if {"floor", "lock feet"} & set(steps(result)):
        raise UserError(
            "the result stands on a floor or has locked feet already: take the one that was lifted"
        )
    check_camera(size, focal_px=focal_px, fov_deg=fov_deg)
    if fov_deg is not None:
        focal_px = size[0] / 2 / np.tan(np.radians(fov_deg) / 2)
    assert focal_px is not None
    to_camera = result.header["axes"].rotation_to(Axes.CAMERA)
    pose = result.pose_m.astype(np.float64) @ to_camera.T
    valid = valid_frames(result)
    keypoints = result.keypoints_px.astype(np.float64)
    root, found = _roots(pose, keypoints, valid, size, focal_px)
    for person, frames in enumerate(found):
        if frames.any():
            times = result.time_s[frames]
            root[person] = interpolate(root[person, frames], times, result.time_s)
    joints = (pose + root[:, :, None])[found]
    projected = joints[..., :2] / joints[..., 2:] * focal_px + np.array(size) / 2
    error = np.linalg.norm(projected - result.keypoints_px[found][..., :2], axis=-1)
    error = error[result.keypoints_px[found][..., 2] > 0]
    facts = {
        "focal_px": round(float(focal_px), 2),
        "fov_deg": fov_deg,
        "reprojection_px": round(float(np.median(error)), 2) if error.size else None,
        "filled_frames": int((valid & ~found).sum()),
    }
    return processed(result, "trajectory", facts, root_m=root @ to_camera, root=RootOrigin.CAMERA)


def check_camera(
    image_size: Sequence[int] | None, *, focal_px: float | None, fov_deg: float | None
) -> None:
    """Check a focal length or field of view.

    Args:
        image_size: Width and height in pixels, if known.
        focal_px: Focal length in pixels, if given.
        fov_deg: Horizontal field of view in degrees, if given.

    Raises:
        UserError: If a value is invalid.
    """
    if fov_deg is not None and not 5 <= fov_deg <= 170:
        raise UserError(f"fov_deg is across the image, 5 to 170 degrees, not {fov_deg:g}")
    if focal_px is not None and not 0 < focal_px < np.inf:
        raise UserError(f"focal_px is a number of pixels above 0, not {focal_px:g}")
    if focal_px is not None and image_size is not None:
        width = image_size[0]
        if not width / 20 <= focal_px <= width * 20:
            raise UserError(f"a focal length of {focal_px:g} px does not fit {width} px of width")


def _roots(
    pose: Array, keypoints: Array, valid: BoolArray, size: Sequence[int], focal_px: float
) -> tuple[Array, BoolArray]:
    """Roots (P, T, 3) in camera axes, and (P, T) True where found; other roots are NaN."""
    weight = np.where(valid[..., None], np.clip(keypoints[..., 2], 0, 1) ** 2, 0)
    weight[~np.isfinite(keypoints).all(axis=-1)] = 0
    used = weight > 0
    ray = np.where(used[..., None], (keypoints[..., :2] - np.array(size) / 2) / focal_px, 0)
    x, depth = np.where(used[..., None], pose[..., :2], 0), np.where(used, pose[..., 2], 0)
    # minimize the sum of weight * |x + X - ray * (depth + Z)|^2 over X (2) and Z
    total = np.maximum(weight.sum(axis=-1), 1e-9)[..., None]

    def mean(values: Array) -> Array:
        return (weight[..., None] * values).sum(axis=-2) / total

    target = ray * depth[..., None] - x  # = X - ray * Z
    mean_ray, mean_target = mean(ray), mean(target)
    spread = ray - mean_ray[..., None, :]
    above = (weight[..., None] * spread * (target - mean_target[..., None, :])).sum(axis=(-1, -2))
    below = (weight[..., None] * spread**2).sum(axis=(-1, -2))
    z = -above / np.maximum(below, 1e-12)
    root = np.concatenate([mean_target + mean_ray * z[..., None], z[..., None]], axis=-1)
    found = (used.sum(axis=-1) >= _FEWEST_JOINTS) & (below > 1e-12) & (z > _NEAREST_M)
    root[~found] = np.nan
    return root, found


def set_up_axis(result: Result, up: Literal["y", "z"]) -> Result:
    """Rotate the result to axes with y or z up: `Axes.Y_UP` or `Axes.Z_UP`.

    Up is that of the camera, or of the floor if `align_to_floor` has found its plane.

    Args:
        result: Result to process.
        up: "y" or "z".

    Raises:
        UserError: If `up` is neither "y" nor "z".
    """
    if up not in ("y", "z"):
        raise UserError(f"up is y or z, not {up}")
    axes = Axes.Y_UP if up == "y" else Axes.Z_UP
    turn = result.header["axes"].rotation_to(axes)
    root = None if result.root_m is None else result.root_m @ turn.T
    return processed(
        result, "up axis", {"up": up}, pose_m=result.pose_m @ turn.T, root_m=root, axes=axes
    )
