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
    """Equation 2 with the negatives that the configuration names.

    With one-hot targets, a clip's own label is compared with all that do not hold in the clip;
    with soft targets, every label that holds counts.

    Args:
        motion: (B, E) unit vectors.
        text: (B, K + 1, E) unit vectors; the first is the clip's own label.
        candidates: (B, K + 1) the labels' rows of the vocabulary.
        positives: (B, M) rows of the labels that hold somewhere in each clip; -1 is none.

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
