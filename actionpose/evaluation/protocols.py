"""Evaluation protocols of Human3.6M and MPI-INF-3DHP as named constants, and their arithmetic.

A protocol says which frames are predicted from which windows, which frames count and how often,
what becomes of the predicted pelvis, and over what the mean is taken. `docs/evaluation.md` says who
uses which, and who is comparable with whom. Nothing here knows of models or files: predictions come
in as millimeters.
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

# ---- the protocols

# Bad ground truth: MotionBERT and its successors leave these out, of all four cameras.
H36M_BLOCKED = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")
# Missing in VideoPose3D's archive; skipped where another archive has it.
H36M_CPN_BLOCKED = ("S11 Directions/",)  # not "S11 Directions 1"
PCK_THRESHOLD_MM = 150.0
SYNTHETIC = "SYNTHETIC FIXTURES, numbers mean nothing"  # of files that tests made
# The data set's own tool counts 14 joints: without pelvis, spine and head. An aligned root is
# always right, so that counting all 17, as one circulated script does, lifts PCK and AUC.
PAPER14 = MPI_INF_3DHP17.joints[:14]
ALL17 = MPI_INF_3DHP17.joints


Scale = Literal["constant", "image_width"]


@dataclass(frozen=True)
class Protocol:
    """How predictions are made and counted."""

    name: str
    frames: int  # of a window
    windows: Literal["full", "covering", "padded", "context", "centered"]
    """full: one after another, a video's rest is unscored. covering: every frame once, the last
    window pushed back. padded: the same windows, but every frame of each counts, as often as it
    comes; a video that is shorter than a window is padded with its last frame, which counts too.
    context: every frame once, each as the middle of a window of convolutions; the ends of a video
    are repeated. centered: one window a frame, of which the middle is taken, ends repeated too."""
    average: Literal["actions", "frames", "sequences"]
    """actions: mean over the frames of an action, then over actions."""
    step: int = 1  # frames of the video from one frame of a window to the next
    flip: bool = True  # average with the prediction of the mirrored input
    blocked: tuple[str, ...] = ()  # beginnings of the names of videos that are left out
    root: Literal["zero", "keep", "subtract"] = "zero"
    """Of the predicted pelvis: set to 0, the other joints staying where they are, left where it was
    predicted, or subtracted from all joints. The target's is always 0."""
    scale: Scale = "constant"
    """What a unit of a network on MPI-INF-3DHP is: 1024 mm, or 1 mm for each pixel of half the test
    image's width, 960 mm in TS5 and TS6 (MotionAGFormer)."""
    joints: tuple[str, ...] = ALL17  # that PCK and AUC count
    notes: tuple[str, ...] = field(default=())  # what makes it another than the peers' protocol

    @property
    def title(self) -> str:
        """One line that belongs under every number."""
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
# VideoPose3D's files are scored in two ways that differ by half a millimeter or more
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


# ---- from predictions to the errors of frames


@dataclass(frozen=True)
class FrameErrors:
    """Errors of the scored frames, millimeters; a frame of several windows has their mean."""

    rows: IntArray  # (N,) ascending
    mpjpe_mm: Array  # (N,)
    p_mpjpe_mm: Array
    n_mpjpe_mm: Array
    mpjve_mm: Array  # NaN where the frame before was not scored
    pck: Array  # fractions of the protocol's joints
    auc: Array
    joints_mm: Array  # (N, 17)
    counts: NDArray[np.integer]  # (N,) how often a frame counts in a mean

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
    """The errors of every frame that was predicted.

    Args:
        predictions: batches of rows (n,) and poses (n, 17, 3) in millimeters. Rows of one video
            come in their order, so that velocities are those of the stitched motion, across the
            borders of windows too.
        target_mm: (F, 17, 3), memory-mapped or not.
        video_of_rows: (F,) which video a row belongs to; no velocity crosses two.
        joints: names (of MPI-INF-3DHP) that PCK and AUC count.
        with_pck: whether they are wanted; else they are NaN.
        keep_root: leave the predicted pelvis where it is; else it is subtracted. It is always
            subtracted from the target.
        count_each: a frame counts as often as it was predicted, and not once.

    Raises:
        UserError: a prediction that is not finite, or no prediction.
    """
    counted = h36m_indices(joints)
    sums = {name: np.zeros(len(target_mm)) for name in _METRICS}
    joint_sums = np.zeros((len(target_mm), len(H36M17)))
    counts, velocity_counts = (np.zeros(len(target_mm), np.int32) for _ in range(2))
    before = np.array([-2]), np.zeros((1, len(H36M17), 3))  # the frame before the batch: none yet
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
        # the error of a velocity is the difference of two frames' offsets
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
    """Where joints of MPI-INF-3DHP lie in poses that `convert` brought into H36M17's order."""
    numbers = np.arange(len(MPI_INF_3DHP17), dtype=np.float64)[:, None]
    source = convert(numbers, MPI_INF_3DHP17, confidence=False)[:, 0].astype(int).tolist()
    return [source.index(MPI_INF_3DHP17.joints.index(joint)) for joint in joints]


# ---- from frames to a table's numbers


def _mean(values: Array, counts: NDArray[np.integer] | None = None) -> float:
    """NaN left out."""
    known = ~np.isnan(values)
    if not known.any():
        return float("nan")
    return float(np.average(values[known], weights=None if counts is None else counts[known]))


def group_means(
    values: Array, groups: NDArray[np.str_], counts: NDArray[np.integer] | None = None
) -> dict[str, float]:
    """Mean of `values` (N,) in each group (N,), NaN left out; sorted by name.

    Args:
        counts: (N,) how often each counts; once by default.
    """
    weights = np.ones(len(values), np.int64) if counts is None else counts
    members = {str(name): groups == name for name in np.unique(groups)}
    return {name: _mean(values[own], weights[own]) for name, own in members.items()}


def overall(
    values: Array, groups: NDArray[np.str_], average: str, counts: NDArray[np.integer] | None = None
) -> float:
    """The number that a table prints: over frames, or over the means of groups."""
    if average == "frames":
        return _mean(values, counts)
    return _mean(np.array(list(group_means(values, groups, counts).values())))


def scores(
    errors: FrameErrors, groups: NDArray[np.str_], protocol: Protocol, metrics: tuple[str, ...]
) -> dict[str, float]:
    """Every metric by name, as its table prints it: PCK and AUC in percent.

    Args:
        groups: (N,) the action or sequence of each scored frame.
    """
    return {
        name: _SCALE.get(name, 1)
        * overall(getattr(errors, name), groups, protocol.average, errors.counts)
        for name in metrics
    }


def scores_by_group(
    errors: FrameErrors, groups: NDArray[np.str_], metrics: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """As `scores`, for the frames of each group alone; with their number."""
    table: dict[str, dict[str, float]] = {}
    for name in metrics:
        for group, mean in group_means(getattr(errors, name), groups, errors.counts).items():
            table.setdefault(group, {})[name] = _SCALE.get(name, 1) * mean
    for group, row in table.items():
        row["frames"] = int((groups == group).sum())
    return table
