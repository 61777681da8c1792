"""Pretraining: the encoder reconstructs 3D from masked and noisy 2D, aligned with action labels.

The embedding of a clip is aligned with that of its label and separated from other labels (Equations
1 and 2), while the 3D head is trained as in fine-tuning (Equations 3 to 5).
"""

import warnings
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from actionpose import checkpoint, model_hub
from actionpose.config import AlignmentConfig, PretrainConfig, TextConfig
from actionpose.datasets.loading import WeightedCorpora, open_corpora
from actionpose.datasets.motion_text import MotionTextBatches
from actionpose.models.text_encoder import COLLAPSED, TextEncoder, spread
from actionpose.training import loop, run_folder
from actionpose.training.contrastive import alignment
from actionpose.training.initialization import keeps_embedding, start_encoder
from actionpose.training.losses import NO_WEIGHTS, lifting_losses
from actionpose.training.motion_text_model import MotionTextModel, MotionTextOutput
from actionpose.training.process import start_accelerator
from actionpose.training.validation import MotionTextValidation
from actionpose.utils.errors import UserError, UserNotice
from actionpose.utils.yaml_config import checked

SAMPLED_LABELS = 2048  # maximum number of compared labels; all would take gigabytes
_OF_EMBEDDING = (  # entries of the metadata
    "embedding",
    "embedding_stride",
    "text_from",
    "rejection_threshold",
    "rejection_calibrated_on",
    "confidence_weights",
)
TEXT_RATE_FACTOR = 0.1  # learning rate of the text encoder relative to that of the pose encoder


def compute_losses(
    model: nn.Module, batch: dict[str, Tensor], config: AlignmentConfig
) -> dict[str, Tensor]:
    """The losses of Equations 2 to 4, and MotionBERT's scale loss."""
    valid = batch["valid"]
    mask = None if bool(valid.all()) else valid
    out: MotionTextOutput = model(batch["keypoints"], mask, batch["candidates"])
    losses = {} if out.pose is None else lifting_losses(out.pose, batch)
    if out.motion is not None and out.text is not None:
        losses["alignment"] = alignment(
            out.motion, out.text, batch["candidates"], batch["positives"], config
        )
    return losses


