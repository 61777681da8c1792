"""Annotated spans: which there are, which window of one, and texts that are not its own."""

from collections import Counter
from typing import Any

import numpy as np

from actionpose.datasets.corpus import Corpus, Segment
from actionpose.datasets.spans import (
    AnnotatedSpan,
    draw_negatives,
    pair_transition,
    place_window,
    shuffled,
    spans_of,
)


def texts(corpus: Corpus, *kinds: Any) -> list[Any]:
    found = spans_of([corpus], kinds, "train")
    return [span.text for span in found if span.motion.motion in ("rich", "sequence", "silent")]


def test_spans_of_use_label_kinds_or_the_sequence(annotated: Corpus) -> None:
    transit = "transit from wave the left hand to sit"
    frame = ["walk", "wave the left hand", transit, "sit", "look right"]
    assert texts(annotated, "action", "transition") == [*frame, "run"]
    assert texts(annotated, "sequence") == ["a walk, then a chair", "run"]
    every_kind = texts(annotated, "action", "transition", "sequence")
    assert every_kind == [*frame, "a walk, then a chair", "run"]
    assert texts(annotated, "action") == [*(t for t in frame if t != transit), "run"]


def segment(start: int, stop: int, text: str, kind: str = "action") -> Segment:
    return Segment("m", "s", "train", start, stop, text, kind)


def test_pair_transition_joins_the_nearest() -> None:
    change = segment(50, 60, "transition", "transition")
    around = [
        segment(0, 50, "walk"),
        segment(30, 50, "look around"),  # ends as near, and is shorter
        segment(0, 40, "talk"),
        segment(59, 90, "sit"),  # seconds were rounded: it starts a frame early
        segment(59, 70, "nod"),
        segment(70, 80, "stand"),
    ]
    found = pair_transition(change, [*around, change])
    assert (found.text, found.start, found.stop) == ("transit from walk to sit", 0, 90)
    assert found.kind == "transition"
    for one_sided in (around[:3], around[3:], [change]):
        assert pair_transition(change, one_sided) is None
    # another transition is no action
    assert pair_transition(change, [segment(0, 50, "Transition"), around[3]]) is None


def span(
    start: int, stop: int, motion: tuple[Any, ...] = (0, 1000), center: int | None = None
) -> AnnotatedSpan:
    return AnnotatedSpan(0, segment(*motion, ""), start, stop, "walk", center)


def test_place_window_of_long_spans_is_uniform() -> None:
    rng = np.random.default_rng(0)
    starts = [place_window(span(100, 140), 20, rng) for _ in range(4200)]
    assert all(stop - start == 20 for start, stop in starts)
    counts = Counter(start for start, _ in starts)
    assert sorted(counts) == list(range(100, 121))
    assert max(abs(count - 200) for count in counts.values()) < 5 * np.sqrt(200)
    assert place_window(span(100, 140), 20) == (110, 130)
    assert place_window(span(100, 120), 20, rng) == (100, 120)


def test_place_window_is_around_long_transitions() -> None:
    rng = np.random.default_rng(0)
    assert place_window(span(100, 200, center=160), 20, rng) == (150, 170)
    assert place_window(span(100, 200, center=195), 20, rng) == (180, 200)


def test_place_window_of_short_spans_has_context() -> None:
    rng = np.random.default_rng(0)
    for motion in ((0, 1000), (95, 112), (104, 1000), (0, 111)):
        found = {place_window(span(104, 110, motion), 20, rng) for _ in range(500)}
        length = min(20, motion[1] - motion[0])
        expected = range(max(motion[0], 110 - length), min(104, motion[1] - length) + 1)
        assert found == {(start, start + length) for start in expected}


def test_draw_negatives_is_uniform(annotated: Corpus) -> None:
    rng = np.random.default_rng(0)
    true = np.array([2, 5])
    counts = np.zeros(10)
    for _ in range(4000):
        drawn = draw_negatives(10, true, 3, rng)
        assert len(set(drawn)) == 3
        counts[drawn] += 1
    assert counts[true].sum() == 0
    others = np.delete(counts, true)
    assert np.abs(others - 1500).max() < 5 * np.sqrt(1500)


def test_shuffled_moves_every_text(annotated: Corpus) -> None:
    spans = spans_of([annotated], ("action", "transition"), "train")
    mixed = shuffled(spans, seed=0)
    assert Counter(s.text for s in mixed) == Counter(s.text for s in spans)
    assert [s.start for s in mixed] == [s.start for s in spans]
    moved = sum(a.text != b.text for a, b in zip(spans, mixed, strict=True))
    assert moved > len(spans) / 2
