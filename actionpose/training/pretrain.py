"""Pretraining: the encoder restores 3D from masked and noisy 2D, and learns the action's text.

The embedding of a clip is drawn to that of its label and away from other labels (Equations 1
and 2), while the 3D head is trained as in fine-tuning (Equations 3 to 5).
"""

import warnings
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from actionpose import checkpoint, model_hub
from actionpose.config import AlignmentConfig, PretrainConfig, TextConfig
from actionpose.datasets.corpus import Corpus
from actionpose.datasets.loading import open_corpora
from actionpose.datasets.motion_text import TextBatches
from actionpose.models.text_encoder import COLLAPSED, TextEncoder, spread
from actionpose.training import loop, run_folder
from actionpose.training.contrastive import alignment
from actionpose.training.initialization import keeps_embedding, start_encoder
from actionpose.training.losses import lifting_losses
from actionpose.training.motion_text_model import MotionTextModel, MotionTextOutput
from actionpose.training.validation import MotionTextValidation
from actionpose.utils.errors import UserError, UserNotice


def compute_losses(
    model: nn.Module, batch: dict[str, Tensor], config: AlignmentConfig
) -> dict[str, Tensor]:
    """Equations 2 to 4, and MotionBERT's loss after the best scale."""
    valid = batch["valid"]
    mask = None if bool(valid.all()) else valid
    out: MotionTextOutput = model(batch["keypoints"], mask, batch["candidates"])
    losses = lifting_losses(out.pose, batch)
    if out.motion is not None and out.text is not None:
        losses["alignment"] = alignment(
            out.motion, out.text, batch["candidates"], batch["truth"], config
        )
    return losses


def pretrain(config: PretrainConfig, run: Path, *, quiet: bool = False) -> loop.Outcome:
    """Train, or resume a training, in the folder `run`.

    Raises:
        UserError: see `start_encoder`, `loop.fit`, `TextBatches`, `TextEncoder` and
            `open_corpora`.
    """
    aligned = config.alignment_weight != 0
    if aligned and not config.model.class_token:
        raise UserError("alignment needs model.class_token; or set alignment_weight to 0")
    corpora = open_corpora(config.data.corpora)
    accelerator = loop.start_accelerator(config.training)
    batches = _batches(config, corpora, accelerator)
    encoder, resume = start_encoder(config, run, accelerator)
    if not aligned:
        encoder.freeze_embedding()
    text = _text_encoder(config, resume) if aligned else None
    model = MotionTextModel(encoder, text, batches.labels)
    report: dict[str, Any] = {"spans": len(batches.spans), "labels": len(batches.labels)}
    if text is not None:
        report |= _check_vocabulary(model, text, config.text, accelerator.is_main_process)
        report["negatives"] = batches.negatives or "the other clips of the step"
        if config.text.frozen:
            model.freeze_text()
    validation = MotionTextValidation.from_corpora(corpora, config)
    if validation:
        report["chance"] = validation.chance
    weights = {
        "position": config.position_weight,
        "velocity": config.velocity_weight,
        "scale": config.scale_weight,
    }
    if aligned:
        weights["alignment"] = config.alignment_weight

    def write_text(folder: Path) -> None:
        if text is not None:
            checkpoint.save_labels(folder, batches.labels, text.encode(batches.labels))
            text.save(folder / checkpoint.TEXT)

    return loop.fit(
        model,
        encoder,
        lambda step: loop.in_workers(batches.starting_at(step), config.training.workers),
        lambda model, batch: compute_losses(model, batch, config.alignment),
        weights,
        config.training,
        accelerator=accelerator,
        run=run,
        resume=resume,
        meta=run_folder.metadata("pretrain", config, corpora),
        steps_per_epoch=max(1, len(batches.spans) // config.training.batch_size),
        validate=(lambda: validation.scores(model)) if validation else None,
        write_extras=write_text,
        rate_factor=lambda name: config.text.learning_rate_factor if "text." in name else 1.0,
        shared_parameters=encoder.shared_parameters(),
        report=report,
        quiet=quiet,
    )


def _batches(
    config: PretrainConfig, corpora: list[tuple[Corpus, float]], accelerator: Any
) -> TextBatches:
    """This process's batches; their `negatives` is 0 where no negatives are drawn."""
    aligned = config.alignment_weight != 0
    drawn = aligned and config.alignment.source == "vocabulary"
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
    return batches


def _text_encoder(config: PretrainConfig, resume: Path | None) -> TextEncoder:
    """That of the run, else of the checkpoint to start from, else BERT with a new pooling."""
    start = resume
    if not start and config.init and keeps_embedding(config.init, config.init_ignore):
        start = model_hub.find(config.init)
    if start and (start / checkpoint.TEXT).is_dir():
        return TextEncoder.from_checkpoint(start / checkpoint.TEXT)
    return TextEncoder.from_pretrained(
        config.text.source,
        layers=config.text.layers,
        dropout=config.text.dropout,
        pooling=config.text.pooling,
        embedding_dim=config.model.embedding_dim,
        max_tokens=config.text.max_tokens,
    )


def _check_vocabulary(
    model: MotionTextModel, text: TextEncoder, config: TextConfig, main: bool
) -> dict[str, Any]:
    """Facts about the labels for `report.json`, with a warning if they are hard to tell apart."""
    cosines = spread(text.encode(model.labels))
    notices = []
    if cosines["label_cosine_mean"] > COLLAPSED:
        notices.append(
            f"the labels' embeddings are all alike (mean cosine {cosines['label_cosine_mean']:.4f})"
            f": the {config.pooling} pooling of {config.layers} layers of {config.source} hardly "
            "tells texts apart, and learns to only slowly; try text.pooling mean"
        )
    if model.num_truncated:
        notices.append(
            f"{model.num_truncated} of {len(model.labels)} labels are longer than text.max_tokens "
            f"({text.max_tokens}) and are cut"
        )
    for notice in notices if main else ():
        warnings.warn(notice, UserNotice, stacklevel=3)
    return {**cosines, "labels_cut": model.num_truncated}