def pretrain(config: PretrainConfig, run: Path, *, quiet: bool = False) -> loop.Outcome:
    """Train in the folder `run`, or resume its training.

    Raises:
        UserError: See `start_encoder`, `loop.fit`, `MotionTextBatches`, `TextEncoder` and
            `open_corpora`.
    """
    config = checked(config)
    weights = NO_WEIGHTS | config.loss_weights
    aligned = _is_aligned(config)
    if not aligned:
        weights.pop("alignment", None)
    elif not config.model.class_token:
        raise UserError("alignment needs model.class_token; or set loss_weights without alignment")
    if config.model.heads and not config.freezes_lifting:
        raise UserError("model.heads are trained by finetune, on a model that pretrain made")
    corpora = open_corpora(config.data.corpora)
    accelerator = start_accelerator(config.training)
    if aligned:
        _check_other_clips(config, accelerator.num_processes)
    batches = _batches(config, corpora, accelerator.process_index, accelerator.num_processes)
    encoder, resume = start_encoder(config, run)
    if not aligned:
        encoder.freeze_embedding()
    metadata, kept = run_folder.metadata("pretrain", config, corpora), {}
    if config.freezes_lifting:
        encoder.freeze_lifting(config.data.frames, config.data.temporal_stride)
        metadata["embedding"] = {key: metadata[key] for key in ("config", "data")}
        kept = _kept_metadata(config, resume)
    source = resume or (model_hub.find(config.init) if config.init else None)
    metadata["data"] = run_folder.with_data_of(source, metadata["data"])
    text = _text_encoder(config, resume) if aligned else None
    model = MotionTextModel(encoder, text, batches.labels, lift=not config.freezes_lifting)
    report: dict[str, Any] = {"spans": len(batches.spans), "labels": len(batches.labels)}
    if text is not None:
        text.to(accelerator.device)
        if accelerator.is_main_process:
            report |= _check_vocabulary(model, text, config.text)
        report["negatives"] = batches.negatives or "the other clips of the step"
        if config.text.frozen:
            model.freeze_text()
        else:
            text.unfreeze()
    validation = MotionTextValidation.from_corpora(corpora, config)
    if validation:
        report["chance"] = validation.chance

    def write_text(folder: Path) -> None:
        if text is not None:
            checkpoint.save_labels(folder, batches.labels, text.encode(batches.labels))
            text.save(folder / checkpoint.TEXT)

    task = loop.Task(
        model,
        encoder,
        batches,
        max(1, len(batches.spans) // config.training.batch_size),
        lambda model, batch: compute_losses(model, batch, config.alignment),
        weights,
        metadata,
        validate=(lambda: validation.scores(model)) if validation else None,
        write_extras=write_text,
        kept=kept,
        rate_factor=lambda name: TEXT_RATE_FACTOR if "text." in name else 1.0,
        shared_parameters=encoder.shared_parameters(),
        report=report,
    )
    return loop.fit(task, config.training, accelerator, run, resume=resume, quiet=quiet)


def _check_other_clips(config: PretrainConfig, num_processes: int) -> None:
    """Check that each part of a batch has at least two clips if negatives are other clips."""
    if isinstance(config.alignment.negatives, int):
        return
    parts = config.training.gradient_accumulation_steps
    if config.alignment.negatives == "batch":
        parts *= num_processes
    if config.training.batch_size < 2 * parts:
        raise UserError(
            f"alignment.negatives {config.alignment.negatives} compares the clips of a part with "
            f"each other, and {config.training.batch_size} clips in {parts} parts leave one: raise "
            "training.batch_size"
        )


def clips_per_epoch(config: PretrainConfig) -> int:
    """Number of clips per epoch, which is that of labeled spans.

    Raises:
        UserError: See `pretrain`.
    """
    return len(_batches(config, open_corpora(config.data.corpora)).spans)


def _kept_metadata(config: PretrainConfig, resume: Path | None) -> dict[str, Any]:
    """The metadata that do not change because the lifting is frozen."""
    assert config.init is not None
    changed = {"data", *_OF_EMBEDDING}
    kept = run_folder.kept_metadata(resume or model_hub.find(config.init), changed)
    if config.model.heads != ("heads" in kept):
        raise UserError(
            f"model.heads must be {str(not config.model.heads).lower()}, as in {config.init}, "
            "whose heads stay as they are"
        )
    return kept


def _is_aligned(config: PretrainConfig) -> bool:
    return config.loss_weights.get("alignment", 0) != 0


def _batches(
    config: PretrainConfig, corpora: WeightedCorpora, rank: int = 0, world_size: int = 1
) -> MotionTextBatches:
    """The batches of this process; their `negatives` is 0 if no negatives are sampled."""
    negatives = config.alignment.negatives if _is_aligned(config) else 0
    return MotionTextBatches(
        corpora,
        config.data,
        batch_size=config.training.batch_size,
        seed=config.training.seed,
        negatives=negatives if isinstance(negatives, int) else 0,
        need_texts=_is_aligned(config),
        rank=rank,
        world_size=world_size,
    )


def _text_encoder(config: PretrainConfig, resume: Path | None) -> TextEncoder:
    """The text encoder of the run, of the initial checkpoint, or BERT with a new pooling."""
    start = resume
    if not start and config.init and keeps_embedding(config.init, config.init_ignore):
        start = model_hub.find(config.init)
    if start and (start / checkpoint.TEXT).is_dir():
        return TextEncoder.from_checkpoint(start / checkpoint.TEXT)
    return TextEncoder.from_pretrained(
        config.text.source,
        dropout=config.model.pooling_dropout,
        pooling=config.text.pooling,
        embedding_dim=config.model.embedding_dim,
    )


def _check_vocabulary(
    model: MotionTextModel, text: TextEncoder, config: TextConfig
) -> dict[str, Any]:
    """Statistics of the labels for `report.json`, with a warning if they are hard to distinguish.

    If there are more than `SAMPLED_LABELS` labels, evenly spaced ones in alphabetical order are
    compared.
    """
    every = -(-len(model.labels) // SAMPLED_LABELS)
    cosines = spread(text.encode(model.labels[::every]))
    notices = []
    if cosines["label_cosine_mean"] > COLLAPSED:
        notices.append(
            f"the labels' embeddings are all alike (mean cosine {cosines['label_cosine_mean']:.4f})"
            f": the {config.pooling} pooling of {config.source} hardly tells texts apart, and "
            "learns to only slowly; try text.pooling mean"
        )
    if model.num_truncated:
        notices.append(
            f"{model.num_truncated} of {len(model.labels)} labels are longer than "
            f"{text.max_tokens} tokens and are cut"
        )
    for notice in notices:
        warnings.warn(notice, UserNotice, stacklevel=3)
    return {**cosines, "labels_cut": model.num_truncated}
