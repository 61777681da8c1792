"""A skeleton of nodes with rotations and constant bone lengths, as needed for BVH and glTF.

The rest pose is a T-pose (x to the person's left, y up, facing z) with the pelvis at the origin.
Nodes have the names that animation tools expect. Four nodes are at the positions of their parents
(the lower spine at the pelvis; neck and collars at the thorax), so that every bone has a separate
rotation, and the rotations reproduce the joints exactly.

Points do not determine the rotation of a limb about its own axis. Thighs, upper arms, head, spine,
and feet with joints have the smallest possible rotation; hands, and feet without joints, rotate
with the limb above.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

from actionpose.postprocessing.bone_lengths import bone_lengths, fit_bone_lengths
from actionpose.postprocessing.common import positions, require_h36m17
from actionpose.result import Result
from actionpose.skeletons import H36M17, H36M17_FEET, Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import frame_rate, interpolate, is_even
from actionpose.utils.typing import Array


@dataclass(frozen=True)
class Node:
    """A node of the skeleton: its name, parent, joint, and direction in the rest pose.

    `along` points from the parent to the node in the rest pose; it is None for a node at the
    position of its parent.
    """

    name: str
    parent: str | None
    joint: str
    along: tuple[float, float, float] | None = None


def _side(side: str, x: float) -> list[Node]:
    leg, arm = f"{side.capitalize()}UpLeg", f"{side.capitalize()}Arm"
    name = side.capitalize()
    out, down = (x, 0.0, 0.0), (0.0, -1.0, 0.0)
    return [
        Node(leg, "Hips", f"{side}_hip", out),
        Node(f"{name}Leg", leg, f"{side}_knee", down),
        Node(f"{name}Foot", f"{name}Leg", f"{side}_ankle", down),
        Node(f"{name}Shoulder", "Spine2", "thorax"),
        Node(arm, f"{name}Shoulder", f"{side}_shoulder", out),
        Node(f"{name}ForeArm", arm, f"{side}_elbow", out),
        Node(f"{name}Hand", f"{name}ForeArm", f"{side}_wrist", out),
    ]


def _toes(side: str) -> list[Node]:
    name = side.capitalize()
    ahead = (0.0, -0.42, 0.91)  # unit vectors: the ankle is higher than the toe base
    return [
        Node(f"{name}ToeBase", f"{name}Foot", f"{side}_toe_base", ahead),
        Node(f"{name}ToeEnd", f"{name}ToeBase", f"{side}_toe", (0.0, 0.0, 1.0)),
    ]


def _nodes(*, feet: bool) -> tuple[Node, ...]:
    left, right = _side("left", 1.0), _side("right", -1.0)
    return (
        Node("Hips", None, "pelvis"),
        *(*left[:3], *(_toes("left") if feet else ())),
        *(*right[:3], *(_toes("right") if feet else ())),
        Node("Spine", "Hips", "pelvis"),
        Node("Spine1", "Spine", "spine", (0.0, 1.0, 0.0)),
        Node("Spine2", "Spine1", "thorax", (0.0, 1.0, 0.0)),
        Node("Neck", "Spine2", "thorax"),
        Node("Head", "Neck", "nose", (0.0, 0.96, 0.28)),  # unit vectors
        Node("HeadTop", "Head", "head", (0.0, 0.96, -0.28)),
        *(*left[3:], *right[3:]),
    )


@dataclass(frozen=True)
class NodeTree:
    """The nodes of a skeleton, with parents before children."""

    nodes: tuple[Node, ...]
    skeleton: Skeleton

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.nodes)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """The index of the parent of each node, -1 for the root."""
        return tuple(
            -1 if node.parent is None else self.names.index(node.parent) for node in self.nodes
        )

    @cached_property
    def joints(self) -> list[int]:
        """The index of the joint of each node."""
        return self.skeleton.indices(*(node.joint for node in self.nodes))


TREES = {
    H36M17.name: NodeTree(_nodes(feet=False), H36M17),
    H36M17_FEET.name: NodeTree(_nodes(feet=True), H36M17_FEET),
}


@dataclass(frozen=True)
class SkeletonMotion:
    """The motion of a person as rotations of nodes.

    Attributes:
        tree: Nodes of the skeleton.
        offsets_m: (N, 3) Offsets of nodes from their parents in the rest pose.
        root_m: (T, 3) Positions of the hips.
        rotations: (T, N, 4) Rotations of nodes relative to their parents, as quaternions x, y, z,
            w.
        time_s: (T,) Times in seconds.
        joints_m: (T, J, 3) Joints of the fitted skeleton, y up.
        residual_mm: Mean distance of these joints from those of the result.
    """

    tree: NodeTree
    offsets_m: Array
    root_m: Array
    rotations: Array
    time_s: Array
    joints_m: Array
    residual_mm: float


def person_joints(result: Result, person: int, *, even: bool) -> tuple[Array, Array]:
    """Joint positions (T, J, 3) of a person, y up and without gaps, and their times (T,).

    Frames without a pose (`Result.present`) are interpolated linearly.

    Args:
        result: Result with the person.
        person: Index of the person.
        even: Whether to resample frames to even time steps if they are uneven.

    Raises:
        UserError: If the person is not visible in any frame.
    """
    joints = positions(result)[person]
    frames = result.present[person] & np.isfinite(joints).all(axis=(1, 2))
    if not frames.any():
        track = result.track_id[person]
        raise UserError(f"there is nothing to write: person {track} has no valid frame")
    times = grid = result.time_s
    if even and not is_even(times):
        count = round((times[-1] - times[0]) * frame_rate(times)) + 1
        grid = np.linspace(times[0], times[-1], max(count, 2))
    if not frames.all() or grid is not times:
        joints = interpolate(joints[frames], times[frames], grid)
    return joints, grid


def fit_skeleton(result: Result, person: int, *, even: bool) -> SkeletonMotion:
    """Fit the rotations of nodes to a person, after making bone lengths constant.

    Lengths are measured in frames with a pose, because interpolation between different poses
    shortens bones.

    Raises:
        UserError: If the skeleton is neither h36m17 nor h36m17_feet; see also `person_joints`.
    """
    require_h36m17(result, "a fitted skeleton")
    tree = TREES[result.skeleton.name]
    joints, time_s = person_joints(result, person, even=even)
    lengths = bone_lengths(result.pose_m[person, result.present[person]].astype(np.float64))
    fitted = fit_bone_lengths(joints, lengths)
    offsets = rest_offsets(tree, lengths)
    return SkeletonMotion(
        tree=tree,
        offsets_m=offsets,
        root_m=fitted[:, 0],
        rotations=node_rotations(tree, fitted, offsets),
        time_s=time_s,
        joints_m=fitted,
        residual_mm=float(1000 * np.linalg.norm(fitted - joints, axis=-1).mean()),
    )


def rest_offsets(tree: NodeTree, lengths: Array) -> Array:
    """(N, 3) Offsets of nodes from their parents in the rest pose, in the unit of lengths (J,)."""
    return np.array(
        [
            np.zeros(3) if node.along is None else lengths[joint] * _unit(np.array(node.along))
            for node, joint in zip(tree.nodes, tree.joints, strict=True)
        ]
    )


def node_rotations(tree: NodeTree, joints: Array, offsets: Array) -> Array:
    """Rotations (T, N, 4) of nodes relative to their parents, as quaternions x, y, z, w.

    Args:
        tree: Nodes of the skeleton.
        joints: (T, J, 3) Joints, y up.
        offsets: (N, 3) Offsets, see `rest_offsets`.
    """
    at = dict(zip(tree.skeleton.joints, joints.swapaxes(0, 1), strict=True))
    world: list[Rotation] = []
    local = []
    for index, (node, parent) in enumerate(zip(tree.nodes, tree.parents, strict=True)):
        above = world[parent] if parent >= 0 else Rotation.identity(len(joints))
        children = [child for child, p in enumerate(tree.parents) if p == index]
        pointing = [child for child in children if tree.nodes[child].along is not None]
        if node.name == "Hips":
            own = _facing(at["left_hip"] - at["right_hip"], at["spine"] - at["pelvis"])
        elif node.name == "Spine2":
            own = _facing(at["left_shoulder"] - at["right_shoulder"], at["thorax"] - at["spine"])
        elif pointing:
            (child,) = pointing
            target = joints[:, tree.joints[child]] - joints[:, tree.joints[index]]
            own = _shortest(above.apply(offsets[child]), target) * above
        else:
            own = above
        world.append(own)
        local.append((above.inv() * own).as_quat())
    rotations = np.stack(local, axis=1)
    # q and -q are the same rotation: use the one closer to the previous frame, for interpolation
    for t in range(1, len(rotations)):
        is_far = (rotations[t] * rotations[t - 1]).sum(axis=-1, keepdims=True) < 0
        rotations[t] *= np.where(is_far, -1, 1)
    return rotations


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _facing(across: Array, up: Array) -> Rotation:
    """Rotations that map x to `across` (T, 3), and y as close as possible to `up` (T, 3)."""
    x = _unit(across)
    y = _unit(up - (up * x).sum(axis=-1, keepdims=True) * x)
    return Rotation.from_matrix(np.stack([x, y, np.cross(x, y)], axis=-1))


def _shortest(source: Array, target: Array) -> Rotation:
    """The smallest rotations between directions (T, 3)."""
    source, target = _unit(source), _unit(target)
    real = 1 + (source * target).sum(axis=-1, keepdims=True)
    axis = np.cross(source, target)
    # opposite directions: a half turn about any perpendicular axis
    across = np.cross(source, np.where(np.abs(source[:, :1]) < 0.9, [1.0, 0, 0], [0, 1.0, 0]))
    opposite = real < 1e-12
    quaternion = np.concatenate([np.where(opposite, across, axis), real * ~opposite], axis=-1)
    return Rotation.from_quat(quaternion)
