"""Tracking of people between frames, their order, and the filling of gaps.

Only positions are compared, not appearance: the identities of people who meet and turn back, or
occlude each other for long, may be swapped.
"""

import numpy as np

from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array, BoolArray, IntArray

ORDERS = ("largest", "first", "most-moving")
MEMORY_S = 1.0  # a person who is absent for longer gets a new identity
MAX_GAP_S = 0.5  # maximum length of gaps in the 2D keypoints that are filled by default
MIN_FRAMES = 5  # a person in fewer frames is usually a false detection
# a jump: maximum step in seconds, minimum distance in person sizes and minimum speed in sizes/s
_JUMP_STEP_S, _JUMP_SIZES, _JUMP_SPEED = 0.2, 0.3, 8.0
_MIN_JUMPS = 2  # a single jump may be one person who leaves and another who appears
# The similarity of a joint at this distance, in person sizes, is exp(-1/2). The constants of COCO's
# OKS describe annotation errors; between frames, people also move.
_TOLERANCE = 0.2
_MIN_SIMILARITY = 0.08  # pairs with a lower similarity are not matched
# For boxes at a larger distance in person sizes, OKS, and half of it with an IoU of 0, is lower.
_NEAR = _TOLERANCE * np.sqrt(-2 * np.log(2 * _MIN_SIMILARITY))
_SIZE_RATIO = 2.0  # maximum size ratio of a single person before and after a long absence


