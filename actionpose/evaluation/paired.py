"""Human3.6M and MPI-INF-3DHP scored by the field's protocols: a checkpoint, or anybody's file.

Both become one function from windows to millimeters; `protocols` does the arithmetic. What makes a
score another than the peers' is written into its protocol line.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actionpose import checkpoint, model_hub
from actionpose.datasets.paired import (
    PairedDataset,
    VideoInfo,
    clip_rows,
    covering_rows,
    surrounding_rows,
)
from actionpose.datasets.paired_clips import KeypointSource, input_of
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
from actionpose.geometry.camera import box_frame
from actionpose.inference import flip_averaging
from actionpose.models import Encoder
from actionpose.models.dstformer import PoseOutput
from actionpose.models.encoder import BackboneEncoder
from actionpose.models.peers import PEERS
from actionpose.skeletons import H36M17, H36M17_FEET, MPI_INF_3DHP17
from actionpose.utils.device import choose_device
from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256
from actionpose.utils.typing import Array, BoolArray, IntArray

# The pixels of MotionAGFormer's targets; taken for official files, which do not say their unit.
_ASSUMED_UNIT_MM = 1024.0


_SCALES: dict[Scale, str] = {
    "constant": "units of 1024 mm",
    "image_width": "units of half the test image's width (MotionAGFormer)",
}


@dataclass(frozen=True)
class Windows:
    """Which frames are predicted together, and which of these are scored."""

    rows: IntArray  # (C, T)
    scored: BoolArray  # (C, T)
    num_stretched: int  # videos shorter than a window, stretched to one


# The poses of the windows with these places: (n,) -> (n, T, 17, 3) millimeters, or pixels times
# the frame's factor, which is the same
Predict = Callable[[Windows, IntArray], Array]


@dataclass(frozen=True)
class Evaluation:
    """A scored dataset: what is printed and written, and what error analysis needs."""

    report: dict[str, Any]
    errors: FrameErrors
    windows: Windows
    groups: NDArray[np.str_]  # (N,) action or sequence of each scored frame


# ---- which protocol, which windows


def protocol_for(
    dataset: PairedDataset,
    base: Protocol | None = None,
    *,
    all_frames: bool = False,
    notes: tuple[str, ...] = (),
    **changes: Any,
) -> Protocol:
    """The dataset's protocol with what the user changes, which its notes then say.

    Args:
        base: in place of `PROTOCOLS`; its notes stay.
        all_frames: score the rest of each video too.
        changes: of the fields of `Protocol`; None changes nothing.

    Raises:
        UserError: `all_frames` of a protocol that scores its frames anyway.
    """
    notes = (*(base.notes if base else ()), *notes)
    if dataset.info.get("annotation") == "annot3":
        notes += ("annot3: NOT comparable with the tables, which use univ_annot3",)
    if forced := dataset.info.get("forced"):
        notes += (f"prepared with --force: {len(forced)} checks failed",)
    if dataset.info.get("synthetic"):
        notes += (SYNTHETIC,)
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
    """The windows that a protocol predicts.

    Raises:
        UserError: all videos are left out.
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


# ---- the model


@dataclass(frozen=True)
class Model:
    """A checkpoint, ours or MotionBERT's, and what it says of itself."""

    encoder: Encoder
    frames: int | None  # of the clips it was trained with; None: not known, up to its table
    normalization: str
    unit_mm: float | None
    identity: dict[str, Any]
    notes: tuple[str, ...] = ()
    backbone: str = "dstformer"
    frame_step: int = 1  # frames of a video from one frame of a clip to the next

    def lift(self, keypoints: torch.Tensor, *, embed: bool, margins: bool) -> PoseOutput:
        """The encoder's poses (B, T, 17, 3), or fewer (`BackboneEncoder.forward`), of H36M17.

        Args:
            keypoints: (B, T, 17, 3) of H36M17; networks that were trained on the joints of
                MPI-INF-3DHP get them in that order.
        """
        modes = {"embed": embed} | ({"margins": True} if margins else {})
        if self.backbone not in PEERS or PEERS[self.backbone].skeleton == H36M17.name:
            output: PoseOutput = self.encoder(keypoints, **modes)
            return output
        order = h36m_indices(MPI_INF_3DHP17.joints)
        pose = self.encoder(keypoints[:, :, order], **modes).pose
        return PoseOutput(pose[:, :, np.argsort(order)], None)


