"""Fine-tuning: train the pose encoder on 2D keypoints with 3D targets, without text."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from actionpose import checkpoint, model_hub
from actionpose.config import ClipConfig, FinetuneConfig
from actionpose.datasets.corpus import Corpus
from actionpose.datasets.lifting import Batches
from actionpose.datasets.loading import open_corpora
from actionpose.datasets.paired import Pairs, open_pairs
from actionpose.datasets.paired_clips import PairBatches
from actionpose.training import loop, run_folder
from actionpose.training.initialization import keeps_embedding, start_encoder
from actionpose.training.losses import lifting_losses
from actionpose.training.validation import lifting_validation
from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256


def compute_losses(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Equations 3 and 4, and MotionBERT's loss after the best scale."""
    valid = batch["valid"]
    mask = None if bool(valid.all()) else valid
    return lifting_losses(model(batch["keypoints"], mask, embed=False).pose, batch)


def finetune(config: FinetuneConfig, run: Path, *, quiet: bool = False) -> loop.Outcome:
    """Train, or resume a training, in the folder `run`.

    Raises:
        UserError: see `start_encoder`, `loop.fit`, `Batches` and `open_corpora`.
    """
    corpora, pairs = _open_data(config.data)
    accelerator = loop.start_accelerator(config.training)
    encoder, resume = start_encoder(config, run, accelerator)
    encoder.freeze_embedding()
    text_source = _text_source(config, resume)

    def batches(first_step: int) -> Batches | PairBatches:
        common = {
            "batch_size": config.training.batch_size,
            "seed": config.training.seed,
            "first_step": first_step,
            "rank": accelerator.process_index,
            "world_size": accelerator.num_processes,
        }
        if pairs is None:
            return Batches(corpora, config.data, **common)
        return PairBatches(
            pairs,
            config.data.frames,
            config.data.stride,
            keypoints=config.data.pairs_keypoints,
            mirror=config.data.mirror,
            **common,
        )

    def copy_text(folder: Path) -> None:
        # from the last checkpoint: the one that training started from may be gone by then
        if source := _text_source(config, next(reversed(checkpoint.saved_steps(run)), None)):
            checkpoint.copy_text(source, folder)

    return loop.fit(
        encoder,
        encoder,
        lambda step: loop.in_workers(batches(step), config.training.workers),
        compute_losses,
        {
            "position": config.position_weight,
            "velocity": config.velocity_weight,
            "scale": config.scale_weight,
        },
        config.training,
        accelerator=accelerator,
        run=run,
        resume=resume,
        meta=run_folder.metadata("finetune", config, corpora)
        | (_pairs_meta(pairs) if pairs is not None else {})
        | (_text_meta(config, text_source) if text_source else {}),
        steps_per_epoch=max(1, batches(0).windows // config.training.batch_size),
        validate=lifting_validation(encoder, corpora, config.data),
        write_extras=copy_text if text_source else None,
        quiet=quiet,
    )


def _open_data(config: ClipConfig) -> tuple[list[tuple[Corpus, float]], Pairs | None]:
    """Corpora with their weights, or pairs.

    Raises:
        UserError: neither or both are named, or they cannot be read together.
    """
    if config.pairs is None:
        return open_corpora(config.corpora), None
    if config.corpora:
        raise UserError("name data.corpora or data.pairs, not both")
    if config.normalization != "image":
        raise UserError("data.pairs is in units of the image: set data.normalization to image")
    return [], open_pairs(config.pairs, "train")


def _pairs_meta(pairs: Pairs) -> dict[str, Any]:
    """What a checkpoint states about the paired dataset that it was trained on."""
    known = ("kind", "keypoints", "annotation", "source", "license", "synthetic")
    source = {key: pairs.info[key] for key in known if key in pairs.info}
    name, digest = pairs.folder.name, pairs.info["sha256"]["train/pose.npy"]
    return {
        "fps": pairs.fps,
        "unit_mm": pairs.unit_mm,  # millimeters in a unit of the pose; None: that of the keypoints
        "data": [{"name": name, **source, "sha256": digest}],
    }


def _text_source(config: FinetuneConfig, resume: Path | None) -> Path | None:
    """The checkpoint with the known labels: that of the run, else the one to start from."""
    kept = keeps_embedding(config.init, config.init_ignore)
    if not config.init or not kept or not config.model.class_token:
        return None
    folder = resume or model_hub.find(config.init)
    return folder if (folder / checkpoint.LABELS).is_file() else None


def _text_meta(config: FinetuneConfig, source: Path) -> dict[str, Any]:
    """Fine-tuning leaves labels and text encoder alone; the metadata name where they are from."""
    _, meta = checkpoint.load(source)
    started = {"checkpoint": str(config.init), "sha256": sha256(source / checkpoint.WEIGHTS)}
    return {"text_from": meta.get("text_from", started)}
