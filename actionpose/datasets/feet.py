"""Feet in training: the four joints that H36M17_FEET has beyond H36M17, where a corpus has them.

Bodies are augmented as 17 joints; their feet follow, in the order of `corpus.FEET`. T frames.
"""

import numpy as np

from actionpose.datasets.corpus import FEET, Corpus, Segment
from actionpose.skeletons import H36M17
from actionpose.utils.typing import Array, BoolArray, IntArray

_ANKLES = H36M17.indices(*(f"{joint.partition('_')[0]}_ankle" for joint in FEET))
_KNEES = H36M17.indices(*(f"{joint.partition('_')[0]}_knee" for joint in FEET))
HIDDEN = 0.25  # probability that no joint of the feet is detected, as by a detector without them
# Of the vector from toe base to toe, in lengths of that from ankle to toe base: along this one, and
# along the shin, made perpendicular to it. Fitted to CMU (median error 12 mm) and HDM05 (22 mm).
_TOE_AHEAD, _TOE_UP = 0.44, 0.16


def toes_from_bases(joints_m: Array, feet_m: Array) -> Array:
    """Feet (T, 4, 3) whose toes, where they are absent, continue from the toe base.

    Args:
        joints_m: (T, 17, 3), in the axes of `feet_m`.
        feet_m: (T, 4, 3), NaN where a joint is absent.
    """
    result = feet_m.copy()
    for base in (0, 2):
        ankle, knee = joints_m[:, _ANKLES[base]], joints_m[:, _KNEES[base]]
        foot = feet_m[:, base] - ankle
        length = np.linalg.norm(foot, axis=-1, keepdims=True)
        ahead = foot / np.maximum(length, 1e-6)
        up = knee - ankle - ((knee - ankle) * ahead).sum(axis=-1, keepdims=True) * ahead
        up /= np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-6)
        toe = feet_m[:, base] + length * (_TOE_AHEAD * ahead + _TOE_UP * up)
        result[:, base + 1] = np.where(np.isnan(feet_m[:, base + 1]), toe, feet_m[:, base + 1])
    return result


def feet_of(corpus: Corpus, motion: Segment, rows: IntArray, *, derived: bool = True) -> Array:
    """Feet (T, 4, 3) of rows of a corpus, NaN where they are absent.

    Args:
        derived: whether joints that were computed from others count as present.
    """
    if corpus.feet_m is None:
        return np.full((len(rows), len(FEET), 3), np.nan)
    feet_m = np.asarray(corpus.feet_m[rows], dtype=np.float64)
    if not derived:
        feet_m[:, [FEET.index(joint) for joint in motion.derived]] = np.nan
    return feet_m


def resized_feet(feet_m: Array, before_m: Array, after_m: Array) -> Array:
    """Feet (T, 4, 3) of a body with other bones: directions stay, lengths change as the shins'.

    Args:
        feet_m: (T, 4, 3) of the body before, NaN where absent.
        before_m, after_m: (T, 17, 3).
    """
    shins = (
        np.median(np.linalg.norm(body[:, _ANKLES] - body[:, _KNEES], axis=-1), axis=0)
        for body in (before_m, after_m)
    )
    before, after = shins
    scale = after / np.maximum(before, 1e-6)
    return after_m[:, _ANKLES] + scale[:, None] * (feet_m - before_m[:, _ANKLES])


def present_joints(joints_m: Array) -> tuple[Array, BoolArray]:
    """Joints (T, 21, 3) with absent feet at the ankles, and which are present (T, 21)."""
    present: BoolArray = np.asarray(np.isfinite(joints_m).all(axis=-1))
    ankles = np.concatenate([joints_m[:, : len(H36M17)], joints_m[:, _ANKLES]], axis=1)
    return np.where(present[..., None], joints_m, ankles), present


def hidden_with_feet(hidden: BoolArray) -> BoolArray:
    """(T, 17) hidden joints to (T, 21): feet are hidden with their ankles."""
    return np.concatenate([hidden, hidden[:, _ANKLES]], axis=1)
