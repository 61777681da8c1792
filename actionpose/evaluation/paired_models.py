"""Checkpoints as functions from windows to millimeters, which `paired` scores."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from actionpose import checkpoint, model_hub
from actionpose.datasets.paired import PairedDataset
from actionpose.datasets.paired_clips import KeypointSource, input_of
from actionpose.evaluation.paired import Predict, Windows, to_mm
from actionpose.evaluation.protocols import PROTOCOLS, Protocol, h36m_indices
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
from actionpose.utils.typing import Array, IntArray

# Unit of MotionAGFormer's targets in mm; assumed for official files, which do not state their unit.
_ASSUMED_UNIT_MM = 1024.0


@dataclass(frozen=True)
class Model:
    """A checkpoint of actionpose or MotionBERT, with its metadata."""

    encoder: Encoder
    frames: int | None  # of the training clips; None if unknown
    normalization: str
    unit_mm: float | None
    identity: dict[str, Any]
    notes: tuple[str, ...] = ()
    backbone: str = "dstformer"
    frame_step: int = 1  # interval between frames of a clip, in frames of the video

    def lift(self, keypoints: torch.Tensor, *, embed: bool, margins: bool) -> PoseOutput:
        """Predict poses (B, T, 17, 3) of H36M17, or fewer frames, see `BackboneEncoder.forward`.

        Args:
            keypoints: (B, T, 17, 3) Keypoints of H36M17, which are reordered for networks trained
                on the joints of MPI-INF-3DHP.
            embed: See `BackboneEncoder.forward`.
            margins: See `BackboneEncoder.forward`.
        """
        modes = {"embed": embed} | ({"margins": True} if margins else {})
        if self.backbone not in PEERS or PEERS[self.backbone].skeleton == H36M17.name:
            output: PoseOutput = self.encoder(keypoints, **modes)
            return output
        order = h36m_indices(MPI_INF_3DHP17.joints)
        pose = self.encoder(keypoints[:, :, order], **modes).pose
        return PoseOutput(pose[:, :, np.argsort(order)], None)


def load_model(name: str, kind: str, device: str = "auto") -> Model:
    """Load a checkpoint for a kind of dataset.

    Raises:
        UserError: If the checkpoint does not exist, or its skeleton or unit differs from the data.
    """
    device = choose_device(device)
    metric = kind != "h36m-sh"
    identity: dict[str, Any] = {"name": name}
    path = model_hub.find(name)
    encoder, meta = checkpoint.load_encoder(path)
    skeleton = meta.get("skeleton", H36M17.name)
    identity |= {"sha256": sha256(checkpoint.weights_file(path))}
    if path.is_file():  # official files do not state their unit and frames
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
        if skeleton == MPI_INF_3DHP17.name and unit_mm is None:  # 1024 for an image width of 2048
            unit_mm = _ASSUMED_UNIT_MM
        model = Model(
            *(encoder, meta.get("frames"), normalization, unit_mm, identity),
            backbone=backbone,
            frame_step=meta.get("frame_step", 1),
        )
        if sees_windows(encoder):
            model = replace(model, frames=encoder.max_frames)
    # a model with heads for feet also accepts keypoints without feet
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
    """Whether the model predicts one frame from a whole window."""
    if not isinstance(encoder, BackboneEncoder):
        return False
    return encoder.backbone.center_only or encoder.backbone.length == "at_least"


def authors_protocol(model: Model, dataset: PairedDataset) -> Protocol | None:
    """The protocol of the authors of the backbone; None for DSTformer, which uses the default.

    On MPI-INF-3DHP and on MotionBERT's file, the protocol is that of the dataset, with the windows
    of the authors.
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
        # authors who only use the other file predict all frames of a window
        windows = "covering" if peer.windows == "full" else peer.windows
        name = f"{base.name.rpartition(', ')[0]}, {windows} windows, pelvis: {peer.root}"
        return replace(base, name=name, windows=windows, root=peer.root, flip=peer.flip)
    if not sees_windows(model.encoder):
        return base
    notes = (*base.notes, "all frames, tails too: NOT the peers' protocol")
    return replace(base, windows=peer.windows, notes=notes)


def check_window(model: Model, protocol: Protocol) -> None:
    """Check that the model was trained for the length of the windows.

    Raises:
        UserError: If it was not; names the required `frames`.
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
    """The prediction function of a model.

    Args:
        model: Model.
        dataset: Paired dataset.
        protocol: Evaluation protocol.
        keypoints: Source of the keypoints.
        overwrite_xy: Whether to copy x and y from the input, as in MotionBERT for ground-truth 2D,
            so that only the depth can be wrong.

    Raises:
        UserError: If `overwrite_xy` is given for a dataset whose poses are not in pixels.
    """
    if overwrite_xy and dataset.info["pose_unit"] != "px":
        raise UserError(
            "overwrite_xy=True takes x and y from pixels, but the poses of "
            f"{dataset.kind} are in millimeters: leave it out"
        )
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
        margin = (rows.shape[1] - result.shape[1]) // 2  # frames that are not predicted
        sides = ((0, 0), (margin, margin), (0, 0), (0, 0))
        result = np.pad(result, sides, constant_values=np.nan)
        result *= np.array([box.unit_px if box else 1.0 for box in boxes])[:, None, None, None]
        if model.unit_mm and dataset.unit_mm:
            result *= model.unit_mm / dataset.unit_mm
        if overwrite_xy:
            result[..., :2] = np.stack(clips)[..., :2]
        return to_mm(result, dataset, rows, videos)

    return predict
