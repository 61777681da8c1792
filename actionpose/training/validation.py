"""Validation scores of held-out clips, computed at every checkpoint of a training run.

The clips are the same for every seed and every checkpoint. Errors are in millimeters at true scale,
relative to the pelvis.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from actionpose.config import FinetuneDataConfig, PretrainConfig
from actionpose.datasets.lifting import LiftingBatches
from actionpose.datasets.loading import WeightedCorpora, collate
from actionpose.datasets.motion_text import MotionTextBatches
from actionpose.datasets.paired import open_paired
from actionpose.evaluation.paired import evaluate, protocol_for
from actionpose.evaluation.paired_models import Model, model_predict
from actionpose.metrics.pose import mpjpe, p_mpjpe
from actionpose.metrics.retrieval import chance_recalls, recalls
from actionpose.models import Encoder
from actionpose.training.losses import heads_losses
from actionpose.training.motion_text_model import MotionTextModel

TEST_WINDOWS = 1024  # number of windows of a paired dataset scored in fine-tuning
VAL_STEPS, VAL_BATCH = 4, 32  # number of batches scored in fine-tuning, and of clips per batch
VAL_CLIPS = 512  # maximum number of spans scored in pretraining


def held_out(corpora: WeightedCorpora) -> WeightedCorpora:
    """The corpora that have motions of the split "val"."""
    return [(corpus, weight) for corpus, weight in corpora if corpus.motions("val")]


def poses_mm(pose: Tensor, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Predicted and true poses (B, T, J, 3) of a batch, in millimeters relative to the pelvis."""
    pose = pose.float().cpu()
    to_mm = batch["scale_m"][:, None, None, None] * 1000
    return (pose - pose[:, :, :1]) * to_mm, batch["pose"] * to_mm


def lifting_validation(
    encoder: Encoder, corpora: WeightedCorpora, config: FinetuneDataConfig
) -> Callable[[], dict[str, float]] | None:
    """The validation of fine-tuning: errors on clips without augmentation or hidden keypoints.

    With heads, only the heads are scored: by the error of the feet relative to their ankles, at the
    mean scale of a batch, and by the loss of the error bars.

    Returns:
        The function that computes the scores, or None if no corpus has held-out motions.
    """
    if not (corpora := held_out(corpora)):
        return None
    plain = config.without_augmentation()
    has_heads = encoder.heads is not None
    batches = LiftingBatches(
        corpora, plain, batch_size=VAL_BATCH, seed=0, split="val", feet=has_heads
    )

    @torch.no_grad()
    def scores() -> dict[str, float]:
        encoder.eval()
        device = next(encoder.parameters()).device
        errors, heads_errors = [], []
        for step in range(VAL_STEPS):
            batch = batches.batch(step)
            valid = batch["valid"]
            output = encoder(batch["keypoints"].to(device), valid.to(device), embed=False)
            if has_heads:
                cpu = (output.pose.float().cpu(), output.log_error.float().cpu())
                losses = heads_losses(*cpu, batch)
                to_mm = 1000 * float(batch["scale_m"].mean())
                heads_errors.append([float(losses["error"]), to_mm * float(losses["position"])])
                continue
            poses = poses_mm(output.pose, batch)
            errors.append(torch.stack([mpjpe(*poses)[valid], p_mpjpe(*poses)[valid]]).mean(dim=1))
        if has_heads:
            names = ("val_error_nll", "val_feet_mm")
            return dict(zip(names, np.mean(heads_errors, axis=0).tolist(), strict=True))
        mean = torch.stack(errors).mean(dim=0)
        return {"val_mpjpe_mm": float(mean[0]), "val_p_mpjpe_mm": float(mean[1])}

    return scores


def paired_validation(
    encoder: Encoder, config: FinetuneDataConfig
) -> Callable[[], dict[str, float]] | None:
    """The validation of fine-tuning on a paired dataset: its protocol, on its test split.

    At most `TEST_WINDOWS` evenly spaced windows are scored. None if there is no test split.
    """
    assert config.paired is not None
    if not (config.paired / "test").is_dir():
        return None
    dataset = open_paired(config.paired, "test")
    protocol = protocol_for(dataset, frames=config.frames)
    model = Model(encoder, config.frames, "image", dataset.unit_mm, {})
    predict = model_predict(model, dataset, protocol)

    def scores() -> dict[str, float]:
        encoder.eval()
        report = evaluate(predict, dataset, protocol, max_windows=TEST_WINDOWS).report
        names = ("mpjpe_mm", "p_mpjpe_mm", *(("pck", "auc") if dataset.kind == "3dhp" else ()))
        return {f"test_{name}": report[name] for name in names}

    return scores