def load_model(name: str, kind: str, device: str = "auto") -> Model:
    """Load a checkpoint for a dataset of some kind.

    Raises:
        UserError: no such checkpoint; one of another skeleton, or whose unit is not the data's.
    """
    device = choose_device(device)
    metric = kind != "h36m-sh"
    identity: dict[str, Any] = {"name": name}
    path = model_hub.find(name)
    encoder, meta = checkpoint.load_encoder(path)
    skeleton = meta.get("skeleton", H36M17.name)
    identity |= {"sha256": sha256(checkpoint.weights_file(path))}
    if path.is_file():  # an official file says neither its unit nor its frames
        if kind == "h36m-cpn":
            raise UserError(
                f"{name}: official files predict pixels, but this dataset is scored in "
                "millimeters: fine-tune on it first, or use MotionBERT's pkl"
            )
        identity |= {"format": "MotionBERT"}
        unit_mm, notes = (_ASSUMED_UNIT_MM, ("unit of 1024 mm assumed",)) if metric else (None, ())
        model = Model(encoder, None, "image", unit_mm, identity, notes)
    else:
        identity |= {"step": meta.get("step")}
        normalization = meta.get("normalization", "image")
        backbone, unit_mm = meta["model"].get("backbone", "dstformer"), meta.get("unit_mm")
        if skeleton == MPI_INF_3DHP17.name and unit_mm is None:  # 1024 where the image is 2048 wide
            unit_mm = _ASSUMED_UNIT_MM
        model = Model(
            *(encoder, meta.get("frames"), normalization, unit_mm, identity),
            backbone=backbone,
            frame_step=meta.get("frame_step", 1),
        )
        if sees_windows(encoder):
            model = replace(model, frames=encoder.max_frames)
    # a model with heads for feet takes keypoints without
    known = (H36M17.name, H36M17_FEET.name, *([MPI_INF_3DHP17.name] if kind == "3dhp" else []))
    if skeleton not in known or encoder.num_joints != len(H36M17):
        raise UserError(
            f"{name} has another skeleton ({skeleton}, {encoder.num_joints} joints): "
            f"the prepared data have {H36M17.name}"
        )
    units = ("units of the image", "millimeters")
    if metric == (model.unit_mm is None):
        raise UserError(
            f"{name} predicts {units[not metric]}, but {kind} is scored in {units[metric]}: "
            "fine-tune it on the prepared dataset first (recipes/)"
        )
    model.encoder.to(device)
    return model


def sees_windows(encoder: Encoder) -> bool:
    """Whether a pose is that of one frame of a whole window."""
    if not isinstance(encoder, BackboneEncoder):
        return False
    return encoder.backbone.center_only or encoder.backbone.length == "at_least"


def authors_protocol(model: Model, dataset: PairedDataset) -> Protocol | None:
    """How the authors of a model's backbone score it; None for DSTformer: as the dataset is scored.

    On MPI-INF-3DHP and MotionBERT's file, the protocol is the dataset's, and the authors' are the
    windows.
    """
    if model.backbone not in PEERS:
        return None
    peer, base = PEERS[model.backbone], PROTOCOLS[dataset.kind]
    frames = model.frames or model.encoder.max_frames
    base = replace(base, frames=frames, step=model.frame_step, notes=(f"of {model.backbone}",))
    if dataset.kind == "3dhp":
        image = peer.skeleton == MPI_INF_3DHP17.name and peer.units == "image"
        return replace(base, scale="image_width" if image else base.scale)
    if dataset.kind == "h36m-cpn":
        # those who only use the other file predict all frames of a window
        windows = "covering" if peer.windows == "full" else peer.windows
        name = f"{base.name.rpartition(', ')[0]}, {windows} windows, pelvis: {peer.root}"
        return replace(base, name=name, windows=windows, root=peer.root, flip=peer.flip)
    if not sees_windows(model.encoder):
        return base
    notes = (*base.notes, "all frames, tails too: NOT the peers' protocol")
    return replace(base, windows=peer.windows, notes=notes)


