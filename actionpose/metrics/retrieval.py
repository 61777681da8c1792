"""Retrieval between motions and texts: recall at k, and its chance level."""

from math import comb

import torch
from torch import Tensor


def recall(similarity: Tensor, true: Tensor, k: int) -> float:
    """Recall at k: fraction of rows with a matching column among the k most similar.

    Ties and NaN count as errors, so that a collapsed embedding scores 0. Rows without a matching
    column are ignored.

    Args:
        similarity: (N, L) Similarities.
        true: (N, L) True where a column matches a row.
        k: Number of most similar columns.
    """
    rows = true.any(dim=1)
    similarity, true = similarity[rows], true[rows]
    if not len(similarity):
        return 0.0
    best = similarity.masked_fill(~true, -torch.inf).amax(dim=1, keepdim=True)
    before = (~(similarity < best) & ~true).sum(dim=1)
    return float((before < k).double().mean())


def chance(true: Tensor, k: int) -> float:
    """Expected `recall` for random similarities."""
    columns = true.shape[1]
    counts = [int(count) for count in true.sum(dim=1) if count]
    missed = [comb(columns - count, k) / comb(columns, k) for count in counts if k <= columns]
    return 1 - sum(missed) / len(counts) if counts else 0.0


def recalls(similarity: Tensor, true: Tensor, ks: tuple[int, ...] = (1, 5)) -> dict[str, float]:
    """Recall in both directions, such as `motion_to_text_r1`.

    Args:
        similarity: (motions, texts) Similarities.
        true: (motions, texts) True where a text matches a motion.
        ks: Values of k.
    """
    ways = {"motion_to_text": (similarity, true), "text_to_motion": (similarity.T, true.T)}
    return {f"{way}_r{k}": recall(*tables, k) for k in ks for way, tables in ways.items()}


def chance_recalls(true: Tensor, ks: tuple[int, ...] = (1, 5)) -> dict[str, float]:
    """Expected `recalls` for random similarities."""
    ways = {"motion_to_text": true, "text_to_motion": true.T}
    return {f"{way}_r{k}": chance(table, k) for k in ks for way, table in ways.items()}