def short_presences(person: IntArray) -> tuple[BoolArray, str | None]:
    """Find detections of people who are visible so briefly that they are probably false.

    These are people in fewer than `MIN_FRAMES` frames. In clips shorter than twice as many frames,
    they are people in less than half of the frames of the person who is visible longest.

    Args:
        person: (N,) Person of each detection.

    Returns:
        (N,) True for detections of such people, and a note on them if there are any.
    """
    _, row, count = np.unique(person, return_inverse=True, return_counts=True)
    least = min(MIN_FRAMES, (int(count.max()) + 1) // 2)
    number = int((count < least).sum())
    who = "1 person" if number == 1 else f"{number} people"
    note = f"left out: {who} visible in fewer than {least} frames" if number else None
    return np.asarray((count < least)[row]), note


def jump_note(time_s: Array, keypoints: Array, person: IntArray) -> str | None:
    """A note on tracks that jump farther than people can move, as when identities are swapped.

    Args:
        time_s: (N,) Times in seconds, equal for the detections of one frame.
        keypoints: (N, K, 3) x, y and confidence.
        person: (N,) Person of each detection.
    """
    visible = keypoints[..., 2] > 0
    size = np.maximum(_size(keypoints[..., :2], visible), 1.0)
    order = np.lexsort((time_s, person))
    before, after = order[:-1], order[1:]
    step_s = time_s[after] - time_s[before]
    follows = (person[before] == person[after]) & (step_s > 0) & (step_s <= _JUMP_STEP_S)
    before, after, step_s = before[follows], after[follows], step_s[follows]
    both = visible[before] & visible[after]
    offset = np.linalg.norm(keypoints[after, :, :2] - keypoints[before, :, :2], axis=-1)
    moved = (offset * both).sum(1) / np.maximum(both.sum(1), 1)
    far = moved / np.minimum(size[before], size[after])
    jumps = after[(far > _JUMP_SIZES) & (far > _JUMP_SPEED * step_s)]
    if len(jumps) < _MIN_JUMPS:
        return None
    who = ", ".join(map(str, np.unique(person[jumps])[:5]))
    return (
        f"tracks jump {len(jumps)} times (ids {who}), as where identities are exchanged: "
        "retrack=True ignores those of the file"
    )


def track(
    time_s: Array, keypoints: Array, *, memory_s: float = MEMORY_S, lone: bool = False
) -> IntArray:
    """Assign every detection to a person.

    Each known person is extrapolated with their last velocity. Their similarity to a detection is
    the mean of the OKS of the joints visible in both and the IoU of the boxes. The assignment with
    the greatest sum of similarities is used. A detection without a match is a new person, even if a
    person returns after more than `memory_s`; see `identities` for longer absences.

    Args:
        time_s: (N,) Times in seconds, in any order, equal for the detections of one frame.
        keypoints: (N, K, 3) x, y and confidence, with the same scale for x and y. Joints with
            confidence 0 are missing.
        memory_s: Longest absence in seconds after which a person is matched.
        lone: Whether the detector finds at most one person at a time. If only one person was found
            so far, who is absent for longer than `memory_s` and returns at a similar size, the
            identity is kept.

    Returns:
        (N,) person of each detection, numbered from 0 by first appearance.
    """
    person = np.empty(len(time_s), dtype=np.int64)
    in_time = np.argsort(time_s, kind="stable")
    times, starts = np.unique(time_s[in_time], return_index=True)
    tracker = Tracker(memory_s=memory_s, lone=lone)
    for now_s, rows in zip(times, np.split(in_time, starts[1:]), strict=False):
        person[rows] = tracker.update(now_s, keypoints[rows])
    return person


class Tracker:
    """`track` frame by frame, with a memory of only the people of the last `memory_s` seconds.

    Args:
        memory_s: See `track`.
        lone: See `track`.
    """

    def __init__(self, *, memory_s: float = MEMORY_S, lone: bool = False):
        self._memory_s, self._lone = memory_s, lone
        self._count = 0  # number of people found so far
        self._person = np.empty(0, dtype=np.int64)  # ids of the people in memory
        self._last_s = np.empty(0)  # time of the last detection of each,
        self._last: Array = np.empty(0)  # the last detections (M, K, 3), and
        self._velocity = np.empty((0, 2))  # velocities in pixels per second

    def update(self, now_s: float, keypoints: Array) -> IntArray:
        """(N,) person of each detection (N, K, 3), at a time after that of the previous call."""
        person = np.full(len(keypoints), -1, dtype=np.int64)
        if not len(keypoints):
            return person
        if not self._count:
            self._last = keypoints[:0]
        near = now_s - self._last_s <= self._memory_s
        sizes, last_sizes = _person_sizes(keypoints), _person_sizes(self._last)
        if self._lone and self._count == 1 and not near.any() and len(keypoints) == 1:
            if 1 / _SIZE_RATIO < sizes[0] / last_sizes[0] < _SIZE_RATIO:
                self._last_s, self._last = np.array([now_s]), keypoints
                self._velocity = np.zeros((1, 2))
                return np.zeros(1, dtype=np.int64)
        rows, away_s = np.flatnonzero(near), now_s - self._last_s
        points, visible = keypoints[..., :2], keypoints[..., 2] > 0
        before, was_visible = self._last[..., :2], self._last[..., 2] > 0
        expected = before[rows] + (self._velocity[rows] * away_s[rows, None])[:, None]
        similarity = _similarities(
            *(expected, was_visible[rows], last_sizes[rows]), *(points, visible, sizes)
        )
        # below the limit all are equal, so that an outlier does not affect other assignments
        from scipy.optimize import linear_sum_assignment  # slow import

        known, found = linear_sum_assignment(-np.maximum(similarity, _MIN_SIMILARITY))
        same = similarity[known, found] > _MIN_SIMILARITY
        known, found = rows[known[same]], found[same]
        both = (visible[found] & was_visible[known])[..., None]
        offset = (points[found] - before[known]) * both
        moved = offset.sum(1) / np.maximum(both.sum(1), 1)
        self._velocity[known] = (
            self._velocity[known] + moved / away_s[known, None]
        ) / 2  # smoothed
        person[found] = self._person[known]
        self._last = self._last.copy()
        self._last_s[known], self._last[known] = now_s, keypoints[found]
        new = np.flatnonzero(person < 0)
        person[new] = self._count + np.arange(len(new))
        self._count += len(new)
        kept = near | (self._count == 1)
        self._person = np.concatenate([self._person[kept], person[new]])
        self._last_s = np.concatenate([self._last_s[kept], np.full(len(new), now_s)])
        self._last = np.concatenate([self._last[kept], keypoints[new]])
        self._velocity = np.concatenate([self._velocity[kept], np.zeros((len(new), 2))])
        return person


def similarity(person: Array, people: Array) -> Array:
    """Similarity (N,) of a person (K, 3) to people (N, K, 3), from 0 to 1 for the same position.

    It is the mean of OKS and IoU, as between the frames of a track.
    """
    (points, visible, size), (others, also_visible, sizes) = (
        (p[..., :2], p[..., 2] > 0, _person_sizes(p)) for p in (person[None], people)
    )
    return _similarities(points, visible, size, others, also_visible, sizes)[0]


def _similarities(
    expected: Array, visible: BoolArray, size: Array, points: Array, others: BoolArray, sizes: Array
) -> Array:
    """Similarity (M, N) of M people to N detections, from 0 to 1.

    Similarity is 0 for boxes at a distance that implies less than `_MIN_SIMILARITY`.

    Args:
        expected: (M, K, 2) Joints of people.
        visible: (M, K) Whether they are visible.
        size: (M,) Sizes of people.
        points: (N, K, 2) Joints of detections.
        others: (N, K) Whether they are visible.
        sizes: (N,) Sizes of detections.
    """
    (low, high), (other_low, other_high) = _box(expected, visible), _box(points, others)
    gap = np.maximum(other_low - high[:, None], low[:, None] - other_high).max(-1)
    scale = np.sqrt(size[:, None] * sizes)
    similarity = np.zeros(gap.shape)
    i, j = np.nonzero(gap <= _NEAR * scale)
    expected, points, both = expected[i], points[j], visible[i] & others[j]
    away = np.linalg.norm(points - expected, axis=-1) / scale[i, j, None]
    oks = (np.exp(-((away / _TOLERANCE) ** 2) / 2) * both).sum(1) / np.maximum(both.sum(1), 1)
    # boxes of joints visible in both, so that an occluded leg is not counted as motion
    (low, high), (other_low, other_high) = _box(expected, both), _box(points, both)
    inside = np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0).prod(-1)
    union = (high - low).prod(-1) + (other_high - other_low).prod(-1) - inside
    iou = np.divide(inside, union, out=np.zeros(len(i)), where=both.any(1) & (union > 0))
    similarity[i, j] = (oks + iou) / 2
    return similarity


