"""Alignment of motions and texts (Equation 2): which texts a motion is compared with.

Letters in shapes: B clips of this process, G clips of all processes, K negatives, E embedding, M
labels of a clip.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from actionpose.config import AlignmentConfig
from actionpose.training.losses import alignment_loss, soft_target


class _GatherRows(torch.autograd.Function):
    """All-gather whose gradients return to the process of the row.

    Of torch's own two, one is deprecated in its newest version and the other missing in older ones.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        gathered = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous()
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]


def rows_of_all_processes(rows: Tensor) -> Tensor:
    """The rows (B, ...) of every process, one process after another: (G, ...), differentiable."""
    gathered: Tensor = _GatherRows.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


def alignment(
    motion: Tensor, text: Tensor, candidates: Tensor, positives: Tensor, config: AlignmentConfig
) -> Tensor:
    """Equation 2 with the negatives that the configuration names, in one direction or both.

    Args:
        motion: (B, E) unit vectors.
        text: (B, K + 1, E) unit vectors; the first is the clip's own label.
        candidates: (B, K + 1) the labels' rows of the vocabulary.
        positives: (B, M) rows of the labels that hold somewhere in each clip; -1 is none.

    Returns:
        The mean over the clips of this process.
    """
    own, label, first = text[:, 0], candidates[:, 0], 0
    motions, texts, all_labels, all_positives = motion, own, label, positives
    if config.source == "ranks" and dist.is_initialized():
        first = dist.get_rank() * len(motion)
        motions, texts, all_labels, all_positives = map(
            rows_of_all_processes, (motion, own, label, positives)
        )
    if config.source == "vocabulary":
        match = torch.zeros_like(candidates, dtype=torch.bool)
        match[:, 0] = True
        loss = _one_way(motion, text, match, match, config)
    else:
        holds = (positives[:, :, None] == all_labels).any(dim=1)  # (B, G)
        expanded = texts.expand(len(motion), -1, -1)
        loss = _one_way(motion, expanded, holds, _diagonal(holds, first), config)
    if config.direction == "symmetric":
        holds = (label[:, None, None] == all_positives).any(dim=2)  # (B, G), texts by motions
        expanded = motions.expand(len(own), -1, -1)
        loss = (loss + _one_way(own, expanded, holds, _diagonal(holds, first), config)) / 2
    return loss


def _diagonal(like: Tensor, first: int) -> Tensor:
    """True where column `first + i` meets row i."""
    diagonal = torch.zeros_like(like)
    diagonal[range(len(like)), range(first, first + len(like))] = True
    return diagonal


def _one_way(
    query: Tensor, others: Tensor, holds: Tensor, match: Tensor, config: AlignmentConfig
) -> Tensor:
    """Hard target: the own match against all that do not hold. Soft: all that hold count."""
    soft = config.target == "soft"
    return alignment_loss(
        query,
        others,
        soft_target(holds, config.sharpness) if soft else match.float(),
        temperature=config.temperature,
        focal_gamma=config.focal_gamma,
        allowed=None if soft else match | ~holds,
    )