def check_window(model: Model, protocol: Protocol) -> None:
    """Refuse windows that the model was not trained for.

    Raises:
        UserError: says which `frames` to give.
    """
    fitting = model.frames or min(protocol.frames, model.encoder.max_frames)
    if fitting != protocol.frames:
        what = "was trained with" if model.frames else "takes at most"
        raise UserError(
            f"{model.identity['name']} {what} {fitting} frames, but the windows have "
            f"{protocol.frames}: give frames={fitting}"
        )


def model_predict(
    model: Model,
    dataset: PairedDataset,
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
    video_of_rows = dataset.video_of_rows()
    device = next(model.encoder.parameters()).device
    margins = sees_windows(model.encoder) and protocol.windows in ("centered", "context")
    margins &= protocol.frames == model.encoder.max_frames
    lift = partial(model.lift, margins=margins)

    def predict(windows: Windows, places: IntArray) -> Array:
        rows = windows.rows[places]
        videos = [dataset.videos[video] for video in video_of_rows[rows[:, 0]]]
        clips = [input_of(dataset, r, v, keypoints) for r, v in zip(rows, videos, strict=True)]
        boxes = [box_frame(clip) if model.normalization == "box" else None for clip in clips]
        normalized = [
            box.normalize(clip) if box else clip for box, clip in zip(boxes, clips, strict=True)
        ]
        batch = torch.from_numpy(np.stack(normalized)).to(device)
        pose = flip_averaging.predict(lift, batch, flip=protocol.flip, root=protocol.root)
        result = pose.cpu().numpy().astype(np.float64)
        margin = (rows.shape[1] - result.shape[1]) // 2  # which is in no window's middle
        sides = ((0, 0), (margin, margin), (0, 0), (0, 0))
        result = np.pad(result, sides, constant_values=np.nan)
        result *= np.array([box.unit_px if box else 1.0 for box in boxes])[:, None, None, None]
        if model.unit_mm and dataset.unit_mm:
            result *= model.unit_mm / dataset.unit_mm
        if overwrite_xy:
            result[..., :2] = np.stack(clips)[..., :2]
        return to_mm(result, dataset, rows, videos)

    return predict


def to_mm(pose: Array, dataset: PairedDataset, rows: IntArray, videos: list[VideoInfo]) -> Array:
    """(n, T, 17, 3) in the model's units to millimeters."""
    units = np.array([dataset.unit(video) for video in videos])[:, None, None, None]
    if dataset.info["pose_unit"] == "mm":
        return pose * units
    if dataset.mm_per_px is None:
        raise UserError(f"{dataset.folder}: this split has no factors from pixels to millimeters")
    return pose * units * np.asarray(dataset.mm_per_px[rows], dtype=np.float64)[..., None, None]


def predict_row(predict: Predict, windows: Windows, row: int) -> Array:
    """The root-relative pose (17, 3) of one row, from the window that scores it."""
    window, frame = np.argwhere((windows.rows == row) & windows.scored)[0]
    pose = predict(windows, np.array([window]))[0, frame]
    return pose - pose[:1]


# ---- the score


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
        seed: of the stretching of videos that are shorter than a window.
        batch_size: windows at a time.
        max_windows: score so many, evenly spread, instead of all.
        in_units: the predictions were in a network's units, which the millimeters of
            MPI-INF-3DHP are 1024 of; the report then has the scores of both scales (`Protocol`).
        progress: wraps the list of batches.

    Raises:
        UserError: see `windows_of` and `frame_errors`.
    """
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
    if dataset.kind == "3dhp":  # under their own names, in their own order
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
