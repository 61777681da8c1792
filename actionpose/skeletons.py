"""Joint layouts: names, kinematic trees, mirroring, and conversion to the joints of Human3.6M.

All code looks up joint indices by name in this module; no other module of the package contains
lists of joint indices. Left and right are those of the person.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from actionpose.utils.errors import UserError

if TYPE_CHECKING:
    import torch

Points = TypeVar("Points", NDArray[np.floating], "torch.Tensor")


@dataclass(frozen=True)
class Skeleton:
    """A joint layout: names, order and parents of joints.

    Attributes:
        name: Name of the layout, such as "h36m17".
        joints: Names of the joints, in their order along the J axis.
        parents: Name of the parent of each joint, or None for a root.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.joints)

    def indices(self, *joints: str) -> list[int]:
        """The indices of joints along the J axis."""
        return [self.joints.index(joint) for joint in joints]

    @cached_property
    def mirror(self) -> list[int]:
        """The permutation that swaps left and right: `pose[..., skeleton.mirror, :]`."""
        return self.indices(*map(mirror_name, self.joints))

    @cached_property
    def bones(self) -> list[tuple[int, int]]:
        """(child, parent) indices of every joint that has a parent."""
        return [
            (child, self.joints.index(parent))
            for child, parent in enumerate(self.parents)
            if parent is not None
        ]


def mirror_name(name: str) -> str:
    """`right_knee` for `left_knee` and vice versa; other names are unchanged."""
    side, _, part = name.partition("_")
    other = {"left": "right", "right": "left"}.get(side)
    return f"{other}_{part}" if other else name


def _names(text: str) -> tuple[str, ...]:
    """The words of a text, in which `*_hip` stands for left_hip and right_hip."""
    sides = ("left", "right")
    return tuple(
        name
        for word in text.split()
        for name in ([word.replace("*", side) for side in sides] if "*" in word else [word])
    )


def _skeleton(name: str, joints: str, *chains: str) -> Skeleton:
    """A layout from the order of its joints and chains of joints, each the parent of the next."""
    order = _names(joints)
    parents: dict[str, str] = {}
    for chain in chains:
        for side in ("left", "right"):
            parts = chain.replace("*", side).split()
            parents.update(zip(parts[1:], parts, strict=False))
    return Skeleton(name, order, tuple(parents.get(joint) for joint in order))


_LEGS = "pelvis *_hip *_knee *_ankle"
_FEET = ("*_ankle *_big_toe *_small_toe", "*_ankle *_heel")

H36M17 = _skeleton(
    "h36m17",
    "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine thorax nose head "
    "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist",
    *(_LEGS, "pelvis spine thorax nose head", "thorax *_shoulder *_elbow *_wrist"),
)
# H36M17 and the feet: the toe base is the ball of the foot, the joint between foot and toes; the
# toe is the tip of the toes.
H36M17_FEET = _skeleton(
    "h36m17_feet",
    " ".join((*H36M17.joints, "left_toe_base left_toe right_toe_base right_toe")),
    *(_LEGS, "pelvis spine thorax nose head", "thorax *_shoulder *_elbow *_wrist"),
    "*_ankle *_toe_base *_toe",
)
_COCO = ("nose *_eye *_ear", "nose *_shoulder *_elbow *_wrist", "*_shoulder *_hip *_knee *_ankle")
COCO17 = _skeleton(
    "coco17", "nose *_eye *_ear *_shoulder *_elbow *_wrist *_hip *_knee *_ankle", *_COCO
)
COCO23 = _skeleton(  # the first joints of COCO-WholeBody: COCO-17's and the feet
    "coco23",
    f"{' '.join(COCO17.joints)} left_big_toe left_small_toe left_heel "
    "right_big_toe right_small_toe right_heel",
    *(*_COCO, *_FEET),
)
HALPE26 = _skeleton(
    "halpe26",
    "nose *_eye *_ear *_shoulder *_elbow *_wrist *_hip *_knee *_ankle head neck pelvis "
    "*_big_toe *_small_toe *_heel",
    *("pelvis neck nose head", "nose *_eye *_ear", "neck *_shoulder *_elbow *_wrist"),
    *(_LEGS, *_FEET),
)
BODY25 = _skeleton(
    "body25",
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle "
    "right_eye left_eye right_ear left_ear "
    "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel",
    *("pelvis neck nose", "nose *_eye *_ear", "neck *_shoulder *_elbow *_wrist"),
    *(_LEGS, *_FEET),
)
MEDIAPIPE33 = _skeleton(
    "mediapipe33",
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer "
    "*_ear *_mouth *_shoulder *_elbow *_wrist *_pinky *_index *_thumb "
    "*_hip *_knee *_ankle *_heel *_foot_index",
    *("nose *_eye_inner *_eye *_eye_outer *_ear", "nose *_mouth"),
    *("nose *_shoulder *_elbow *_wrist *_pinky", "*_wrist *_index", "*_wrist *_thumb"),
    *("*_shoulder *_hip *_knee *_ankle *_heel", "*_ankle *_foot_index"),
)
MPII16 = _skeleton(
    "mpii16",
    "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax neck head "
    "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist",
    *(_LEGS, "pelvis thorax neck head", "thorax *_shoulder *_elbow *_wrist"),
)
MPI_INF_3DHP17 = _skeleton(
    "mpi_inf_3dhp17",
    "head_top neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle pelvis spine head",
    *(_LEGS, "pelvis spine neck head head_top", "neck *_shoulder *_elbow *_wrist"),
)

SKELETONS = {
    skeleton.name: skeleton
    for skeleton in (
        *(H36M17, H36M17_FEET, COCO17, COCO23, HALPE26, BODY25, MEDIAPIPE33, MPII16),
        MPI_INF_3DHP17,
    )
}

