"""Statistics of a corpus: hours, labels, and the distribution of poses.

Poses are counted per frame, so that longer motions have more weight. Left and right are those of
the person.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.corpus import Corpus
from actionpose.skeletons import H36M17
from actionpose.utils.typing import Array

BLOCK_FRAMES = 20_000  # frames per block, which bounds the memory


@dataclass(frozen=True)
class Histogram:
    """Fractions of frames. The first and the last bin include values beyond the edges."""

    title: str
    bins: tuple[str, ...]
    fractions: tuple[float, ...]  # 0 to 1


@dataclass(frozen=True)
class SplitStatistics:
    """Statistics of a split of a corpus."""

    name: str
    motions: int
    subjects: int
    hours: float


@dataclass(frozen=True)
class CorpusStatistics:
    """Counts and distributions of a corpus."""

    name: str
    source: str
    license: str
    fps: float
    splits: tuple[SplitStatistics, ...]
    labels: tuple[tuple[str, int, float], ...]  # text, segments, hours; most segments first
    transitions: tuple[tuple[str, int, float], ...]  # as for labels
    unlabeled_hours: float  # of motions without text
    skipped: int
    poses: tuple[Histogram, ...]

    @property
    def hours(self) -> float:
        return sum(split.hours for split in self.splits)


def corpus_statistics(corpus: Corpus) -> CorpusStatistics:
    """Compute the statistics of a corpus; its joints are read once, block by block."""
    per_hour = 3600 * corpus.fps
    motions = list(corpus.motions().values())
    splits = []
    for name in dict.fromkeys(segment.split for segment in motions):
        own = [segment for segment in motions if segment.split == name]
        subjects = len({segment.subject for segment in own})
        splits.append(SplitStatistics(name, len(own), subjects, sum(map(len, own)) / per_hour))
    labeled = [segment for segment in corpus.segments if segment.text]
    # the text of a motion is often also a label of the same frames
    spans = {(segment.motion, segment.start, segment.stop, segment.text) for segment in labeled}
    transitions = {
        (segment.motion, segment.start, segment.stop, segment.text)
        for segment in labeled
        if segment.kind == "transition"
    }
    with_text = {segment.motion for segment in labeled}
    silent = sum(len(segment) for segment in motions if segment.motion not in with_text)
    return CorpusStatistics(
        name=corpus.name,
        source=str(corpus.info.get("source", "")),
        license=str(corpus.info.get("license", "")),
        fps=corpus.fps,
        splits=tuple(splits),
        labels=_by_text(spans - transitions, per_hour),
        transitions=_by_text(transitions, per_hour),
        unlabeled_hours=silent / per_hour,
        skipped=len(corpus.info.get("skipped", {})),
        poses=_poses(corpus),
    )


def _by_text(
    spans: set[tuple[str, int, int, str]], per_hour: float
) -> tuple[tuple[str, int, float], ...]:
    count, frames = Counter[str](), Counter[str]()
    for _, start, stop, text in spans:
        count[text] += 1
        frames[text] += stop - start
    order = sorted(count, key=lambda text: (-count[text], text))
    return tuple((text, count[text], frames[text] / per_hour) for text in order)


def _poses(corpus: Corpus) -> tuple[Histogram, ...]:
    counts = [np.zeros(len(bins)) for _, _, _, bins in _MEASURES]
    for first in range(0, len(corpus.joints_m), BLOCK_FRAMES):
        joints_m = np.asarray(corpus.joints_m[first : first + BLOCK_FRAMES], dtype=np.float64)
        for count, (_, measure, edges, bins) in zip(counts, _MEASURES, strict=True):
            count += np.bincount(np.digitize(measure(joints_m), edges), minlength=len(bins))
    return tuple(
        Histogram(title, bins, tuple((count / max(count.sum(), 1)).tolist()))
        for count, (title, _, _, bins) in zip(counts, _MEASURES, strict=True)
    )


def _at(joints_m: Array, *joints: str) -> Array:
    return joints_m[:, H36M17.indices(*joints)]


def trunk_tilt_deg(joints_m: Array) -> Array:
    """(T,) Angle between pelvis-thorax and vertical: 0 standing, 90 lying, 180 upside down."""
    pelvis, thorax = np.moveaxis(_at(joints_m, "pelvis", "thorax"), 1, 0)
    trunk = thorax - pelvis
    level = np.linalg.norm(trunk[:, :2], axis=-1)
    return np.degrees(np.arctan2(level, trunk[:, 2]))


def pelvis_height_legs(joints_m: Array) -> Array:
    """(T,) Height of the pelvis above the lower ankle, in leg lengths (hip to knee to ankle).

    About 0.95 in standing, 0.4 in sitting on a chair, and 0 or less in lying or sitting on the
    floor.
    """
    hips, knees, ankles = (
        _at(joints_m, f"left_{part}", f"right_{part}") for part in ("hip", "knee", "ankle")
    )
    thighs = np.linalg.norm(hips - knees, axis=-1)
    leg_m = (thighs + np.linalg.norm(knees - ankles, axis=-1)).mean(axis=1)
    height_m = _at(joints_m, "pelvis")[:, 0, 2] - ankles[..., 2].min(axis=1)
    return height_m / np.maximum(leg_m, 1e-6)


def hands_above_head(joints_m: Array) -> NDArray[np.int_]:
    """(T,) Number of wrists above the top of the head."""
    wrists = _at(joints_m, "left_wrist", "right_wrist")[..., 2]
    return (wrists > _at(joints_m, "head")[..., 2]).sum(axis=1)


# title, measure of poses (T, 17, 3), edges between the bins, names of the bins
_MEASURES: tuple[
    tuple[str, Callable[[Array], NDArray[Any]], tuple[float, ...], tuple[str, ...]], ...
] = (
    (
        "trunk from upright, degrees",
        trunk_tilt_deg,
        (15, 30, 45, 60, 90),
        ("0-15", "15-30", "30-45", "45-60", "60-90", "90-180"),
    ),
    (
        "pelvis over the lower ankle, leg lengths",
        pelvis_height_legs,
        (0.25, 0.5, 0.75, 0.9, 1),
        ("0-0.25", "0.25-0.5", "0.5-0.75", "0.75-0.9", "0.9-1", "over 1"),
    ),
    ("hands above the top of the head", hands_above_head, (1, 2), ("none", "one", "both")),
)


def counted(count: int, what: str) -> str:
    """A count with its noun, in the plural if necessary."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def format_statistics(corpus: CorpusStatistics, *, num_labels: int = 20) -> str:
    """Format the statistics for a terminal.

    Args:
        corpus: Statistics of a corpus.
        num_labels: Number of labels and of transitions to list, the most frequent first.
    """
    lines = [f"corpus  {corpus.name}: {corpus.hours:.2f} hours at {corpus.fps:g} Hz"]
    lines += [f"source  {corpus.source}", f"license {corpus.license}"]
    for split in corpus.splits:
        lines.append(
            f"{split.name:7} {counted(split.motions, 'motion')}, "
            f"{counted(split.subjects, 'subject')}, {split.hours:.2f} hours"
        )
    if corpus.skipped:
        skipped = counted(corpus.skipped, "file")
        lines.append(f"skipped {skipped}; corpus.json names what was left out, with the reason")
    if corpus.unlabeled_hours:
        lines.append(f"no text {corpus.unlabeled_hours:.2f} hours, in motions without any label")
    for what, labels in (("labels", corpus.labels), ("transitions", corpus.transitions)):
        if not labels:
            lines += ["", f"{what}: none"]
            continue
        total = sum(count for _, count, _ in labels)
        lines += ["", f"{what}: {counted(len(labels), 'text')} in {counted(total, 'segment')}"]
        for text, count, hours in labels[:num_labels]:
            lines.append(f"  {count:7,}  {60 * hours:7.1f} min  {text}")
        if len(labels) > num_labels:
            rest = sum(count for _, count, _ in labels[num_labels:])
            lines.append(f"  {rest:7,}               in {len(labels) - num_labels:,} other texts")
    for histogram in corpus.poses:
        lines += ["", f"{histogram.title}, fraction of frames"]
        width = max(map(len, histogram.bins))
        for name, fraction in zip(histogram.bins, histogram.fractions, strict=True):
            bar = "#" * round(40 * fraction)
            lines.append(f"  {name:>{width}}  {100 * fraction:5.1f} %  {bar}".rstrip())
    return "\n".join(lines)
