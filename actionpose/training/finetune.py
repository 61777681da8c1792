"""Fine-tuning: train the pose encoder on 2D keypoints with 3D targets, without text."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from actionpose import checkpoint, model_hub
from actionpose.config import FinetuneConfig, FinetuneDataConfig
from actionpose.datasets.lifting import LiftingBatches
from actionpose.datasets.loading import WeightedCorpora, open_corpora
from actionpose.datasets.paired import PairedDataset, open_paired
from actionpose.datasets.paired_clips import PairedBatches
from actionpose.training import loop, run_folder
from actionpose.training.initialization import keeps_embedding, start_encoder
from actionpose.training.losses import NO_WEIGHTS, heads_losses, lifting_losses
from actionpose.training.process import start_accelerator
from actionpose.training.validation import lifting_validation, paired_validation
from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256
from actionpose.utils.yaml_config import checked


def compute_losses(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The losses of Equations 3 and 4 and MotionBERT's scale loss, or the losses of the heads."""
    valid = batch["valid"]
    mask = None if bool(valid.all()) else valid
    output = model(batch["keypoints"], mask, embed=False)
    if output.log_error is None:
        return lifting_losses(output.pose, batch)
    return heads_losses(output.pose, output.log_error, batch)


def finetune(config: FinetuneConfig, run: Path, *, quiet: bool = False) -> loop.Outcome:
    """Train in the folder `run`, or resume its training.

    Raises:
        UserError: See `start_encoder`, `loop.fit`, `Batches` and `open_corpora`.
    """
    config = checked(config)
    corpora, paired = _open_data(config.data)
    accelerator = start_accelerator(config.training)
    encoder, resume = start_encoder(config, run)
    encoder.freeze_embedding()
    weights, text_source = NO_WEIGHTS | config.loss_weights, _text_source(config, resume)
    metadata = (
        run_folder.metadata("finetune", config, corpora)
        | (_paired_meta(paired) if paired is not None else {})
        | (_text_meta(config, text_source) if text_source else {})
    )
    source = resume or (model_hub.find(config.init) if config.init else None)
    kept = {}
    if config.model.heads:
        if paired is not None or not source:
            raise UserError("model.heads need a trained model, --init, and data.corpora with feet")
        encoder.freeze_body()
        weights |= {"error": 1.0}  # no other loss trains the error head
        metadata["heads"] = {key: metadata[key] for key in ("config", "data")}
        kept = run_folder.kept_metadata(source, {"skeleton", "error_bars", "heads"})
    metadata["data"] = run_folder.with_data_of(source, metadata["data"])
    ranks = (accelerator.process_index, accelerator.num_processes)
    batches = _make_batches(config, corpora, paired, *ranks)

    def copy_text(folder: Path) -> None:
        # from the last checkpoint, because the initial one may have been deleted
        if source := _text_source(config, next(reversed(checkpoint.saved_steps(run)), None)):
            checkpoint.copy_text(source, folder)

    task = loop.Task(
        encoder,
        encoder,
        batches,
        max(1, batches.windows // config.training.batch_size),
        compute_losses,
        weights,
        metadata,
        validate=lifting_validation(encoder, corpora, config.data)
        if paired is None
        else paired_validation(encoder, config.data),
        kept=kept,
        write_extras=copy_text if text_source else None,
    )
    return loop.fit(task, config.training, accelerator, run, resume=resume, quiet=quiet)


def clips_per_epoch(config: FinetuneConfig) -> int:
    """Number of clips per epoch.

    Raises:
        UserError: See `finetune`.
    """
    corpora, paired = _open_data(config.data)
    return _make_batches(config, corpora, paired).windows


def _make_batches(
    config: FinetuneConfig,
    corpora: WeightedCorpora,
    paired: PairedDataset | None,
    rank: int = 0,
    world_size: int = 1,
) -> LiftingBatches | PairedBatches:
    common: dict[str, Any] = {
        "batch_size": config.training.batch_size,
        "seed": config.training.seed,
    }
    common |= {"rank": rank, "world_size": world_size}
    if paired is None:
        return LiftingBatches(corpora, config.data, feet=config.model.heads, **common)
    return PairedBatches(paired, config.data, **common)


def _open_data(config: FinetuneDataConfig) -> tuple[WeightedCorpora, PairedDataset | None]:
    """Open the corpora with their weights, or the paired dataset.

    Raises:
        UserError: If neither or both are given, or they cannot be used together.
    """
    if config.paired is None:
        return open_corpora(config.corpora), None
    if config.corpora:
        raise UserError("name data.corpora or data.paired, not both")
    if config.normalization != "image":
        raise UserError("data.paired is in units of the image: set data.normalization to image")
    return [], open_paired(config.paired, "train")


def _paired_meta(dataset: PairedDataset) -> dict[str, Any]:
    """Metadata of a checkpoint about the paired dataset that it was trained on."""
    known = ("kind", "keypoints", "annotation", "source", "license", "synthetic")
    source = {key: dataset.info[key] for key in known if key in dataset.info}
    name, digest = dataset.folder.name, dataset.info["sha256"]["train/pose.npy"]
    return {
        "fps": dataset.fps,
        "unit_mm": dataset.unit_mm,  # millimeters per pose unit; None: units of the keypoints
        "data": [{"name": name, **source, "sha256": digest}],
    }


def _text_source(config: FinetuneConfig, resume: Path | None) -> Path | None:
    """The checkpoint with the labels: that of the run, else the initial one."""
    kept = keeps_embedding(config.init, config.init_ignore)
    if not config.init or not kept or not config.model.class_token:
        return None
    folder = resume or model_hub.find(config.init)
    return folder if (folder / checkpoint.LABELS).is_file() else None


def _text_meta(config: FinetuneConfig, source: Path) -> dict[str, Any]:
    """The origin of labels and text encoder, which fine-tuning does not change."""
    _, meta = checkpoint.load(source)
    started = {"checkpoint": str(config.init), "sha256": sha256(source / checkpoint.WEIGHTS)}
    return {"text_from": meta.get("text_from", started)}