# The paper's six parts (Figure 3). Upper and lower body share no joint; the pelvis is a hip.
BODY_PARTS: dict[str, tuple[str, ...]] = {
    "upper body": H36M17.joints[7:],
    "lower body": H36M17.joints[:7],
    "head": ("nose", "head"),
    "arms": _names("*_shoulder *_elbow *_wrist"),
    "legs": _names("*_knee *_ankle"),
    "hips": _names("pelvis *_hip"),
}


def skeleton_of(num_joints: int) -> Skeleton:
    """H36M17_FEET for 21 joints, else H36M17."""
    return H36M17_FEET if num_joints == len(H36M17_FEET) else H36M17


# Source joints whose mean is the joint of H36M17. Joints that are not listed have the same name in
# the source. Halpe-26 and COCO-17 are mapped as in MotionBERT.
#
# Feet: detectors give the back of the heel and the tips of the big and small toe (OpenPose, Halpe,
# COCO-WholeBody), or the heel and the tip of the foot (MediaPipe's foot_index). The toe is the
# midpoint of the tips. The toe base is at 3/4 of the way from the heel to the toe (2/3 for
# MediaPipe, whose tip is farther): the ball of the foot is at 0.65 (small toe) to 0.73 (big toe) of
# its length. A name that is repeated has a multiple weight.
_FROM_LIMBS = {
    "pelvis": "*_hip",
    "spine": "*_hip *_shoulder",
    "thorax": "*_shoulder",
    "head": "*_eye",
}
_FROM_TOES = {
    joint.replace("*", side): parts.replace("*", side)
    for joint, parts in (
        ("*_toe_base", "*_heel *_heel" + 3 * " *_big_toe *_small_toe"),
        ("*_toe", "*_big_toe *_small_toe"),
    )
    for side in ("left", "right")
}
_DERIVED: dict[str, dict[str, str]] = {
    "coco17": _FROM_LIMBS,
    "coco23": _FROM_LIMBS | _FROM_TOES,
    "halpe26": {"spine": "neck pelvis", "thorax": "neck"} | _FROM_TOES,
    "body25": {"spine": "neck pelvis", "thorax": "neck", "head": "*_eye"} | _FROM_TOES,
    "mediapipe33": _FROM_LIMBS
    | {f"{s}_toe": f"{s}_foot_index" for s in ("left", "right")}
    | {f"{s}_toe_base": f"{s}_heel {s}_foot_index {s}_foot_index" for s in ("left", "right")},
    "mpii16": {"spine": "*_hip *_shoulder", "nose": "neck"},
    "mpi_inf_3dhp17": {"thorax": "neck", "nose": "head", "head": "head_top"},
}


def _parts(source: Skeleton, target: Skeleton) -> dict[str, tuple[str, ...]]:
    """For each target joint, the names of the source joints to average."""
    derived = _DERIVED.get(source.name, {}) if target in (H36M17, H36M17_FEET) else {}
    return {joint: _names(derived.get(joint, joint)) for joint in target.joints}


def gives(source: Skeleton, target: Skeleton) -> bool:
    """Whether `convert` can compute every joint of the target from the source."""
    return set().union(*_parts(source, target).values()) <= set(source.joints)


@cache
def _sources(source: Skeleton, target: Skeleton) -> list[list[int]]:
    """For each target joint, the indices of the source joints to average."""
    named = _parts(source, target)
    missing = [joint for joint, parts in named.items() if not set(parts) <= set(source.joints)]
    if missing:
        raise UserError(
            f"{source.name} keypoints cannot be converted to {target.name}: "
            f"nothing gives {', '.join(missing)}"
        )
    return [source.indices(*parts) for parts in named.values()]


def convert(
    points: Points, source: Skeleton, target: Skeleton = H36M17, *, confidence: bool = True
) -> Points:
    """Convert joints from one layout to another by reordering and averaging.

    Args:
        points: (..., J_source, C) Array or tensor. 2D keypoints are x, y, confidence (C = 3).
        source: Joint layout of `points`.
        target: Joint layout of the returned points.
        confidence: Whether the last channel is a confidence. A derived joint then has the lowest
            confidence of the averaged joints. Use False for coordinates only (3D, or x and y).

    Returns:
        (..., J_target, C) Points of the same type as the input.

    Raises:
        UserError: If the source has no joints for a joint of the target, or the number of joints
            is wrong.
    """
    if points.shape[-2] != len(source):
        raise UserError(
            f"{source.name} has {len(source)} joints, but the points have {points.shape[-2]}"
        )
    if source is target:
        return points
    parts = _sources(source, target)
    # a padded (J_target, most) table
    most = max(map(len, parts))
    table = np.array([(part * most)[:most] for part in parts])
    weights = np.array([[(i < len(part)) / len(part) for i in range(most)] for part in parts])
    if not isinstance(points, np.ndarray):
        gathered = points[..., table, :]  # (..., J_target, most, C)
        weight = points.new_tensor(weights)
        result = (gathered * weight[..., None]).sum(dim=-2)
        if confidence:
            result[..., -1] = gathered[..., -1].amin(dim=-1)
        return result
    # joint by joint, because long keypoint sequences would need hundreds of megabytes
    total, least = 0.0, np.inf
    for joints, weight in zip(table.T, weights.T, strict=True):
        part = points[..., joints, :]  # (..., J_target, C)
        total = total + part * weight[:, None]
        least = np.minimum(least, part[..., -1])
    result = np.asarray(total).astype(points.dtype)
    if confidence:
        result[..., -1] = least
    return result