class MotionTextValidation:
    """The validation of pretraining: bidirectional retrieval, and errors with and without masks.

    Retrieval uses whole clips with detector noise, and all labels of the held-out spans. The masks
    are those of training, and their error is that of the hidden joints only. A model that does not
    lift has no errors; its first score is `val_alignment`, the cross-entropy of the true labels.
    """

    def __init__(self, batches: MotionTextBatches, temperature: float):
        self.temperature = temperature
        numbers = np.linspace(0, len(batches.spans) - 1, min(VAL_CLIPS, len(batches.spans)))
        self.clean = self._draw(batches.with_config(replace(batches.config, masks={})), numbers)
        self.masked = self._draw(batches, numbers)
        positives = torch.cat([batch["positives"] for batch in self.clean])
        named = [row for row, label in enumerate(batches.labels) if label]  # "" means no label
        self.labels = [batches.labels[row] for row in named]
        self.holds = (positives[:, :, None] == torch.tensor(named)).any(dim=1)
        chance = chance_recalls(self.holds) if named else {}
        self.chance = {f"val_{name}": value for name, value in chance.items()}

    @classmethod
    def from_corpora(
        cls, corpora: WeightedCorpora, config: PretrainConfig
    ) -> "MotionTextValidation | None":
        """The validation, or None if no corpus has held-out motions."""
        if not (corpora := held_out(corpora)):
            return None
        data = replace(config.data.without_augmentation(), mirror=0.0, shuffle_texts=False)
        batches = MotionTextBatches(
            corpora, data, batch_size=1, seed=0, split="val", need_texts=False,
        )  # fmt: skip
        return cls(batches, config.alignment.temperature)

    @staticmethod
    def _draw(batches: MotionTextBatches, numbers: Any) -> list[dict[str, Any]]:
        clips = [
            batches.clip_of(int(n), np.random.default_rng([0, int(n)]), middle=True)
            for n in numbers
        ]
        return [collate(clips[i : i + VAL_BATCH]) for i in range(0, len(clips), VAL_BATCH)]

    @torch.no_grad()
    def scores(self, model: MotionTextModel) -> dict[str, float]:
        """The scores of a model by name."""
        model.eval()
        device = next(model.pose.parameters()).device
        found, motions = {}, []
        lifted = {"val_mpjpe_mm": self.clean, "val_hidden_mpjpe_mm": self.masked}
        for name, batches in lifted.items() if model.lift else ():
            errors = []
            for batch in batches:
                valid = batch["valid"]
                out = model.pose(batch["keypoints"].to(device), valid.to(device))
                pose, target = poses_mm(out.pose, batch)
                scored = valid[:, :, None].expand(target.shape[:3])
                if batches is self.masked:
                    scored = scored & batch["hidden"]
                elif model.text is not None:
                    motions.append(out.embedding.float().cpu())
                errors.append((pose - target).norm(dim=-1)[scored])
            flat = torch.cat(errors)
            if len(flat):
                found[name] = float(flat.mean())
        for batch in self.clean if not model.lift else ():
            keypoints, valid = batch["keypoints"].to(device), batch["valid"].to(device)
            motions.append(model.pose.embed_subsampled(keypoints, valid).float().cpu())
        if model.text is not None and self.labels:
            similarity = F.normalize(torch.cat(motions), dim=-1) @ model.text.encode(self.labels).T
            if not model.lift:
                log_s = (similarity / self.temperature).log_softmax(dim=1)
                true = log_s.masked_fill(~self.holds, -torch.inf).logsumexp(dim=1)
                found["val_alignment"] = float(-true[self.holds.any(dim=1)].mean())
            found |= {f"val_{k}": v for k, v in recalls(similarity, self.holds).items()}
        return found
