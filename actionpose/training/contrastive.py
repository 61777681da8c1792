"""Alignment of motions and texts (Equation 2): which texts a motion is compared with.

Letters in shapes: B clips of this process, G clips of all processes, K negatives, E embedding.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from actionpose.config import AlignmentConfig
from actionpose.training.losses import alignment_loss, soft_target


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
