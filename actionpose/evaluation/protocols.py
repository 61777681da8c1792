"""Evaluation protocols of Human3.6M and MPI-INF-3DHP as named constants, and their arithmetic.

A protocol says which frames are predicted from which windows, what is done to the root, which
frames count, and over what the mean is taken. `docs/evaluation.md` says who uses which, and who is
comparable with whom. Nothing here knows of models or files: predictions come in as millimeters.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from actionpose.metrics.pose import auc, n_mpjpe, p_mpjpe, pck
from actionpose.skeletons import H36M17, MPI_INF_3DHP17, convert
from actionpose.utils.errors import UserError

Array = NDArray[np.floating]
Rows = NDArray[np.int64]

# ---- the protocols

# Bad ground truth: MotionBERT and its successors leave these out, of all four cameras.
H36M_BLOCKED = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")
# Missing in VideoPose3D's archive; skipped where another archive has it.
H36M_CPN_BLOCKED = ("S11 Directions/",)  # not "S11 Directions 1"
PCK_THRESHOLD_MM = 150.0
# The data set's own tool counts 14 joints: without pelvis, spine and head. An aligned root is
# always right, so that counting all 17, as one circulated script does, lifts PCK and AUC.
PAPER14 = MPI_INF_3DHP17.joints[:14]
ALL17 = MPI_INF_3DHP17.joints


@dataclass(frozen=True)
class Protocol:
    """How predictions are made and counted."""

    name: str
    frames: int  # of a window
    windows: Literal["full", "covering", "centered"]
    """full: one after another, a video's rest is unscored. covering: every frame once, the last
    window pushed back. centered: one window a frame, of which the middle is taken."""
    average: Literal["actions", "frames", "sequences"]
    """actions: mean over the frames of an action, then over actions."""
    flip: bool = True  # average with the prediction of the mirrored input
    root: Literal["zero", "subtract"] = "zero"
    """zero: the predicted pelvis is set to 0, as MotionBERT does for models trained root-relative;
    subtract: it is subtracted from the other joints, which moves them all."""
    blocked: tuple[str, ...] = ()  # beginnings of the names of videos that are left out
    joints: tuple[str, ...] = ALL17  # that PCK and AUC count
    notes: tuple[str, ...] = field(default=())  # what makes it another than the peers' protocol

    @property
    def title(self) -> str:
        """One line that belongs under every number."""
        parts = [self.name, f"T = {self.frames}", "flip averaged" if self.flip else "no flip"]
        return ", ".join([*parts, *self.notes])


H36M_SH = Protocol(
    name="h36m-sh (MotionBERT's file, millimeters by ground-truth factors)",
    frames=243,
    windows="full",
    average="actions",
    blocked=H36M_BLOCKED,
)
H36M_CPN = Protocol(
    name="h36m-cpn (VideoPose3D's files, perspective millimeters)",
    frames=243,
    windows="covering",  # the family scores every frame
    average="actions",
    blocked=H36M_CPN_BLOCKED,
)
MPI_INF_3DHP = Protocol(
    name="3dhp (P-STMO's files, ground-truth 2D)",
    frames=81,
    windows="centered",
    average="frames",
    joints=PAPER14,
)
PROTOCOLS = {"h36m-sh": H36M_SH, "h36m-cpn": H36M_CPN, "3dhp": MPI_INF_3DHP}


# ---- from predictions to the errors of frames


@dataclass(frozen=True)
class FrameErrors:
    """Errors of the scored frames, millimeters; a frame seen by several windows has their mean."""

    rows: Rows  # (N,) ascending
    mpjpe_mm: Array  # (N,)
    p_mpjpe_mm: Array
    n_mpjpe_mm: Array
    mpjve_mm: Array  # NaN where the frame before was not scored
    pck: Array  # fractions of the protocol's joints
    auc: Array
    joints_mm: Array  # (N, 17)

    def __len__(self) -> int:
        return len(self.rows)


_METRICS = ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm", "pck", "auc")
METRICS_OF = {
    "h36m-sh": _METRICS[:4],
    "h36m-cpn": _METRICS[:4],
    "3dhp": ("pck", "auc", "mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm"),
}
_CHUNK = 1024  # frames at a time, so that memory does not grow with the data


def frame_errors(
    predictions: Iterable[tuple[Rows, Array]],
    truth_mm: Array,
    video_of_rows: Rows,
    *,
    joints: tuple[str, ...] = ALL17,
    with_pck: bool = False,
) -> FrameErrors:
    """The errors of every frame that was predicted.

    Args:
        predictions: rows (n,) and poses (n, 17, 3) in millimeters, root-relative or not: joint 0
            is subtracted from both sides. Rows of one video come in their order, so that
            velocities are those of the stitched motion, across the borders of windows too.
        truth_mm: (F, 17, 3), memory-mapped or not.
        video_of_rows: (F,) which video a row belongs to; no velocity crosses two.
        joints: names (of MPI-INF-3DHP) that PCK and AUC count.
        with_pck: whether they are wanted; else they are NaN.

    Raises:
        UserError: a prediction that is not finite.
    """
    num_rows = len(truth_mm)
    counted = h36m_indices(joints)
    names = [name for name in _METRICS if with_pck or name not in ("pck", "auc")]
    sums = {name: np.zeros(num_rows) for name in names}
    joint_sums = np.zeros((num_rows, len(H36M17)))
    counts, velocity_counts = (np.zeros(num_rows, np.int32) for _ in range(2))
    before = np.array([-2]), np.zeros((1, len(H36M17), 3))  # the frame before the chunk: none yet
    for rows, pred_mm in _chunks(predictions):
        truth = np.asarray(truth_mm[rows], dtype=np.float64)
        truth = truth - truth[:, :1]
        pred = np.asarray(pred_mm, dtype=np.float64)
        pred = pred - pred[:, :1]
        if not np.isfinite(pred).all():
            lost = rows[~np.isfinite(pred).all(axis=(1, 2))][0]
            raise UserError(f"the prediction of frame {lost} is not finite")
        offsets = pred - truth
        distances = _norm(offsets)  # (n, 17)
        values = {
            "mpjpe_mm": distances.mean(axis=-1),
            "p_mpjpe_mm": p_mpjpe(pred, truth),
            "n_mpjpe_mm": n_mpjpe(pred, truth),
        }
        if with_pck:
            limbs, true_limbs = pred[:, counted], truth[:, counted]
            values["pck"] = pck(limbs, true_limbs, PCK_THRESHOLD_MM)
            values["auc"] = auc(limbs, true_limbs)
        for name, value in values.items():
            _add(sums[name], rows, value)
        _add(joint_sums, rows, distances)
        _add(counts, rows, 1)
        # the error of a velocity is the difference of two frames' offsets
        steps = _norm(np.diff(offsets, axis=0, prepend=before[1])).mean(axis=-1)
        from_rows = np.concatenate([before[0], rows[:-1]])
        follows = (rows - from_rows == 1) & (video_of_rows[rows] == video_of_rows[from_rows])
        _add(sums["mpjve_mm"], rows[follows], steps[follows])
        _add(velocity_counts, rows[follows], 1)
        before = rows[-1:], offsets[-1:]
    scored = np.flatnonzero(counts)
    if not len(scored):
        raise UserError("there is no frame to score")
    times = counts[scored]
    nothing = np.full(len(scored), np.nan)
    means = {name: sums[name][scored] / times for name in names if name != "mpjve_mm"}
    with np.errstate(invalid="ignore"):  # 0 / 0 where there is no velocity
        means["mpjve_mm"] = sums["mpjve_mm"][scored] / velocity_counts[scored]
    return FrameErrors(
        rows=scored,
        joints_mm=joint_sums[scored] / times[:, None],
        **{name: means.get(name, nothing) for name in _METRICS},
    )


def _norm(vectors: Array) -> Array:
    """(..., 3) to (...): twice as fast as a sum over so short an axis."""
    x, y, z = np.moveaxis(np.square(vectors), -1, 0)
    return np.sqrt(x + y + z)


def _add(total: NDArray[Any], rows: Rows, values: Any) -> None:
    """Add to rows, those that come twice included."""
    if (np.diff(rows) > 0).all():  # once each: NumPy's shorter way
        total[rows] += values
    else:
        np.add.at(total, rows, values)


def _chunks(predictions: Iterable[tuple[Rows, Array]]) -> Iterator[tuple[Rows, Array]]:
    for rows, poses in predictions:
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            yield rows[part], poses[part]


def h36m_indices(joints: tuple[str, ...]) -> list[int]:
    """Where joints of MPI-INF-3DHP lie in poses that `convert` brought into H36M17's order."""
    numbers = np.arange(len(MPI_INF_3DHP17), dtype=np.float64)[:, None]
    source = convert(numbers, MPI_INF_3DHP17, confidence=False)[:, 0].astype(int).tolist()
    return [source.index(MPI_INF_3DHP17.joints.index(joint)) for joint in joints]


