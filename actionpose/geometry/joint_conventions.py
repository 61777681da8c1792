"""Where data sets and detectors put the joints of the limbs, relative to the anatomical centers.

`benchmarks/joint_conventions.py` measures these offsets: on video of two people with marker-based
ground truth, whose joint centers are OpenSim's. They are in lengths of the trunk: outwards, up
along the trunk, and ahead; those of elbows and wrists as the arms hang down (`limb_axes`). Left and
right are mirror images.
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

# One row per joint of `LIMB_JOINTS`, in thousandths of the trunk's length. "mocap" is where models
# put joints that were trained on the joint centers of CMU and HDM05.
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
    """The axes of the trunk, from the middle of the hips to that of the shoulders, and its length.

    Args:
        joints: (T, J, 3), the joints of H36M17 first, in right-handed axes and any unit.

    Returns:
        (T, 3, 3) columns left, up and ahead, and (T,) in the unit of `joints`.
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
    """The axes in which offsets are given, of each joint of the limbs: (2, 6, T, 3, 3).

    They are those of the trunk. Those of elbow and wrist turn with the bone above the joint, by the
    smallest rotation from hanging: up becomes "to the parent". What lies across the bone fades as
    the bone points up, where that rotation is undefined.

    Args:
        joints: (T, J, 3), see `trunk_axes`.

    Returns:
        Left and right, `LIMB_JOINTS`, frames; columns outwards, up and ahead, as long as the trunk
        where they do not fade.
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
                turn = np.cross(down, bone)[:, None]  # Rodrigues' formula, times the weight
                rows = turned.swapaxes(1, 2)
                once = np.cross(turn, rows)
                turned = (weight * (rows + once) + np.cross(turn, once) / 2).swapaxes(1, 2)
                turned[..., 1] = -bone
            result[side, row] = turned * length[:, None, None]
    return result


def move_limbs(joints: Array, offsets: Array) -> Array:
    """Move limb joints by offsets in their axes (`limb_axes`), and the pelvis with the hips.

    Args:
        joints: (T, J, 3), see `trunk_axes`.
        offsets: (6, 3) of `LIMB_JOINTS` in lengths of the trunk, or (2, 6, 3) of left and right.
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
    """2D keypoints with the limbs where they would be without a detector's offsets.

    Thorax and spine follow the shoulders and hips.

    Args:
        keypoints: (T, J, 3) x, y, confidence; missing ones stay.
        pose: (T, J, 3) a rough pose of the same joints in the same unit: its axes are used.
        offsets: (6, 3), see `move_limbs`.
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
    """Joints of one convention to where another has them.

    Args:
        pose: (T, J, 3) with the pelvis at the origin, which it keeps; see `trunk_axes`.
        source, target: keys of `OFFSETS`; or the same other name twice.

    Raises:
        UserError: no such convention.
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
