"""Where data sets and detectors put the joints of the limbs, relative to the anatomical centers.

`benchmarks/joint_conventions.py` measures these offsets: on video of two people with marker-based
ground truth, whose joint centers are OpenSim's. They are in the axes of the trunk and in its
lengths: x to the side of the joint (outwards), y up along the trunk, z ahead. Left and right are
mirror images.
"""

import numpy as np

from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array

LIMB_JOINTS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
_LEFT, _RIGHT = (
    H36M17.indices(*(f"{side}_{joint}" for joint in LIMB_JOINTS)) for side in ("left", "right")
)

# One row per joint of `LIMB_JOINTS`, in thousandths of the trunk's length. "mocap" is where models
# put joints that were trained on the joint centers of CMU and HDM05.
_THOUSANDTHS = {
    "mediapipe33": [
        [16, 3, 16], [-9, -13, -24], [18, -31, 8], [-36, -4, -9], [3, 33, 16], [38, 9, -5]
    ],
    "mocap": [
        [-8, 24, 18], [-10, 10, 27], [4, -19, -10], [-20, -18, -2], [-25, -2, -24], [-25, 2, -30]
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


def move_limbs(joints: Array, offsets: Array) -> Array:
    """Move limb joints by offsets in the axes of the trunk, and the pelvis with the hips.

    Args:
        joints: (T, J, 3), see `trunk_axes`.
        offsets: (6, 3) of `LIMB_JOINTS` in lengths of the trunk, or (2, 6, 3) of left and right.
    """
    axes, length = trunk_axes(joints)
    left, right = np.broadcast_to(offsets, (2, *np.shape(offsets)[-2:])) * np.reshape(
        [[1, 1, 1], [-1, 1, 1]], (2, 1, 3)
    )
    result = joints.copy()
    for indices, moves in ((_LEFT, left), (_RIGHT, right)):
        result[:, indices] += np.einsum("tab,jb->tja", axes * length[:, None, None], moves)
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
