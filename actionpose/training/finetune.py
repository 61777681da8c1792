"""Stage two: train the pose encoder on 2D keypoints with 3D truth, without text."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from actionpose import checkpoint, model_hub
from actionpose.config import AugmentationConfig, ClipConfig, FinetuneConfig, to_dict
from actionpose.datasets.corpus import Corpus
from actionpose.datasets.lifting import Batches
from actionpose.datasets.loading import open_corpora
from actionpose.datasets.paired import Pairs, open_pairs
from actionpose.datasets.paired_clips import PairBatches
from actionpose.metrics.pose import mpjpe, p_mpjpe
from actionpose.models.dstformer import PoseEncoder
from actionpose.training import loop as training
from actionpose.training import run_folder
from actionpose.training.initialization import initialize, keeps_embedding
from actionpose.training.losses import position_loss, scale_loss, velocity_loss
from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256

VAL_STEPS, VAL_BATCH = 4, 32  # clips that are scored with each checkpoint


def losses_of(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Equations 3 and 4, and MotionBERT's loss after the best scale."""
    valid = batch["valid"]
    mask = None if bool(valid.all()) else valid
    pose = model(batch["keypoints"], mask, embed=False).pose.float()
    return {
        "position": position_loss(pose, batch["pose"], valid),
        "velocity": velocity_loss(pose, batch["pose"], valid),
        "scale": scale_loss(pose, batch["pose"], valid),
    }


def finetune(config: FinetuneConfig, run: Path, *, quiet: bool = False) -> training.Outcome:
    """Train, or go on training, in the folder `run`.

    Raises:
        UserError: see `run_folder.last_checkpoint`, `training.fit`, `Batches` and `open_corpus`.
    """
    if config.data.frames > config.model.max_frames:
        raise UserError(
            f"data.frames ({config.data.frames}) is more than model.max_frames "
            f"({config.model.max_frames})"
        )
    corpora, pairs = _open_data(config.data)
    accelerator = training.start_accelerator(config.training)
    torch.manual_seed(config.training.seed)
    encoder = PoseEncoder(**asdict(config.model))
    encoder.freeze_embedding()
    training.apply_compile_and_fusion(encoder, config.training, accelerator)
    resume = run_folder.last_checkpoint(run, to_dict(config))
    known = _text_source(config, run)
    if config.init and not resume:
        initialize(encoder, config.init, config.init_ignore, frames=config.data.frames)

    def batches(first_step: int) -> Batches | PairBatches:
        share = {
            "batch_size": config.training.batch_size,
            "seed": config.training.seed,
            "first_step": first_step,
            "rank": accelerator.process_index,
            "world_size": accelerator.num_processes,
        }
        if pairs is None:
            return Batches(corpora, config.data, **share)
        return PairBatches(
            pairs,
            config.data.frames,
            config.data.stride,
            keypoints=config.data.pairs_keypoints,
            mirror=config.data.mirror,
            **share,
        )

    def copy_text(_: nn.Module, folder: Path) -> None:
        # the last checkpoint's own copy: the one that training started from may be gone by then
        if source := _text_source(config, run):
            checkpoint.copy_text(source, folder)

    steps_per_epoch = max(1, batches(0).windows // config.training.batch_size)
    return training.fit(
        encoder,
        lambda step: training.in_workers(batches(step), config.training.workers),
        losses_of,
        {
            "position": config.position_weight,
            "velocity": config.velocity_weight,
            "scale": config.scale_weight,
        },
        config.training,
        accelerator=accelerator,
        run=run,
        resume=resume,
        meta=run_folder.meta_of("finetune", config, corpora)
        | (_pairs_meta(pairs) if pairs is not None else {})
        | (_text_meta(config, known) if known else {}),
        steps_per_epoch=steps_per_epoch,
        validate=_validation(corpora, config.data),
        write_beside=copy_text if known else None,
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
    """What a checkpoint says of pairs that it was trained on."""
    known = ("kind", "keypoints", "annotation", "source", "license", "imitated")
    source = {key: pairs.info[key] for key in known if key in pairs.info}
    name, sha256 = pairs.folder.name, pairs.info["sha256"]["train/pose.npy"]
    return {
        "fps": pairs.fps,
        "unit_mm": pairs.unit_mm,  # millimeters in a unit of the pose; None: that of the keypoints
        "data": [{"name": name, **source, "sha256": sha256}],
    }


def _text_source(config: FinetuneConfig, run: Path) -> Path | None:
    """Where known labels are: the checkpoint to start from, or the run's own last one."""
    kept = keeps_embedding(config.init, config.init_ignore)
    if not config.init or not kept or not config.model.class_token:
        return None
    folder = (checkpoint.saved_steps(run) or [model_hub.find(config.init)])[-1]
    return folder if (folder / checkpoint.LABELS).is_file() else None


def _text_meta(config: FinetuneConfig, source: Path) -> dict[str, Any]:
    """Labels and text side stay as pretraining left them, and the metadata say whose they are."""
    _, meta = checkpoint.load(source)
    started = {"checkpoint": str(config.init), "sha256": sha256(source / checkpoint.WEIGHTS)}
    return {"text_from": meta.get("text_from", started)}


def _validation(
    corpora: list[tuple[Corpus, float]], config: ClipConfig
) -> Callable[[nn.Module], dict[str, float]] | None:
    """Scores on a fixed draw of held-out clips, in millimeters at true scale.

    The draw is the same for every seed; bodies are not redrawn and nothing is hidden.
    """
    held_out = [(corpus, weight) for corpus, weight in corpora if corpus.motions("val")]
    if not held_out:
        return None
    plain = replace(
        config, bone_length_jitter=0, coco_joint_convention=0, hidden_joints=0, hidden_frames=0
    )
    plain = replace(plain, augmentation=AugmentationConfig())
    batches = Batches(held_out, plain, VAL_BATCH, seed=0, split="val")

    @torch.no_grad()
    def validate(model: nn.Module) -> dict[str, float]:
        model.eval()
        device = next(model.parameters()).device
        errors = []
        for step in range(VAL_STEPS):
            batch = batches.batch(step)
            valid, to_mm = batch["valid"], batch["scale_m"][:, None, None, None] * 1000
            keypoints, mask = batch["keypoints"].to(device), valid.to(device)
            pose = model(keypoints, mask, embed=False).pose.float().cpu()
            pose = (pose - pose[:, :, :1]) * to_mm
            truth = batch["pose"] * to_mm
            pair = [mpjpe(pose, truth)[valid], p_mpjpe(pose, truth)[valid]]
            errors.append(torch.stack(pair).mean(dim=1))
        mean = torch.stack(errors).mean(dim=0)
        return {"val_mpjpe_mm": float(mean[0]), "val_p_mpjpe_mm": float(mean[1])}

    return validate
