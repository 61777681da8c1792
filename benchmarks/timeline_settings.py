"""How long should a timeline's windows be, and what should a change of label cost?

    python benchmarks/timeline_settings.py tiny --data data/open/cmu --data data/open/hdm05

Spans of training people are joined to tracks (`segmentation.make_tracks`), so that what is chosen
here can be tested on held-out ones (`--split val`). A table for all labels offered and no "other";
another as people use it: half of a track's labels are offered, and others, five at least in all,
and the rest of the track is "other". Percent of frames, and segmental F1 at an overlap of 0.5.
"""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from tyro.conf import Positional, UseAppendAction, arg

from actionpose.actions.timeline import OTHER, timeline
from actionpose.datasets.corpus import open_corpus
from actionpose.evaluation.calibration import OFFERED
from actionpose.evaluation.open_benchmark import VIEWS_OF_A_WINDOW
from actionpose.evaluation.segmentation import (
    Track,
    f1_percent,
    frames_of,
    make_tracks,
    segmental_counts,
    segments_of,
)
from actionpose.evaluation.views import as_keypoints, labeled_spans, see
from actionpose.inference.predictor import ActionPose
from actionpose.utils.errors import UserError, exit_codes

SHARES = (1, 2, 3, 4)  # of the model's frames: whole windows, halves, thirds, quarters
COSTS = (0.02, 0.05, 0.1, 0.2, 0.3)
DRAWS = 4  # of the labels that are offered


class Seen(NamedTuple):
    """A track's windows of one length."""

    track: Track
    embeddings: NDArray[np.float32]  # (W, E)
    spans_s: NDArray[np.float64]  # (W, 2)


def scores(
    seen: list[Seen], labels: list[str], texts: NDArray[np.float32], cost: float, threshold: float
) -> str:
    """Frames and F1 with all labels, or with some and "other" if there is a threshold."""
    row_of = {label: row for row, label in enumerate(labels)}
    right, counts = [], np.zeros(3)
    for draw in range(DRAWS if threshold > -1 else 1):
        rng = np.random.default_rng(draw)
        for track, embeddings, spans_s in seen:
            own, offered = set(track.label_of_frame), labels
            if threshold > -1:
                known = [label for label in sorted(own) if rng.random() < 0.5]
                rest = [label for label in labels if label not in own]
                more = rng.permutation(rest)[: max(0, OFFERED - len(known))].tolist()
                own, offered = set(known), [*known, *more]
            rows = texts[[row_of[label] for label in offered]]
            found = frames_of(
                timeline(
                    embeddings, spans_s, rows, offered, threshold=threshold, transition_penalty=cost
                ),
                len(track.label_of_frame),
                track.fps,
            )
            truth = [label if label in own else OTHER for label in track.label_of_frame]
            right.append(np.mean([a == b for a, b in zip(found, truth, strict=True)]))
            named = (
                [segment for segment in segments_of(of) if segment[2] not in ("", OTHER)]
                for of in (found, truth)
            )
            counts += segmental_counts(*named, 0.5)
    return f"{100 * np.mean(right):.1f}, {f1_percent(counts):.1f}"


def main(
    checkpoint: Positional[str],
    data: Annotated[UseAppendAction[tuple[Path, ...]], arg(help="a corpus; may be repeated")],
    split: Literal["train", "val"] = "train",
    tracks: Annotated[int, arg(help="how many, of six spans each")] = 40,
) -> None:
    """Print two Markdown tables: rows are lengths of the windows, columns are costs."""
    if tracks < 1:
        raise UserError(f"--tracks is 1 or more, not {tracks}")
    torch.set_num_threads(1)
    model = ActionPose.from_pretrained(checkpoint, device="cpu")
    spans = labeled_spans([open_corpus(folder) for folder in data], split)
    joined = make_tracks(spans, tracks)
    if not joined:
        raise UserError(f"the split {split!r} has too few labeled spans to join")
    labels = sorted({label for track in joined for label in track.label_of_frame})
    texts = model.embed_text(labels)
    seen = []
    for share in SHARES:
        length = max(1, model.space.frames // share)
        rows = []
        for number, track in enumerate(joined):
            points_px = see(track.joints_m, track.id, number % VIEWS_OF_A_WINDOW)
            keypoints = as_keypoints(points_px, track.fps)
            embeddings, spans_s = model.space.embed_windows(keypoints, length=length)
            rows.append(Seen(track, embeddings[0], spans_s))
        seen.append((length, rows))
    for threshold in (-1.0, model.space.rejection_threshold):
        kind = "all labels" if threshold == -1 else f'some labels, "other" below {threshold:g}'
        print(f"\n| {kind}; frames | {' | '.join(f'cost {cost:g}' for cost in COSTS)} |")
        print(f"|---{'|---' * len(COSTS)}|")
        for length, rows in seen:
            cells = (scores(rows, labels, texts, cost, threshold) for cost in COSTS)
            print(f"| {length} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    with exit_codes("timeline_settings.py"):
        tyro.cli(main)
