"""Joint sets: their names, their tree, which joint mirrors which, and the way to Human3.6M's set.

Whatever needs to know which index is which joint asks here, by name. No other file of the package
has a list of joint indices. Left and right are the person's own.
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
    """A named, ordered joint set. The order of `joints` is the order along the J axis."""

    name: str
    joints: tuple[str, ...]
    parents: tuple[str | None, ...]  # of each joint, by name; None at a root

    def __len__(self) -> int:
        return len(self.joints)

    def indices(self, *joints: str) -> list[int]:
        return [self.joints.index(joint) for joint in joints]

    @cached_property
    def mirror(self) -> list[int]:
        """The permutation that swaps left and right: `pose[..., skeleton.mirror, :]`."""
        other = {"left": "right", "right": "left"}

        def twin(joint: str) -> str:
            side, _, part = joint.partition("_")
            return f"{other[side]}_{part}" if side in other else joint

        return self.indices(*map(twin, self.joints))

    @cached_property
    def bones(self) -> list[tuple[int, int]]:
        """(child, parent) indices of every joint that has a parent."""
        return [
            (child, self.joints.index(parent))
            for child, parent in enumerate(self.parents)
            if parent is not None
        ]


def _sides(*parts: str, side: str) -> tuple[str, ...]:
    return tuple(f"{side}_{part}" for part in parts)


def _pairs(*parts: str) -> tuple[str, ...]:
    """left_a, right_a, left_b, right_b, ...: the order of COCO and its relatives."""
    return tuple(f"{side}_{part}" for part in parts for side in ("left", "right"))


LEG = ("hip", "knee", "ankle")
ARM = ("shoulder", "elbow", "wrist")

H36M17 = Skeleton(
    name="h36m17",
    joints=(
        "pelvis",
        *_sides(*LEG, side="right"),
        *_sides(*LEG, side="left"),
        *("spine", "thorax", "nose", "head"),
        *_sides(*ARM, side="left"),
        *_sides(*ARM, side="right"),
    ),
    parents=(
        None,
        *("pelvis", "right_hip", "right_knee"),
        *("pelvis", "left_hip", "left_knee"),
        *("pelvis", "spine", "thorax", "nose"),
        *("thorax", "left_shoulder", "left_elbow"),
        *("thorax", "right_shoulder", "right_elbow"),
    ),
)

_COCO_JOINTS = (
    "nose",
    *_pairs("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
)
_COCO_PARENTS: tuple[str | None, ...] = (
    None,
    *("nose", "nose", "left_eye", "right_eye", "nose", "nose"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
    *("left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_knee", "right_knee"),
)
COCO17 = Skeleton("coco17", joints=_COCO_JOINTS, parents=_COCO_PARENTS)

HALPE26 = Skeleton(
    name="halpe26",
    joints=(
        *_COCO_JOINTS,
        *("head", "neck", "pelvis"),
        *_pairs("big_toe", "small_toe", "heel"),
    ),
    parents=(
        "neck",
        *("nose", "nose", "left_eye", "right_eye", "neck", "neck"),
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
        *("pelvis", "pelvis", "left_hip", "right_hip", "left_knee", "right_knee"),
        *("nose", "pelvis", None),
        *("left_ankle", "right_ankle", "left_big_toe", "right_big_toe"),
        *("left_ankle", "right_ankle"),
    ),
)

BODY25 = Skeleton(
    name="body25",
    joints=(
        *("nose", "neck"),
        *_sides(*ARM, side="right"),
        *_sides(*ARM, side="left"),
        "pelvis",
        *_sides(*LEG, side="right"),
        *_sides(*LEG, side="left"),
        *("right_eye", "left_eye", "right_ear", "left_ear"),
        *_sides("big_toe", "small_toe", "heel", side="left"),
        *_sides("big_toe", "small_toe", "heel", side="right"),
    ),
    parents=(
        *("neck", "pelvis"),
        *("neck", "right_shoulder", "right_elbow"),
        *("neck", "left_shoulder", "left_elbow"),
        None,
        *("pelvis", "right_hip", "right_knee"),
        *("pelvis", "left_hip", "left_knee"),
        *("nose", "nose", "right_eye", "left_eye"),
        *("left_ankle", "left_big_toe", "left_ankle"),
        *("right_ankle", "right_big_toe", "right_ankle"),
    ),
)

MEDIAPIPE33 = Skeleton(
    name="mediapipe33",
    joints=(
        "nose",
        *_sides("eye_inner", "eye", "eye_outer", side="left"),
        *_sides("eye_inner", "eye", "eye_outer", side="right"),
        *_pairs("ear", "mouth", "shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
        *_pairs("hip", "knee", "ankle", "heel", "foot_index"),
    ),
    parents=(
        None,
        *("nose", "left_eye_inner", "left_eye"),
        *("nose", "right_eye_inner", "right_eye"),
        *("left_eye_outer", "right_eye_outer", "nose", "nose", "nose", "nose"),
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
        *("left_wrist", "right_wrist") * 3,
        *("left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_knee", "right_knee"),
        *("left_ankle", "right_ankle", "left_ankle", "right_ankle"),
    ),
)

MPII16 = Skeleton(
    name="mpii16",
    joints=(
        *("right_ankle", "right_knee", "right_hip"),
        *("left_hip", "left_knee", "left_ankle"),
        *("pelvis", "thorax", "neck", "head"),
        *("right_wrist", "right_elbow", "right_shoulder"),
        *("left_shoulder", "left_elbow", "left_wrist"),
    ),
    parents=(
        *("right_knee", "right_hip", "pelvis"),
        *("pelvis", "left_hip", "left_knee"),
        *(None, "pelvis", "thorax", "neck"),
        *("right_elbow", "right_shoulder", "thorax"),
        *("thorax", "left_shoulder", "left_elbow"),
    ),
)

MPI_INF_3DHP17 = Skeleton(
    name="mpi_inf_3dhp17",
    joints=(
        *("head_top", "neck"),
        *_sides(*ARM, side="right"),
        *_sides(*ARM, side="left"),
        *_sides(*LEG, side="right"),
        *_sides(*LEG, side="left"),
        *("pelvis", "spine", "head"),
    ),
    parents=(
        *("head", "spine"),
        *("neck", "right_shoulder", "right_elbow"),
        *("neck", "left_shoulder", "left_elbow"),
        *("pelvis", "right_hip", "right_knee"),
        *("pelvis", "left_hip", "left_knee"),
        *(None, "pelvis", "neck"),
    ),
)

SKELETONS = {
    skeleton.name: skeleton
    for skeleton in (H36M17, COCO17, HALPE26, BODY25, MEDIAPIPE33, MPII16, MPI_INF_3DHP17)
}

# The paper's six parts (Figure 3). Upper and lower body share no joint; the pelvis is a hip.
BODY_PARTS: dict[str, tuple[str, ...]] = {
    "upper body": H36M17.joints[7:],
    "lower body": H36M17.joints[:7],
    "head": ("nose", "head"),
    "arms": _pairs(*ARM),
    "legs": _pairs("knee", "ankle"),
    "hips": ("pelvis", "left_hip", "right_hip"),
}

# How H36M17's joints follow from another set: the source joints whose mean each one is. A joint
# of the same name is taken as it is. Halpe-26 and COCO-17 as MotionBERT maps them.
_HIPS = ("left_hip", "right_hip")
_SHOULDERS = ("left_shoulder", "right_shoulder")
_EYES = ("left_eye", "right_eye")
_DERIVED: dict[str, dict[str, tuple[str, ...]]] = {
    "h36m17": {},
    "coco17": {
        "pelvis": _HIPS,
        "spine": (*_HIPS, *_SHOULDERS),
        "thorax": _SHOULDERS,
        "head": _EYES,
    },
    "halpe26": {"spine": ("neck", "pelvis"), "thorax": ("neck",)},
    "body25": {"spine": ("neck", "pelvis"), "thorax": ("neck",), "head": _EYES},
    "mediapipe33": {
        "pelvis": _HIPS,
        "spine": (*_HIPS, *_SHOULDERS),
        "thorax": _SHOULDERS,
        "head": _EYES,
    },
    "mpii16": {"spine": (*_HIPS, *_SHOULDERS), "nose": ("neck",)},
    "mpi_inf_3dhp17": {"thorax": ("neck",), "nose": ("head",), "head": ("head_top",)},
}


@cache
def _sources(source: Skeleton, target: Skeleton) -> list[list[int]]:
    """For each target joint, the source joints whose mean it is."""
    derived = _DERIVED.get(source.name, {}) if target is H36M17 else {}
    named = [derived.get(joint, (joint,)) for joint in target.joints]
    missing = [
        joint
        for joint, parts in zip(target.joints, named, strict=True)
        if not set(parts) <= set(source.joints)
    ]
    if missing:
        raise UserError(
            f"{source.name} keypoints cannot be converted to {target.name}: "
            f"nothing gives {', '.join(missing)}"
        )
    return [source.indices(*parts) for parts in named]


def convert(
    points: Points, source: Skeleton, target: Skeleton = H36M17, *, confidence: bool = True
) -> Points:
    """Reorder and average joints of one set into those of another.

    Args:
        points: (..., J_source, C) tensor or array. 2D keypoints are x, y, confidence (C = 3).
        confidence: whether the last channel is a confidence; a derived joint then has the least
            confidence of its parts. Say False for coordinates alone (a 3D pose, or x and y).

    Returns:
        (..., J_target, C), of the type that came in.

    Raises:
        UserError: a joint of the target follows from nothing in the source, or J is another.
    """
    if points.shape[-2] != len(source):
        raise UserError(
            f"{source.name} has {len(source)} joints, but the points have {points.shape[-2]}"
        )
    if source is target:
        return points
    parts = _sources(source, target)
    # a padded (J_target, most) table, so that one indexing does it for arrays and tensors alike
    most = max(map(len, parts))
    table = np.array([(part * most)[:most] for part in parts])
    weights = np.array([[(i < len(part)) / len(part) for i in range(most)] for part in parts])
    gathered = points[..., table, :]  # (..., J_target, most, C)
    if not isinstance(points, np.ndarray):
        weight = points.new_tensor(weights)
        result = (gathered * weight[..., None]).sum(dim=-2)
        if confidence:
            result[..., -1] = gathered[..., -1].amin(dim=-1)
        return result
    result = (gathered * weights[..., None]).sum(axis=-2).astype(points.dtype)
    if confidence:
        result[..., -1] = gathered[..., -1].min(axis=-1)
    return result
