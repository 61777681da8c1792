"""The path through scores, time steps, and labels."""

import itertools

import numpy as np
import pytest

from actionpose.actions.timeline import (
    OTHER,
    STEP_S,
    UNKNOWN,
    best_path,
    clean_labels,
    decode,
    drop_short,
    scores_over_time,
    timeline,
)
from actionpose.utils.errors import UserError


def test_best_path_has_the_greatest_sum() -> None:
    """Against every path there is."""
    rng = np.random.default_rng(0)
    for cost in (0.0, 0.3, 1.0, 5.0):
        scores = rng.normal(size=(6, 3))

        def gain(path: tuple[int, ...], scores: np.ndarray = scores, cost: float = cost) -> float:
            changes = sum(a != b for a, b in itertools.pairwise(path))
            return sum(scores[row, column] for row, column in enumerate(path)) - cost * changes

        best = max(itertools.product(range(3), repeat=6), key=gain)
        found = best_path(scores, cost)
        assert gain(tuple(found)) == pytest.approx(gain(best))


def test_best_path_changes_only_where_it_pays() -> None:
    scores = np.zeros((10, 2))
    scores[:, 0] = 0.1
    scores[4:6, 1] = 0.4  # two rows gain 0.6 over column 0
    assert best_path(scores, cost=0.2).tolist() == [0] * 4 + [1] * 2 + [0] * 4
    assert set(best_path(scores, cost=0.4)) == {0}


def test_drop_short_gives_runs_to_the_better_neighbor() -> None:
    path = np.array([0, 0, 0, 1, 2, 2, 2])
    scores = np.zeros((7, 3))
    scores[3, 2] = 1
    assert drop_short(path, scores, 2).tolist() == [0, 0, 0, 2, 2, 2, 2]
    assert drop_short(np.array([1]), scores, 5).tolist() == [1]  # nothing to give it to


def test_decode_leaves_out_what_is_not_valid() -> None:
    scores = np.full((30, 1), 0.9)
    scores[20:] = 0.1
    valid = np.ones(30, bool)
    valid[10:15] = False
    assert decode(scores, valid, threshold=0.5) == [(0, 10, 0), (15, 20, 0), (20, 30, 1)]
    assert decode(scores, ~(valid | True), threshold=0.5) == []


def test_timeline_threshold_of_minus_one_leaves_other_out() -> None:
    embeddings, spans_s = np.eye(4)[:3], np.array([[0.0, 1], [1, 2], [2, 3]])
    found = timeline(embeddings, spans_s, np.eye(4)[3:], ["fly"], threshold=-1)
    assert [a.label for a in found] == ["fly"]
    assert timeline(embeddings, spans_s, np.eye(4)[3:], ["fly"])[0].label == OTHER


def test_scores_over_time_weigh_windows_by_their_middle() -> None:
    spans_s = np.array([[0.0, 1.0], [0.5, 1.5], [9, 10]])
    embeddings = np.array([[1.0, 0], [0, 1], [0, 0]])  # in the last one nobody is visible
    edges_s, scores, valid = scores_over_time(embeddings, spans_s, np.array([[1.0, 0]]))
    steps_s = (edges_s[:-1] + edges_s[1:]) / 2
    np.testing.assert_array_equal(valid, steps_s < 1.5)
    at = [int(np.argmin(np.abs(steps_s - time_s))) for time_s in (0.15, 0.65, 0.75, 0.95)]
    first, early, middle, late = scores[at, 0]
    assert first == 1 and middle == pytest.approx(0.5)
    assert early > 0.5 > late


def test_timeline_of_known_embeddings() -> None:
    """Ten seconds: four of one direction, six of another."""
    spans_s = np.array([[t, t + 1] for t in np.arange(0, 9.01, 0.25)])
    first = spans_s.mean(axis=1) < 4
    embeddings = np.where(first[:, None], [1.0, 0, 0], [0, 1.0, 0])
    found = timeline(embeddings, spans_s, np.eye(3), ["a", "b", "c"], person=2)
    assert [a.label for a in found] == ["a", "b"]
    assert (
        found[0].stop_s == pytest.approx(4, abs=2 * STEP_S) and found[0].stop_s == found[1].start_s
    )
    assert (found[0].start_s, found[1].stop_s) == (0, 10)
    assert all(a.person == 2 and a.score > 0.8 and len(a.top) == 3 for a in found)
    assert found[1].top[0] == ("b", found[1].score)


def test_timeline_has_confidences_and_leaves_doubtful_labels_out() -> None:
    """Two halves of scores 1 and 0.6, each by 0.2 or more above the other labels."""
    spans_s = np.array([[t, t + 1.0] for t in range(8)])
    embeddings = np.where(np.arange(8)[:, None] < 4, [1.0, 0, 0], [0.4, 0.6, np.sqrt(0.48)])
    weights = (-8.0, 5.0, 10.0)
    about = dict(threshold=-1.0, transition_penalty=0.0, weights=weights)
    labels = np.eye(3)[:2]
    found = timeline(embeddings, spans_s, labels, ["a", "b"], **about)
    assert [a.label for a in found] == ["a", "b"]
    assert found[0].confidence == pytest.approx(1 / (1 + np.exp(8 - 5 - 10)), abs=2e-3)
    assert found[1].confidence == pytest.approx(1 / (1 + np.exp(8 - 3 - 2)), abs=2e-2)
    found = timeline(embeddings, spans_s, labels, ["a", "b"], rejected=UNKNOWN, **about)
    assert [(a.label, a.confidence is None) for a in found] == [("a", False), (UNKNOWN, True)]
    assert timeline(embeddings, spans_s, labels[:1], ["a"], **about)[0].confidence is None


def test_clean_labels_trims_and_drops_duplicates() -> None:
    assert clean_labels([" walk", "Walk", "sit  down", "", "other"]) == ["walk", "sit down"]
    assert clean_labels(["Jump.", "jump", "Ｊｕｍｐ", "?", "Other!"]) == ["Jump."]
    for empty in ([], ["", " "], ["other"]):
        with pytest.raises(UserError, match="no label"):
            clean_labels(empty)
    with pytest.raises(UserError, match="300 words"):
        clean_labels(["walk", "very " * 299 + "slowly"])
    with pytest.raises(UserError, match="not one text"):
        clean_labels("walk, run")
