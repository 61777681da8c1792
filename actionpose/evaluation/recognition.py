"""Does a model know what people do? Zero-shot recognition of held-out motion.

Every labeled span of a split is seen by the four cameras of the open benchmark, with a detector's
noise, and given the most similar of all labels of the split. All draws are seeded by the spans'
ids. The baseline knows no text: nearest neighbors by statistics of the joints.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.open_benchmark import VIEWS_OF_A_WINDOW
from actionpose.evaluation.views import Span, as_keypoints, labeled_spans, see
from actionpose.geometry.camera import box_frame
from actionpose.inference.predictor import ActionPose
from actionpose.metrics.bootstrap import bootstrap
from actionpose.models.text_encoder import normalize_text
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.utils.typing import Array, IntArray
from actionpose.visualization.drawing import new_figure

Progress = Callable[[Iterable[Any]], Iterable[Any]]

NEIGHBORS = 5  # of the baseline
TERMS = {
    "top1": "zero-shot recognition: spans whose label is the most similar one, percent",
    "per_class": "the same, mean over classes",
    "top1_seen": "top-1 of spans whose label was in training",
    "top1_unseen": "top-1 of spans whose label was not",
    "knn_top1": f"{NEIGHBORS} nearest neighbors by joint statistics, labeled train spans",
    "knn_per_class": "the same, mean over classes",
    "chance": "a label drawn at random",
}


def embed_spans(
    model: ActionPose, spans: Sequence[Span], progress: Progress = lambda items: items
) -> NDArray[np.float32]:
    """(N, 4, E) unit vectors of spans, seen from four sides."""
    rows = []
    for span in progress(spans):
        views = range(VIEWS_OF_A_WINDOW)
        seen = [as_keypoints(see(span.joints_m, span.id, view), span.fps) for view in views]
        rows.append(np.concatenate([model.embed_motion(keypoints) for keypoints in seen]))
    return np.stack(rows)


def statistics_of(points_px: Array) -> Array:
    """A bag of joint statistics of keypoints (T, 17, 3): what a baseline without a model knows.

    Mean, deviation and mean speed of each joint's x and y in units of the person's box: (102,).
    """
    box = box_frame(points_px)
    assert box is not None
    xy = box.normalize(points_px)[..., :2].reshape(len(points_px), -1)
    speed = np.abs(np.diff(xy, axis=0)).mean(axis=0) if len(xy) > 1 else np.zeros(xy.shape[1])
    return np.concatenate([xy.mean(axis=0), xy.std(axis=0), speed])


def nearest(train: Array, queries: Array, k: int = NEIGHBORS) -> NDArray[np.int64]:
    """(M, k) rows of `train` that are nearest to each query, nearest first.

    Args:
        train, queries: (N, D) and (M, D); each column is scaled by its deviation over `train`.
    """
    scale = train.std(axis=0)
    scale[scale == 0] = 1
    rows = [
        np.argsort(np.linalg.norm((train - query) / scale, axis=1), kind="stable")[:k]
        for query in queries
    ]
    return np.stack(rows)


def nearest_labels(
    train: Array, train_labels: Sequence[str], queries: Array, k: int = NEIGHBORS
) -> list[str]:
    """The label that most of the `nearest` rows have, the nearest deciding a tie."""
    found = [[train_labels[i] for i in rows] for rows in nearest(train, queries, k)]
    return [max(near, key=near.count) for near in found]


def statistics_table(spans: Sequence[Span]) -> Array:
    """(4 N, 102) statistics of spans in each of the four cameras, views of a span in a row."""
    rows = [statistics_of(see(s.joints_m, s.id, view)) for s, view in _each_view(spans)]
    return np.stack(rows)


def recognize(
    model: ActionPose,
    corpora: Sequence[Corpus],
    split: str = "val",
    progress: Progress = lambda items: items,
) -> dict[str, Any]:
    """Zero-shot recognition and its baseline.

    Returns:
        `scores` by the names of `TERMS`, with intervals over spans; `labels`; `truth` and
        `found`, rows of `labels`, (N,) and (N, 4); the `cosines` (N, 4, L).

    Raises:
        UserError: the split has no labels, or the model knows no text.
    """
    spans = labeled_spans(corpora, split)
    labels = sorted({span.text for span in spans})
    if len(labels) < 2:
        raise UserError(f"the split {split!r} has no two labels: there is nothing to recognize")
    row = {label: i for i, label in enumerate(labels)}
    truth = np.array([row[span.text] for span in spans])
    cosines = embed_spans(model, spans, progress) @ model.embed_text(labels).T
    found = cosines.argmax(axis=-1)
    right = 100.0 * (found == truth[:, None]).mean(axis=1)
    train = labeled_spans(corpora, "train")
    known = {normalize_text(name) for name in model.space.labels.names} or {s.text for s in train}
    seen = np.array([span.text in known for span in spans])
    scores = {
        "top1": bootstrap(right),
        "per_class": bootstrap(*_by_class(right, truth)),
        "chance": 100 / len(labels),
    }
    if seen.any():
        scores["top1_seen"] = bootstrap(right[seen])
    if not seen.all():
        scores["top1_unseen"] = bootstrap(right[~seen])
    examples = [span for span in train if span.text in row]
    if examples:
        by_statistics = _baseline(examples, spans)
        scores["knn_top1"] = bootstrap(by_statistics)
        scores["knn_per_class"] = bootstrap(*_by_class(by_statistics, truth))
    return {
        "scores": scores,
        "labels": labels,
        "truth": truth,
        "found": found,
        "cosines": cosines,
        "num_spans": len(spans),
        "num_unseen": int((~seen).sum()),
    }


def _baseline(train: Sequence[Span], spans: Sequence[Span]) -> Array:
    """(N,) percent of a span's views that the nearest neighbors label right."""
    names = [span.text for span, _ in _each_view(train)]
    found = nearest_labels(statistics_table(train), names, statistics_table(spans))
    truth = [span.text for span, _ in _each_view(spans)]
    right = np.array([label == own for label, own in zip(found, truth, strict=True)])
    mean: Array = 100.0 * right.reshape(len(spans), -1).mean(axis=1)
    return mean


