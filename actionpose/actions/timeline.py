"""What a person does when: from embeddings of windows and of labels to a timeline.

A motion is seen through overlapping windows. At each moment a label's score is the mean cosine of
its embedding with those of the windows around, the near ones counting more. The timeline is the
path through these scores that gains most when each change of label costs something, and "other"
wins where no label reaches a threshold. NumPy only; the embeddings come from `lift.ActionPose`.

Letters in shapes: T frames, W windows, E embedding, G moments, L labels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from actionpose.utils.errors import UserError

Array = NDArray[np.floating]

OTHER = "other"
# The cosine that a label has to reach, if the checkpoint has no `rejection_threshold`
DEFAULT_THRESHOLD = 0.3
STEP_S = 0.1  # between the moments of a timeline
TRANSITION_PENALTY = 0.1  # of a change of label, in cosine times seconds
MIN_LENGTH_S = 0.4  # of a segment
NUM_TOP = 3  # labels that a segment lists
MAX_WORDS = 40  # of a label


@dataclass(frozen=True)
class Action:
    """A span of a timeline.

    `score` is the mean cosine of motion and label; for "other" that of the best label, which did
    not reach the threshold. `top` has the best labels and their scores, the best first.
    """

    start_s: float
    stop_s: float
    label: str
    score: float
    person: int
    top: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as headers of results hold them."""
        return {**asdict(self), "top": [list(pair) for pair in self.top]}


def clean_labels(labels: Iterable[str]) -> list[str]:
    """Labels as a timeline takes them: trimmed, each once, without "other", which is always there.

    Raises:
        UserError: no label is left, or one is a text and not a label.
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
        if text and text.casefold() != OTHER:
            unique.setdefault(text.casefold(), text)
    if not unique:
        raise UserError(f"there is no label: name at least one action (besides {OTHER!r})")
    return list(unique.values())


def moment_scores(
    similarity: Array, spans_s: Array, seen: NDArray[np.bool_], moments_s: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Scores of labels at moments, from those of windows.

    Args:
        similarity: (W, L) cosines.
        spans_s: (W, 2) begin and end of each window in seconds.
        seen: (W,) which windows count.
        moments_s: (G,).

    Returns:
        (G, L) weighted means over the windows around each moment, weights falling to the windows'
        ends, and (G,) False where there is no window.
    """
    rows, columns, weights = [], [], []
    for column in np.flatnonzero(seen):
        start, stop = spans_s[column]
        first, last = np.searchsorted(moments_s, [start, stop])
        inside = np.arange(first, max(last, first))
        center, half = (start + stop) / 2, max((stop - start) / 2, 1e-9)
        rows.append(inside)
        columns.append(np.full(len(inside), column))
        weights.append(1.05 - np.abs(moments_s[inside] - center) / half)
    shape = (len(moments_s), len(spans_s))
    if not rows:
        return np.zeros((len(moments_s), similarity.shape[1])), np.zeros(len(moments_s), bool)
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    table = csr_array(entries, shape=shape)
    total = np.asarray(table.sum(axis=1)).ravel()
    scores = (table @ similarity) / np.maximum(total, 1e-9)[:, None]
    return scores, total > 0


