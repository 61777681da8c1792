"""The open benchmark on a made-up corpus."""

import numpy as np
import pytest

from actionpose.datasets.corpus import Corpus
from actionpose.datasets.lifting import benchmark_clips
from actionpose.evaluation.open_benchmark import METRICS, bootstrap, evaluate_open, window_errors
from actionpose.utils.errors import UserError


def test_truth_scores_zero(corpus: Corpus) -> None:
    truth = {}
    for _, clip in benchmark_clips(corpus, "val"):
        truth[clip["keypoints"].tobytes()] = clip["pose"]
    report = evaluate_open(
        lambda keypoints: np.stack([truth[view.tobytes()] for view in keypoints]), [corpus], "val"
    )
    scores = report["scores"]
    assert scores.keys() == METRICS.keys()
    for name in ("mpjpe_mm", "mpjpe_height_mm", "p_mpjpe_mm", "mpjve_mm"):
        assert scores[name].mean == pytest.approx(0, abs=1e-3)  # mm; the truth is float32
    assert scores["pck"].mean == pytest.approx(100)
    assert report["num_windows"] == len(report["windows"])


def test_window_errors_by_hand() -> None:
    """A pose that is 10 % too large, in units of half a meter."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(2, 5, 17, 3))
    truth -= truth[:, :, :1]
    errors = window_errors(1.1 * truth, truth, np.array([0.5, 0.5]))
    by_hand = 0.1 * 500 * np.linalg.norm(truth, axis=-1).mean()
    assert errors["mpjpe_mm"] == pytest.approx(by_hand)
    assert errors["mpjpe_height_mm"] == pytest.approx(0, abs=1e-6)
    assert errors["p_mpjpe_mm"] == pytest.approx(0, abs=1e-6)


def test_interval_covers_the_mean() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(200):
        score = bootstrap(rng.normal(3.0, 1.0, size=60), seed)
        inside += score.low < 3.0 < score.high
    assert 0.88 < inside / 200 < 0.99


def test_a_split_that_is_not_there(corpus: Corpus) -> None:
    with pytest.raises(UserError, match="'test'"):
        evaluate_open(lambda keypoints: keypoints, [corpus], "test")
