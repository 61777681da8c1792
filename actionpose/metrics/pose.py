"""Metrics of 3D poses per frame: MPJPE and its variants, PCK and AUC.

Every metric takes a prediction and its target of shape (..., T, J, 3), both as NumPy arrays or both
as tensors, and returns one value per frame in the unit of the input. Averaging over frames, actions
or sequences is defined by the protocol. The metrics do not subtract the root: subtract it first if
the protocol requires it. Computations are in float64, a few thousand frames at a time. The result
has the type, device and precision of the input (float64 for integers), and no gradient; for
training, see `training.losses`.

A frame that contains NaN or infinity has the value NaN. Inputs that are not two arrays or two
tensors with the same shape (..., T, J, 3) raise UserError.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array, IntArray

Poses = TypeVar("Poses", NDArray[Any], torch.Tensor)
Planes = Array  # (3, J, F): operations on a coordinate run along the frames

AUC_THRESHOLDS_MM = tuple(range(0, 151, 5))  # the 31 thresholds of MPI-INF-3DHP

_CHUNK = 2048  # frames per chunk, so that the planes of a chunk fit the cache of a core


def mpjpe(pred: Poses, target: Poses) -> Poses:
    """Mean per-joint position error (protocol 1).

    Args:
        pred: (..., T, J, 3) Predicted poses.
        target: (..., T, J, 3) Target poses.

    Returns:
        (..., T) Mean distance of the joints in each frame.
    """
    return _by_frame(lambda x, y: _mean_distance(x - y), pred, target)


def n_mpjpe(pred: Poses, target: Poses) -> Poses:
    """`mpjpe` after scaling each frame of the prediction by its least-squares factor.

    There is no translation or rotation. The factor of an inverted pose is negative, as in
    MotionBERT. See `mpjpe` for arguments and return value.
    """
    return _by_frame(_n_mpjpe, pred, target)


def p_mpjpe(pred: Poses, target: Poses) -> Poses:
    """`mpjpe` after aligning each frame by rotation, scale and translation (protocol 2).

    The alignment is the least-squares solution (Procrustes analysis) without reflection, so that a
    mirrored pose has an error. If several rotations are equally good, one of them is used. See
    `mpjpe` for arguments and return value.
    """
    return _by_frame(_p_mpjpe, pred, target)


def mpjve(pred: Poses, target: Poses) -> Poses:
    """Mean per-joint velocity error, in the unit of the poses per frame (not per second).

    Args:
        pred: (..., T, J, 3) Predicted poses.
        target: (..., T, J, 3) Target poses.

    Returns:
        (..., T - 1) Mean distance of the joint velocities, which are differences of two frames.
    """
    _check(pred, target)

    def error(after: Planes, before: Planes, target_after: Planes, target_before: Planes) -> Array:
        return _mean_distance((after - before) - (target_after - target_before))

    ends = (poses[..., part, :, :] for poses in (pred, target) for part in np.s_[1:, :-1])
    return _by_frame(error, *ends)


def pck(pred: Poses, target: Poses, threshold: float = 150.0) -> Poses:
    """Percentage of correct keypoints: fraction of joints with an error below `threshold`.

    Args:
        pred: (..., T, J, 3) Predicted poses, with the joints that the protocol counts. The tool of
            MPI-INF-3DHP uses 14 of the 17 joints; an aligned root has no error.
        target: (..., T, J, 3) Target poses.
        threshold: Threshold in the unit of the poses. The default is for millimeters; use 0.15 for
            meters.

    Returns:
        (..., T) Fraction in each frame, from 0 to 1.
    """
    return auc(pred, target, thresholds=(threshold,))


def auc(
    pred: Poses, target: Poses, thresholds: Sequence[float] | Array = AUC_THRESHOLDS_MM
) -> Poses:
    """Area under the curve: mean of `pck` over thresholds.

    Args:
        pred: (..., T, J, 3) Predicted poses.
        target: (..., T, J, 3) Target poses.
        thresholds: Thresholds in the unit of the poses. The default is 0, 5, ..., 150 mm. No error
            is below 0, so a perfect frame has 30 / 31.

    Returns:
        (..., T) Mean fraction in each frame, from 0 to 1.
    """
    limits = np.asarray(thresholds, dtype=np.float64)
    if limits.ndim != 1 or not limits.size or not np.isfinite(limits).all():
        raise UserError(f"thresholds are one or more finite numbers, not {thresholds}")

    def fraction(x: Planes, y: Planes) -> Array:
        distances = _distances(x - y)
        near: IntArray = np.zeros(distances.shape[1], np.int64)
        for limit in limits:  # takes a third of the time of np.searchsorted
            near += (distances < limit).sum(axis=0)
        known = np.isfinite(distances).all(axis=0)
        return np.where(known, near / (limits.size * len(distances)), np.nan)

    return _by_frame(fraction, pred, target)


def _check(*poses: Any) -> None:
    """Check that all are numeric arrays or all are tensors, with the same shape (..., T, J, 3)."""
    if not (
        all(isinstance(given, np.ndarray) and given.dtype.kind in "fiu" for given in poses)
        or all(isinstance(given, torch.Tensor) and not given.is_complex() for given in poses)
    ):
        kinds = (f"{type(given).__name__} {getattr(given, 'dtype', '')}".strip() for given in poses)
        raise UserError(
            "prediction and target must be two NumPy arrays or two tensors of real numbers, "
            f"not {' and '.join(kinds)}"
        )
    shapes = [tuple(given.shape) for given in poses]
    if len(set(shapes)) > 1:
        raise UserError(f"the prediction has shape {shapes[0]}, but the target {shapes[1]}")
    if len(shapes[0]) < 3 or shapes[0][-1] != 3 or shapes[0][-2] == 0:
        raise UserError(
            f"poses have shape (frames, joints, 3), or more axes before, not {shapes[0]}"
        )


def _by_frame(error: Callable[..., Array], *poses: Poses) -> Poses:
    """Apply `error`, from planes (3, J, F) of each input to (F,), to poses (..., T, J, 3)."""
    _check(*poses)
    *frames, joints, _ = poses[0].shape
    flat = [
        (p if isinstance(p, np.ndarray) else p.detach().to("cpu", torch.float64).numpy()).reshape(
            -1, joints, 3
        )
        for p in poses
    ]
    result: Array = np.empty(len(flat[0]))
    with np.errstate(all="ignore"):  # frames with NaN or infinity become NaN below
        for start in range(0, len(result), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            planes = (part[chunk].transpose(2, 1, 0) for part in flat)
            result[chunk] = error(*(np.ascontiguousarray(p, dtype=np.float64) for p in planes))
    result[~np.isfinite(result)] = np.nan
    result = result.reshape(frames)
    first = poses[0]
    if isinstance(first, np.ndarray):
        dtype = np.result_type(*poses)
        return result.astype(dtype if dtype.kind == "f" else np.float64, copy=False)
    kind = torch.promote_types(first.dtype, poses[-1].dtype)
    return torch.from_numpy(result).to(first.device, kind if kind.is_floating_point else None)


def _distances(difference: Planes) -> Array:
    """Distances (J, F) of planes (3, J, F)."""
    squares = difference * difference
    return np.sqrt(squares[0] + squares[1] + squares[2])


def _mean_distance(difference: Planes) -> Array:
    """Mean distances (F,) of planes (3, J, F)."""
    return np.mean(_distances(difference), axis=0)


def _n_mpjpe(x: Planes, y: Planes) -> Array:
    scale = _ratio(np.einsum("ajf,ajf->f", x, y), np.einsum("ajf,ajf->f", x, x))
    return _mean_distance(scale * x - y)


def _p_mpjpe(x: Planes, y: Planes) -> Array:
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    rotation, gain = _rotation(np.einsum("ajf,bjf->fab", x, y))
    scale = _ratio(gain, np.einsum("ajf,ajf->f", x, x))
    return _mean_distance(scale * np.einsum("ajf,fab->bjf", x, rotation) - y)


def _ratio(dividend: Array, divisor: Array) -> Array:
    """The scale factor of a prediction; 0 if all joints are at the origin."""
    return np.where(divisor == 0, 0.0, dividend / divisor)


def _rotation(moments: Array) -> tuple[Array, Array]:
    """Optimal rotations between two sets of centered points (Kabsch 1976).

    Args:
        moments: (F, 3, 3) Sums over the joints of x_a y_b. Matrices with non-finite values count as
            0.

    Returns:
        rotation: (F, 3, 3) R to apply as sum_a x_a R_ab; it maximizes tr(R^T B) for moments B.
        gain: (F,) That trace. Divided by the sum of squares of x, it is the optimal scale
            (Umeyama 1991).
    """
    u, extents, vt = np.linalg.svd(np.where(np.isfinite(moments), moments, 0.0))
    reflected = np.linalg.det(u @ vt) < 0  # then flip the axis of the smallest singular value
    u[reflected, :, 2] *= -1
    extents[reflected, 2] *= -1
    return u @ vt, extents.sum(axis=-1)
