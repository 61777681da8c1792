"""Motion made fit for use: smoothing, constant bone lengths, the path of the root, the up axis.

Each function takes a result and gives a new one, whose header lists what was done, in order, under
`processing`. Frames where a person is not there stay as they are, and are not looked at. What needs
the ground is in `ground.py`.

Letters in shapes: P persons, T frames, J joints.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from actionpose.geometry.axes import CAMERA, UP, rotation_between
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import interpolate

Array = NDArray[np.floating]

CUTOFF_HZ = {"butterworth": 6.0, "one-euro": 1.5}
# Two passes of a filter of order 2 halve the power at 0.802 of its cutoff (Winter, Biomechanics
# and Motor Control of Human Movement): the design is raised by that, so that the cutoff is true.
_TWO_PASSES = (2**0.5 - 1) ** 0.25
# Casiez et al. 2012: the cutoff rises by so many Hz for each m/s; speeds are smoothed at 1 Hz.
ONE_EURO_BETA, _ONE_EURO_SPEED_HZ = 3.0, 1.0
_EVEN = 0.02  # time steps that differ by less than this share are even
_SWEEPS = 12  # of the fit of bone directions; the last ones change it by less than 0.1 mm
_FEWEST_JOINTS = 4  # seen in a frame, for it to say where the root is
_NEAREST_M = 0.3  # a root nearer to the camera than this is a failed fit


def done(result: Result, step: str, **facts: Any) -> dict[str, Any]:
    """The header of a result after one more step."""
    return {
        **result.header,
        "processing": [*result.header.get("processing", []), {"step": step, **facts}],
    }


def renewed(
    result: Result, header: dict[str, Any], *, pose: Array | None = None, root: Array | None = None
) -> Result:
    """The result with another header, and other poses or another path where they are given."""
    return replace(
        result,
        header=header,
        pose_m=result.pose_m if pose is None else pose.astype(np.float32),
        root_m=result.root_m if root is None else root.astype(np.float32),
    )


def runs(mask: NDArray[np.bool_]) -> Iterator[slice]:
    """The stretches (T,) of True."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield slice(start, stop)


def known(result: Result) -> NDArray[np.bool_]:
    """(P, T) frames where a person is there and all joints have a position."""
    return result.valid & np.isfinite(result.pose_m).all(axis=(2, 3))


def frame_rate_hz(time_s: Array) -> float:
    """Frames a second: one over the median time step; 0 if there are not two times."""
    steps = np.diff(time_s)
    steps = steps[steps > 0]
    return float(1 / np.median(steps)) if steps.size else 0.0


def is_even(time_s: Array) -> bool:
    """Whether all frames are equally far apart."""
    steps = np.diff(time_s)
    return steps.size == 0 or bool(np.abs(steps - steps.mean()).max() <= _EVEN * steps.mean())


# ---------------------------------------------------------------- smoothing


def butterworth(values: Array, time_s: Array, cutoff_hz: float) -> Array:
    """Low-pass without lag: a Butterworth filter of order 2, forwards and backwards.

    Frames that are not evenly spaced are filtered at even times and brought back.

    Args:
        values: (T, ...) without gaps.

    Raises:
        UserError: the cutoff is not below what this frame rate can hold.
    """
    if len(values) < 3:
        return values
    fps = frame_rate_hz(time_s)
    if not 0 < cutoff_hz < fps / 2:
        raise UserError(
            f"a cutoff of {cutoff_hz:g} Hz does not fit {fps:.3g} frames a second: "
            f"give more than 0 and less than {fps / 2:.3g}"
        )
    if not is_even(time_s):
        count = round((time_s[-1] - time_s[0]) * fps) + 1
        grid = np.linspace(time_s[0], time_s[-1], max(count, 3))
        even = butterworth(interpolate(values, time_s, grid), grid, cutoff_hz)
        return interpolate(even, grid, time_s)
    warped = np.tan(np.pi * cutoff_hz / fps) / _TWO_PASSES
    design_hz = np.arctan(warped) * fps / np.pi
    sections = signal.butter(2, design_hz, fs=fps, output="sos")
    pad = min(len(values) - 1, int(np.ceil(2 * fps / cutoff_hz)))
    return signal.sosfiltfilt(sections, values, axis=0, padlen=pad)


