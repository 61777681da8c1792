"""Action timelines from embeddings of windows and labels.

A motion is embedded in overlapping windows. At each time step, the score of a label is the mean
cosine similarity of its embedding with those of the surrounding windows, weighted by their
distance. The timeline is the sequence of labels with the greatest sum of scores, with a penalty for
each change of label. Time steps at which no label reaches a threshold are "other".

Letters in shapes: W windows, E embedding dimension, S time steps, L labels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from actionpose.models.text_encoder import normalize_text
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import runs, true_runs
from actionpose.utils.typing import Array, BoolArray, IntArray

OTHER = "other"  # label of segments below the threshold, if the user specified the labels
UNKNOWN = "unknown"  # label of these segments if the labels are `DEFAULT_LABELS`
# Threshold of the cosine similarity if the checkpoint has no `rejection_threshold`
DEFAULT_THRESHOLD = 0.3
STEP_S = 0.1  # length of the time steps of a timeline
TRANSITION_PENALTY = 0.1  # penalty for a change of label, in cosine similarity times seconds
MIN_LENGTH_S = 0.4  # minimum length of a segment
_NEAR_S = 0.2  # tolerance between the ends of a segment and a frame in which the person is visible
NUM_TOP = 3  # number of labels that a segment lists
# Minimum confidence of a label if the user did not specify the labels. It is about the accuracy on
# the calibration data, where the balanced accuracy of a calibrated probability is greatest
MIN_CONFIDENCE = 0.3
MAX_WORDS = 40  # maximum number of words of a label
# Everyday actions that differ clearly from one another and are in the training data of the released
# models. They are the default labels
DEFAULT_LABELS = (
    *("walk", "run", "jump up", "jumping jacks", "hop on both legs", "squat", "stand still"),
    *("sit down on a chair", "sit still on a chair", "stand up from a chair", "kneel down"),
    *("lie down on the floor", "get up from the floor", "crawl on hands and knees", "push ups"),
    *("turn to the left", "turn to the right", "walk backward", "clap hands", "dance around"),
    *("wave with the left hand", "wave with the right hand", "wave with both hands"),
    *("stretch the arms overhead", "kick to the front with the left leg"),
    *("kick to the front with the right leg", "punch with the left fist"),
    *("punch with the right fist", "throw with the left hand", "throw with the right hand"),
    "bend down and pick something up from the floor with the left hand",
    "bend down and pick something up from the floor with the right hand",
)


@dataclass(frozen=True)
class Action:
    """A segment of a timeline.

    Attributes:
        start_s: Start time in seconds.
        stop_s: Stop time in seconds.
        label: Action label, "other" or "unknown".
        score: Mean cosine similarity of motion and label. For "other" and "unknown", that of the
            best label, which did not reach the threshold.
        person: Index of the person.
        top: The best labels with their scores, in descending order.
        confidence: Calibrated probability that the label is correct. None for "other" and
            "unknown", for a single label, and if the checkpoint is not calibrated.
        track_id: Track of the person, as in the files and options of the command line.
    """

    start_s: float
    stop_s: float
    label: str
    score: float
    person: int
    top: tuple[tuple[str, float], ...]
    confidence: float | None = None
    track_id: int = 0

    @property
    def margin(self) -> float | None:
        """Difference between the score and that of the second-best label; None without a label."""
        others = [score for label, score in self.top if label != self.label]
        named = len(others) < len(self.top)
        return round(self.score - others[0], 4) if named and others else None

    def to_dict(self) -> dict[str, Any]:
        """The segment as plain values, as stored in the header of a result."""
        top = [list(pair) for pair in self.top]
        return {**asdict(self), "top": top, "margin": self.margin}


def _confidence(means: Array, column: int, weights: Sequence[float] | None) -> float | None:
    """Confidence of the label of a column, from the mean scores (L,) of a segment."""
    if not weights or column == len(means) or len(means) < 2:
        return None
    margin = means[column] - np.delete(means, column).max()
    return float(confidence_of(means[column], margin, weights))


def confidence_of(score: Array, margin: Array, weights: Sequence[float]) -> Array:
    """Probabilities that labels are correct, from scores and margins (N,), by Platt scaling.

    Args:
        weights: Bias, and the weights of score and margin, fitted by `evaluation.calibration`.
    """
    logits = weights[0] + weights[1] * score + weights[2] * margin
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -50, 50))))


def clean_labels(labels: Iterable[str]) -> list[str]:
    """Strip labels, and remove duplicates and "other", which is always a candidate.

    Raises:
        UserError: If no label is left, or a label is too long.
    """
    if isinstance(labels, str):
        raise UserError('labels are a list of texts, such as ["walk", "sit down"], not one text')
    unique: dict[str, str] = {}
    for label in labels:
        words = str(label).split()
        if len(words) > MAX_WORDS:
            raise UserError(
                f"the label that begins {' '.join(words[:6])!r} has {len(words)} words: "
                f"a label says in a few words what the person does (at most {MAX_WORDS})"
            )
        text = " ".join(words)
        key = normalize_text(text)  # labels with the same embedding are duplicates
        if key and key != OTHER:
            unique.setdefault(key, text)
    if not unique:
        raise UserError(f"there is no label: name at least one action (besides {OTHER!r})")
    return list(unique.values())


def scores_over_time(
    embeddings: Array, spans_s: Array, label_embeddings: Array
) -> tuple[Array, Array, BoolArray]:
    """Compute the scores of labels at time steps of `STEP_S` from the windows of one person.

    A score is the weighted mean of the cosine similarities of the surrounding windows. The weight
    of a window decreases toward its ends.

    Args:
        embeddings: (W, E) Unit vectors of windows, zero where the person is not visible.
        spans_s: (W, 2) Start and stop times of windows in seconds. W is at least 1.
        label_embeddings: (L, E) Unit vectors of labels.

    Returns:
        (S + 1,) edges of the time steps in seconds, (S, L) scores, and (S,) False at time steps
        without a window.
    """
    begin_s, end_s = float(spans_s.min()), float(spans_s.max())
    edges_s = np.append(np.arange(begin_s, end_s - 1e-6, STEP_S), end_s)
    steps_s = (edges_s[:-1] + edges_s[1:]) / 2
    first, last = np.searchsorted(steps_s, spans_s).T
    visible = np.linalg.norm(embeddings, axis=1) > 0.5
    count = np.where(visible, np.maximum(last - first, 0), 0)  # number of time steps in each window
    window = np.repeat(np.arange(len(spans_s)), count)
    step = np.arange(len(window)) + (first - np.cumsum(count) + count)[window]
    center_s, half_s = spans_s.mean(axis=1), np.maximum(np.diff(spans_s)[:, 0] / 2, 1e-9)
    weight = 1.05 - np.abs(steps_s[step] - center_s[window]) / half_s[window]
    weights = csr_array((weight, (step, window)), shape=(len(steps_s), len(spans_s)))
    total = np.asarray(weights.sum(axis=1)).ravel()
    scores = (weights @ (embeddings @ label_embeddings.T)) / np.maximum(total, 1e-9)[:, None]
    return edges_s, scores, total > 0


def best_path(scores: Array, cost: float) -> IntArray:
    """The column in each row on the path with the highest sum of scores minus `cost` per change.

    This is the Viterbi algorithm. All changes have the same cost, so the time per row is linear in
    the number of columns.

    Args:
        scores: (S, L) Scores. S is at least 1.
    """
    total = scores[0].astype(np.float64)
    came_from = np.empty(len(scores), dtype=np.int64)  # the best column of the previous row
    stayed = np.ones(scores.shape, dtype=bool)
    for row in range(1, len(scores)):
        came_from[row] = total.argmax()
        changed = total[came_from[row]] - cost
        stayed[row] = total >= changed
        total = np.maximum(total, changed) + scores[row]
    path = np.empty(len(scores), dtype=np.int64)
    path[-1] = total.argmax()
    for row in range(len(scores) - 1, 0, -1):
        path[row - 1] = path[row] if stayed[row, path[row]] else came_from[row]
    return path


def drop_short(path: IntArray, scores: Array, min_length: int) -> IntArray:
    """Merge runs of fewer than `min_length` rows, the shortest first, into the better neighbor."""
    path = path.copy()
    while True:
        stretches = runs(path)
        shortest = min(stretches, key=lambda run: run.stop - run.start)
        if len(stretches) < 2 or shortest.stop - shortest.start >= min_length:
            return path
        beside = path[[max(shortest.start - 1, 0), min(shortest.stop, len(path) - 1)]]
        beside = beside[beside != path[shortest.start]]
        path[shortest] = max(beside, key=lambda column: scores[shortest, column].sum())


def decode(
    scores: Array,
    valid: BoolArray,
    threshold: float,
    *,
    transition_penalty: float = TRANSITION_PENALTY,
    min_length_s: float = MIN_LENGTH_S,
) -> list[tuple[int, int, int]]:
    """Decode scores to a timeline of (first row, one past the last row, column), L for "other".

    Args:
        scores: (S, L) Scores at time steps of `STEP_S`.
        valid: (S,) False at time steps without scores, which are not in any span.
        threshold: Score of "other".
    """
    with_other = np.column_stack([scores, np.full(len(scores), threshold)])
    min_length = max(1, round(min_length_s / STEP_S))
    spans = []
    for known in true_runs(valid):
        part = with_other[known]
        path = drop_short(best_path(part, transition_penalty / STEP_S), part, min_length)
        spans += [
            (known.start + run.start, known.start + run.stop, int(path[run.start]))
            for run in runs(path)
        ]
    return spans


def _without_doubtful(
    spans: list[tuple[int, int, int]], scores: Array, weights: Sequence[float] | None
) -> list[tuple[int, int, int]]:
    """Spans of `decode` with labels of a confidence below `MIN_CONFIDENCE` replaced by column L."""
    kept: list[tuple[int, int, int]] = []
    for start, stop, column in spans:
        confidence = _confidence(scores[start:stop].mean(axis=0), column, weights)
        if confidence is not None and confidence < MIN_CONFIDENCE:
            column = scores.shape[1]
        if kept and kept[-1][1:] == (start, column):
            start = kept.pop()[0]
        kept.append((start, stop, column))
    return kept


def in_sight(actions: Iterable[Action], seen_s: Array, step_s: float) -> list[Action]:
    """Clip the actions of a person to the frames in which the person is visible.

    Windows may extend beyond these frames. The end of an action in a short gap is not changed.

    Args:
        seen_s: (N,) Increasing times in seconds at which the person is visible.
        step_s: Duration of a frame in seconds.
    """
    kept = []
    for action in actions:
        near = np.abs(seen_s - np.clip(seen_s, action.start_s, action.stop_s)) <= _NEAR_S
        if not near.any():
            continue
        first_s, last_s = seen_s[near][[0, -1]]
        start_s = max(action.start_s, round(float(first_s), 3))
        stop_s = min(action.stop_s, round(float(last_s) + step_s, 3))
        if start_s < stop_s:
            kept.append(replace(action, start_s=start_s, stop_s=stop_s))
    return kept


def timeline(
    embeddings: Array,
    spans_s: Array,
    label_embeddings: Array,
    labels: Sequence[str],
    *,
    person: int = 0,
    track_id: int = 0,
    threshold: float = DEFAULT_THRESHOLD,
    transition_penalty: float = TRANSITION_PENALTY,
    min_length_s: float = MIN_LENGTH_S,
    rejected: str = OTHER,
    weights: Sequence[float] | None = None,
) -> list[Action]:
    """Compute the timeline of one person.

    Args:
        embeddings: (W, E) Unit vectors, see `scores_over_time`. W may be 0.
        spans_s: (W, 2) Start and stop times of windows in seconds.
        label_embeddings: (L, E) Unit vectors of labels.
        labels: L labels without duplicates.
        person: Index of the person.
        track_id: Track of the person.
        threshold: Minimum cosine similarity of a label; below it a time step is `rejected`. -1
            disables the rejection.
        transition_penalty: See `ActionPose.actions`.
        min_length_s: See `ActionPose.actions`.
        rejected: Label of rejected time steps, `OTHER` or `UNKNOWN`.
        weights: Weights of `confidence_of`.
    """
    if not len(spans_s):
        return []
    edges_s, scores, valid = scores_over_time(embeddings, spans_s, label_embeddings)
    spans = decode(
        scores, valid, threshold, transition_penalty=transition_penalty, min_length_s=min_length_s
    )
    if rejected == UNKNOWN:
        spans = _without_doubtful(spans, scores, weights)
    actions = []
    for start, stop, column in spans:
        means = scores[start:stop].mean(axis=0)
        best = np.argsort(-means, kind="stable")[:NUM_TOP]
        other = column == len(labels)
        confidence = _confidence(means, column, weights)
        actions.append(
            Action(
                start_s=round(float(edges_s[start]), 3),
                stop_s=round(float(edges_s[stop]), 3),
                label=rejected if other else labels[column],
                score=round(float(means[best[0] if other else column]), 4),
                person=person,
                top=tuple((labels[i], round(float(means[i]), 4)) for i in best),
                confidence=None if confidence is None else round(confidence, 3),
                track_id=track_id,
            )
        )
    return actions
