"""Contrastive alignment of motions and texts (Equation 2), with the selection of negatives.

Letters in shapes: B clips of this process, G clips of all processes, K negatives, E embedding
dimension, M labels of a clip.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from actionpose.config import AlignmentConfig
from actionpose.training.losses import alignment_loss, soft_target


class _GatherRows(torch.autograd.Function):
    """All-gather that returns the gradients to the process of each row.

    PyTorch has two such functions: one is deprecated in its newest version, and the other is
    missing in older versions.
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
    """Gather the rows (B, ...) of all processes in the order of ranks: (G, ...), differentiable."""
    gathered: Tensor = _GatherRows.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


def alignment(
    motion: Tensor, text: Tensor, candidates: Tensor, positives: Tensor, config: AlignmentConfig
) -> Tensor:
    """The alignment loss of Equation 2 with the configured negatives.

    With one-hot targets, the label of a clip is compared with all labels that are false for the
    clip. With soft targets, all true labels are positives.

    Args:
        motion: (B, E) Motion embeddings, unit vectors.
        text: (B, K + 1, E) Text embeddings, unit vectors, the label of the clip first.
        candidates: (B, K + 1) Indices of these labels in the vocabulary.
        positives: (B, M) Indices of the labels that are true for some part of each clip, -1 for
            none.
        config: Negatives, temperatures and focal gamma.

    Returns:
        The mean over the clips of this process.
    """
    if isinstance(config.negatives, int):
        holds = torch.zeros_like(candidates, dtype=torch.bool)
        holds[:, 0] = True
        match = holds
    else:
        texts, labels, first = text[:, 0], candidates[:, 0], 0
        if config.negatives == "ranks" and dist.is_initialized():
            first = dist.get_rank() * len(motion)
            texts, labels = rows_of_all_processes(texts), rows_of_all_processes(labels)
        holds = (positives[:, :, None] == labels).any(dim=1)  # (B, G)
        text = texts.expand(len(motion), -1, -1)
        match = torch.zeros_like(holds)
        match[range(len(holds)), range(first, first + len(holds))] = True
    soft = config.target_temperature
    return alignment_loss(
        motion,
        text,
        soft_target(holds, soft) if soft else match.float(),
        temperature=config.temperature,
        focal_gamma=config.focal_gamma,
        allowed=None if soft else match | ~holds,
    )