# ---- from frames to a table's numbers


def group_means(values: Array, groups: NDArray[np.str_]) -> dict[str, float]:
    """Mean of `values` (N,) in each group (N,), NaN left out; sorted by name."""
    result = {}
    for name in np.unique(groups):
        chosen = values[groups == name]
        known = chosen[~np.isnan(chosen)]
        result[str(name)] = float(known.mean()) if len(known) else float("nan")
    return result


def overall(values: Array, groups: NDArray[np.str_], average: str) -> float:
    """The number that a table prints: over frames, or over the means of groups."""
    if average == "frames":
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) else float("nan")
    means = [mean for mean in group_means(values, groups).values() if not np.isnan(mean)]
    return float(np.mean(means)) if means else float("nan")


def scores(
    errors: FrameErrors, groups: NDArray[np.str_], protocol: Protocol, metrics: tuple[str, ...]
) -> dict[str, float]:
    """Every metric by name, as its table prints it: PCK and AUC in percent.

    Args:
        groups: (N,) the action or sequence of each scored frame.
    """
    result = {}
    for name in metrics:
        value = overall(getattr(errors, name), groups, protocol.average)
        result[name] = 100 * value if name in ("pck", "auc") else value
    return result


def scores_by_group(
    errors: FrameErrors, groups: NDArray[np.str_], metrics: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """As `scores`, for the frames of each group alone; with their number."""
    table: dict[str, dict[str, float]] = {}
    for name in metrics:
        percent = 100 if name in ("pck", "auc") else 1
        for group, mean in group_means(getattr(errors, name), groups).items():
            table.setdefault(group, {})[name] = percent * mean
    for group, row in table.items():
        row["frames"] = int((groups == group).sum())
    return table
