"""Starting a training from weights: one of our checkpoints, or an official MotionBERT file."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from actionpose import model_hub
from actionpose.checkpoint import load, load_by_name, motionbert_weights
from actionpose.models.dstformer import PoseEncoder


def initialize(
    encoder: PoseEncoder, source: Path, ignore: tuple[str, ...] = (), *, frames: int | None = None
) -> None:
    """Load weights to start from: one of our checkpoints, or an official MotionBERT file.

    The <POSE> token and its pooling may be missing; they then start as drawn, as does what
    `ignore` names. Pairs of the embedding's own that are missing start as the trunk's above the
    middle layer, which lifting has there; further ones as drawn. Everything else must fit.

    Args:
        frames: of the clips to come. Where the checkpoint was trained on shorter ones, the rows of
            its temporal embedding that it knows are stretched over as many.
    """
    known = None
    if source.is_file():
        weights = motionbert_weights(source)
    else:
        weights, meta = load(model_hub.find(source))
        known = meta.get("frames")
    if frames and known and known < frames <= weights["temp_embed"].shape[1]:
        weights["temp_embed"] = stretch(weights["temp_embed"], known, frames)
    for name, copied in encoder.branch_init_map().items():
        if copied in weights and not name.startswith(ignore):
            weights.setdefault(name, weights[copied])
    load_by_name(
        encoder,
        weights,
        str(source),
        may_miss=encoder.embedding_parameter_prefixes(),
        ignore=ignore,
    )


def keeps_embedding(source: Path | None, ignore: tuple[str, ...]) -> bool:
    """Whether an encoder that starts from `source` has its embedding of motions, too."""
    if source is None or source.is_file():
        return False
    return not any("pooling.fc.".startswith(ignored) for ignored in ignore)


def stretch(table: Tensor, known: int, frames: int) -> Tensor:
    """A temporal embedding (1, T, 1, D) whose first `known` rows are spread over `frames`."""
    rows = table[0, :known, 0].T[None]  # (1, D, known)
    spread = F.interpolate(rows, frames, mode="linear", align_corners=True)
    return torch.cat([spread[0].T[None, :, None], table[:, frames:]], dim=1)
