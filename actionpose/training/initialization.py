"""Construction of the encoder of a training run, and its initial weights."""

import warnings
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from actionpose import model_hub
from actionpose.checkpoint import load, load_by_name
from actionpose.config import FinetuneConfig, PretrainConfig, TrainingConfig
from actionpose.models import Encoder, build_encoder
from actionpose.models.ops.fused_block import has_bf16
from actionpose.training import run_folder
from actionpose.utils.errors import UserError, UserNotice
from actionpose.utils.yaml_config import to_dict


def start_encoder(
    config: FinetuneConfig | PretrainConfig, run: Path
) -> tuple[Encoder, Path | None]:
    """Build the encoder with its initial weights, and find the checkpoint to resume from.

    If there is a checkpoint, `loop.fit` loads its weights.

    Raises:
        UserError: See `run_folder.last_checkpoint`, `apply_fusion` and `initialize`; or if the
            clips are too long for the model.
    """
    if config.data.frames > config.model.max_frames:
        raise UserError(
            f"data.frames ({config.data.frames}) is more than model.max_frames "
            f"({config.model.max_frames})"
        )
    torch.manual_seed(config.training.seed)
    encoder = build_encoder(**asdict(config.model))
    apply_fusion(encoder, config.training)
    resume = run_folder.last_checkpoint(run, to_dict(config))
    if resume:
        encoder.embedding_stride = load(resume)[1].get("embedding_stride", 1)
    elif config.init:
        kept = isinstance(config, PretrainConfig) and config.freezes_lifting
        frames = None if kept or config.model.heads else config.data.frames
        initialize(encoder, config.init, config.init_ignore, frames=frames)
    return encoder, resume


def apply_fusion(encoder: Encoder, config: TrainingConfig) -> None:
    """Use the C++ kernels if `training.device` is cpu_fused.

    Raises:
        UserError: See `PoseEncoder.fuse`.
    """
    if config.device != "cpu_fused":
        return
    encoder.fuse()
    if config.precision == "bf16" and not has_bf16():
        warnings.warn(
            "this processor multiplies no bf16 (avx512_bf16): the encoder's blocks are "
            "computed in float32",
            UserNotice,
            stacklevel=2,
        )


def initialize(
    encoder: Encoder, source: Path, ignore: tuple[str, ...] = (), *, frames: int | None = None
) -> None:
    """Load initial weights from a checkpoint of actionpose or an official MotionBERT file.

    The <POSE> token and its pooling may be missing, as may the heads; they keep their random
    initialization, as do the parameters in `ignore`. Missing layer pairs of the embedding branch
    are copied from those of the backbone above the middle layer, and further pairs keep their
    random initialization. Heads that the encoder does not have are ignored. All other weights must
    match.

    Args:
        encoder: Encoder to initialize.
        source: Checkpoint, or name of a model.
        ignore: Prefixes of the names of parameters that are not loaded.
        frames: Number of frames of the training clips. If the checkpoint was trained on shorter
            clips, the trained rows of its temporal embedding are interpolated to this number.

    Raises:
        UserError: If the weights do not exist, or names or shapes do not match.
    """
    weights, meta = load(model_hub.find(source))
    encoder.embedding_stride = meta.get("embedding_stride", 1)
    if encoder.heads is None:
        weights = {name: value for name, value in weights.items() if not name.startswith("heads.")}
    trained_frames = meta.get("frames")
    table = weights.get("temp_embed", torch.empty(1, 0))
    if frames and trained_frames and trained_frames < frames <= table.shape[1]:
        weights["temp_embed"] = stretch(weights["temp_embed"], trained_frames, frames)
    for name, copied in encoder.branch_init_map().items():
        if copied in weights and not name.startswith(ignore):
            weights.setdefault(name, weights[copied])
    load_by_name(
        encoder,
        weights,
        str(source),
        may_miss=(*encoder.embedding_parameter_prefixes(), "heads."),
        ignore=ignore,
    )


def keeps_embedding(source: Path | None, ignore: tuple[str, ...]) -> bool:
    """Whether an encoder that is initialized from `source` also gets its motion embedding."""
    if source is None or source.is_file():
        return False
    return not any("pooling.fc.".startswith(ignored) for ignored in ignore)


def stretch(table: Tensor, trained: int, frames: int) -> Tensor:
    """Interpolate the first `trained` rows of a temporal embedding (1, T, 1, D) to `frames`."""
    rows = table[0, :trained, 0].T[None]  # (1, D, trained)
    spread = F.interpolate(rows, frames, mode="linear", align_corners=True)
    return torch.cat([spread[0].T[None, :, None], table[:, frames:]], dim=1)
