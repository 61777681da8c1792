"""Are the borders of a timeline where they belong? Held-out spans, joined to tracks.

The spans of a split are joined, in a seeded order, to tracks with known borders; the timeline of
each is compared with the truth, frame by frame and segment by segment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.actions.timeline import Action
from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.open_benchmark import VIEWS_OF_A_WINDOW
from actionpose.evaluation.recognition import Progress
from actionpose.evaluation.views import Span, as_keypoints, labeled_spans, see
from actionpose.geometry.camera import heading_rad
from actionpose.inference.predictor import ActionPose
from actionpose.metrics.bootstrap import bootstrap
from actionpose.utils.errors import UserError

Array = NDArray[np.floating]

TRACK_SPANS = 6  # that are joined to a track
TRACK_SPAN_S = 6.0  # longer spans are cut to their middle
OVERLAPS = (0.10, 0.25, 0.50)  # of segmental F1
TERMS = {
    "frames": "segmentation: frames with the right label, percent",
    "frames_one_label": "the same, if all frames had the most frequent label",
    **{f"f1_{round(100 * k)}": f"segmental F1 at overlap {k:g}, percent" for k in OVERLAPS},
}


@dataclass(frozen=True)
class Track:
    """Spans one after another, as one motion."""

    id: str
    joints_m: Array  # (T, 17, 3)
    label_of_frame: list[str]
    fps: float


def join(spans: Sequence[Span], name: str) -> Track:
    """Let each span begin where the one before ended, facing the same way."""
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
        labels += [span.text] * len(part)
    return Track(name, np.concatenate(parts), labels, spans[0].fps)


def make_tracks(spans: Sequence[Span], count: int | None = None) -> list[Track]:
    """Tracks of `TRACK_SPANS` spans in a seeded order; no label follows itself.

    Args:
        count: by default as many as use each span once.
    """
    rng = np.random.default_rng(0)
    order = [spans[i] for i in rng.permutation(len(spans))]
    tracks: list[Track] = []
    while order and (count is None or len(tracks) < count):
        chosen: list[Span] = []
        for span in list(order):
            fits = not chosen or (span.text != chosen[-1].text and span.fps == chosen[0].fps)
            if fits and len(chosen) < TRACK_SPANS:
                chosen.append(span)
                order.remove(span)
        if len(chosen) < 2:
            break
        tracks.append(join(chosen, f"track {len(tracks)}"))
    return tracks


def segments_of(labels: Sequence[str]) -> list[tuple[int, int, str]]:
    """Stretches of equal labels of frames: first, one past the last, label."""
    edges = [0, *(i for i in range(1, len(labels)) if labels[i] != labels[i - 1]), len(labels)]
    return [(a, b, labels[a]) for a, b in zip(edges[:-1], edges[1:], strict=True) if a < b]


def segmental_counts(
    found: Sequence[tuple[int, int, str]], truth: Sequence[tuple[int, int, str]], overlap: float
) -> tuple[int, int, int]:
    """True positives, false positives and misses of segments (Lea et al. 2017).

    A found segment is right if it overlaps a true one of its label, that no other has taken, by at
    least `overlap` of their union.
    """
    taken: set[int] = set()
    hits = 0
    for start, stop, label in found:
        shares = [
            (min(stop, b) - max(start, a)) / (max(stop, b) - min(start, a)) if own == label else 0
            for a, b, own in truth
        ]
        best = int(np.argmax(shares)) if shares else 0
        if shares and shares[best] >= overlap and best not in taken:
            taken.add(best)
            hits += 1
    return hits, len(found) - hits, len(truth) - hits


def f1_percent(counts: Sequence[float] | Array) -> float:
    """Segmental F1 of summed `segmental_counts`."""
    hits, wrong, missed = counts
    return float(200 * hits / (2 * hits + wrong + missed))


def frames_of(actions: Sequence[Action], num_frames: int, fps: float) -> list[str]:
    """The label of each frame of a timeline; "" where there is none."""
    labels = [""] * num_frames
    for action in actions:
        for frame in range(round(action.start_s * fps), round(action.stop_s * fps)):
            if frame < num_frames:
                labels[frame] = action.label
    return labels


def segment(
    model: ActionPose,
    corpora: Sequence[Corpus],
    split: str = "val",
    progress: Progress = lambda items: items,
    threshold: float = -1.0,
) -> dict[str, Any]:
    """Timelines of joined spans against the truth. There is no "other" in them.

    Args:
        threshold: of `ActionPose.actions`; this one leaves "other" out.

    Returns:
        `scores` by the names of `TERMS`, frame-wise with an interval over tracks; `tracks`, for
        each the true and the found labels of its frames.
    """
    spans = labeled_spans(corpora, split)
    labels = sorted({span.text for span in spans})
    tracks = make_tracks(spans)
    if not tracks:
        raise UserError(f"the split {split!r} has too few labeled spans to join")
    rows = []
    for number, track in enumerate(progress(tracks)):
        points_px = see(track.joints_m, track.id, number % VIEWS_OF_A_WINDOW)
        keypoints = as_keypoints(points_px, track.fps)
        actions = model.actions(keypoints, labels, threshold=threshold)
        rows.append((track, frames_of(actions, len(track.label_of_frame), track.fps)))
    every = [label for track in tracks for label in track.label_of_frame]
    right = [np.mean([a == b for a, b in zip(f, t.label_of_frame, strict=True)]) for t, f in rows]
    scores: dict[str, Any] = {
        "frames": bootstrap(100 * np.array(right)),
        "frames_one_label": 100 * max(every.count(label) for label in labels) / len(every),
    }
    for overlap in OVERLAPS:
        counts = [
            segmental_counts(
                [s for s in segments_of(found) if s[2]], segments_of(track.label_of_frame), overlap
            )
            for track, found in rows
        ]
        scores[f"f1_{round(100 * overlap)}"] = f1_percent(np.sum(counts, axis=0))
    pairs = [{"id": t.id, "truth": t.label_of_frame, "found": f} for t, f in rows]
    return {"scores": scores, "tracks": pairs, "num_tracks": len(tracks)}