def one_euro(values: Array, time_s: Array, cutoff_hz: float) -> Array:
    """The 1 Euro filter (Casiez et al. 2012): slow motion is smoothed most. It looks only back.

    Args:
        values: (T, ..., 3) meters without gaps; a point's cutoff rises with its speed.
        cutoff_hz: at rest.
    """
    smoothed = np.array(values, dtype=np.float64)
    speed = np.zeros_like(smoothed[0])
    for t in range(1, len(smoothed)):
        step_s = max(time_s[t] - time_s[t - 1], 1e-6)
        share = 1 / (1 + 1 / (2 * np.pi * _ONE_EURO_SPEED_HZ * step_s))
        speed += share * ((values[t] - values[t - 1]) / step_s - speed)
        meters_per_s = np.linalg.norm(speed, axis=-1, keepdims=True)
        cutoff = cutoff_hz + ONE_EURO_BETA * meters_per_s
        share = 1 / (1 + 1 / (2 * np.pi * cutoff * step_s))
        smoothed[t] = share * values[t] + (1 - share) * smoothed[t - 1]
    return smoothed


def smooth(
    result: Result,
    method: Literal["butterworth", "one-euro"] = "butterworth",
    cutoff_hz: float | None = None,
) -> Result:
    """Smooth poses, and the path of the root if there is one. Nothing is smoothed across a gap.

    Args:
        method: "butterworth" has no lag; "one-euro" is what a live view could do, and lags.
        cutoff_hz: what is faster is taken for noise; see `CUTOFF_HZ` for the defaults.

    Raises:
        UserError: the cutoff does not fit the frame rate.
    """
    filters = {"butterworth": butterworth, "one-euro": one_euro}
    if method not in filters:
        raise UserError(f"--smooth is {', '.join(filters)} or none, not {method}")
    cutoff_hz = CUTOFF_HZ[method] if cutoff_hz is None else cutoff_hz
    if cutoff_hz <= 0:
        raise UserError(f"--cutoff is in Hz and above 0, not {cutoff_hz:g}")
    pose = result.pose_m.astype(np.float64)
    root = None if result.root_m is None else result.root_m.astype(np.float64)
    there = known(result)
    for person in range(len(pose)):
        for run in runs(there[person]):
            time_s = result.time_s[run]
            pose[person, run] = filters[method](pose[person, run], time_s, cutoff_hz)
            if root is not None and np.isfinite(root[person, run]).all():
                root[person, run] = filters[method](root[person, run], time_s, cutoff_hz)
    facts: dict[str, Any] = {"method": method, "cutoff_hz": cutoff_hz}
    facts |= {"beta_hz_per_m_s": ONE_EURO_BETA} if method == "one-euro" else {"lag_s": 0}
    header = done(result, "smooth", **facts)
    return renewed(result, header, pose=pose, root=root)


# ---------------------------------------------------------------- bones


def bone_lengths(joints_m: Array) -> Array:
    """(17,) the length of the bone above each joint, the median over (T, 17, 3); sides are equal.

    The pelvis has 0.
    """
    lengths = np.zeros(len(H36M17))
    for child, parent in H36M17.bones:
        lengths[child] = np.median(np.linalg.norm(joints_m[:, child] - joints_m[:, parent], axis=1))
    return (lengths + lengths[H36M17.mirror]) / 2


def _below() -> list[list[int]]:
    """For each joint of H36M17, the joint itself and all below it."""
    below = [[joint] for joint in range(len(H36M17))]
    for child, parent in reversed(H36M17.bones):
        below[parent] += below[child]
    return below


_BELOW = _below()


