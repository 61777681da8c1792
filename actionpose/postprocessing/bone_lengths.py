"""Constant bone lengths, equal on both sides of the body."""

import numpy as np

from actionpose.postprocessing.common import processed, require_h36m17, valid_frames
from actionpose.result import Result
from actionpose.skeletons import H36M17, H36M17_FEET, skeleton_of
from actionpose.utils.typing import Array

_SWEEPS = 12  # iterations of the fit; the last ones change poses by less than 0.1 mm


def bone_lengths(joints_m: Array) -> Array:
    """Median length of the bone between each joint and its parent, equal on both sides.

    Args:
        joints_m: (T, J, 3) Joints of H36M17 or H36M17_FEET.

    Returns:
        (J,) Bone lengths; 0 for the pelvis.
    """
    skeleton = skeleton_of(joints_m.shape[1])
    lengths = np.zeros(len(skeleton))
    for child, parent in skeleton.bones:
        lengths[child] = np.median(np.linalg.norm(joints_m[:, child] - joints_m[:, parent], axis=1))
    return (lengths + lengths[skeleton.mirror]) / 2


# by number of joints: each joint with its descendants
_SUBTREES = {len(s): [[joint] for joint in range(len(s))] for s in (H36M17, H36M17_FEET)}
for _count, _trees in _SUBTREES.items():
    for _child, _parent in reversed(skeleton_of(_count).bones):
        _trees[_parent] += _trees[_child]


def fit_bone_lengths(joints_m: Array, lengths_m: Array) -> Array:
    """The nearest poses with given bone lengths, and the pelvis at the midpoint of the hips.

    The sum of squared distances is minimized by coordinate descent: each step optimizes the
    direction of one bone in closed form, with the directions of the other bones fixed. A single
    pass from the root to the leaves would accumulate all changes of length in hands and feet.

    Args:
        joints_m: (T, J, 3) Poses. The pelvis is not moved.
        lengths_m: (J,) Bone lengths, as returned by `bone_lengths`.
    """
    joints_m = np.asarray(joints_m, dtype=np.float64)
    skeleton, subtrees = skeleton_of(joints_m.shape[1]), _SUBTREES[joints_m.shape[1]]
    left, right = H36M17.indices("left_hip", "right_hip")
    bones = [(child, parent) for child, parent in skeleton.bones if child != right]
    offsets = np.zeros_like(joints_m)  # of each joint from its parent
    for child, parent in skeleton.bones:
        offsets[:, child] = joints_m[:, child] - joints_m[:, parent]
    offsets[:, left] -= offsets[:, right]
    for child, _ in bones:
        offsets[:, child] = _with_length(offsets[:, child], lengths_m[child], joints_m[:, 0])
    offsets[:, right] = -offsets[:, left]

    def joints() -> Array:
        fitted = np.repeat(joints_m[:, :1], len(skeleton), axis=1)
        for child, parent in skeleton.bones:  # parents precede children in this skeleton
            fitted[:, child] = fitted[:, parent] + offsets[:, child]
        return fitted

    for _ in range(_SWEEPS):
        for child, _ in bones:
            missing = joints_m - joints()
            target = (missing[:, subtrees[child]] + offsets[:, [child]]).sum(axis=1)
            if child == left:  # the hips are the ends of one rigid segment through the pelvis
                target -= (missing[:, subtrees[right]] + offsets[:, [right]]).sum(axis=1)
            offsets[:, child] = _with_length(target, lengths_m[child], offsets[:, child])
            if child == left:
                offsets[:, right] = -offsets[:, left]
    return joints()


def _with_length(vectors: Array, length: float, otherwise: Array) -> Array:
    """Vectors (T, 3) scaled to a length; vectors of length 0 are replaced by `otherwise`."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(norms > 1e-9, vectors * (length / np.maximum(norms, 1e-9)), otherwise)


def fix_bone_lengths(result: Result) -> Result:
    """Make the bone lengths of each person constant and equal on both sides.

    Lengths are measured in frames where the person is visible, and also applied to filled gaps. The
    header records the mean and the 95th percentile of the distances that joints move in
    millimeters, and the lengths.

    Args:
        result: Result to process.

    Returns:
        A new result with the nearest poses of constant bone lengths.

    Raises:
        UserError: If the skeleton is neither h36m17 nor h36m17_feet.
    """
    require_h36m17(result, "constant bone lengths")
    pose = result.pose_m.astype(np.float64)
    moved_mm: list[Array] = []
    lengths: list[dict[str, float]] = []  # of each person, by the child joint of the bone
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
