"""Recall at k by hand, at the extremes, and against draws at random."""

import numpy as np
import pytest
import torch

from actionpose.metrics.retrieval import chance, chance_recalls, recall, recalls


def test_recall_by_hand() -> None:
    similarity = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.1, 0.3], [0.3, 0.2, 0.1]])
    true = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1, 1]]).bool()
    assert recall(similarity, true, 1) == pytest.approx(1 / 3)
    assert recall(similarity, true, 2) == pytest.approx(2 / 3)
    assert recall(similarity, true, 3) == 1
    scores = recalls(similarity, true, ks=(1,))
    # texts: the first finds its motion; the second ranks motion 0 first; the third, motion 1
    assert scores == {"motion_to_text_r1": pytest.approx(1 / 3), "text_to_motion_r1": 1 / 3}


def test_recall_leaves_rows_without_a_target_out() -> None:
    true = torch.tensor([[True, False], [False, False]])
    assert recall(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), true, 1) == 1
    assert recall(torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.bool), 1) == 0
    assert chance(torch.zeros(2, 2, dtype=torch.bool), 1) == 0


def test_recall_of_a_collapsed_embedding_is_zero() -> None:
    true = torch.eye(4).bool()
    assert recall(torch.ones(4, 4), true, 1) == 0
    assert recall(torch.ones(4, 4), true, 4) == 1


def test_recall_of_what_is_not_a_number_is_zero() -> None:
    true = torch.eye(4).bool()
    assert recall(torch.full((4, 4), torch.nan), true, 1) == 0
    similarity = torch.eye(4)
    similarity[0, 0] = similarity[1, 2] = torch.nan
    assert recall(similarity, true, 1) == 0.5


@pytest.mark.parametrize("k", [1, 5])
def test_chance_is_that_of_random_similarities(k: int) -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.rand(30, 12, generator=generator) < 0.15
    draws = [recalls(torch.rand(30, 12, generator=generator), true, (k,)) for _ in range(600)]
    for name, expected in chance_recalls(true, (k,)).items():
        values = np.array([draw[name] for draw in draws])
        assert abs(values.mean() - expected) < 5 * values.std() / np.sqrt(len(values)), name


def test_chance_with_fewer_columns_than_k() -> None:
    assert chance(torch.eye(3).bool(), 5) == 1
