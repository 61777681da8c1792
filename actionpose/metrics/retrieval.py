"""How well motions find their texts and texts their motions: recall at k, and that of chance."""

from math import comb

import torch
from torch import Tensor


def recall(similarity: Tensor, true: Tensor, k: int) -> float:
    """Fraction of rows with a true column among the k most similar.

    A false column that is as similar as the best true one stands before it, so that a collapsed
    embedding, which finds all alike, scores 0; so does one of NaN. Rows without a true column do
    not count.

    Args:
        similarity: (N, L).
        true: (N, L) bool, the columns that match.
    """
    rows = true.any(dim=1)
    similarity, true = similarity[rows], true[rows]
    if not len(similarity):
        return 0.0
    best = similarity.masked_fill(~true, -torch.inf).amax(dim=1, keepdim=True)
    before = (~(similarity < best) & ~true).sum(dim=1)
    return float((before < k).double().mean())


def chance(true: Tensor, k: int) -> float:
    """What `recall` is for similarities drawn at random, on average."""
    columns = true.shape[1]
    counts = [int(count) for count in true.sum(dim=1) if count]
    missed = [comb(columns - count, k) / comb(columns, k) for count in counts if k <= columns]
    return 1 - sum(missed) / len(counts) if counts else 0.0


def recalls(similarity: Tensor, true: Tensor, ks: tuple[int, ...] = (1, 5)) -> dict[str, float]:
    """Recall of texts by motions and of motions by texts, by name.

    Args:
        similarity, true: (motions, texts).
    """
    ways = {"motion_to_text": (similarity, true), "text_to_motion": (similarity.T, true.T)}
    return {f"{way}_r{k}": recall(*tables, k) for k in ks for way, tables in ways.items()}


def chance_recalls(true: Tensor, ks: tuple[int, ...] = (1, 5)) -> dict[str, float]:
    """`recalls` for similarities drawn at random, on average."""
    ways = {"motion_to_text": true, "text_to_motion": true.T}
    return {f"{way}_r{k}": chance(table, k) for k in ks for way, table in ways.items()}
