"""Human3.6M and MPI-INF-3DHP scored by the field's protocols: a checkpoint, or anybody's file.

Both become one function from windows to millimeters; `protocols` does the arithmetic. What makes a
score another than the peers' is written into its protocol line.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actionpose import checkpoint, model_hub
from actionpose.datasets.paired import (
    PairedDataset,
    VideoInfo,
    centered_rows,
    clip_rows,
    covering_rows,
)
from actionpose.datasets.paired_clips import KeypointSource, input_of
from actionpose.evaluation.protocols import (
    METRICS_OF,
    PROTOCOLS,
    SYNTHETIC,
    FrameErrors,
    Protocol,
    frame_errors,
    h36m_indices,
    overall,
    scores,
    scores_by_group,
)
from actionpose.geometry.camera import Frame2D, box_frame
from actionpose.inference import flip_averaging
from actionpose.models import PoseEncoder
from actionpose.skeletons import H36M17, MPI_INF_3DHP17
from actionpose.utils.device import choose_device
from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256
from actionpose.utils.typing import Array, IntArray

# The pixels of MotionAGFormer's targets; taken for official files, which do not say their unit.
_ASSUMED_UNIT_MM = 1024.0


@dataclass(frozen=True)
class Windows:
    """Which frames are predicted together, and which of these are scored."""

    rows: IntArray  # (C, T)
    scored: NDArray[np.bool_]  # (C, T)
    num_stretched: int  # videos shorter than a window, stretched to one


# The poses of the windows with these places: (n,) -> (n, T, 17, 3) millimeters, or pixels times
# the frame's factor, which is the same
Predict = Callable[[Windows, NDArray[np.int64]], Array]


@dataclass(frozen=True)
class Evaluation:
    """A scored data set: what is printed and written, and what failure analysis needs."""

    report: dict[str, Any]
    errors: FrameErrors
    windows: Windows
    groups: NDArray[np.str_]  # (N,) action or sequence of each scored frame


# ---- which protocol, which windows


def protocol_for(
    pairs: PairedDataset,
    *,
    frames: int | None = None,
    all_frames: bool = False,
    flip: bool = True,
    average: str | None = None,
    joints: tuple[str, ...] | None = None,
    notes: tuple[str, ...] = (),
) -> Protocol:
    """The data set's protocol with what the user changes, which its notes then say."""
    protocol = PROTOCOLS[pairs.kind]
    if pairs.info.get("annotation") == "annot3":
        notes += ("annot3: NOT comparable with the tables, which use univ_annot3",)
    if pairs.info.get("synthetic"):
        notes += (SYNTHETIC,)
    changes: dict[str, Any] = {"flip": flip}
    if frames is not None:
        changes["frames"] = frames
    if average is not None:
        changes["average"] = average
    if joints is not None:
        changes["joints"] = joints
    if all_frames:
        if protocol.windows != "full":
            raise UserError(f"--all-frames: the protocol {pairs.kind} scores its frames anyway")
        changes["windows"] = "covering"
        notes += ("all frames, tails too: NOT the peers' protocol",)
    if pairs.kind == "3dhp":
        counted = "14 joints" if len(changes.get("joints", protocol.joints)) == 14 else "17 joints"
        notes += (f"PCK and AUC of {counted}", f"mean over {changes.get('average', 'frames')}")
    return replace(protocol, notes=notes, **changes)


