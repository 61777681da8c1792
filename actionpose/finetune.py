"""Stage two: train the pose encoder on 2D keypoints with 3D truth, without text."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from actionpose import checkpoint, training
from actionpose.clips import Batches
from actionpose.config import AugmentationConfig, ClipConfig, FinetuneConfig, to_dict
from actionpose.corpus import Corpus, open_corpus
from actionpose.errors import UserError
from actionpose.losses import position_loss, scale_loss, velocity_loss
from actionpose.metrics import mpjpe, p_mpjpe
from actionpose.model import PoseEncoder

VAL_STEPS, VAL_BATCH = 4, 32  # clips that are scored with each checkpoint


def losses_of(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Equations 3 and 4, and MotionBERT's loss after the best scale."""
    valid = batch["valid"]
    pose = model(batch["keypoints"], None if bool(valid.all()) else valid).pose.float()
    return {
        "position": position_loss(pose, batch["pose"], valid),
        "velocity": velocity_loss(pose, batch["pose"], valid),
        "scale": scale_loss(pose, batch["pose"], valid),
    }


def finetune(config: FinetuneConfig, run: Path, *, quiet: bool = False) -> training.Outcome:
    """Train, or go on training, in the folder `run`.

    Raises:
        UserError: see `training.fit`, `Batches` and `open_corpus`.
    """
    if config.data.frames > config.model.max_frames:
        raise UserError(
            f"data.frames ({config.data.frames}) is more than model.max_frames "
            f"({config.model.max_frames})"
        )
    corpora = [(open_corpus(folder), weight) for folder, weight in config.data.corpora.items()]
    if len(rates := {corpus.rate_hz for corpus, _ in corpora}) > 1:
        raise UserError(f"the corpora have different rates ({rates} Hz): prepare them at one rate")
    accelerator = training.start_accelerator(config.training)
    torch.manual_seed(config.training.seed)
    encoder = PoseEncoder(**asdict(config.model))
    if encoder.class_token:
        encoder.pooling.requires_grad_(False)  # the embedding has no loss in this stage
    if config.init:
        initialise(encoder, config.init)

    def batches(first_step: int) -> Batches:
        return Batches(
            corpora,
            config.data,
            batch_size=config.training.batch_size,
            seed=config.training.seed,
            first_step=first_step,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
        )

    def batches_from(step: int) -> Iterable[dict[str, Any]]:
        if config.training.workers == 0:
            return batches(step)
        return DataLoader(batches(step), batch_size=None, num_workers=config.training.workers)

    steps_per_epoch = max(1, batches(0).windows // config.training.batch_size)
    resume = training.prepare_run(run, to_dict(config), accelerator)
    return training.fit(
        encoder,
        batches_from,
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
        meta=_meta(config, corpora),
        steps_per_epoch=steps_per_epoch,
        validate=_validation(corpora, config.data),
        quiet=quiet,
    )


def initialise(encoder: PoseEncoder, source: Path) -> None:
    """Load weights to start from: one of our checkpoints, or an official MotionBERT file.

    The <POSE> token and its pooling may be missing; they then start as drawn.
    """
    if source.is_file():
        weights = checkpoint.motionbert_weights(source)
    else:
        weights, _ = checkpoint.load(checkpoint.find(source))
    checkpoint.load_by_name(encoder, weights, str(source), may_miss=("pose_token", "pooling."))


def _validation(
    corpora: list[tuple[Corpus, float]], config: ClipConfig
) -> Callable[[nn.Module], dict[str, float]] | None:
    """Scores on a fixed draw of held-out clips, in millimetres at true scale.

    The draw is the same for every seed; bodies are not redrawn and nothing is hidden.
    """
    held_out = [(corpus, weight) for corpus, weight in corpora if corpus.motions("val")]
    if not held_out:
        return None
    plain = replace(config, bone_redraw=0, detector_joints=0, hidden_joints=0, hidden_frames=0)
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
            pose = model(batch["keypoints"].to(device), valid.to(device)).pose.float().cpu()
            pose = (pose - pose[:, :, :1]) * to_mm
            truth = batch["pose"] * to_mm
            pair = [mpjpe(pose, truth)[valid], p_mpjpe(pose, truth)[valid]]
            errors.append(torch.stack(pair).mean(dim=1))
        mean = torch.stack(errors).mean(dim=0)
        return {"val_mpjpe_mm": float(mean[0]), "val_p_mpjpe_mm": float(mean[1])}

    return validate


def _meta(config: FinetuneConfig, corpora: list[tuple[Corpus, float]]) -> dict[str, Any]:
    """What a checkpoint says of itself."""
    return {
        "stage": "finetune",
        "model": to_dict(config.model),
        "skeleton": "h36m17",
        "frames": config.data.frames,
        "rate_hz": corpora[0][0].rate_hz if corpora else None,
        "normalization": config.data.normalization,
        "config": to_dict(config),
        "data": [
            {
                "name": corpus.name,
                "source": corpus.info["source"],
                "licence": corpus.info["licence"],
                "sha256": corpus.info["sha256"]["joints.npy"],
            }
            for corpus, _ in corpora
        ],
    }
