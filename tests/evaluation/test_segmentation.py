"""Segmentation: tracks of joined spans, scores by hand, whole timelines."""

from pathlib import Path

import numpy as np
import pytest
from helpers.motions import some_motion

from actionpose import ActionPose
from actionpose.actions.timeline import Action
from actionpose.datasets.corpus import Corpus, open_corpus, write_corpus
from actionpose.evaluation.segmentation import (
    frame_labels,
    make_tracks,
    segment,
    segmental_counts,
    segments_of,
)
from actionpose.geometry.camera import heading_rad
from actionpose.utils.errors import UserError


def test_make_tracks_joins_spans_without_a_jump(action_corpus: Corpus) -> None:
    tracks, labels = make_tracks([action_corpus], "val")
    assert labels == ["lie down", "punch", "sit", "walk"]
    assert sum(len(segments_of(track.labels)) for track in tracks) >= 6
    for track in tracks:
        assert len(track.labels) == len(track.joints_m)
        segments = segments_of(track.labels)
        for start, _, _ in segments[1:]:
            before, after = track.joints_m[start - 1], track.joints_m[start]
            np.testing.assert_allclose(before[0, :2], after[0, :2], atol=1e-9)
            turn = heading_rad(after) - heading_rad(before)
            assert abs((turn + np.pi) % (2 * np.pi) - np.pi) < 1e-6
        for (_, _, a), (_, _, b) in zip(segments[:-1], segments[1:], strict=True):
            assert a != b


def test_make_tracks_of_spans_that_come_twice(tmp_path: Path) -> None:
    motions = [some_motion(name, 10, split="val") for name in "abcd"]
    for motion, text in zip(motions, ("walk", "walk", "walk", "sit"), strict=True):
        motion.labels.extend([(0, 10, text, "action")] * 2)
    corpus = open_corpus(write_corpus(tmp_path / "x", motions, source="", license=""))
    tracks, labels = make_tracks([corpus], "val")
    assert labels == ["sit", "walk"] and len(tracks[0].joints_m) == 40


def test_segmental_counts_by_hand() -> None:
    target = [(0, 10, "a"), (10, 20, "b"), (20, 30, "a")]
    assert segmental_counts(target, target, 0.5) == (3, 0, 0)
    # the first "a" is found in two pieces: the first covers 6 of 10, the second is too much
    predicted = [(0, 6, "a"), (6, 10, "a"), (10, 14, "b"), (14, 30, "c")]
    assert segmental_counts(predicted, target, 0.5) == (1, 3, 2)
    assert segmental_counts(predicted, target, 0.25) == (2, 2, 1)
    assert segmental_counts([], target, 0.1) == (0, 0, 3)


def test_frame_labels_of_a_timeline() -> None:
    actions = [Action(0.1, 0.3, "a", 1, 0, ()), Action(0.3, 9.0, "b", 1, 0, ())]
    assert frame_labels(actions, 5, 10) == ["", "a", "a", "b", "b"]
    assert frame_labels([Action(0.9, 1.2, "a", 1, 0, ())], 5, 10) == [""] * 5
    assert segments_of(["a", "a", "b"]) == [(0, 2, "a"), (2, 3, "b")] and segments_of([]) == []


def test_segment_scores_timelines(action_corpus: Corpus, action_model: ActionPose) -> None:
    report = segment(action_model, [action_corpus], "val")
    scores = report["scores"]
    by_hand = [
        100 * np.mean([a == b for a, b in zip(t["target"], t["predicted"], strict=True)])
        for t in report["tracks"]
    ]
    assert scores["frames"].mean == pytest.approx(np.mean(by_hand))
    assert scores["f1_10"] >= scores["f1_25"] >= scores["f1_50"]
    assert scores["frames_one_label"] >= 25


def test_segment_finds_nothing_above_an_unreachable_threshold(
    action_corpus: Corpus, action_model: ActionPose
) -> None:
    scores = segment(action_model, [action_corpus], "val", threshold=2.0)["scores"]
    assert scores["frames"].mean == 0


def test_segment_refuses_a_split_without_labels(
    action_corpus: Corpus, action_model: ActionPose
) -> None:
    with pytest.raises(UserError, match="test"):
        segment(action_model, [action_corpus], "test")