def windows_of(pairs: PairedDataset, protocol: Protocol, seed: int = 0) -> Windows:
    """The windows that a protocol predicts.

    Raises:
        UserError: all videos are left out.
    """
    videos = [v for v in pairs.videos if not v.name.startswith(protocol.blocked or ("\0",))]
    if not videos:
        raise UserError(f"{pairs.folder}: every test video is one that the protocol leaves out")
    short = sum(len(video) < protocol.frames for video in videos)
    if protocol.windows == "full":
        rows = clip_rows(videos, protocol.frames, protocol.frames, seed)
        return Windows(rows, np.ones(rows.shape, bool), short)
    if protocol.windows == "covering":
        return Windows(*covering_rows(videos, protocol.frames), 0)
    chosen = np.concatenate([np.arange(video.start, video.stop) for video in videos])
    if pairs.scored is not None:
        chosen = chosen[np.asarray(pairs.scored)[chosen]]
    rows = centered_rows(pairs.videos, chosen, protocol.frames)
    middle = np.zeros(rows.shape, bool)
    middle[:, protocol.frames // 2] = True
    return Windows(rows, middle, 0)


# ---- the model


@dataclass(frozen=True)
class Model:
    """A checkpoint, ours or MotionBERT's, and what it says of itself."""

    encoder: PoseEncoder
    frames: int | None  # of the clips it was trained with; None: not known, up to its table
    normalization: str
    unit_mm: float | None
    fps: float | None
    identity: dict[str, Any]
    notes: tuple[str, ...] = ()


def load_model(name: str, kind: str, device: str = "auto") -> Model:
    """Load a checkpoint for a data set of some kind.

    Raises:
        UserError: no such checkpoint; one of another skeleton, or whose unit is not the data's.
    """
    device = choose_device(device)
    metric = kind != "h36m-sh"
    if Path(name).is_file():
        encoder = checkpoint.load_motionbert(name)
        if kind == "h36m-cpn":
            raise UserError(
                f"{name}: official files predict pixels, but this data set is scored in "
                "millimeters: fine-tune on it first, or use MotionBERT's pkl"
            )
        notes = ("unit of 1024 mm assumed",) if metric else ()
        identity: dict[str, Any] = {"name": name, "sha256": sha256(name), "format": "MotionBERT"}
        unit_mm = _ASSUMED_UNIT_MM if metric else None
        model = Model(encoder, None, "image", unit_mm, None, identity, notes)
        skeleton = H36M17.name
    else:
        folder = model_hub.find(name)
        encoder, meta = checkpoint.load_encoder(folder)
        skeleton = meta.get("skeleton", H36M17.name)
        identity = {
            "name": name,
            "sha256": sha256(folder / checkpoint.WEIGHTS),
            "step": meta.get("step"),
        }
        model = Model(
            encoder,
            meta.get("frames"),
            meta.get("normalization", "image"),
            meta.get("unit_mm"),
            meta.get("fps"),
            identity,
        )
    if skeleton != H36M17.name or encoder.num_joints != len(H36M17):
        raise UserError(
            f"{name} has another skeleton ({skeleton}, {encoder.num_joints} joints): "
            f"the prepared data have {H36M17.name}"
        )
    if metric and model.unit_mm is None:
        raise UserError(
            f"{name} predicts in units of the image, whose millimeters nobody knows: fine-tune it "
            "on the prepared data set first (recipes/)"
        )
    if not metric and model.unit_mm is not None:
        raise UserError(
            f"{name} predicts millimeters, but Human3.6M in MotionBERT's form wants units of the "
            "image: fine-tune it on that first (recipes/)"
        )
    model.encoder.to(device)
    return model


def check_window(model: Model, protocol: Protocol) -> None:
    """Refuse windows that the model was not trained for.

    Raises:
        UserError: says which --frames to give.
    """
    name = model.identity["name"]
    if protocol.frames > model.encoder.max_frames:
        raise UserError(
            f"{name} takes at most {model.encoder.max_frames} frames, but the windows have "
            f"{protocol.frames}: give --frames {model.frames or model.encoder.max_frames}"
        )
    if model.frames is not None and model.frames != protocol.frames:
        raise UserError(
            f"{name} was trained with {model.frames} frames, but the windows have "
            f"{protocol.frames}: give --frames {model.frames}"
        )


def model_predict(
    model: Model,
    pairs: PairedDataset,
    protocol: Protocol,
    *,
    keypoints: KeypointSource = "detected",
    overwrite_xy: bool = False,
) -> Predict:
    """A model as a function of windows.

    Args:
        overwrite_xy: take x and y from the input, as MotionBERT does for ground-truth 2D: only
            depth can then be wrong.
    """
    video_of_rows = pairs.video_of_rows()
    device = next(model.encoder.parameters()).device

    def predict(windows: Windows, which: NDArray[np.int64]) -> Array:
        rows = windows.rows[which]
        videos = [pairs.videos[video] for video in video_of_rows[rows[:, 0]]]
        clips = [input_of(pairs, r, v, keypoints) for r, v in zip(rows, videos, strict=True)]
        frames = [_box(clip) if model.normalization == "box" else _IMAGE for clip in clips]
        seen = np.stack(
            [
                f.normalize(clip) if f is not _IMAGE else clip
                for f, clip in zip(frames, clips, strict=True)
            ]
        )
        batch = torch.from_numpy(seen).to(device)
        pose = flip_averaging.predict(model.encoder, batch, flip=protocol.flip, root=protocol.root)
        result = pose.cpu().numpy().astype(np.float64)
        result *= np.array([f.unit_px for f in frames])[:, None, None, None]
        if overwrite_xy:
            result[..., :2] = np.stack(clips)[..., :2]
        return to_mm(result, pairs, rows, videos)

    return predict


_IMAGE = Frame2D((0.0, 0.0), 1.0)


def _box(clip: Array) -> Frame2D:
    """The person's box, in units of the image."""
    return box_frame(clip) or _IMAGE


def to_mm(pose: Array, pairs: PairedDataset, rows: IntArray, videos: list[VideoInfo]) -> Array:
    """(n, T, 17, 3) in the model's units to millimeters."""
    units = np.array([pairs.unit(video) for video in videos])[:, None, None, None]
    if pairs.info["pose_unit"] == "mm":
        return pose * units
    if pairs.mm_per_px is None:
        raise UserError(f"{pairs.folder}: this split has no factors from pixels to millimeters")
    return pose * units * np.asarray(pairs.mm_per_px[rows], dtype=np.float64)[..., None, None]


# ---- the score


def evaluate(
    predict: Predict,
    pairs: PairedDataset,
    protocol: Protocol,
    *,
    seed: int = 0,
    batch_size: int = 16,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = lambda batches: batches,
) -> Evaluation:
    """Score a predictor.

    Args:
        seed: of the stretching of videos that are shorter than a window.
        batch_size: windows at a time.
        progress: wraps the list of batches.

    Raises:
        UserError: see `windows_of` and `frame_errors`.
    """
    windows = windows_of(pairs, protocol, seed)
    places = np.arange(len(windows.rows))
    batches = [places[i : i + batch_size] for i in range(0, len(places), batch_size)]

    def stream() -> Iterator[tuple[IntArray, Array]]:
        for which in progress(batches):
            chosen = windows.scored[which]
            yield windows.rows[which][chosen], predict(windows, which)[chosen]

    errors = frame_errors(
        stream(),
        pairs.truth_mm,
        pairs.video_of_rows(),
        joints=protocol.joints,
        with_pck=pairs.kind == "3dhp",
    )
    groups = groups_of(pairs, errors.rows)
    return Evaluation(
        _report(errors, groups, windows, pairs, protocol, seed), errors, windows, groups
    )


def groups_of(pairs: PairedDataset, rows: IntArray) -> NDArray[np.str_]:
    """(N,) the action (Human3.6M) or the sequence (MPI-INF-3DHP) of each row."""
    names = [video.name if pairs.kind == "3dhp" else video.action for video in pairs.videos]
    return np.array(names)[pairs.video_of_rows()[rows]]


def _report(
    errors: FrameErrors,
    groups: NDArray[np.str_],
    windows: Windows,
    pairs: PairedDataset,
    protocol: Protocol,
    seed: int,
) -> dict[str, Any]:
    metrics = METRICS_OF[pairs.kind]
    names, order = H36M17.joints, list(range(len(H36M17)))
    if pairs.kind == "3dhp":  # under their own names, in their own order
        names, order = MPI_INF_3DHP17.joints, h36m_indices(MPI_INF_3DHP17.joints)
    blocked = [v for v in pairs.videos if v.name.startswith(protocol.blocked or ("\0",))]
    countable = len(pairs.pose) if pairs.scored is None else int(np.sum(pairs.scored))
    return {
        **scores(errors, groups, protocol, metrics),
        "per_sequence" if pairs.kind == "3dhp" else "per_action": scores_by_group(
            errors, groups, metrics
        ),
        "per_joint": {
            joint: overall(errors.joints_mm[:, place], groups, protocol.average)
            for joint, place in zip(names, order, strict=True)
        },
        "protocol": protocol.title,
        "protocol_details": asdict(protocol),
        "synthetic": bool(pairs.info.get("synthetic")),
        "frames": len(errors),
        "clips": len(windows.rows),
        "frames_not_scored": countable - sum(map(len, blocked)) - len(errors),
        "blocked": sorted(video.name for video in blocked),
        "stretched_videos": windows.num_stretched,
        "seed": seed,
        "data": {
            "kind": pairs.kind,
            "keypoints": pairs.info["keypoints"],
            "source": pairs.info["source"],
            "sha256": pairs.info["sha256"][f"{pairs.split}/pose.npy"],
        },
        "versions": {name: version(name) for name in ("actionpose", "torch", "numpy", "scipy")},
    }