def scores_over_time(
    embeddings: Array, spans_s: Array, label_embeddings: Array
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """`moment_scores` of one person's windows, at moments `STEP_S` apart.

    Args:
        embeddings: (W, E) unit vectors of windows; zeros where the person was not seen.
        spans_s: (W, 2) seconds, W at least 1.
        label_embeddings: (L, E) unit vectors.

    Returns:
        (G + 1,) seconds between which the moments lie, the scores (G, L), and where there are any.
    """
    begin_s, end_s = float(spans_s.min()), float(spans_s.max())
    edges_s = np.append(np.arange(begin_s, end_s - 1e-6, STEP_S), end_s)
    seen = np.linalg.norm(embeddings, axis=1) > 0.5
    similarity = embeddings @ label_embeddings.T
    moments_s = (edges_s[:-1] + edges_s[1:]) / 2
    return edges_s, *moment_scores(similarity, spans_s, seen, moments_s)


def best_path(scores: Array, cost: float) -> NDArray[np.int64]:
    """The column of each row on the path with the greatest sum of scores minus `cost` per change.

    Viterbi's algorithm; as all changes cost the same, a row takes time in the number of columns.

    Args:
        scores: (G, L), G at least 1.
    """
    total = scores[0].astype(np.float64)
    came_from = np.empty(len(scores), dtype=np.int64)  # the best column of the row before
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


def runs(path: NDArray[np.integer[Any]]) -> list[tuple[int, int]]:
    """First and one past the last index of each stretch of equal values."""
    edges = np.flatnonzero(np.diff(path)) + 1
    bounds = [0, *edges.tolist(), len(path)]
    return list(zip(bounds[:-1], bounds[1:], strict=True)) if len(path) else []


def drop_short(path: NDArray[np.int64], scores: Array, least: int) -> NDArray[np.int64]:
    """Give stretches under `least` rows, the shortest first, to the neighbor that fits better."""
    path = path.copy()
    while True:
        stretches = runs(path)
        lengths = [stop - start for start, stop in stretches]
        if len(stretches) < 2 or min(lengths) >= least:
            return path
        which = int(np.argmin(lengths))
        start, stop = stretches[which]
        beside = [path[start - 1]] if start > 0 else []
        beside += [path[stop]] if stop < len(path) else []
        path[start:stop] = max(beside, key=lambda column: scores[start:stop, column].sum())


def decode(
    scores: Array,
    there: NDArray[np.bool_],
    threshold: float,
    *,
    transition_penalty: float = TRANSITION_PENALTY,
    min_length_s: float = MIN_LENGTH_S,
) -> list[tuple[int, int, int]]:
    """Timeline of scores: (first row, one past the last, column), L for "other".

    Args:
        scores: (G, L) at moments `STEP_S` apart.
        there: (G,) False where nothing is known; no span covers these.
        threshold: score of "other".
    """
    with_other = np.column_stack([scores, np.full(len(scores), threshold)])
    least = max(1, round(min_length_s / STEP_S))
    spans = []
    for start, stop in runs(there.astype(np.int64)):
        if there[start]:
            part = with_other[start:stop]
            path = drop_short(best_path(part, transition_penalty / STEP_S), part, least)
            spans += [(start + a, start + b, int(path[a])) for a, b in runs(path)]
    return spans


def timeline(
    embeddings: Array,
    spans_s: Array,
    label_embeddings: Array,
    labels: Sequence[str],
    *,
    person: int = 0,
    threshold: float = DEFAULT_THRESHOLD,
    transition_penalty: float = TRANSITION_PENALTY,
    min_length_s: float = MIN_LENGTH_S,
) -> list[Action]:
    """The timeline of one person.

    Args:
        embeddings: (W, E) unit vectors of windows; zeros where the person was not seen.
        spans_s: (W, 2) seconds.
        label_embeddings: (L, E) unit vectors.
        labels: L of them, each once.
        threshold: cosine under which a moment is "other"; -1 turns that off.
    """
    if not len(spans_s):
        return []
    edges_s, scores, there = scores_over_time(embeddings, spans_s, label_embeddings)
    spans = decode(
        scores, there, threshold, transition_penalty=transition_penalty, min_length_s=min_length_s
    )
    actions = []
    for start, stop, column in spans:
        means = scores[start:stop].mean(axis=0)
        best = np.argsort(-means, kind="stable")[:NUM_TOP]
        own = best[0] if column == len(labels) else column
        actions.append(
            Action(
                start_s=round(float(edges_s[start]), 3),
                stop_s=round(float(edges_s[stop]), 3),
                label=OTHER if column == len(labels) else labels[column],
                score=round(float(means[own]), 4),
                person=person,
                top=tuple((labels[i], round(float(means[i]), 4)) for i in best),
            )
        )
    return actions
