"""Evaluation of checkpoints and of prediction files on Human3.6M and MPI-INF-3DHP.

Both are converted to a function from windows to millimeters, in `paired_models` and `predictions`;
`protocols` computes the errors. The protocol line states all differences from the protocols of
other papers.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.paired import (
    PairedDataset,
    VideoInfo,
    clip_rows,
    covering_rows,
    surrounding_rows,
)
from actionpose.evaluation.protocols import (
    METRICS_OF,
    PROTOCOLS,
    SYNTHETIC,
    FrameErrors,
    Protocol,
    Scale,
    frame_errors,
    h36m_indices,
    overall,
    scores,
    scores_by_group,
)
from actionpose.skeletons import H36M17, MPI_INF_3DHP17
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array, BoolArray, IntArray

_SCALES: dict[Scale, str] = {
    "constant": "units of 1024 mm",
    "image_width": "units of half the test image's width (MotionAGFormer)",
}


@dataclass(frozen=True)
class Windows:
    """Windows of frames that are predicted together, and their scored frames."""

    rows: IntArray  # (C, T)
    scored: BoolArray  # (C, T)
    num_stretched: int  # videos shorter than a window, which are stretched


# Poses of the windows with these indices: (n,) -> (n, T, 17, 3) in millimeters, which are also
# pixels times the factor of the frame
Predict = Callable[[Windows, IntArray], Array]


@dataclass(frozen=True)
class Evaluation:
    """A scored dataset: the report, and the errors for error analysis."""

    report: dict[str, Any]
    errors: FrameErrors
    windows: Windows
    groups: NDArray[np.str_]  # (N,) action or sequence of each scored frame


# ---- protocol and windows


def protocol_for(
    dataset: PairedDataset,
    base: Protocol | None = None,
    *,
    all_frames: bool = False,
    notes: tuple[str, ...] = (),
    **changes: Any,
) -> Protocol:
    """The protocol of a dataset with changes by the user, which are stated in its notes.

    Args:
        dataset: Paired dataset.
        base: Protocol to use instead of that in `PROTOCOLS`; its notes are kept.
        all_frames: Whether to score also the remaining frames of each video.
        notes: Further notes.
        changes: Values of fields of `Protocol`; None for no change.

    Raises:
        UserError: If `all_frames` is given for a protocol that scores all frames anyway.
    """
    notes = (*(base.notes if base else ()), *notes)
    if dataset.info.get("annotation") == "annot3":
        notes += ("annot3: NOT comparable with the tables, which use univ_annot3",)
    if forced := dataset.info.get("forced"):
        notes += (f"prepared with --force: {len(forced)} checks failed",)
    if dataset.info.get("synthetic"):
        notes += (SYNTHETIC,)
    if dataset.kind == "h36m-cpn":
        truth = ": GROUND-TRUTH 2D" if dataset.has_true_keypoints else ""
        notes += (f"prepared with {dataset.info['keypoints']}{truth}",)
    given = {name: value for name, value in changes.items() if value is not None}
    protocol = replace(base or PROTOCOLS[dataset.kind], **given)
    if all_frames:
        if protocol.windows != "full":
            raise UserError(
                f"all_frames=True is not needed: {dataset.kind} scores its frames anyway"
            )
        protocol = replace(protocol, windows="covering")
        notes += ("all frames, tails too: NOT the peers' protocol",)
    if dataset.kind == "3dhp":
        notes += (f"PCK and AUC of {len(protocol.joints)} joints", f"mean over {protocol.average}")
    return replace(protocol, notes=notes)


def windows_of(dataset: PairedDataset, protocol: Protocol, seed: int = 0) -> Windows:
    """The windows of a protocol.

    Raises:
        UserError: If all videos are excluded.
    """
    videos = [video for video in dataset.videos if not video.name.startswith(protocol.blocked)]
    if not videos:
        raise UserError(f"{dataset.folder}: every test video is one that the protocol leaves out")
    if protocol.windows == "full":
        rows = clip_rows(videos, protocol.frames, protocol.frames, seed)
        short = sum(len(video) < protocol.frames for video in videos)
        return Windows(rows, np.ones(rows.shape, bool), short)
    if protocol.windows in ("covering", "padded"):
        rows, fresh = covering_rows(videos, protocol.frames)
        return Windows(rows, fresh | (protocol.windows == "padded"), 0)
    if protocol.windows == "context":
        rows, fresh = covering_rows(videos, protocol.frames)
        margin = protocol.frames // 2
        window = np.arange(-margin, protocol.frames + margin)
        rows = surrounding_rows(dataset.videos, rows[:, 0], window)
        return Windows(rows, np.pad(fresh, ((0, 0), (margin, margin))), 0)
    chosen = np.concatenate([np.arange(video.start, video.stop) for video in videos])
    if dataset.scored is not None:
        chosen = chosen[np.asarray(dataset.scored)[chosen]]
    half = protocol.frames // 2
    window = protocol.step * (np.arange(protocol.frames) - half)
    rows = surrounding_rows(dataset.videos, chosen, window)
    middle = np.zeros(rows.shape, bool)
    middle[:, half] = True
    return Windows(rows, middle, 0)


def to_mm(pose: Array, dataset: PairedDataset, rows: IntArray, videos: list[VideoInfo]) -> Array:
    """Convert poses (n, T, 17, 3) from units of the model to millimeters."""
    units = np.array([dataset.unit(video) for video in videos])[:, None, None, None]
    if dataset.info["pose_unit"] == "mm":
        return pose * units
    if dataset.mm_per_px is None:
        raise UserError(f"{dataset.folder}: this split has no factors from pixels to millimeters")
    return pose * units * np.asarray(dataset.mm_per_px[rows], dtype=np.float64)[..., None, None]


def predict_row(predict: Predict, windows: Windows, row: int) -> Array:
    """The root-relative pose (17, 3) of one row, from the window in which it is scored."""
    window, frame = np.argwhere((windows.rows == row) & windows.scored)[0]
    pose = predict(windows, np.array([window]))[0, frame]
    return pose - pose[:1]


# ---- scores


def evaluate(
    predict: Predict,
    dataset: PairedDataset,
    protocol: Protocol,
    *,
    seed: int = 0,
    batch_size: int = 16,
    max_windows: int | None = None,
    in_units: bool = False,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = lambda batches: batches,
) -> Evaluation:
    """Score a predictor.

    Args:
        predict: Prediction function.
        dataset: Paired dataset.
        protocol: Evaluation protocol.
        seed: Seed for the stretching of videos that are shorter than a window.
        batch_size: Number of windows per batch.
        max_windows: Maximum number of windows, which are evenly spaced; by default all.
        in_units: Whether predictions were converted from units of a network, which are 1024 mm for
            MPI-INF-3DHP. The report then has scores in both scales (`Protocol`).
        progress: Function that wraps the list of batches.

    Raises:
        UserError: See `windows_of` and `frame_errors`; or if the scale is not "constant" and
            predictions are not `in_units`.
    """
    if dataset.kind == "3dhp" and protocol.scale != "constant" and not in_units:
        raise UserError(
            f"the scale {protocol.scale} is for predictions in units of {dataset.unit_mm:g} mm, "
            "which these are not: use the scale constant"
        )
    windows = windows_of(dataset, protocol, seed)
    if max_windows and len(windows.rows) > max_windows:
        chosen = np.linspace(0, len(windows.rows) - 1, max_windows).round().astype(np.int64)
        windows = replace(windows, rows=windows.rows[chosen], scored=windows.scored[chosen])
    count = len(windows.rows)
    batches = np.split(np.arange(count), range(batch_size, count, batch_size))

    def stream() -> Iterator[tuple[IntArray, Array]]:
        for places in progress(batches):
            chosen = windows.scored[places]
            yield windows.rows[places][chosen], predict(windows, places)[chosen]

    video_of_rows = dataset.video_of_rows()

    def errors_of(predictions: Iterable[tuple[IntArray, Array]]) -> FrameErrors:
        return frame_errors(
            predictions,
            dataset.truth_mm,
            video_of_rows,
            joints=protocol.joints,
            with_pck=dataset.kind == "3dhp",
            keep_root=protocol.root == "keep",
            count_each=protocol.windows == "padded",
        )

    scales: dict[Scale, FrameErrors] = {}
    if dataset.kind != "3dhp" or not in_units:
        errors = errors_of(stream())
    else:
        predictions = list(stream())
        ratio = np.array([video.width / 2 / dataset.unit(video) for video in dataset.videos])
        by_image = [(r, mm * ratio[video_of_rows[r]][:, None, None]) for r, mm in predictions]
        scales = {"constant": errors_of(predictions), "image_width": errors_of(by_image)}
        errors = scales[protocol.scale]
        titled = {
            name: replace(protocol, scale=name, notes=(*protocol.notes, note))
            for name, note in _SCALES.items()
        }
        protocol = titled[protocol.scale]
    names = [video.name if dataset.kind == "3dhp" else video.action for video in dataset.videos]
    groups = np.array(names)[video_of_rows[errors.rows]]
    report = _report(errors, groups, windows, dataset, protocol, seed)
    if scales:
        metrics = METRICS_OF[dataset.kind]
        report["scales"] = {
            name: {"protocol": titled[name].title} | scores(found, groups, protocol, metrics)
            for name, found in scales.items()
        }
    return Evaluation(report, errors, windows, groups)


def _report(
    errors: FrameErrors,
    groups: NDArray[np.str_],
    windows: Windows,
    dataset: PairedDataset,
    protocol: Protocol,
    seed: int,
) -> dict[str, Any]:
    metrics = METRICS_OF[dataset.kind]
    names, order = H36M17.joints, list(range(len(H36M17)))
    if dataset.kind == "3dhp":  # with the names and order of the dataset
        names, order = MPI_INF_3DHP17.joints, h36m_indices(MPI_INF_3DHP17.joints)
    blocked = [video for video in dataset.videos if video.name.startswith(protocol.blocked)]
    countable = len(dataset.pose) if dataset.scored is None else int(np.sum(dataset.scored))
    return {
        **scores(errors, groups, protocol, metrics),
        "per_sequence" if dataset.kind == "3dhp" else "per_action": scores_by_group(
            errors, groups, metrics
        ),
        "per_joint": {
            joint: overall(errors.joints_mm[:, place], groups, protocol.average, errors.counts)
            for joint, place in zip(names, order, strict=True)
        },
        "protocol": protocol.title,
        "protocol_details": asdict(protocol),
        "synthetic": bool(dataset.info.get("synthetic")),
        "frames": len(errors),
        "clips": len(windows.rows),
        "frames_not_scored": countable - sum(map(len, blocked)) - len(errors),
        "blocked": sorted(video.name for video in blocked),
        "stretched_videos": windows.num_stretched,
        "seed": seed,
        "data": {
            "kind": dataset.kind,
            "keypoints": dataset.info["keypoints"],
            "source": dataset.info["source"],
            "sha256": dataset.info["sha256"][f"{dataset.split}/pose.npy"],
        },
        "versions": {name: version(name) for name in ("actionpose", "torch", "numpy", "scipy")},
    }
