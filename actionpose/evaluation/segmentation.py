"""Temporal segmentation: accuracy of the borders of timelines.

The labeled spans of a split are joined in a seeded random order to tracks with known borders. The
timeline of each track is compared with the ground truth by frames and by segments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from actionpose.actions.timeline import Action
from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.recognition import Progress
from actionpose.evaluation.views import NUM_VIEWS, LabeledSpan, labeled_spans, project
from actionpose.geometry.camera import heading_rad
from actionpose.inference.predictor import ActionPose
from actionpose.metrics.bootstrap import bootstrap
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array

TRACK_SPANS = 6  # spans per track
TRACK_SPAN_S = 6.0  # longer spans are cropped to their middle
OVERLAPS = (0.10, 0.25, 0.50)  # of segmental F1
TERMS = {
    "frames": "segmentation: frames with the right label, percent",
    "frames_one_label": "the same, if all frames had the most frequent label",
    **{f"f1_{round(100 * k)}": f"segmental F1 at overlap {k:g}, percent" for k in OVERLAPS},
}


@dataclass(frozen=True)
class Track:
    """A sequence of spans as one motion."""

    id: str
    joints_m: Array  # (T, 17, 3)
    labels: list[str]  # label of each frame
    fps: float


def join(spans: Sequence[LabeledSpan], name: str) -> Track:
    """Join spans: each starts at the final position and heading of the previous one."""
    parts: list[Array] = []
    labels: list[str] = []
    for span in spans:
        frames = min(len(span.joints_m), round(TRACK_SPAN_S * span.fps))
        first = (len(span.joints_m) - frames) // 2
        part = span.joints_m[first : first + frames]
        if parts:
            turn = heading_rad(parts[-1][-1]) - heading_rad(part[0])
            cos, sin = np.cos(turn), np.sin(turn)
            part = part @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
            part[..., :2] += parts[-1][-1, 0, :2] - part[0, 0, :2]
        parts.append(part)
        labels += [span.label] * len(part)
    return Track(name, np.concatenate(parts), labels, spans[0].fps)


def make_tracks(corpora: Sequence[Corpus], split: str) -> tuple[list[Track], list[str]]:
    """Join `TRACK_SPANS` spans per track in a seeded random order, without repeated labels.

    Returns:
        Tracks, in which each span is used once, and the labels of all spans.

    Raises:
        UserError: If the split has too few labeled spans.
    """
    spans = labeled_spans(corpora, split)
    order = [spans[i] for i in np.random.default_rng(0).permutation(len(spans))]
    tracks: list[Track] = []
    while order:
        chosen: list[LabeledSpan] = []
        for span in list(order):
            fits = not chosen or (span.label != chosen[-1].label and span.fps == chosen[0].fps)
            if fits and len(chosen) < TRACK_SPANS:
                chosen.append(span)
                order.remove(span)
        if len(chosen) < 2:
            break
        tracks.append(join(chosen, f"track {len(tracks)}"))
    if not tracks:
        raise UserError(f"the split {split!r} has too few labeled spans to join")
    return tracks, sorted({span.label for span in spans})


def segments_of(labels: Sequence[str]) -> list[tuple[int, int, str]]:
    """Runs of equal frame labels: first frame, one past the last frame, label."""
    segments, stop = [], 0
    for label, frames in groupby(labels):
        start, stop = stop, stop + len(list(frames))
        segments.append((start, stop, label))
    return segments


def segmental_counts(
    predicted: Sequence[tuple[int, int, str]],
    target: Sequence[tuple[int, int, str]],
    overlap: float,
) -> tuple[int, int, int]:
    """True positives, false positives and false negatives of segments (Lea et al. 2017).

    A predicted segment is correct if its intersection over union with a target segment of its label
    is at least `overlap`, and no other prediction is matched with this target.
    """
    taken: set[int] = set()
    for start, stop, label in predicted:
        ious = [
            (min(stop, b) - max(start, a)) / (max(stop, b) - min(start, a)) if own == label else 0
            for a, b, own in target
        ]
        best = int(np.argmax(ious)) if ious else 0
        if ious and ious[best] >= overlap and best not in taken:
            taken.add(best)
    return len(taken), len(predicted) - len(taken), len(target) - len(taken)


def f1_percent(counts: Sequence[float] | Array) -> float:
    """Segmental F1 of summed `segmental_counts`."""
    true_positives, false_positives, false_negatives = counts
    return float(200 * true_positives / (2 * true_positives + false_positives + false_negatives))


def frame_labels(actions: Sequence[Action], num_frames: int, fps: float) -> list[str]:
    """The label of each frame of a timeline, "" if there is none."""
    labels = [""] * num_frames
    for action in actions:
        frames = slice(round(action.start_s * fps), min(round(action.stop_s * fps), num_frames))
        labels[frames] = [action.label] * len(labels[frames])
    return labels


def segment(
    model: ActionPose,
    corpora: Sequence[Corpus],
    split: str = "val",
    progress: Progress = lambda items: items,
    threshold: float = -1.0,
) -> dict[str, Any]:
    """Compare timelines of joined spans with the ground truth, without "other" segments.

    Args:
        model: Model with a text embedding.
        corpora: Corpora.
        split: Split of the corpora.
        progress: Function that wraps the iterable of tracks.
        threshold: See `ActionPose.actions`; the default disables "other".

    Returns:
        `scores` by the names of `TERMS`, frame-wise with an interval over tracks; and `tracks` with
        the `target` and `predicted` labels of the frames of each track.

    Raises:
        UserError: See `make_tracks`; or if the model has no text embedding.
    """
    tracks, labels = make_tracks(corpora, split)
    pairs: list[tuple[list[str], list[str]]] = []
    for number, track in enumerate(progress(tracks)):
        keypoints = project(track.joints_m, track.id, number % NUM_VIEWS, track.fps)
        actions = model.actions(keypoints, labels, threshold=threshold)
        pairs.append((track.labels, frame_labels(actions, len(track.labels), track.fps)))
    correct = [np.mean(np.array(target) == np.array(predicted)) for target, predicted in pairs]
    targets = [label for track in tracks for label in track.labels]
    scores: dict[str, Any] = {
        "frames": bootstrap(100 * np.array(correct)),
        "frames_one_label": 100 * max(map(targets.count, labels)) / len(targets),
    }
    for overlap in OVERLAPS:
        counts = [
            segmental_counts(
                [s for s in segments_of(predicted) if s[2]], segments_of(target), overlap
            )
            for target, predicted in pairs
        ]
        scores[f"f1_{round(100 * overlap)}"] = f1_percent(np.sum(counts, axis=0))
    return {
        "scores": scores,
        "tracks": [{"target": target, "predicted": predicted} for target, predicted in pairs],
    }