def constant_lengths(joints_m: Array, lengths_m: Array) -> Array:
    """The nearest poses whose bones have these lengths, with the pelvis in the middle of the hips.

    Coordinate descent on the summed squared distance, every step in closed form: one bone at a
    time is pointed where the joints that hang on it want it, the others keeping their directions.
    Walking down the tree once instead would pile up all changes of length in hands and feet.

    Args:
        joints_m: (T, 17, 3); the pelvis stays.
        lengths_m: (17,) as `bone_lengths` gives them.
    """
    joints_m = np.asarray(joints_m, dtype=np.float64)
    left, right = H36M17.indices("left_hip", "right_hip")
    bones = [(child, parent) for child, parent in H36M17.bones if child != right]
    offsets = np.zeros_like(joints_m)  # of each joint from the one above it
    for child, parent in H36M17.bones:
        offsets[:, child] = joints_m[:, child] - joints_m[:, parent]
    offsets[:, left] -= offsets[:, right]
    for child, _ in bones:
        offsets[:, child] = _with_length(offsets[:, child], lengths_m[child], joints_m[:, 0])
    offsets[:, right] = -offsets[:, left]

    def laid_out() -> Array:
        fitted = np.repeat(joints_m[:, :1], len(H36M17), axis=1)
        for child, parent in H36M17.bones:  # parents come before children in this set
            fitted[:, child] = fitted[:, parent] + offsets[:, child]
        return fitted

    for _ in range(_SWEEPS):
        for child, _ in bones:
            missing = joints_m - laid_out()
            wish = (missing[:, _BELOW[child]] + offsets[:, [child]]).sum(axis=1)
            if child == left:  # the hips are one rod through the pelvis
                wish -= (missing[:, _BELOW[right]] + offsets[:, [right]]).sum(axis=1)
            offsets[:, child] = _with_length(wish, lengths_m[child], offsets[:, child])
            if child == left:
                offsets[:, right] = -offsets[:, left]
    return laid_out()


def _with_length(vectors: Array, length: float, otherwise: Array) -> Array:
    """Vectors (T, 3) stretched to a length; where there is no direction, `otherwise`."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(norms > 1e-9, vectors * (length / np.maximum(norms, 1e-9)), otherwise)


def rigid(result: Result) -> Result:
    """Give every bone of a person one length, equal on both sides, and keep poses near.

    The header says what it cost: the mean distance of joints from where they were, and the
    distance that 95 of 100 stay below, in millimeters; and the lengths.

    Raises:
        UserError: the skeleton is not the 17 joints of Human3.6M.
    """
    require_h36m17(result, "constant bone lengths")
    pose = result.pose_m.astype(np.float64)
    there = known(result)
    moved = [np.zeros(0)]
    lengths: list[dict[str, float]] = []
    for person, frames in enumerate(there):
        if not frames.any():
            lengths.append({})
            continue
        before = pose[person, frames]
        lengths_m = bone_lengths(before)
        pose[person, frames] = constant_lengths(before, lengths_m)
        moved.append(np.linalg.norm(pose[person, frames] - before, axis=-1).ravel())
        names = zip(H36M17.joints[1:], lengths_m[1:], strict=True)
        lengths.append({name: round(float(length), 4) for name, length in names})
    all_moved = 1000 * np.concatenate(moved)
    facts = {
        "residual_mm": round(float(all_moved.mean()), 2) if all_moved.size else 0.0,
        "residual_p95_mm": round(float(np.percentile(all_moved, 95)), 2) if all_moved.size else 0.0,
        "bone_lengths_m": lengths,  # of each person, by the joint at the far end
    }
    return renewed(result, done(result, "rigid", **facts), pose=pose)


def require_h36m17(result: Result, what: str) -> None:
    if result.skeleton is not H36M17:
        raise UserError(f"{what}: needs the skeleton h36m17, not {result.skeleton.name}")


# ---------------------------------------------------------------- place and axes


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
