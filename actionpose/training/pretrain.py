"""Stage one: the encoder restores 3D from hidden and noisy 2D, and learns the action's name.

The pose encoder's embedding of a clip is drawn to that of its label and away from other labels
(Equations 1 and 2) while the head is trained as in stage two (Equations 3 to 5).

Letters in shapes: B clips, K negatives, V labels of the vocabulary, G clips of all processes.
"""

import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from actionpose import checkpoint, model_hub
from actionpose.config import (
    AlignmentConfig,
    AugmentationConfig,
    MaskConfig,
    PretrainConfig,
    TextConfig,
    to_dict,
)
from actionpose.datasets.corpus import Corpus
from actionpose.datasets.loading import collate, open_corpora
from actionpose.datasets.motion_text import TextBatches
from actionpose.metrics.retrieval import both_ways, chance_both_ways
from actionpose.models.dstformer import PAIR, PoseEncoder
from actionpose.models.text_encoder import COLLAPSED, TextEncoder, spread
from actionpose.training import loop as training
from actionpose.training import run_folder
from actionpose.training.initialization import initialize, keeps_embedding
from actionpose.training.losses import (
    alignment_loss,
    position_loss,
    scale_loss,
    soft_target,
    velocity_loss,
)
from actionpose.utils.errors import UserError, UserNotice

VAL_CLIPS, VAL_BATCH = 512, 32  # spans scored with each checkpoint, and how many at once


class Output(NamedTuple):
    """What both sides say of a batch."""

    pose: Tensor  # (B, T, J, 3)
    motion: Tensor | None  # (B, E) unit vectors; None without a text side
    text: Tensor | None  # (B, K + 1, E) unit vectors, of each clip's candidates


class MotionText(nn.Module):
    """The pose encoder, and beside it the text encoder with the vocabulary it reads.

    Args:
        labels: the vocabulary, whose rows a batch's `candidates` are. Each that occurs in a batch
            is encoded once.
    """

    def __init__(self, pose: PoseEncoder, text: TextEncoder | None, labels: list[str]):
        super().__init__()
        self.pose = pose
        self.text = text
        self.labels = labels
        self.num_cut = 0
        self._features: Tensor | None = None
        if text is not None:
            self._token_ids, self._token_valid, self.num_cut = text.tokenize(labels)

    def freeze_text(self) -> None:
        """Keep BERT as it is; its features of the vocabulary are then computed once, here."""
        assert self.text is not None
        self.text.freeze()
        self.text.eval()
        with torch.no_grad():
            parts = [
                self.text.features(self._token_ids[i : i + 256], self._token_valid[i : i + 256])
                for i in range(0, len(self.labels), 256)
            ]
        self._features = torch.cat(parts)

    def encode(self, rows: Tensor) -> Tensor:
        """Unit vectors (..., E) of rows of the vocabulary."""
        assert self.text is not None
        distinct, where = torch.unique(rows, return_inverse=True)
        at = distinct.cpu()
        if self._features is not None:
            encoded = self.text.project(self._features[at].to(rows.device))
        else:
            valid = self._token_valid[at]
            longest = int(valid.sum(dim=1).max())
            ids, valid = self._token_ids[at, :longest], valid[:, :longest]
            encoded = self.text(ids.to(rows.device), valid.to(rows.device))
        return F.normalize(encoded.float(), dim=-1)[where]

    def forward(self, keypoints: Tensor, valid: Tensor | None, candidates: Tensor) -> Output:
        pose, embedding = self.pose(keypoints, valid, embed=self.text is not None)
        if self.text is None or embedding is None:
            return Output(pose, None, None)
        return Output(pose, F.normalize(embedding.float(), dim=-1), self.encode(candidates))


def _gather(rows: Tensor) -> Tensor:
    gathered: Tensor = _Gather.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


