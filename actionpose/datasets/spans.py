"""Labeled spans of a corpus, windows of them, and texts that are not theirs."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from actionpose.config import TextClipConfig
from actionpose.datasets.corpus import Corpus, Segment
from actionpose.datasets.transitions import MAX_GAP_S, transition_neighbors
from actionpose.models.text_encoder import normalize_text
from actionpose.utils.errors import UserError

TRANSITION = "transition"  # the text of a change of action that does not say of which


@dataclass(frozen=True)
class Span:
    """A stretch of one motion with one text: what a clip is made for."""

    corpus: int
    motion: Segment  # the whole of it
    start: int  # rows of joints.npy
    stop: int
    text: str  # normalized
    center: float | None = None  # of the window, where the span is too long for one

    def __len__(self) -> int:
        return self.stop - self.start


def pair_transition(
    transition: Segment, others: list[Segment], fps: float = 30.0
) -> Segment | None:
    """The span from the start of A to the end of B, as "transit from A to B".

    A and B are the actions of `transition_neighbors`. None where either is missing.

    Args:
        fps: of the corpus.
    """
    actions = [s for s in others if s.kind == "action" and normalize_text(s.text) != TRANSITION]
    actions = [s for s in actions if s.text]
    before, after = transition_neighbors(
        (transition.start, transition.stop),
        [(s.start, s.stop) for s in actions],
        max_gap=MAX_GAP_S * fps,
    )
    if before is None or after is None:
        return None
    a, b = actions[before], actions[after]
    text = f"transit from {normalize_text(a.text)} to {normalize_text(b.text)}"
    return replace(transition, start=a.start, stop=b.stop, text=text)


def spans_of(corpora: list[Corpus], config: TextClipConfig, split: str) -> list[Span]:
    """Every labeled span of a split, in the order of the corpora.

    Spans of one motion may overlap, and each is a pair of its own. Empty texts are left out.
    """
    spans: list[Span] = []
    for number, corpus in enumerate(corpora):
        of_motion: dict[str, list[Segment]] = {}
        for segment in corpus.segments:
            if segment.split == split:
                of_motion.setdefault(segment.motion, []).append(segment)
        for motion, segments in of_motion.items():
            whole = next((s for s in segments if s.kind == "sequence"), None)
            if whole is None:
                raise UserError(f"{corpus.folder}: the motion {motion} has no line of its whole")
            parts = [s for s in segments if s.kind != "sequence"]
            found = []
            if config.labels != "sequence":
                found = [
                    span
                    for s in parts
                    if (span := _span(number, whole, s, parts, config, corpus.fps))
                ]
            if config.labels != "frame" or not found:
                found += [
                    Span(number, whole, s.start, s.stop, normalize_text(s.text))
                    for s in segments
                    if s.kind == "sequence"
                ]
            spans += [span for span in found if span.text]
    return spans


def _span(
    corpus: int,
    whole: Segment,
    segment: Segment,
    others: list[Segment],
    config: TextClipConfig,
    fps: float,
) -> Span | None:
    if segment.kind != "transition":
        return Span(corpus, whole, segment.start, segment.stop, normalize_text(segment.text))
    if not config.transitions:
        return None
    if normalize_text(segment.text) != TRANSITION:  # paired when the corpus was made
        return Span(corpus, whole, segment.start, segment.stop, normalize_text(segment.text))
    paired = pair_transition(segment, others, fps)
    if paired is None:
        return None
    center = (segment.start + segment.stop) / 2
    return Span(corpus, whole, paired.start, paired.stop, paired.text, center)


def place_window(
    span: Span, frames: int, short: str, rng: Generator | None = None
) -> tuple[int, int]:
    """Rows of `joints.npy` that a clip of a span shows, `frames` at most.

    A span that is too long is cropped at random, around its transition if it has one, or in the
    middle if there is no `rng`. A shorter one has its motion around it ("context"), or is shown
    alone, to be padded ("padding").
    """
    if len(span) >= frames:
        first, last = span.start, span.stop - frames
        if span.center is not None:
            start = int(np.clip(round(span.center - frames / 2), first, last))
            return start, start + frames
    elif short == "padding":
        return span.start, span.stop
    else:
        frames = min(frames, len(span.motion))
        first = max(span.motion.start, span.stop - frames)
        last = min(span.start, span.motion.stop - frames)
    start = (first + last) // 2 if rng is None else int(rng.integers(first, last + 1))
    return start, start + frames


def draw_negatives(
    size: int, true: NDArray[np.int64], count: int, rng: Generator
) -> NDArray[np.int64]:
    """`count` different rows of a vocabulary of `size`, none in `true`; all sets alike likely."""
    drawn = rng.choice(size, min(size, count + len(true)), replace=False)
    return drawn[~np.isin(drawn, true)][:count]


def shuffled(spans: list[Span], seed: int) -> list[Span]:
    """Every span with the text of another: the control that has all but the meaning."""
    order = np.random.default_rng([seed, len(spans)]).permutation(len(spans))
    return [replace(span, text=spans[other].text) for span, other in zip(spans, order, strict=True)]
