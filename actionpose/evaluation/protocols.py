"""Evaluation protocols of Human3.6M and MPI-INF-3DHP as named constants, and their computation.

A protocol defines the windows from which frames are predicted, which frames are scored and how
often, the treatment of the predicted pelvis, and the averaging. `docs/evaluation.md` lists the
users of each protocol and which results are comparable. This module is independent of models and
files: predictions are in millimeters.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from actionpose.metrics import auc, n_mpjpe, p_mpjpe, pck
from actionpose.skeletons import H36M17, MPI_INF_3DHP17, convert
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array, IntArray

# ---- protocols

# Wrong ground truth: MotionBERT and its successors exclude these videos of all four cameras.
H36M_BLOCKED = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")
# Missing in VideoPose3D's archive; excluded if another archive has it.
H36M_CPN_BLOCKED = ("S11 Directions/",)  # not "S11 Directions 1"
PCK_THRESHOLD_MM = 150.0
SYNTHETIC = "SYNTHETIC FIXTURES, numbers mean nothing"  # for files created by tests
# The official tool of the dataset uses 14 joints, without pelvis, spine and head. An aligned root
# is always correct, so that using all 17 joints, as in a common script, increases PCK and AUC.
PAPER14 = MPI_INF_3DHP17.joints[:14]
ALL17 = MPI_INF_3DHP17.joints


Scale = Literal["constant", "image_width"]


@dataclass(frozen=True)
class Protocol:
    """How predictions are computed and scored."""

    name: str
    frames: int  # of a window
    windows: Literal["full", "covering", "padded", "context", "centered"]
    """full: consecutive windows; remaining frames of a video are not scored. covering: each frame
    once; the last window ends at the last frame. padded: the same windows, but all frames of each
    window are scored, some repeatedly; a video shorter than a window is padded with its last frame,
    which is also scored. context: each frame once, as the middle of a convolution window, with
    repeated frames at the ends of a video. centered: one window per frame, of which the middle is
    used, also with repeated frames."""
    average: Literal["actions", "frames", "sequences"]
    """actions: mean over the frames of an action, then over actions."""
    step: int = 1  # interval between frames of a window, in frames of the video
    flip: bool = True  # average with the prediction of the mirrored input
    blocked: tuple[str, ...] = ()  # prefixes of the names of excluded videos
    root: Literal["zero", "keep", "subtract"] = "zero"
    """Treatment of the predicted pelvis: set to 0 without moving the other joints, kept as
    predicted, or subtracted from all joints. That of the target is always 0."""
    scale: Scale = "constant"
    """Unit of a network on MPI-INF-3DHP: 1024 mm, or 1 mm per pixel of half the width of the test
    image, 960 mm in TS5 and TS6 (MotionAGFormer)."""
    joints: tuple[str, ...] = ALL17  # joints of PCK and AUC
    notes: tuple[str, ...] = field(default=())  # differences from the protocols of other papers

    @property
    def title(self) -> str:
        """One line that should accompany every number."""
        parts = [self.name, f"T = {self.frames}", "flip averaged" if self.flip else "no flip"]
        if self.step > 1:
            parts.insert(2, f"one of {self.step} frames")
        return ", ".join([*parts, *self.notes])


H36M_SH = Protocol(
    name="h36m-sh (MotionBERT's file, millimeters by ground-truth factors)",
    frames=243,
    windows="full",
    average="actions",
    blocked=H36M_BLOCKED,
)
# VideoPose3D's files are scored in two ways, which differ by half a millimeter or more
H36M_CPN_PSTMO = Protocol(
    name="h36m-cpn (VideoPose3D's files, perspective millimeters), P-STMO",
    frames=243,
    windows="covering",
    average="actions",
    blocked=H36M_CPN_BLOCKED,
    root="zero",
)
H36M_CPN_KTPFORMER = replace(
    H36M_CPN_PSTMO,
    name="h36m-cpn (VideoPose3D's files, perspective millimeters), KTPFormer",
    windows="padded",
    root="keep",
)
CPN_FAMILIES = {"pstmo": H36M_CPN_PSTMO, "ktpformer": H36M_CPN_KTPFORMER}
MPI_INF_3DHP = Protocol(
    name="3dhp (P-STMO's files, ground-truth 2D)",
    frames=81,
    windows="centered",
    average="frames",
    joints=PAPER14,
)
PROTOCOLS = {"h36m-sh": H36M_SH, "h36m-cpn": H36M_CPN_PSTMO, "3dhp": MPI_INF_3DHP}


# ---- from predictions to errors per frame


@dataclass(frozen=True)
class FrameErrors:
    """Errors of the scored frames in millimeters, averaged if a frame is in several windows."""

    rows: IntArray  # (N,) ascending
    mpjpe_mm: Array  # (N,)
    p_mpjpe_mm: Array
    n_mpjpe_mm: Array
    mpjve_mm: Array  # NaN if the previous frame was not scored
    pck: Array  # fractions of the joints of the protocol
    auc: Array
    joints_mm: Array  # (N, 17)
    counts: NDArray[np.integer]  # (N,) weight of a frame in a mean

    def __len__(self) -> int:
        return len(self.rows)


_METRICS = ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm", "pck", "auc")
METRICS_OF = {
    "h36m-sh": _METRICS[:4],
    "h36m-cpn": _METRICS[:4],
    "3dhp": ("pck", "auc", "mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm"),
}
_SCALE = {"pck": 100, "auc": 100}  # percent


def frame_errors(
    predictions: Iterable[tuple[IntArray, Array]],
    target_mm: Array,
    video_of_rows: IntArray,
    *,
    joints: tuple[str, ...] = ALL17,
    with_pck: bool = False,
    keep_root: bool = False,
    count_each: bool = False,
) -> FrameErrors:
    """The errors of all predicted frames.

    Args:
        predictions: Batches of rows (n,) and poses (n, 17, 3) in millimeters. Rows of a video are
            in ascending order, so that velocities are those of the whole motion, also across
            windows.
        target_mm: (F, 17, 3) True poses, memory-mapped or not.
        video_of_rows: (F,) Index of the video of each row; there is no velocity between videos.
        joints: Names of the joints (of MPI-INF-3DHP) for PCK and AUC.
        with_pck: Whether to compute PCK and AUC; else they are NaN.
        keep_root: Whether to keep the predicted pelvis; else it is subtracted. That of the target
            is always subtracted.
        count_each: Whether a frame is weighted by the number of its predictions; else each frame
            has weight 1.

    Raises:
        UserError: If a prediction is not finite, or there are none.
    """
    counted = h36m_indices(joints)
    sums = {name: np.zeros(len(target_mm)) for name in _METRICS}
    joint_sums = np.zeros((len(target_mm), len(H36M17)))
    counts, velocity_counts = (np.zeros(len(target_mm), np.int32) for _ in range(2))
    before = np.array([-2]), np.zeros((1, len(H36M17), 3))  # the frame before the batch; none yet
    for rows, pred_mm in predictions:
        if not len(rows):
            continue
        target = np.asarray(target_mm[rows], dtype=np.float64)
        target = target - target[:, :1]
        pred = np.asarray(pred_mm, dtype=np.float64)
        if not keep_root:
            pred = pred - pred[:, :1]
        if not np.isfinite(pred).all():
            lost = rows[~np.isfinite(pred).all(axis=(1, 2))][0]
            raise UserError(f"the prediction of frame {lost} is not finite")
        offsets = pred - target
        distances = np.linalg.norm(offsets, axis=-1)  # (n, 17)
        values = {
            "mpjpe_mm": distances.mean(axis=-1),
            "p_mpjpe_mm": p_mpjpe(pred, target),
            "n_mpjpe_mm": n_mpjpe(pred, target),
        }
        if with_pck:
            limbs, target_limbs = pred[:, counted], target[:, counted]
            values["pck"] = pck(limbs, target_limbs, PCK_THRESHOLD_MM)
            values["auc"] = auc(limbs, target_limbs)
        for name, value in values.items():
            np.add.at(sums[name], rows, value)
        np.add.at(joint_sums, rows, distances)
        np.add.at(counts, rows, 1)
        # the error of a velocity is the difference of the offsets of two frames
        steps = np.linalg.norm(np.diff(offsets, axis=0, prepend=before[1]), axis=-1).mean(axis=-1)
        from_rows = np.concatenate([before[0], rows[:-1]])
        follows = (rows - from_rows == 1) & (video_of_rows[rows] == video_of_rows[from_rows])
        np.add.at(sums["mpjve_mm"], rows[follows], steps[follows])
        np.add.at(velocity_counts, rows[follows], 1)
        before = rows[-1:], offsets[-1:]
    scored = np.flatnonzero(counts)
    if not len(scored):
        raise UserError("there is no frame to score")
    divisors = dict.fromkeys(_METRICS, counts[scored]) | {"mpjve_mm": velocity_counts[scored]}
    if not with_pck:
        divisors |= dict.fromkeys(("pck", "auc"), np.zeros(len(scored), np.int32))
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: no velocity, no PCK
        means = {name: sums[name][scored] / divisors[name] for name in _METRICS}
    return FrameErrors(
        rows=scored,
        joints_mm=joint_sums[scored] / counts[scored, None],
        counts=counts[scored] if count_each else np.ones(len(scored), np.int32),
        **means,
    )


def h36m_indices(joints: tuple[str, ...]) -> list[int]:
    """Indices of joints of MPI-INF-3DHP in poses that `convert` reordered to H36M17."""
    numbers = np.arange(len(MPI_INF_3DHP17), dtype=np.float64)[:, None]
    source = convert(numbers, MPI_INF_3DHP17, confidence=False)[:, 0].astype(int).tolist()
    return [source.index(MPI_INF_3DHP17.joints.index(joint)) for joint in joints]


# ---- from frames to the numbers of a table


def _mean(values: Array, counts: NDArray[np.integer] | None = None) -> float:
    """Mean without NaN."""
    known = ~np.isnan(values)
    if not known.any():
        return float("nan")
    return float(np.average(values[known], weights=None if counts is None else counts[known]))


def group_means(
    values: Array, groups: NDArray[np.str_], counts: NDArray[np.integer] | None = None
) -> dict[str, float]:
    """Mean of `values` (N,) in each group (N,) without NaN, sorted by name.

    Args:
        values: (N,) Values.
        groups: (N,) Names of their groups.
        counts: (N,) Weights of the values; 1 by default.
    """
    weights = np.ones(len(values), np.int64) if counts is None else counts
    members = {str(name): groups == name for name in np.unique(groups)}
    return {name: _mean(values[own], weights[own]) for name, own in members.items()}


def overall(
    values: Array, groups: NDArray[np.str_], average: str, counts: NDArray[np.integer] | None = None
) -> float:
    """The number in a table: mean over frames, or over the means of groups."""
    if average == "frames":
        return _mean(values, counts)
    return _mean(np.array(list(group_means(values, groups, counts).values())))


def scores(
    errors: FrameErrors, groups: NDArray[np.str_], protocol: Protocol, metrics: tuple[str, ...]
) -> dict[str, float]:
    """All metrics by name as in tables, with PCK and AUC in percent.

    Args:
        errors: Errors of the scored frames.
        groups: (N,) Action or sequence of each scored frame.
        protocol: Evaluation protocol.
        metrics: Names of the metrics.
    """
    return {
        name: _SCALE.get(name, 1)
        * overall(getattr(errors, name), groups, protocol.average, errors.counts)
        for name in metrics
    }


def scores_by_group(
    errors: FrameErrors, groups: NDArray[np.str_], metrics: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """The `scores` of each group, with its number of frames."""
    table: dict[str, dict[str, float]] = {}
    for name in metrics:
        for group, mean in group_means(getattr(errors, name), groups, errors.counts).items():
            table.setdefault(group, {})[name] = _SCALE.get(name, 1) * mean
    for group, row in table.items():
        row["frames"] = int((groups == group).sum())
    return table
