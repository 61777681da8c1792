"""A rig for the 17 joints: bones of constant length that turn, for formats that know only turns.

The rest pose is a T, in view axes (x to the person's left, y up, facing z), with the pelvis at the
origin. Nodes have the names that animation tools expect. Four nodes lie where their parents are
(the lower spine at the pelvis; neck and collars at the thorax): so every bone has a turn of its
own, and turns give back the joints exactly.

17 points do not tell how a limb turns about its own axis: thighs, upper arms, head and spine turn
no more than needed, hands and feet as the limb above.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from actionpose.geometry.axes import view_axes
from actionpose.postprocessing.bone_lengths import bone_lengths, constant_lengths
from actionpose.postprocessing.common import known, require_h36m17
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import frame_rate_hz, interpolate, is_even

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Node:
    """One node of the rig: its name, its parent's, the joint it is at, and its rest direction.

    `along` points from the parent to the node in the rest pose; a node at its parent's place has
    none.
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


_LEFT, _RIGHT = _side("left", 1.0), _side("right", -1.0)
NODES: tuple[Node, ...] = (
    Node("Hips", None, "pelvis"),
    *_LEFT[:3],
    *_RIGHT[:3],
    Node("Spine", "Hips", "pelvis"),
    Node("Spine1", "Spine", "spine", (0.0, 1.0, 0.0)),
    Node("Spine2", "Spine1", "thorax", (0.0, 1.0, 0.0)),
    Node("Neck", "Spine2", "thorax"),
    Node("Head", "Neck", "nose", (0.0, 0.96, 0.28)),  # unit vectors
    Node("HeadTop", "Head", "head", (0.0, 0.96, -0.28)),
    *_LEFT[3:],
    *_RIGHT[3:],
)
NAMES = tuple(node.name for node in NODES)
PARENTS = tuple(-1 if node.parent is None else NAMES.index(node.parent) for node in NODES)
JOINTS = H36M17.indices(*(node.joint for node in NODES))


@dataclass(frozen=True)
class RigMotion:
    """One person as a rig.

    Attributes:
        offsets_m: (N, 3) of each node from its parent in the rest pose.
        root_m: (T, 3) where the hips are.
        turns: (T, N, 4) quaternions x, y, z, w of each node against its parent.
        time_s: (T,).
        joints_m: (T, 17, 3) what it shows, view axes.
        residual_mm: the mean distance of these from the result's joints.
    """

    offsets_m: Array
    root_m: Array
    turns: Array
    time_s: Array
    joints_m: Array
    residual_mm: float


def person_joints(result: Result, person: int, *, even: bool) -> tuple[Array, Array]:
    """Joints (T, 17, 3) with their place, in view axes and without gaps, and their times (T,).

    Frames where the person is not there are filled linearly from those before and after.

    Args:
        even: whether frames must be equally far apart; if they are not, they are interpolated.

    Raises:
        UserError: the person is in no frame.
    """
    pose = result.pose_m[person].astype(np.float64)
    if result.root_m is not None:
        pose = pose + result.root_m[person][:, None]
    frames = known(result)[person] & np.isfinite(pose).all(axis=(1, 2))
    if not frames.any():
        track = result.track_id[person]
        raise UserError(f"there is nothing to write: person {track} has no valid frame")
    times = result.time_s
    at_s = times
    if even and not is_even(times):
        count = round((times[-1] - times[0]) * frame_rate_hz(times)) + 1
        at_s = np.linspace(times[0], times[-1], max(count, 2))
    if not frames.all() or at_s is not times:
        pose = interpolate(pose[frames], times[frames], at_s)
    return pose @ view_axes(result.header["axes"]).T, at_s


def fit(result: Result, person: int, *, even: bool) -> RigMotion:
    """The turns of one person, after giving the bones constant lengths (`motion.rigid`).

    Raises:
        UserError: see `person_joints`; or the skeleton is not h36m17.
    """
    require_h36m17(result, "a rig")
    joints, time_s = person_joints(result, person, even=even)
    lengths = bone_lengths(joints)
    fitted = constant_lengths(joints, lengths)
    offsets = np.array(
        [
            np.zeros(3) if node.along is None else lengths[joint] * _unit(np.array(node.along))
            for node, joint in zip(NODES, JOINTS, strict=True)
        ]
    )
    return RigMotion(
        offsets_m=offsets,
        root_m=fitted[:, 0],
        turns=_turns(fitted, offsets),
        time_s=time_s,
        joints_m=fitted,
        residual_mm=float(1000 * np.linalg.norm(fitted - joints, axis=-1).mean()),
    )


def node_positions(motion: RigMotion) -> Array:
    """Where the nodes are, (T, N, 3), by walking down the tree: the inverse of `fit`."""
    turn: list[Rotation] = []
    place: list[Array] = []
    for index, parent in enumerate(PARENTS):
        own = Rotation.from_quat(motion.turns[:, index])
        if parent < 0:
            turn.append(own)
            place.append(motion.root_m)
        else:
            place.append(place[parent] + turn[parent].apply(motion.offsets_m[index]))
            turn.append(turn[parent] * own)
    return np.stack(place, axis=1)


def _turns(joints: Array, offsets: Array) -> Array:
    """(T, N, 4) quaternions of every node against its parent."""
    at = dict(zip(H36M17.joints, joints.swapaxes(0, 1), strict=True))
    world: list[Rotation] = []
    local = []
    for index, (node, parent) in enumerate(zip(NODES, PARENTS, strict=True)):
        above = world[parent] if parent >= 0 else Rotation.identity(len(joints))
        children = [child for child, p in enumerate(PARENTS) if p == index]
        pointing = [child for child in children if NODES[child].along is not None]
        if node.name == "Hips":
            turn = _facing(at["left_hip"] - at["right_hip"], at["spine"] - at["pelvis"])
        elif node.name == "Spine2":
            turn = _facing(at["left_shoulder"] - at["right_shoulder"], at["thorax"] - at["spine"])
        elif pointing:
            (child,) = pointing
            wanted = joints[:, JOINTS[child]] - joints[:, JOINTS[index]]
            turn = _shortest(above.apply(offsets[child]), wanted) * above
        else:
            turn = above
        world.append(turn)
        local.append((above.inv() * turn).as_quat())
    turns = np.stack(local, axis=1)
    # q and -q are one turn: take the nearer one, so that they can be interpolated
    for t in range(1, len(turns)):
        turns[t] *= np.where((turns[t] * turns[t - 1]).sum(axis=-1, keepdims=True) < 0, -1, 1)
    return turns


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _facing(across: Array, up: Array) -> Rotation:
    """Rotations that turn x to `across` exactly, and y as near to `up` as that allows. (T, 3)"""
    x = _unit(across)
    y = _unit(up - (up * x).sum(axis=-1, keepdims=True) * x)
    return Rotation.from_matrix(np.stack([x, y, np.cross(x, y)], axis=-1))


def _shortest(source: Array, target: Array) -> Rotation:
    """The smallest rotations that turn directions (T, 3) into others."""
    source, target = _unit(source), _unit(target)
    real = 1 + (source * target).sum(axis=-1, keepdims=True)
    axis = np.cross(source, target)
    # opposite directions: half a turn about anything across
    across = np.cross(source, np.where(np.abs(source[:, :1]) < 0.9, [1.0, 0, 0], [0, 1.0, 0]))
    opposite = real < 1e-12
    quaternion = np.concatenate([np.where(opposite, across, axis), real * ~opposite], axis=-1)
    return Rotation.from_quat(quaternion)
