"""Action recognition on unseen subjects, and zero-shot recognition of unseen labels.

Each labeled span of a split, in the four views of the open benchmark, is classified as the most
similar of all labels of the split. The baseline without text is a nearest-neighbor classifier of
joint statistics.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.views import (
    NUM_VIEWS,
    LabeledSpan,
    labeled_spans,
    project,
    project_points,
)
from actionpose.geometry.camera import box_frame
from actionpose.inference.predictor import ActionPose
from actionpose.metrics.bootstrap import bootstrap
from actionpose.models.text_encoder import normalize_text
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array, IntArray
from actionpose.visualization.drawing import INK, new_figure, save_png

Progress = Callable[[Iterable[Any]], Iterable[Any]]

NEIGHBORS = 5  # of the baseline
TERMS = {
    "top1": "recognition on unseen subjects: spans whose label is the most similar one, percent",
    "per_class": "the same, mean over classes",
    "top1_seen": "top-1 of spans whose label was in training",
    "top1_unseen": "zero-shot: top-1 of spans whose label was not",
    "knn_top1": f"{NEIGHBORS} nearest neighbors by joint statistics, labeled train spans",
    "knn_per_class": "the same, mean over classes",
    "chance": "a label drawn at random",
}


def embed_spans(
    model: ActionPose, spans: Sequence[LabeledSpan], progress: Progress = lambda items: items
) -> NDArray[np.float32]:
    """(N, 4, E) Unit vectors of the views of spans."""
    rows = []
    for span in progress(spans):
        views = [project(span.joints_m, span.id, view, span.fps) for view in range(NUM_VIEWS)]
        rows.append(np.concatenate([model.embed_motion(keypoints) for keypoints in views]))
    return np.stack(rows)


def joint_statistics(points_px: Array) -> Array:
    """(102,) Features of keypoints (T, 17, 3) for a baseline without a model.

    Mean, standard deviation and mean speed of x and y of each joint, normalized by the person's
    box.
    """
    box = box_frame(points_px)
    assert box is not None
    xy = box.normalize(points_px)[..., :2].reshape(len(points_px), -1)
    speed = np.abs(np.diff(xy, axis=0)).mean(axis=0) if len(xy) > 1 else np.zeros(xy.shape[1])
    return np.concatenate([xy.mean(axis=0), xy.std(axis=0), speed])


def span_statistics(spans: Sequence[LabeledSpan]) -> Array:
    """(4 N, 102) Statistics of the views of spans; the views of a span are consecutive."""
    views = ((span, view) for span in spans for view in range(NUM_VIEWS))
    return np.stack([joint_statistics(project_points(s.joints_m, s.id, v)) for s, v in views])


def nearest(train: Array, queries: Array, k: int = NEIGHBORS) -> IntArray:
    """(M, k) Indices of the rows of `train` that are nearest to each query, in order of distance.

    Args:
        train: (N, D) Features, which are scaled by the standard deviation of each column of
            `train`.
        queries: (M, D) Features, with the same scale.
        k: Number of neighbors.
    """
    scale = train.std(axis=0)
    scale[scale == 0] = 1
    return np.argsort(cdist(queries / scale, train / scale), axis=1, kind="stable")[:, :k]


def nearest_labels(
    train: Array, train_labels: Sequence[str], queries: Array, k: int = NEIGHBORS
) -> list[str]:
    """The most frequent label of the `nearest` rows; ties are resolved by the nearest row."""
    near_labels = [[train_labels[i] for i in rows] for rows in nearest(train, queries, k)]
    return [max(near, key=near.count) for near in near_labels]


def recognize(
    model: ActionPose,
    corpora: Sequence[Corpus],
    split: str = "val",
    progress: Progress = lambda items: items,
) -> dict[str, Any]:
    """Evaluate recognition on the subjects of a split, with the baseline.

    Args:
        model: Model with a text embedding.
        corpora: Corpora.
        split: Split of the corpora.
        progress: Function that wraps the iterable of spans.

    Returns:
        `scores` by the names of `TERMS`, with intervals over spans; `labels`; `target` (N,) and
        `predicted` (N, 4), indices of `labels`; `num_spans`; and `num_unseen`, the number of spans
        whose labels are not in the training data.

    Raises:
        UserError: If the split has fewer than two labels, or the model has no text embedding.
    """
    spans = labeled_spans(corpora, split)
    labels = sorted({span.label for span in spans})
    if len(labels) < 2:
        raise UserError(f"the split {split!r} has no two labels: there is nothing to recognize")
    target = np.array([labels.index(span.label) for span in spans])
    cosines = embed_spans(model, spans, progress) @ model.embed_text(labels).T
    predicted = cosines.argmax(axis=-1)
    correct = 100.0 * (predicted == target[:, None]).mean(axis=1)
    train = labeled_spans(corpora, "train")
    trained = {normalize_text(name) for name in model.labels.names}
    seen = np.isin([s.label for s in spans], list(trained or {s.label for s in train}))
    scores: dict[str, Any] = {
        "top1": bootstrap(correct),
        "per_class": bootstrap(*_by_class(correct, target)),
        "chance": 100 / len(labels),
    }
    if seen.any():
        scores["top1_seen"] = bootstrap(correct[seen])
    if not seen.all():
        scores["top1_unseen"] = bootstrap(correct[~seen])
    examples = [span for span in train if span.label in labels]
    if examples:
        correct = _correct_by_neighbors(examples, spans)
        scores["knn_top1"] = bootstrap(correct)
        scores["knn_per_class"] = bootstrap(*_by_class(correct, target))
    return {
        "scores": scores,
        "labels": labels,
        "target": target,
        "predicted": predicted,
        "num_spans": len(spans),
        "num_unseen": int((~seen).sum()),
    }


def _correct_by_neighbors(train: Sequence[LabeledSpan], spans: Sequence[LabeledSpan]) -> Array:
    """(N,) Percentage of the views of a span that the baseline classifies correctly."""
    train_labels = [span.label for span in train for _ in range(NUM_VIEWS)]
    found = nearest_labels(span_statistics(train), train_labels, span_statistics(spans))
    views = np.reshape(found, (len(spans), NUM_VIEWS))
    percent: Array = 100.0 * (views == np.array([[s.label] for s in spans])).mean(axis=1)
    return percent


def _by_class(values: Array, classes: IntArray) -> list[Array]:
    return [values[classes == each] for each in np.unique(classes)]


def draw_confusion(report: dict[str, Any], path: Path) -> None:
    """Write a confusion matrix in percent of the views of each true label.

    Args:
        report: Result of `recognize`.
        path: Image file to write.

    Raises:
        UserError: If matplotlib is not installed, or the file cannot be written.
    """
    labels, target = report["labels"], report["target"]
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, (target[:, None], report["predicted"]), 1)
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 3.2 + 0.3 * len(labels)
    figure = new_figure(side, side * 0.92, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    short = [label if len(label) <= 34 else f"{label[:33]}…" for label in labels]
    true_names = [f"{name} ({(target == i).sum()})" for i, name in enumerate(short)]
    style: dict[str, Any] = {"fontsize": 7, "parse_math": False}
    axes.set_xticks(range(len(labels)), short, rotation=90, **style)
    axes.set_yticks(range(len(labels)), true_names, **style)
    for y, x in np.argwhere(percent >= 0.5):
        color = "white" if percent[y, x] > 55 else INK
        axes.text(x, y, f"{percent[y, x]:.0f}", ha="center", va="center", fontsize=6.5, color=color)
    axes.set_xlabel("the most similar label", fontsize=8)
    axes.set_ylabel("the true label (number of spans)", fontsize=8)
    axes.tick_params(length=0)
    save_png(figure, path)