class _Gather(torch.autograd.Function):
    """Rows of every process, one after another. Gradients come back to the process of the row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return torch.cat(_of_all(rows))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].contiguous()
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]


def _of_all(rows: Tensor) -> list[Tensor]:
    found = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(found, rows.contiguous())
    return found


def alignment(
    motion: Tensor, text: Tensor, candidates: Tensor, truth: Tensor, config: AlignmentConfig
) -> Tensor:
    """Equation 2 with the negatives that the configuration names, in one direction or both.

    Args:
        motion: (B, E) unit vectors.
        text: (B, K + 1, E) unit vectors; the first is the clip's own label.
        candidates: (B, K + 1) the labels' rows of the vocabulary.
        truth: (B, M) rows that are true somewhere in each clip; -1 is none.
    """
    own, label, first = text[:, 0], candidates[:, 0], 0
    motions, texts, labels, truths = motion, own, label, truth
    if config.source == "ranks" and dist.is_initialized():
        first = dist.get_rank() * len(motion)
        motions, texts = _gather(motion), _gather(own)
        labels, truths = torch.cat(_of_all(label)), torch.cat(_of_all(truth))
    if config.source == "vocabulary":
        true = torch.zeros_like(candidates, dtype=torch.bool)
        true[:, 0] = True
        loss = _one_way(motion, text, true, true, config)
    else:
        true = (truth[:, :, None] == labels).any(dim=1)  # (B, G)
        everyone = texts.expand(len(motion), -1, -1)
        loss = _one_way(motion, everyone, true, _diagonal(true, first), config)
    if config.direction == "symmetric":
        true = (label[:, None, None] == truths).any(dim=2)  # (B, G), texts by motions
        everyone = motions.expand(len(own), -1, -1)
        loss = (loss + _one_way(own, everyone, true, _diagonal(true, first), config)) / 2
    return loss


def _diagonal(true: Tensor, first: int) -> Tensor:
    own = torch.zeros_like(true)
    own[range(len(true)), range(first, first + len(true))] = True
    return own


def _one_way(
    query: Tensor,
    others: Tensor,
    true: Tensor,
    own: Tensor,
    config: AlignmentConfig,
) -> Tensor:
    """Hard: the own match against all that are false. Soft: every true one counts."""
    soft = config.target == "soft"
    return alignment_loss(
        query,
        others,
        soft_target(true, config.sharpness) if soft else own.float(),
        temperature=config.temperature,
        focal_gamma=config.focal_gamma,
        allowed=None if soft else own | ~true,
    )


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


class Validation:
    """Scores on fixed clips of held-out spans: retrieval both ways, and 3D behind masks.

    Retrieval sees whole clips with a detector's noise; the labels are all that the held-out spans
    have. Masks are those of training; the error is that of the hidden joints alone.
    """

    def __init__(self, batches: TextBatches, masks: MaskConfig):
        numbers = np.linspace(0, len(batches.spans) - 1, min(VAL_CLIPS, len(batches.spans)))
        plain = replace(batches.config, masks=MaskConfig(random=0, part=0, window=0))
        self.clean = self._draw(batches, plain, numbers)
        self.masked = self._draw(batches, replace(batches.config, masks=masks), numbers)
        truth = torch.cat([batch["truth"] for batch in self.clean])
        named = [row for row, label in enumerate(batches.labels) if label]  # "" is no label
        self.labels = [batches.labels[row] for row in named]
        self.true = (truth[:, :, None] == torch.tensor(named)).any(dim=1)
        found = chance_both_ways(self.true) if named else {}
        self.chance = {f"val_{name}": value for name, value in found.items()}

    @classmethod
    def of(cls, corpora: list[tuple[Corpus, float]], config: PretrainConfig) -> "Validation | None":
        """None if no corpus has held-out motion."""
        held_out = [(corpus, weight) for corpus, weight in corpora if corpus.motions("val")]
        if not held_out:
            return None
        data = replace(
            config.data,
            mirror=0.0,
            bone_length_jitter=0.0,
            coco_joint_convention=0.0,
            augmentation=AugmentationConfig(),
            scale_jitter=0.0,
            shuffle_texts=False,
        )
        batches = TextBatches(held_out, data, batch_size=1, seed=0, split="val", need_texts=False)
        return cls(batches, config.data.masks)

    @staticmethod
    def _draw(batches: TextBatches, config: Any, numbers: Any) -> list[dict[str, Any]]:
        drawn = batches.with_config(config)
        clips = [
            drawn.clip_of(int(n), np.random.default_rng([0, int(n)]), middle=True) for n in numbers
        ]
        return [collate(clips[i : i + VAL_BATCH]) for i in range(0, len(clips), VAL_BATCH)]

    @torch.no_grad()
    def scores(self, model: nn.Module) -> dict[str, float]:
        """Named scores; errors in millimeters at true scale."""
        model.eval()
        pose = model.get_submodule("pose")
        device = next(pose.parameters()).device
        text = getattr(model, "text", None)
        found, motions = {}, []
        for name, drawn in {"val_mpjpe_mm": self.clean, "val_hidden_mpjpe_mm": self.masked}.items():
            errors = []
            for batch in drawn:
                valid = batch["valid"]
                out = pose(batch["keypoints"].to(device), valid.to(device))
                to_mm = batch["scale_m"][:, None, None, None] * 1000
                scored = valid[:, :, None].expand(-1, -1, out.pose.shape[2])
                if drawn is self.masked:
                    scored = scored & batch["hidden"]
                elif text is not None:
                    motions.append(out.embedding.float().cpu())
                predicted = out.pose.float().cpu()
                predicted = (predicted - predicted[:, :, :1]) * to_mm
                distance = (predicted - batch["pose"] * to_mm).norm(dim=-1)
                errors.append(distance[scored])
            flat = torch.cat(errors)
            if len(flat):
                found[name] = float(flat.mean())
        if text is not None and self.labels:
            similarity = F.normalize(torch.cat(motions), dim=-1) @ text.encode(self.labels).T
            found |= {f"val_{k}": v for k, v in both_ways(similarity, self.true).items()}
        return found