def boxes(keypoints: Array) -> tuple[Array, Array]:
    """Upper left and lower right corners (..., 2) of visible joints of keypoints (..., K, 3)."""
    return _box(keypoints[..., :2], keypoints[..., 2] > 0)


def _box(points: Array, visible: BoolArray) -> tuple[Array, Array]:
    """Upper left and lower right corners (..., 2) of visible joints; zero if there are none."""
    low = np.where(visible[..., None], points, np.inf).min(-2)
    high = np.where(visible[..., None], points, -np.inf).max(-2)
    empty = ~visible.any(-1)
    low[empty] = high[empty] = 0
    return low, high


def _size(points: Array, visible: BoolArray) -> Array:
    """Longer side (...) of the bounding box of the visible joints of (..., K, 2)."""
    low, high = _box(points, visible)
    return np.asarray((high - low).max(-1))


def _person_sizes(people: Array) -> Array:
    """Sizes (N,) of people (N, K, 3), at least one pixel."""
    return np.maximum(_size(people[..., :2], people[..., 2] > 0), 1.0)


def person_order(keypoints: Array, valid: BoolArray, by: str = "largest") -> list[int]:
    """The indices of all people in the requested order, which is stable.

    People who are never visible are last.

    Args:
        keypoints: (P, T, K, 3) x, y and confidence.
        valid: (P, T) True where the person was detected.
        by: "largest" (size in the image, summed over time), "first" (first to appear, then largest)
            or "most-moving" (longest path of the joints, relative to the size of the person).

    Raises:
        UserError: If `by` is unknown.
    """
    visible = (keypoints[..., 2] > 0) & valid[..., None]
    size = _size(keypoints[..., :2], visible)  # (P, T)
    if by == "largest":
        keys = [-size.sum(1)]
    elif by == "first":
        first = visible.any(-1).argmax(1)
        keys = [-size[np.arange(len(size)), first], first]  # the last key has priority
    elif by == "most-moving":
        both = visible[:, 1:] & visible[:, :-1]
        steps = np.linalg.norm(np.diff(keypoints[..., :2], axis=1), axis=-1) * both
        mean = steps.sum(2) / np.maximum(both.sum(2), 1)
        median = [np.median(own[own > 0]) if own.any() else 0.0 for own in size]
        keys = [-mean.sum(1) / np.maximum(median, 1.0)]
    else:
        raise UserError(f"the order of persons is {', '.join(ORDERS)}, not {by!r}")
    return np.lexsort([*keys, ~visible.any(axis=(1, 2))]).tolist()


def fill_gaps(
    keypoints: Array, valid: BoolArray, time_s: Array, max_gap_s: float = MAX_GAP_S
) -> tuple[Array, BoolArray]:
    """Fill short absences of a person by linear interpolation.

    The length of a gap is the time between the frames on both sides. A joint that is missing in one
    of these frames remains missing. Confidence is also interpolated.

    Args:
        keypoints: (T, K, 3) x, y and confidence of one person.
        valid: (T,) True where the person was detected.
        time_s: (T,) Increasing times in seconds.
        max_gap_s: Length of the longest gap that is filled, in seconds.

    Returns:
        The filled keypoints, and (T,) True where the person was detected or filled. Longer gaps,
        and frames before the first and after the last detection, are not changed.
    """
    filled, present = keypoints.copy(), valid.copy()
    frames = np.flatnonzero(valid)
    for before, after in zip(frames[:-1], frames[1:], strict=True):
        length_s = time_s[after] - time_s[before]
        if after - before < 2 or length_s > max_gap_s:
            continue
        gap = slice(before + 1, after)
        alpha = ((time_s[gap] - time_s[before]) / length_s)[:, None, None]
        both = np.all(keypoints[[before, after], :, 2] > 0, axis=0).reshape(-1, 1)
        filled[gap] = (keypoints[before] * (1 - alpha) + keypoints[after] * alpha) * both
        present[gap] = both.any()
    return filled, present
