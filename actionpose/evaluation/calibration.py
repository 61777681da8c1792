"""Calibration of the threshold of "other" and of the confidence of labels, on joined spans."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize

from actionpose.actions.timeline import confidence_of, scores_over_time
from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.recognition import Progress
from actionpose.evaluation.segmentation import make_tracks
from actionpose.evaluation.views import NUM_VIEWS, project
from actionpose.inference.predictor import ActionPose
from actionpose.utils.typing import Array

NUM_OFFERED = 5  # number of labels of a timeline, a typical number of user labels
MANY_OFFERED = 30  # number of labels similar to that of `timeline.DEFAULT_LABELS`
NUM_BINS = 5  # number of confidence bins for reliability


def calibrate(
    model: ActionPose,
    corpora: Sequence[Corpus],
    split: str = "val",
    progress: Progress = lambda items: items,
) -> dict[str, Any]:
    """Calibrate the rejection threshold and the confidence weights.

    The threshold is the cosine similarity that best separates time steps whose label is offered
    from those whose label is not. Time steps are those of timelines of joined spans, in four views.
    `NUM_OFFERED` labels of the split are drawn for each time step, once with its own label and once
    without; with more labels, the maximum similarity of wrong labels increases. The threshold
    maximizes the balanced accuracy.

    The weights of `timeline.confidence_of` are a logistic regression of whether the best label is
    correct, on time steps with `NUM_OFFERED` and `MANY_OFFERED` labels, which include the correct
    label in half of the cases.

    Args:
        model: Model to calibrate.
        corpora: Corpora.
        split: Split of the corpora.
        progress: Function that wraps the iterable of tracks.

    Returns:
        `rejection_threshold`; `accepted` and `rejected`, the percentages of time steps with and
        without their own label at this threshold; `confidence_weights`; `reliability`, for
        `NUM_BINS` confidence bins the mean confidence and the accuracy, in percent, and the number
        of labels; and `calibration_error`, the mean difference of both (ECE). Reliability uses
        cross-validation: the labels of each half of the tracks have confidences with weights fitted
        to the other half.

    Raises:
        UserError: See `make_tracks`; or if the model has no text embedding.
    """
    tracks, labels = make_tracks(corpora, split)
    texts = model.embed_text(labels)
    rng = np.random.default_rng(0)
    offered, missing = [], []  # best scores with the own label offered, and without
    cases = []  # half of the tracks, score, margin, correct
    for number, track in enumerate(progress(tracks)):
        for view in range(NUM_VIEWS):
            keypoints = project(track.joints_m, track.id, view, track.fps)
            embeddings, spans_s = model.embed_windows(keypoints)
            edges_s, scores, valid = scores_over_time(embeddings[0], spans_s, texts)
            frames = ((edges_s[:-1] + edges_s[1:]) / 2 * track.fps).astype(int)
            frames = frames.clip(max=len(track.labels) - 1)  # the rate of the model may differ
            for row in np.flatnonzero(valid):
                own = labels.index(track.labels[frames[row]])
                wrong = rng.permutation(np.delete(scores[row], own))
                offered.append(max(scores[row, own], *wrong[: NUM_OFFERED - 1]))
                missing.append(wrong[:NUM_OFFERED].max())
                for count in (NUM_OFFERED, MANY_OFFERED) if len(wrong) > 1 else ():
                    with_own = [scores[row, own], *wrong[: count - 1]]
                    for some, is_offered in ((with_own, True), (wrong[:count], False)):
                        second, first = np.sort(some)[-2:]
                        right = is_offered and first == some[0]
                        cases.append((number % 2, first, first - second, right))
    candidates = np.quantile(offered + missing, np.linspace(0, 1, 201))
    accepted = np.greater_equal.outer(offered, candidates).mean(axis=0)
    rejected = np.less.outer(missing, candidates).mean(axis=0)
    best = np.flatnonzero(accepted + rejected == (accepted + rejected).max())[-1]
    return {
        "rejection_threshold": round(float(candidates[best]), 4),
        "accepted": 100 * float(accepted[best]),
        "rejected": 100 * float(rejected[best]),
        **(_confidence(np.array(cases, dtype=np.float64)) if cases else {}),
    }


def _confidence(cases: Array) -> dict[str, Any]:
    """The last three entries of `calibrate`, from rows of half, score, margin and correct."""
    half, score, margin, right = cases.T
    probability = np.empty(len(cases))
    for each in (0, 1):
        own = half == each
        others = ~own if (~own).any() else own
        weights = _fitted(*cases[others, 1:].T)
        probability[own] = confidence_of(score[own], margin[own], weights)
    bins = np.minimum((probability * NUM_BINS).astype(int), NUM_BINS - 1)
    reliability = [
        (100 * probability[rows].mean(), 100 * right[rows].mean(), int(rows.sum()))
        for rows in (bins == each for each in np.unique(bins))
    ]
    off = sum(abs(mean - accuracy) * number for mean, accuracy, number in reliability)
    return {
        "confidence_weights": [round(w, 3) for w in _fitted(score, margin, right)],
        "reliability": reliability,
        "calibration_error": float(off / len(cases)),
    }


def _fitted(score: Array, margin: Array, right: Array) -> list[float]:
    """Maximum likelihood weights of `confidence_of`, with a small weight decay."""
    sign = 1 - 2 * right

    def loss(weights: Array) -> float:
        logits = weights[0] + weights[1] * score + weights[2] * margin
        return float(np.logaddexp(0, sign * logits).mean() + 1e-4 * (weights**2).sum())

    found: list[float] = minimize(loss, np.zeros(3)).x.tolist()
    return found
