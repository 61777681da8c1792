"""Offsets between the limb joints of datasets or detectors and the anatomical joint centers.

`benchmarks/joint_conventions.py` measures these offsets on videos of two people with marker-based
ground truth, whose joint centers are those of OpenSim. They are relative to the length of the
trunk, in the directions outward, up along the trunk, and forward; for elbows and wrists, with
hanging arms (`limb_axes`). Left and right are mirror images.
"""

import numpy as np

from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array

LIMB_JOINTS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
_TURNING = ("elbow", "wrist")  # joints whose axes turn with the arm
_LEFT, _RIGHT = (
    H36M17.indices(*(f"{side}_{joint}" for joint in LIMB_JOINTS)) for side in ("left", "right")
)

# One row per joint of `LIMB_JOINTS`, in thousandths of the length of the trunk. "mocap" contains
# the joints predicted by models trained on the joint centers of CMU and HDM05.
_THOUSANDTHS = {
    "mediapipe33": [
        [15, 3, 21], [-12, -6, -22], [13, -16, 10], [-39, -16, -7], [-1, 25, 19], [54, 7, -23]
    ],
    "mocap": [
        [-7, 20, 20], [-12, 6, 32], [6, -28, -16], [-19, -16, 7], [-25, 1, -18], [-20, 8, -9]
    ],
}  # fmt: skip
OFFSETS = {name: np.array(rows) / 1000 for name, rows in _THOUSANDTHS.items()}
OFFSETS["anatomical"] = np.zeros((6, 3))


def trunk_axes(joints: Array) -> tuple[Array, Array]:
    """The axes and length of the trunk, from the midpoint of the hips to that of the shoulders.

    Args:
        joints: (T, J, 3) Joints, those of H36M17 first, in right-handed axes and any unit.

    Returns:
        (T, 3, 3) axes, with the columns left, up and forward, and (T,) lengths in the unit of
        `joints`.
    """
    hips, shoulders = (
        H36M17.indices(f"left_{part}", f"right_{part}") for part in ("hip", "shoulder")
    )
    up = joints[:, shoulders].mean(axis=1) - joints[:, hips].mean(axis=1)
    length = np.linalg.norm(up, axis=-1)
    up = up / np.maximum(length, 1e-6)[:, None]
    left = joints[:, [hips[0], shoulders[0]]].sum(axis=1) - joints[:, [hips[1], shoulders[1]]].sum(
        axis=1
    )
    left = left - (left * up).sum(axis=-1, keepdims=True) * up
    left = left / np.maximum(np.linalg.norm(left, axis=-1, keepdims=True), 1e-6)
    return np.stack([left, up, np.cross(left, up)], axis=-1), length


def limb_axes(joints: Array) -> Array:
    """The axes of the offsets of each limb joint.

    The axes are those of the trunk. For elbow and wrist, they are rotated with the bone between the
    joint and its parent, by the smallest rotation from the hanging position, so that up points to
    the parent. Components perpendicular to the bone decrease as the bone points up, where that
    rotation is undefined.

    Args:
        joints: (T, J, 3) Joints, see `trunk_axes`.

    Returns:
        (2, 6, T, 3, 3) axes for left and right, each of `LIMB_JOINTS` and each frame, with the
        columns outward, up and forward and the length of the trunk.
    """
    axes, length = trunk_axes(joints)
    down = -axes[..., 1]
    result = np.empty((2, len(LIMB_JOINTS), *axes.shape))
    for side, (indices, sign) in enumerate(((_LEFT, 1), (_RIGHT, -1))):
        for row, index in enumerate(indices):
            turned = axes * [sign, 1, 1]
            if LIMB_JOINTS[row] in _TURNING:
                bone = joints[:, index] - joints[:, indices[row - 1]]
                bone = bone / np.maximum(np.linalg.norm(bone, axis=-1, keepdims=True), 1e-6)
                weight = (1 + (down * bone).sum(axis=-1)[:, None, None]) / 2
                turn = np.cross(down, bone)[:, None]  # Rodrigues' formula, multiplied by the weight
                rows = turned.swapaxes(1, 2)
                once = np.cross(turn, rows)
                turned = (weight * (rows + once) + np.cross(turn, once) / 2).swapaxes(1, 2)
                turned[..., 1] = -bone
            result[side, row] = turned * length[:, None, None]
    return result


def move_limbs(joints: Array, offsets: Array) -> Array:
    """Move limb joints by offsets in their axes (`limb_axes`), and the pelvis with the hips.

    Args:
        joints: (T, J, 3) Joints, see `trunk_axes`.
        offsets: (6, 3) Offsets of `LIMB_JOINTS` relative to the length of the trunk, or (2, 6, 3)
            for left and right.
    """
    offsets = np.broadcast_to(offsets, (2, *np.shape(offsets)[-2:]))
    left, right = np.einsum("sjtab,sjb->stja", limb_axes(joints), offsets)
    result = joints.copy()
    result[:, _LEFT] += left
    result[:, _RIGHT] += right
    hips = H36M17.indices("left_hip", "right_hip")
    result[:, 0] += (result[:, hips] - joints[:, hips]).mean(axis=1)
    return result


def without_offsets(keypoints: Array, pose: Array, offsets: Array) -> Array:
    """Remove the joint offsets of a detector from 2D keypoints.

    Thorax and spine are moved with the shoulders and hips.

    Args:
        keypoints: (T, J, 3) x, y and confidence. Missing keypoints are not changed.
        pose: (T, J, 3) Approximate pose of these joints in the same unit, to define the axes.
        offsets: (6, 3) Offsets, see `move_limbs`.
    """
    shift = (move_limbs(pose, -offsets) - pose)[..., :2]
    shoulders = H36M17.indices("left_shoulder", "right_shoulder")
    spine, thorax = H36M17.indices("spine", "thorax")
    shift[:, thorax] = shift[:, shoulders].mean(axis=1)
    shift[:, spine] = (shift[:, thorax] + shift[:, 0]) / 2
    result = keypoints.copy()
    result[..., :2] += shift * (keypoints[..., 2:] > 0)
    return result


def convert_convention(pose: Array, source: str, target: str) -> Array:
    """Convert joints from one convention to another.

    Args:
        pose: (T, J, 3) Poses with the pelvis at the origin, where it remains; see `trunk_axes`.
        source: Convention of `pose`, a key of `OFFSETS`, or any name equal to `target`.
        target: Convention of the returned poses.

    Raises:
        UserError: If a convention is unknown.
    """
    if source == target:
        return pose
    for name in (source, target):
        if name not in OFFSETS:
            known = ", ".join(OFFSETS)
            raise UserError(
                f"joints cannot be moved from {source!r} to {target!r}: known are {known}"
            )
    moved = move_limbs(pose, OFFSETS[target] - OFFSETS[source])
    return moved - moved[:, :1]
