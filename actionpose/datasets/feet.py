"""Feet in training: the four joints of H36M17_FEET that are not in H36M17, if a corpus has them.

Bodies are augmented with 17 joints, and their feet are adapted. Feet are in the order of
`corpus.FEET`. T frames.
"""

import numpy as np

from actionpose.datasets.corpus import FEET, Corpus, Segment
from actionpose.skeletons import H36M17
from actionpose.utils.typing import Array, BoolArray, IntArray

_ANKLES = H36M17.indices(*(f"{joint.partition('_')[0]}_ankle" for joint in FEET))
_KNEES = H36M17.indices(*(f"{joint.partition('_')[0]}_knee" for joint in FEET))
HIDDEN = 0.25  # probability that no foot joint is detected, as by a detector without them
# The vector from toe base to toe relative to the length from ankle to toe base: along the latter,
# and along the shin perpendicular to it. Fitted to CMU (median error 12 mm) and HDM05 (22 mm).
_TOE_AHEAD, _TOE_UP = 0.44, 0.16


def toes_from_bases(joints_m: Array, feet_m: Array) -> Array:
    """Feet (T, 4, 3) in which missing toes are extrapolated from the toe base.

    Args:
        joints_m: (T, 17, 3) Joints in the axes of `feet_m`.
        feet_m: (T, 4, 3) Feet, NaN where a joint is missing.
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
    """Feet (T, 4, 3) of rows of a corpus, NaN where joints are missing.

    Args:
        corpus: Corpus.
        motion: Whole motion that contains the rows.
        rows: Rows of the corpus.
        derived: Whether to include joints that were computed from others.
    """
    if corpus.feet_m is None:
        return np.full((len(rows), len(FEET), 3), np.nan)
    feet_m = np.asarray(corpus.feet_m[rows], dtype=np.float64)
    if not derived:
        feet_m[:, [FEET.index(joint) for joint in motion.derived]] = np.nan
    return feet_m


def resized_feet(feet_m: Array, before_m: Array, after_m: Array) -> Array:
    """Adapt feet (T, 4, 3) to other bones: same directions, lengths scaled like the shins.

    Args:
        feet_m: (T, 4, 3) Feet of the original body, NaN where joints are missing.
        before_m: (T, 17, 3) Joints of the original body.
        after_m: (T, 17, 3) Joints of the other body.
    """
    shins = (
        np.median(np.linalg.norm(body[:, _ANKLES] - body[:, _KNEES], axis=-1), axis=0)
        for body in (before_m, after_m)
    )
    before, after = shins
    scale = after / np.maximum(before, 1e-6)
    return after_m[:, _ANKLES] + scale[:, None] * (feet_m - before_m[:, _ANKLES])


def present_joints(joints_m: Array) -> tuple[Array, BoolArray]:
    """Joints (T, 21, 3) with missing feet at the ankles, and a mask of present joints (T, 21)."""
    present: BoolArray = np.asarray(np.isfinite(joints_m).all(axis=-1))
    ankles = np.concatenate([joints_m[:, : len(H36M17)], joints_m[:, _ANKLES]], axis=1)
    return np.where(present[..., None], joints_m, ankles), present


def hidden_with_feet(hidden: BoolArray) -> BoolArray:
    """Extend a mask of hidden joints (T, 17) to (T, 21): feet are hidden with their ankles."""
    return np.concatenate([hidden, hidden[:, _ANKLES]], axis=1)
