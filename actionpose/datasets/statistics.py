"""What is in a corpus, in numbers: hours, labels, and how its poses are distributed.

Poses are counted, not motions: a long motion weighs more. Left and right are the person's own.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.corpus import Corpus
from actionpose.skeletons import H36M17

BLOCK_FRAMES = 20_000  # measured at a time, so that memory does not grow with the corpus


@dataclass(frozen=True)
class Histogram:
    """Shares of frames. Values beyond the edges are in the first and the last bin."""

    title: str
    labels: tuple[str, ...]  # of the bins
    shares: tuple[float, ...]  # 0 to 1, of the frames that can be measured


@dataclass(frozen=True)
class Split:
    """One split of a corpus."""

    name: str
    motions: int
    subjects: int
    hours: float


@dataclass(frozen=True)
class DataSheet:
    """The numbers of a corpus."""

    name: str
    source: str
    license: str
    fps: float
    splits: tuple[Split, ...]
    labels: tuple[tuple[str, int, float], ...]  # text, segments, hours; most segments first
    transitions: tuple[tuple[str, int, float], ...]  # the same
    unlabelled_hours: float  # of motions without any text
    skipped: int
    poses: tuple[Histogram, ...]

    @property
    def hours(self) -> float:
        return sum(split.hours for split in self.splits)


def data_sheet(corpus: Corpus) -> DataSheet:
    """Count and measure a corpus. Its joints are read once, block by block."""
    per_hour = 3600 * corpus.fps
    motions = list(corpus.motions().values())
    splits = []
    for name in dict.fromkeys(segment.split for segment in motions):
        own = [segment for segment in motions if segment.split == name]
        subjects = len({segment.subject for segment in own})
        splits.append(Split(name, len(own), subjects, sum(map(len, own)) / per_hour))
    labeled = [segment for segment in corpus.segments if segment.text]
    # a motion's own text is often written twice, as the motion's and as a label of the same span
    spans = {(segment.motion, segment.start, segment.stop, segment.text) for segment in labeled}
    transitions = {
        (segment.motion, segment.start, segment.stop, segment.text)
        for segment in labeled
        if segment.kind == "transition"
    }
    with_text = {segment.motion for segment in labeled}
    silent = sum(len(segment) for segment in motions if segment.motion not in with_text)
    return DataSheet(
        name=corpus.name,
        source=str(corpus.info.get("source", "")),
        license=str(corpus.info.get("license", "")),
        fps=corpus.fps,
        splits=tuple(splits),
        labels=_by_text(spans - transitions, per_hour),
        transitions=_by_text(transitions, per_hour),
        unlabelled_hours=silent / per_hour,
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


TILT_DEG = (0, 15, 30, 45, 60, 90, 180)
HEIGHT_LEGS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
HANDS = ("none", "one", "both")


def _poses(corpus: Corpus) -> tuple[Histogram, ...]:
    tilt, height = np.zeros(len(TILT_DEG) - 1), np.zeros(len(HEIGHT_LEGS))
    hands = np.zeros(len(HANDS))
    for first in range(0, len(corpus.joints_m), BLOCK_FRAMES):
        joints_m = np.asarray(corpus.joints_m[first : first + BLOCK_FRAMES], dtype=np.float64)
        tilt += _binned(trunk_tilt_deg(joints_m), TILT_DEG[1:-1])
        height += _binned(pelvis_height_legs(joints_m), HEIGHT_LEGS[1:])
        hands += np.bincount(hands_above_head(joints_m), minlength=len(HANDS))

    def shares(counts: NDArray[np.float64]) -> tuple[float, ...]:
        return tuple((counts / max(counts.sum(), 1)).tolist())

    tilts = tuple(f"{low}-{high}" for low, high in zip(TILT_DEG, TILT_DEG[1:], strict=False))
    heights = [f"{low:g}-{high:g}" for low, high in zip(HEIGHT_LEGS, HEIGHT_LEGS[1:], strict=False)]
    return (
        Histogram("trunk from upright, degrees", tilts, shares(tilt)),
        Histogram(
            "pelvis over the lower ankle, leg lengths",
            (*heights, f"over {HEIGHT_LEGS[-1]:g}"),
            shares(height),
        ),
        Histogram("hands above the top of the head", HANDS, shares(hands)),
    )


def _binned(values: NDArray[np.float64], inner_edges: tuple[float, ...]) -> NDArray[np.float64]:
    bins = np.searchsorted(inner_edges, values, side="right")
    return np.bincount(bins, minlength=len(inner_edges) + 1).astype(np.float64)


def _at(joints_m: NDArray[np.float64], *joints: str) -> NDArray[np.float64]:
    return joints_m[:, H36M17.indices(*joints)]


def trunk_tilt_deg(joints_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) the angle of pelvis to thorax from upright: 0 stands, 90 lies, 180 is upside down."""
    pelvis, thorax = np.moveaxis(_at(joints_m, "pelvis", "thorax"), 1, 0)
    trunk = thorax - pelvis
    level = np.linalg.norm(trunk[:, :2], axis=-1)
    return np.degrees(np.arctan2(level, trunk[:, 2]))


def pelvis_height_legs(joints_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) how high the pelvis is over the lower ankle, in leg lengths (hip to knee to ankle).

    About 0.95 stands, 0.4 sits on a chair, 0 and less lies or sits on the floor.
    """
    hips, knees, ankles = (
        _at(joints_m, f"left_{part}", f"right_{part}") for part in ("hip", "knee", "ankle")
    )
    thighs = np.linalg.norm(hips - knees, axis=-1)
    leg_m = (thighs + np.linalg.norm(knees - ankles, axis=-1)).mean(axis=1)
    height_m = _at(joints_m, "pelvis")[:, 0, 2] - ankles[..., 2].min(axis=1)
    return height_m / np.maximum(leg_m, 1e-6)


def hands_above_head(joints_m: NDArray[np.float64]) -> NDArray[np.int_]:
    """(T,) how many wrists are higher than the top of the head."""
    wrists = _at(joints_m, "left_wrist", "right_wrist")[..., 2]
    return (wrists > _at(joints_m, "head")[..., 2]).sum(axis=1)


def counted(count: int, what: str) -> str:
    """A number with its noun, in the plural where that is due."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def as_text(sheet: DataSheet, *, num_labels: int = 20) -> str:
    """The data sheet for a terminal.

    Args:
        num_labels: of labels and of transitions, the most frequent.
    """
    lines = [f"corpus  {sheet.name}: {sheet.hours:.2f} hours at {sheet.fps:g} Hz"]
    lines += [f"source  {sheet.source}", f"license {sheet.license}"]
    for split in sheet.splits:
        lines.append(
            f"{split.name:7} {counted(split.motions, 'motion')}, "
            f"{counted(split.subjects, 'subject')}, {split.hours:.2f} hours"
        )
    if sheet.skipped:
        skipped = counted(sheet.skipped, "file")
        lines.append(f"skipped {skipped}; corpus.json names what was left out, with the reason")
    if sheet.unlabelled_hours:
        lines.append(f"no text {sheet.unlabelled_hours:.2f} hours, in motions without any label")
    for what, labels in (("labels", sheet.labels), ("transitions", sheet.transitions)):
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
    for histogram in sheet.poses:
        lines += ["", f"{histogram.title}, share of frames"]
        width = max(map(len, histogram.labels))
        for label, share in zip(histogram.labels, histogram.shares, strict=True):
            bar = "#" * round(40 * share)
            lines.append(f"  {label:>{width}}  {100 * share:5.1f} %  {bar}".rstrip())
    return "\n".join(lines)
