"""Stage one: the encoder restores 3D from hidden and noisy 2D, and learns the action's name.

The pose encoder's embedding of a clip is drawn to that of its label and away from other labels
(Equations 1 and 2) while the head is trained as in stage two (Equations 3 to 5).

Letters in shapes: B clips, K negatives, V labels of the vocabulary, G clips of all processes.
"""

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from actionpose import checkpoint, model_hub
from actionpose.config import (
    AlignmentConfig,
    PretrainConfig,
    TextConfig,
    to_dict,
)
from actionpose.datasets.loading import open_corpora
from actionpose.datasets.motion_text import TextBatches
from actionpose.models.dstformer import PAIR, PoseEncoder
from actionpose.models.text_encoder import COLLAPSED, TextEncoder, spread
from actionpose.training import loop as training
from actionpose.training import run_folder
from actionpose.training.contrastive import alignment
from actionpose.training.initialization import initialize, keeps_embedding
from actionpose.training.losses import (
    position_loss,
    scale_loss,
    velocity_loss,
)
from actionpose.training.motion_text_model import MotionText, Output
from actionpose.training.validation import Validation
from actionpose.utils.errors import UserError, UserNotice


def losses_of(
    model: nn.Module, batch: dict[str, Tensor], config: AlignmentConfig
) -> dict[str, Tensor]:
    """Equations 2 to 4, and MotionBERT's loss after the best scale."""
    valid = batch["valid"]
    out: Output = model(
        batch["keypoints"], None if bool(valid.all()) else valid, batch["candidates"]
    )
    pose = out.pose.float()
    losses = {
        "position": position_loss(pose, batch["pose"], valid),
        "velocity": velocity_loss(pose, batch["pose"], valid),
        "scale": scale_loss(pose, batch["pose"], valid),
    }
    if out.motion is not None and out.text is not None:
        losses["alignment"] = alignment(
            out.motion, out.text, batch["candidates"], batch["truth"], config
        )
    return losses


def pretrain(config: PretrainConfig, run: Path, *, quiet: bool = False) -> training.Outcome:
    """Train, or go on training, in the folder `run`.

    Raises:
        UserError: see `run_folder.last_checkpoint`, `training.fit`, `TextBatches`, `TextEncoder`
            and `open_corpus`.
    """
    aligned = config.alignment_weight != 0
    if aligned and not config.model.class_token:
        raise UserError("alignment needs model.class_token; or set alignment_weight to 0")
    if config.data.frames > config.model.max_frames:
        raise UserError(
            f"data.frames ({config.data.frames}) is more than model.max_frames "
            f"({config.model.max_frames})"
        )
    corpora = open_corpora(config.data.corpora)
    accelerator = training.start_accelerator(config.training)
    drawn = config.alignment.source == "vocabulary" and aligned
    batches = TextBatches(
        corpora,
        config.data,
        batch_size=config.training.batch_size,
        seed=config.training.seed,
        negatives=config.alignment.negatives if drawn else 0,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
        need_texts=aligned,
    )
    if drawn and batches.negatives < 1:
        raise UserError("alignment.negatives must be 1 or more")
    torch.manual_seed(config.training.seed)
    pose = PoseEncoder(**asdict(config.model))
    training.apply_compile_and_fusion(pose, config.training, accelerator)
    resume = run_folder.last_checkpoint(run, to_dict(config))
    if config.init and not resume:
        initialize(pose, config.init, config.init_ignore, frames=config.data.frames)
    if not aligned:
        pose.freeze_embedding()
    text = _text_side(config, resume) if aligned else None
    model = MotionText(pose, text, batches.labels)
    report: dict[str, Any] = {"spans": len(batches.spans), "labels": len(batches.labels)}
    if text is not None:
        report |= _look_at_texts(model, text, config.text, accelerator.is_main_process)
        report["negatives"] = batches.negatives if drawn else "the other clips of the step"
        if config.text.frozen:
            model.freeze_text()
    validation = Validation.of(corpora, config)
    if validation:
        report["chance"] = validation.chance
    weights = {
        "position": config.position_weight,
        "velocity": config.velocity_weight,
        "scale": config.scale_weight,
    }
    if aligned:
        weights["alignment"] = config.alignment_weight

    def write_text(model: nn.Module, folder: Path) -> None:
        if text is not None:
            checkpoint.save_labels(folder, batches.labels, text.encode(batches.labels))
            text.save(folder / checkpoint.TEXT)

    return training.fit(
        model,
        lambda step: training.in_workers(batches.starting_at(step), config.training.workers),
        lambda model, batch: losses_of(model, batch, config.alignment),
        weights,
        config.training,
        accelerator=accelerator,
        run=run,
        resume=resume,
        meta=run_folder.meta_of("pretrain", config, corpora),
        steps_per_epoch=max(1, len(batches.spans) // config.training.batch_size),
        validate=validation.scores if validation else None,
        encoder_of=lambda model: model.get_submodule("pose"),
        write_beside=write_text,
        rate_factor=lambda name: config.text.learning_rate_factor if "text." in name else 1.0,
        trunk_of=lambda model: shared_trunk(cast(PoseEncoder, model.get_submodule("pose"))),
        report=report,
        quiet=quiet,
    )


def _text_side(config: PretrainConfig, resume: Path | None) -> TextEncoder:
    """That of the run, else of the checkpoint to start from, else BERT with a new pooling."""
    start = resume
    if start is None and config.init and keeps_embedding(config.init, config.init_ignore):
        start = model_hub.find(config.init)
    if start is not None and (start / checkpoint.TEXT).is_dir():
        return TextEncoder.from_checkpoint(start / checkpoint.TEXT)
    return TextEncoder.from_pretrained(
        config.text.source,
        layers=config.text.layers,
        dropout=config.text.dropout,
        pooling=config.text.pooling,
        embedding_dim=config.model.embedding_dim,
        max_tokens=config.text.max_tokens,
    )


def _look_at_texts(
    model: MotionText, text: TextEncoder, config: TextConfig, main: bool
) -> dict[str, Any]:
    """What is to be known of the vocabulary before training, with a warning where it is bad."""
    found = spread(text.encode(model.labels))
    if main and found["label_cosine_mean"] > COLLAPSED:
        warnings.warn(
            f"the labels' embeddings are all alike (mean cosine {found['label_cosine_mean']:.4f}):"
            f" the {config.pooling} pooling of {config.layers} layers of {config.source} hardly "
            "tells texts apart, and learns to only slowly; try text.pooling mean",
            UserNotice,
            stacklevel=3,
        )
    if main and model.num_cut:
        warnings.warn(
            f"{model.num_cut} of {len(model.labels)} labels are longer than text.max_tokens "
            f"({text.max_tokens}) and are cut",
            UserNotice,
            stacklevel=3,
        )
    return {**found, "labels_cut": model.num_cut}


def shared_trunk(encoder: PoseEncoder) -> list[nn.Parameter]:
    """Parameters under the embedding, which alignment and reconstruction both train."""
    names = ["temp_embed", "pos_embed", "joints_embed."] + ["pose_token"] * encoder.token_in_trunk
    names += [f"{part}.{layer}." for part in PAIR for layer in range(encoder.middle_layer)]
    return [
        parameter
        for name, parameter in encoder.named_parameters()
        if name.startswith(tuple(names)) and parameter.requires_grad
    ]
