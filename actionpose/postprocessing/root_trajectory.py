"""The path of the root in camera space, and axes of which one points up."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from actionpose.geometry.axes import CAMERA, UP, rotation_between
from actionpose.postprocessing.common import done, known, renewed
from actionpose.result import Result
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import interpolate

Array = NDArray[np.floating]

_FEWEST_JOINTS = 4  # seen in a frame, for it to say where the root is
_NEAREST_M = 0.3  # a root nearer to the camera than this is a failed fit


def trajectory(
    result: Result, *, focal_px: float | None = None, fov_deg: float | None = None
) -> Result:
    """Find where the root is in camera space, from the 2D keypoints and the focal length.

    For every frame the place that brings the projected joints nearest to the keypoints, in closed
    form: multiplying the reprojection error by the depth makes it linear. Joints count by the
    square of their confidence. Frames that see too little are filled from their neighbors in time.
    The principal point is the middle of the image; there is no lens distortion.

    Args:
        focal_px: of the camera, in pixels of the image that the keypoints are in.
        fov_deg: or its angle of view across the width of the image.

    Raises:
        UserError: neither or both are given, a value that no camera has, the size of the image is
            not known, or the result is no longer in the axes of its camera.
    """
    if (focal_px is None) == (fov_deg is None):
        raise UserError("the path of the root needs either --focal-px or --fov")
    size = result.header.get("image_size")
    if size is None:
        raise UserError(
            "the path of the root needs the size of the image, which the result does not know: "
            "lift again with --image-size WIDTHxHEIGHT"
        )
    if any(step["step"] in ("floor", "lock feet") for step in result.header.get("processing", [])):
        raise UserError("the result stands on a floor already: take the one that was lifted")
    if fov_deg is not None:
        if not 5 <= fov_deg <= 170:
            raise UserError(f"--fov is across the image in degrees, 5 to 170, not {fov_deg:g}")
        focal_px = size[0] / 2 / np.tan(np.radians(fov_deg) / 2)
    assert focal_px is not None
    if not size[0] / 20 <= focal_px <= size[0] * 20:
        raise UserError(f"a focal length of {focal_px:g} px does not fit {size[0]} px of width")
    to_camera = rotation_between(result.header["axes"], CAMERA)
    pose = result.pose_m.astype(np.float64) @ to_camera.T
    there = known(result)
    root, seen = _place(pose, result.keypoints_px.astype(np.float64), there, size, focal_px)
    for person, frames in enumerate(seen):
        if frames.any():
            times = result.time_s[frames]
            root[person] = interpolate(root[person, frames], times, result.time_s)
    moved = (pose + root[:, :, None])[seen]
    center = np.array(size) / 2
    error = moved[..., :2] / moved[..., 2:] * focal_px + center
    error = np.linalg.norm(error - result.keypoints_px[seen][..., :2], axis=-1)
    error = error[result.keypoints_px[seen][..., 2] > 0]
    facts = {
        "focal_px": round(float(focal_px), 2),
        "source": "--focal-px" if fov_deg is None else f"--fov {fov_deg:g}",
        "reprojection_px": round(float(np.median(error)), 2) if error.size else None,
        "filled_frames": int((there & ~seen).sum()),
    }
    header = done(result, "trajectory", **facts)
    header["root"] = (
        "pelvis at the origin of every frame; root_m is its place, the camera at the origin"
    )
    return renewed(result, header, root=root @ to_camera)


def _place(
    pose: Array, keypoints: Array, there: NDArray[np.bool_], size: tuple[int, int], focal_px: float
) -> tuple[Array, NDArray[np.bool_]]:
    """Roots (P, T, 3) in camera axes, NaN where not (P, T) known."""
    weight = np.where(there[..., None], np.clip(keypoints[..., 2], 0, 1) ** 2, 0)
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
    is_found = (used.sum(axis=-1) >= _FEWEST_JOINTS) & (below > 1e-12) & (z > _NEAREST_M)
    root[~is_found] = np.nan
    return root, is_found


def up_axis(result: Result, up: Literal["y", "z"]) -> Result:
    """Turn to axes of which y or z points up: the header says where the others point.

    Up is the camera's up, unless `ground.floor` has found the floor's.
    """
    if up not in UP:
        raise UserError(f"--up is y or z, not {up}")
    turn = rotation_between(result.header["axes"], UP[up])
    header = {**done(result, "up axis", up=up), "axes": UP[up]}
    root = None if result.root_m is None else result.root_m @ turn.T
    return renewed(result, header, pose=result.pose_m @ turn.T, root=root)
