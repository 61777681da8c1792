"""Annotated spans of corpora, their windows, and negative texts."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from actionpose.datasets.corpus import Corpus, Segment
from actionpose.datasets.transitions import (
    MAX_GAP_S,
    TRANSITION,
    transition_neighbors,
    transition_text,
)
from actionpose.models.text_encoder import normalize_text
from actionpose.utils.errors import UserError
from actionpose.utils.typing import IntArray


@dataclass(frozen=True)
class AnnotatedSpan:
    """Frames of one motion with one text, the basis of a pretraining clip."""

    corpus: int
    motion: Segment  # all frames of the motion
    start: int  # rows of joints.npy
    stop: int
    text: str  # normalized
    center: float | None = None  # of the window, if the span is longer than a clip
    categories: tuple[str, ...] = ()  # those of the source, such as BABEL

    def __len__(self) -> int:
        return self.stop - self.start


def pair_transition(
    transition: Segment, others: list[Segment], fps: float = 30.0
) -> Segment | None:
    """The segment from the start of A to the end of B, as "transit from A to B".

    A and B are the actions of `transition_neighbors`. None if one of them is missing.

    Args:
        transition: Segment of the transition.
        others: Segments of the same motion.
        fps: Frame rate of the corpus in Hz.
    """
    actions = [s for s in others if s.kind == "action" and s.text]
    before, after = transition_neighbors(
        (transition.start, transition.stop),
        [(s.start, s.stop, normalize_text(s.text)) for s in actions],
        max_gap=MAX_GAP_S * fps,
    )
    if before is None or after is None:
        return None
    a, b = actions[before], actions[after]
    text = transition_text(normalize_text(a.text), normalize_text(b.text))
    return replace(transition, start=a.start, stop=b.stop, text=text)


def spans_of(corpora: list[Corpus], kinds: Collection[str], split: str) -> list[AnnotatedSpan]:
    """All annotated spans of a split, in the order of the corpora.

    Spans of a motion may overlap; each is a separate example. Empty texts are omitted.

    Args:
        corpora: Corpora.
        kinds: Kinds of segments that are used. A motion without such segments is used with its own
            text.
        split: Split of the corpora.
    """
    spans: list[AnnotatedSpan] = []
    for number, corpus in enumerate(corpora):
        by_motion: dict[str, list[Segment]] = {}
        for segment in corpus.segments:
            if segment.split == split:
                by_motion.setdefault(segment.motion, []).append(segment)
        for motion, segments in by_motion.items():
            sequences = [s for s in segments if s.kind == "sequence"]
            parts = [s for s in segments if s.kind != "sequence"]
            if not sequences:
                raise UserError(f"{corpus.folder}: the motion {motion} has no line of its whole")
            used = [s for s in parts if s.kind in kinds]
            found = [span for s in used if (span := _span(number, corpus, sequences[0], s, parts))]
            if "sequence" in kinds or not found:
                found += [
                    AnnotatedSpan(
                        *(number, sequences[0], s.start, s.stop, normalize_text(s.text)),
                        categories=s.categories,
                    )
                    for s in sequences
                ]
            spans += [span for span in found if span.text]
    return spans


def _span(
    number: int, corpus: Corpus, motion: Segment, segment: Segment, others: list[Segment]
) -> AnnotatedSpan | None:
    center = None
    # transitions with other texts were paired when the corpus was created
    if segment.kind == "transition" and normalize_text(segment.text) == TRANSITION:
        center = (segment.start + segment.stop) / 2
        paired = pair_transition(segment, others, corpus.fps)
        if paired is None:
            return None
        segment = paired
    text = normalize_text(segment.text)
    return AnnotatedSpan(
        number, motion, segment.start, segment.stop, text, center, segment.categories
    )


def place_window(span: AnnotatedSpan, frames: int, rng: Generator | None = None) -> tuple[int, int]:
    """The rows of `joints.npy` for a clip of a span, at most `frames` rows.

    A longer span is cropped at random, around its transition if it has one, or in the middle
    without `rng`. A shorter span is extended by surrounding frames of its motion.
    """
    if len(span) >= frames:
        first, last = span.start, span.stop - frames
        if span.center is not None:
            start = int(np.clip(round(span.center - frames / 2), first, last))
            return start, start + frames
    else:
        frames = min(frames, len(span.motion))
        first = max(span.motion.start, span.stop - frames)
        last = min(span.start, span.motion.stop - frames)
    start = (first + last) // 2 if rng is None else int(rng.integers(first, last + 1))
    return start, start + frames


def draw_negatives(size: int, positives: IntArray, count: int, rng: Generator) -> IntArray:
    """Draw `count` different indices of a vocabulary of `size` uniformly, except `positives`."""
    drawn = rng.choice(size, min(size, count + len(positives)), replace=False)
    return drawn[~np.isin(drawn, positives)][:count]


def shuffled(spans: list[AnnotatedSpan], seed: int) -> list[AnnotatedSpan]:
    """Assign each span the text of another span, as a control without the meaning of texts."""
    order = np.random.default_rng([seed, len(spans)]).permutation(len(spans))
    return [replace(span, text=spans[other].text) for span, other in zip(spans, order, strict=True)]
