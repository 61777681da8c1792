"""Bones of constant length, equal on both sides."""

import numpy as np

from actionpose.postprocessing.common import processed, require_h36m17, valid_frames
from actionpose.result import Result
from actionpose.skeletons import H36M17, H36M17_FEET, skeleton_of
from actionpose.utils.typing import Array

_SWEEPS = 12  # of the fit of bone directions; the last ones change it by less than 0.1 mm


def bone_lengths(joints_m: Array) -> Array:
    """(J,) the length of the bone above each joint, the median over (T, J, 3); sides are equal.

    The pelvis has 0. The joints are those of H36M17 or H36M17_FEET.
    """
    skeleton = skeleton_of(joints_m.shape[1])
    lengths = np.zeros(len(skeleton))
    for child, parent in skeleton.bones:
        lengths[child] = np.median(np.linalg.norm(joints_m[:, child] - joints_m[:, parent], axis=1))
    return (lengths + lengths[skeleton.mirror]) / 2


# of each number of joints, each joint and all below it
_SUBTREES = {len(s): [[joint] for joint in range(len(s))] for s in (H36M17, H36M17_FEET)}
for _count, _trees in _SUBTREES.items():
    for _child, _parent in reversed(skeleton_of(_count).bones):
        _trees[_parent] += _trees[_child]


def fit_bone_lengths(joints_m: Array, lengths_m: Array) -> Array:
    """The nearest poses whose bones have these lengths, with the pelvis in the middle of the hips.

    Coordinate descent on the summed squared distance, every step in closed form: one bone at a
    time is pointed where the joints that hang on it want it, the others keeping their directions.
    Walking down the tree once instead would pile up all changes of length in hands and feet.

    Args:
        joints_m: (T, J, 3); the pelvis stays.
        lengths_m: (J,) as `bone_lengths` gives them.
    """
    joints_m = np.asarray(joints_m, dtype=np.float64)
    skeleton, subtrees = skeleton_of(joints_m.shape[1]), _SUBTREES[joints_m.shape[1]]
    left, right = H36M17.indices("left_hip", "right_hip")
    bones = [(child, parent) for child, parent in skeleton.bones if child != right]
    offsets = np.zeros_like(joints_m)  # of each joint from the one above it
    for child, parent in skeleton.bones:
        offsets[:, child] = joints_m[:, child] - joints_m[:, parent]
    offsets[:, left] -= offsets[:, right]
    for child, _ in bones:
        offsets[:, child] = _with_length(offsets[:, child], lengths_m[child], joints_m[:, 0])
    offsets[:, right] = -offsets[:, left]

    def joints() -> Array:
        fitted = np.repeat(joints_m[:, :1], len(skeleton), axis=1)
        for child, parent in skeleton.bones:  # parents come before children in this set
            fitted[:, child] = fitted[:, parent] + offsets[:, child]
        return fitted

    for _ in range(_SWEEPS):
        for child, _ in bones:
            missing = joints_m - joints()
            target = (missing[:, subtrees[child]] + offsets[:, [child]]).sum(axis=1)
            if child == left:  # the hips are one rod through the pelvis
                target -= (missing[:, subtrees[right]] + offsets[:, [right]]).sum(axis=1)
            offsets[:, child] = _with_length(target, lengths_m[child], offsets[:, child])
            if child == left:
                offsets[:, right] = -offsets[:, left]
    return joints()


def _with_length(vectors: Array, length: float, otherwise: Array) -> Array:
    """Vectors (T, 3) scaled to a length; where there is no direction, `otherwise`."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(norms > 1e-9, vectors * (length / np.maximum(norms, 1e-9)), otherwise)


def fix_bone_lengths(result: Result) -> Result:
    """Give every bone of a person one length, equal on both sides, and keep poses near.

    Lengths are measured where the person is visible; short absences that were filled get them, too.
    The header says what it cost: the mean distance of joints from where they were, and the
    distance that 95 of 100 stay below, in millimeters; and the lengths.

    Raises:
        UserError: the skeleton is neither h36m17 nor h36m17_feet.
    """
    require_h36m17(result, "constant bone lengths")
    pose = result.pose_m.astype(np.float64)
    moved_mm: list[Array] = []
    lengths: list[dict[str, float]] = []  # of each person, by the joint at the far end
    for person, (valid, present) in enumerate(
        zip(valid_frames(result), result.present, strict=True)
    ):
        lengths.append({})
        if not valid.any():
            continue
        lengths_m = bone_lengths(pose[person, valid])
        before = pose[person, present]
        after = pose[person, present] = fit_bone_lengths(before, lengths_m)
        moved_mm.append(1000 * np.linalg.norm(after - before, axis=-1).ravel())
        for name, length in zip(result.skeleton.joints[1:], lengths_m[1:], strict=True):
            lengths[-1][name] = round(float(length), 4)
    moved = np.concatenate(moved_mm or [np.zeros(1)])
    facts = {
        "residual_mm": round(float(moved.mean()), 2),
        "residual_p95_mm": round(float(np.percentile(moved, 95)), 2),
        "bone_lengths_m": lengths,
    }
    return processed(result, "fix bone lengths", facts, pose_m=pose)
