"""Scores of held-out clips, taken with every checkpoint of a training."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from actionpose.config import AugmentationConfig, MaskConfig, PretrainConfig
from actionpose.datasets.corpus import Corpus
from actionpose.datasets.loading import collate
from actionpose.datasets.motion_text import TextBatches
from actionpose.metrics.retrieval import both_ways, chance_both_ways

VAL_CLIPS, VAL_BATCH = 512, 32  # spans scored with each checkpoint, and how many at once


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
