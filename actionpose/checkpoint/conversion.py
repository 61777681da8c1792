"""Conversion of official weights to checkpoints, and of a checkpoint to MotionBERT's format."""

from pathlib import Path
from typing import Any

import torch

from actionpose.checkpoint.folder import PEER_FPS, load_encoder, write_checkpoint
from actionpose.checkpoint.official import load_peer
from actionpose.models import PoseEncoder, build_encoder
from actionpose.models.peers import PEERS, sizes_of
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_folder, atomic_write, sha256


def convert_peer(
    name: str, path: Path, folder: Path, *, num_heads: int | None = None, frames: int | None = None
) -> Path:
    """Convert official weights to a checkpoint for `load_encoder`, without rounding.

    Args:
        name: See `load_peer`.
        path: See `load_peer`.
        folder: Folder of the checkpoint.
        num_heads: See `load_peer`.
        frames: See `load_peer`.

    Raises:
        UserError: See `load_peer`; or if the folder exists, or the network requires other
            keypoints.
    """
    if name in PEERS and PEERS[name].input_skeleton != PEERS[name].skeleton:
        raise UserError(
            f"{name} takes keypoints of {PEERS[name].input_skeleton}, which checkpoints do not: "
            "use load_peer"
        )
    network = load_peer(name, path, num_heads=num_heads, frames=frames)
    weights, peer = network.state_dict(), PEERS[name]
    model: dict[str, Any] = {"backbone": name, "class_token": False, "max_frames": network.frames}
    model |= sizes_of(name, weights, str(path)) | ({"num_heads": num_heads} if num_heads else {})
    model.pop("num_joints", None)  # 17, which is not a setting
    encoder = build_encoder(**model)
    encoder.load_state_dict({f"backbone.{key}": v for key, v in weights.items()}, strict=False)
    license = f"{peer.license}; research only, as the data it was trained on"
    meta = {
        "stage": "converted",
        "model": model,
        "skeleton": peer.skeleton,
        "frames": network.frames,
        "fps": PEER_FPS / peer.frame_step,
        "frame_step": peer.frame_step,
        "normalization": "image",
        "unit_mm": {"m": 1000.0, "mm": 1.0, "image": None}[peer.units],
        "license": license,
        "data": [{"name": name, "source": "weights of its authors", "license": license}],
        "source": {"file": path.name, "sha256": sha256(path)},
    }
    with atomic_folder(folder) as unfinished:
        write_checkpoint(unfinished, encoder.state_dict(), meta)
    return folder


def export_motionbert(checkpoint: Path, out: Path) -> dict[str, Any]:
    """Write the weights of the lifting model as a file for MotionBERT's code (`model_pos`).

    Embedding branch, pooling and heads are omitted, because MotionBERT does not compute them.

    Args:
        checkpoint: Checkpoint to convert.
        out: File to write.

    Returns:
        The metadata of the checkpoint.

    Raises:
        UserError: If the file exists, or the lifting model differs from MotionBERT's DSTformer by
            its backbone, bone features, or frames that attend to the <POSE> token.
    """
    encoder, meta = load_encoder(checkpoint)
    if not isinstance(encoder, PoseEncoder):
        raise UserError(f"{checkpoint} is not MotionBERT's network: another backbone")
    if encoder.bone_features:
        raise UserError(
            f"{checkpoint} is not MotionBERT's network: it also reads bones; train with "
            "model.bone_features false"
        )
    if encoder.token_in_backbone:
        raise UserError(
            f"{checkpoint} is not MotionBERT's network: its frames attend to a <POSE> token, which "
            "DSTformer lacks, so that poses would differ; train with model.class_token false, or "
            "with an embedding branch (model.embedding_depth)"
        )
    if out.exists():
        raise UserError(f"{out} exists already: remove it, or choose another name")
    dropped = (*encoder.embedding_parameter_prefixes(), "heads.")
    weights = {
        f"module.{key}": value
        for key, value in encoder.state_dict().items()
        if not key.startswith(dropped)
    }
    with atomic_write(out) as path:
        torch.save({"model_pos": weights}, path)
    return meta
