"""Detection of frames with swapped left and right joints, by the continuity of the motion."""

from dataclasses import replace

import numpy as np

from actionpose.keypoints.core import Keypoints
from actionpose.skeletons import Skeleton, mirror_name
from actionpose.utils.resampling import true_runs
from actionpose.utils.typing import Array, BoolArray

_GROUPS = (  # joints that are swapped together
    ("shoulder", "elbow", "wrist", "eye", "ear"),
    ("hip", "knee", "ankle", "heel", "big_toe", "foot", "toe", "toe_base"),
)
_MAX_STEP_S = 0.25  # maximum time between frames; motion across longer steps is not predictable
_MAX_RUN_S = 1.0  # longer runs may be correct
_MAX_RESIDUAL = 0.4  # limit of a joint's residual in person sizes, for misdetections
_CHANGE = 1.0  # penalty for a change between swapped and not swapped, as a sum of residuals
_EXCHANGED = 0.002  # penalty for a swapped frame, so that the minority of frames is swapped


def put_sides_back(keypoints: Keypoints) -> Keypoints:
    """Correct swapped left and right joints, and add a note."""
    points, notes = keypoints.keypoints_px.copy(), []
    for row, (own, valid) in enumerate(zip(points, keypoints.valid, strict=True)):
        points[row], changed = without_side_swaps(own, valid, keypoints.times_s, keypoints.skeleton)
        if count := int(changed.sum()):
            who = f"id {keypoints.track_id[row]}: " if keypoints.num_persons > 1 else ""
            frames = "1 frame" if count == 1 else f"{count} frames"
            notes.append(f"{who}left and right are exchanged in {frames} of the input: put back")
    return replace(keypoints, keypoints_px=points, notes=(*keypoints.notes, *notes))


def without_side_swaps(
    keypoints: Array, valid: BoolArray, time_s: Array, skeleton: Skeleton
) -> tuple[Array, BoolArray]:
    """Correct left and right joints that a detector swapped for up to a second.

    The motion of arms and legs is extrapolated from frame to frame with constant velocity. Each
    frame is swapped or not; the Viterbi algorithm finds the sequence with the smallest sum of
    residuals, with a penalty for changes. Arms and legs are corrected independently, except that
    hips and shoulders that have the same direction are not turned against each other.

    Args:
        keypoints: (T, J, 3) x and y in pixels, and confidence, of one person.
        valid: (T,) True where the person was detected.
        time_s: (T,) Times in seconds.
        skeleton: Joint layout of the keypoints.

    Returns:
        The corrected keypoints, and (T,) True in corrected frames.
    """
    points, changed = keypoints.copy(), np.zeros(len(valid), dtype=np.bool_)
    frames = np.flatnonzero(valid)
    pairs = [
        np.array(
            [
                (i, skeleton.joints.index(mirror_name(name)))
                for i, name in enumerate(skeleton.joints)
                if name.partition("_")[2] in names
            ]
        )
        for names in _GROUPS
    ]
    for part in np.split(frames, 1 + np.flatnonzero(np.diff(time_s[frames]) > _MAX_STEP_S)):
        if len(part) < 3:
            continue
        swapped = np.zeros((len(_GROUPS), len(part)), dtype=np.bool_)
        for group, pair in enumerate(pairs):
            if len(pair):
                own, mirrored = (keypoints[part][:, joints] for joints in pair.T)
                swapped[group] = _short(_swapped(own, mirrored, time_s[part]), time_s[part])
        for group, twisted in enumerate(_twisted(keypoints[part], swapped, skeleton)):
            swapped[group] &= ~twisted
            if not swapped[group].any():
                continue
            rows, (joints, mirrored) = part[swapped[group]], pairs[group].T
            points[rows[:, None], joints] = keypoints[rows[:, None], mirrored]
            changed[rows] = True
    return points, changed


def _short(swapped: BoolArray, time_s: Array) -> BoolArray:
    """(T,) Frames of short runs, in seconds and relative to the clip."""
    short = np.zeros_like(swapped)
    for run in true_runs(swapped):
        length_s = time_s[run.stop - 1] - time_s[run.start]
        short[run] = length_s <= _MAX_RUN_S and 2 * (run.stop - run.start) < len(swapped)
    return short


def _twisted(points: Array, swapped: BoolArray, skeleton: Skeleton) -> BoolArray:
    """(2, T) Frames in runs of swapped arms or legs that would turn hips against shoulders."""
    ends = [f"{side}_{name}" for name in ("shoulder", "hip") for side in ("left", "right")]
    if not set(ends) <= set(skeleton.joints):
        return np.zeros_like(swapped)
    left_shoulder, right_shoulder, left_hip, right_hip = (
        points[:, skeleton.joints.index(name), :2] for name in ends
    )
    alike = ((left_shoulder - right_shoulder) * (left_hip - right_hip)).sum(1)
    twisted = np.zeros_like(swapped)
    for group, runs in enumerate(swapped):
        for run in true_runs(runs & ~swapped[1 - group]):
            twisted[group, run] = alike[run].sum() > 0
    return twisted


def _swapped(points: Array, mirrored: Array, time_s: Array) -> BoolArray:
    """(T,) Frames in which joints (T, K, 3) move more continuously if they are swapped."""
    count = len(points)
    both = np.stack([points, mirrored]).astype(np.float64)  # (2, T, K, 3)
    visible = points[..., 2] > 0
    extent = [
        np.ptp(p[v, :2], axis=0).max() for p, v in zip(points, visible, strict=True) if v.any()
    ]
    size = max(float(np.median(extent)), 1.0) if extent else 1.0
    usable = np.minimum(visible, mirrored[..., 2] > 0)
    usable = usable[:-2] & usable[1:-1] & usable[2:]
    step_s = np.diff(time_s)
    ratio = (step_s[1:] / step_s[:-1])[:, None, None]
    cost = np.zeros((2, 2, 2, count - 2))  # by the states of three frames
    for a, b, c in np.ndindex(2, 2, 2):
        first, second, third = both[a, :-2], both[b, 1:-1], both[c, 2:]
        away = third - second - ratio * (second - first)
        residual = np.linalg.norm(away[..., :2], axis=-1) / size
        cost[a, b, c] = (np.minimum(residual, _MAX_RESIDUAL) * usable).sum(1)
    if not (cost[0, 0, 0] - np.minimum(cost[0, 0, 1], cost[0, 1, 1]) > _CHANGE / 2).any():
        return np.zeros(count, dtype=np.bool_)
    change = _CHANGE * (1 - np.eye(2)) + _EXCHANGED * np.array([0, 1])  # (before, after)
    total = change + _EXCHANGED * np.array([[0], [1]])
    choices = np.empty((count - 2, 2, 2), dtype=np.int64)
    for t in range(count - 2):
        sums = total[:, :, None] + cost[..., t]
        choices[t] = sums.argmin(0)
        total = sums.min(0) + change
    states = np.empty(count, dtype=np.bool_)
    state = divmod(int(total.argmin()), 2)
    states[-2:] = state
    for t in reversed(range(count - 2)):
        state = (int(choices[t][state]), state[0])
        states[t] = state[0]
    return states