def _each_view(spans: Sequence[Span]) -> Iterator[tuple[Span, int]]:
    return ((span, view) for span in spans for view in range(VIEWS_OF_A_WINDOW))


def _by_class(values: Array, classes: IntArray) -> list[Array]:
    return [values[classes == each] for each in np.unique(classes)]


def confusion(report: dict[str, Any], path: Path) -> None:
    """Write a picture: which labels are taken for which, in percent of each true label's views.

    Args:
        report: of `recognize`.

    Raises:
        UserError: matplotlib is not installed, or the file cannot be written.
    """
    labels, truth, found = report["labels"], report["truth"], report["found"]
    counts = np.zeros((len(labels), len(labels)))
    for own, views in zip(truth, found, strict=True):
        np.add.at(counts[own], views, 1)
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 3.2 + 0.3 * len(labels)
    figure = new_figure(side, side * 0.92, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    short = [label if len(label) <= 34 else f"{label[:33]}…" for label in labels]
    number = [int((truth == i).sum()) for i in range(len(labels))]
    own_names = [f"{name} ({count})" for name, count in zip(short, number, strict=True)]
    style: dict[str, Any] = {"fontsize": 7, "parse_math": False}
    axes.set_xticks(range(len(labels)), short, rotation=90, **style)
    axes.set_yticks(range(len(labels)), own_names, **style)
    for y, x in np.argwhere(share >= 0.5):
        dark = "white" if share[y, x] > 55 else "#1d2430"
        axes.text(x, y, f"{share[y, x]:.0f}", ha="center", va="center", fontsize=6.5, color=dark)
    axes.set_xlabel("the most similar label", fontsize=8)
    axes.set_ylabel("the true label (number of spans)", fontsize=8)
    axes.tick_params(length=0)
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished, dpi=150, format="png", metadata={"Software": None})
