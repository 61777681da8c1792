"""Which texts a motion is compared with, against Equation 2 written out."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from actionpose.config import AlignmentConfig
from actionpose.training.contrastive import alignment
from actionpose.training.losses import alignment_loss

Array = NDArray[Any]


def units(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def by_hand(motion: Array, texts: Array, y: Array, keep: Array, config: AlignmentConfig) -> float:
    """Equation 2 of one row, in float64."""
    logits = np.array([motion @ t for t in texts])[keep] / config.temperature
    s = np.exp(logits - logits.max())
    s /= s.sum()
    y = y[keep]
    kl = sum(yi * np.log(yi / si) for yi, si in zip(y, s, strict=True) if yi > 0)
    return np.maximum(s - y, 0).sum() ** config.focal_gamma * kl


@pytest.mark.parametrize("soft", [None, 1 / 3])
@pytest.mark.parametrize("negatives", [2, "batch"])
def test_alignment_equals_equation_2_by_hand(negatives: Any, soft: float | None) -> None:
    config = AlignmentConfig(negatives=negatives, temperature=0.5, target_temperature=soft)
    motion, text = units(4, 6), units(4, 3, 6, seed=1)
    candidates = torch.tensor([[0, 5, 6], [1, 5, 7], [2, 8, 9], [0, 8, 7]])
    # clip 1 also shows label 2; clips 0 and 3 have one label
    truth = torch.tensor([[0, -1], [1, 2], [2, -1], [0, -1]])
    expected = []
    for b in range(4):
        if negatives == 2:
            texts, own, true = text[b], 0, np.array([True, False, False])
        else:
            texts, own = text[:, 0], b
            true = np.array([int(row[0]) in truth[b].tolist() for row in candidates])
        y = np.eye(len(true))[own]
        keep = ~true | (y > 0)
        if soft:
            y = np.exp(3.0 * true) / np.exp(3.0 * true).sum()
            keep = np.ones_like(true)
        expected.append(by_hand(motion[b].numpy(), texts.numpy(), y, keep, config))
    found = alignment(motion, text, candidates, truth, config)
    np.testing.assert_allclose(found.item(), np.mean(expected), rtol=1e-6)


def test_alignment_loss_ignores_candidates_that_are_left_out() -> None:
    pose, text = units(2, 6), units(2, 4, 6, seed=1)
    y = F.one_hot(torch.zeros(2, dtype=torch.long), 4).double()
    allowed = torch.tensor([[True, True, False, True]] * 2)
    text.requires_grad_()
    loss = alignment_loss(pose, text, y, allowed=allowed)
    torch.testing.assert_close(loss, alignment_loss(pose, text[:, allowed[0]], y[:, allowed[0]]))
    loss.backward()
    assert (text.grad[:, 2] == 0).all() and text.grad.isfinite().all()
