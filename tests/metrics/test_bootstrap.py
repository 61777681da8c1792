"""Bootstrap intervals: coverage, groups, and values that share a row."""

import numpy as np
import pytest

from actionpose.metrics.bootstrap import Score, bootstrap


def test_bootstrap_interval_covers_the_mean() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(200):
        score = bootstrap(rng.normal(3.0, 1.0, size=60), seed=seed)
        inside += score.low < 3.0 < score.high
    assert 0.88 < inside / 200 < 0.99


def test_bootstrap_of_groups_weighs_them_alike() -> None:
    score = bootstrap(np.full(3, 10.0), np.array([0.0, 40.0] * 50))
    assert score.mean == pytest.approx(15)
    alone = bootstrap(np.array([0.0, 40.0] * 50))  # the first group varies nothing
    assert score.high - score.low == pytest.approx((alone.high - alone.low) / 2, rel=0.1)


def test_bootstrap_of_rows_covers_what_their_values_share() -> None:
    """Seeds that differ by much widen an interval, however many windows there are."""
    score = bootstrap(np.zeros((3, 1000)) + np.array([[0.0], [5.0], [10.0]]))
    assert score.low < 2 and score.high > 8
    assert bootstrap(np.ones((3, 20))) == Score(1, 1, 1)


def test_bootstrap_of_a_matrix_with_one_row_is_that_of_the_row() -> None:
    values = np.random.default_rng(2).normal(size=50)
    assert bootstrap(values) == bootstrap(values[None])


def test_score_prints_a_sign_if_asked() -> None:
    score = Score(-0.25, -1.0, 2.0)
    assert str(score) == "-0.2 [-1.0, 2.0]" and f"{score:+}" == "-0.2 [-1.0, +2.0]"
