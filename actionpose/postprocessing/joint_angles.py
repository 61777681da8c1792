"""Joint angles over time, in degrees, as defined in docs/joint_angles.md.

Joints are points. They determine the flexion of hinge joints and the directions of limbs, but not
the rotation of a limb about its own axis, the hands, or the tilt of the pelvis.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from actionpose.geometry.axes import Axes
from actionpose.postprocessing.common import valid_frames
from actionpose.postprocessing.foot_axes import foot_axes
from actionpose.postprocessing.visibility import measured_joints
from actionpose.result import Result, RootOrigin
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array, BoolArray, IntArray

Points = dict[str, Array]  # (P, T, 3) by joint name, y up

_LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
# Flexion and abduction are angles in a plane, undefined for a limb almost perpendicular to it.
_LEAST_IN_PLANE = np.sin(np.radians(20))


@dataclass(frozen=True)
class JointAngles:
    """Joint angles of all persons.

    Attributes:
        names: Names of the K angles, such as "left_knee_flexion".
        degrees: (P, T, K) Angles; NaN where a person is not visible, an angle is undefined, or one
            of its joints is not measured (`visibility.measured_joints`).
        valid: (P, T) True where a person is visible.
        time_s: (T,) Times of the frames in seconds.
        track_id: (P,) Identity of each person.
        vertical: Definition of "up" for the angles of the trunk: the normal of the floor, if
            `align_to_floor` has found its plane, or the up direction of the camera.
    """

    names: tuple[str, ...]
    degrees: Array
    valid: BoolArray
    time_s: Array
    track_id: IntArray
    vertical: Literal["floor", "camera"]


def joint_angles(result: Result) -> JointAngles:
    """Compute the joint angles of all persons of a result.

    Raises:
        UserError: If the skeleton lacks a pelvis, a thorax or neck, or joints of the limbs.
    """
    joints = result.skeleton.joints
    names = {"thorax" if name == "neck" and "thorax" not in joints else name for name in joints}
    needed = {"pelvis", "thorax", *(f"{s}_{p}" for s in ("left", "right") for p in _LIMBS)}
    if lacking := sorted(needed - names):
        raise UserError(f"angles: the skeleton {result.skeleton.name} lacks {', '.join(lacking)}")
    pose = result.pose_m.astype(np.float64) @ result.header["axes"].rotation_to(Axes.Y_UP).T
    valid = valid_frames(result)
    pose[~valid] = np.nan
    pose.swapaxes(1, 2)[~measured_joints(result)] = np.nan
    at: Points = {name: pose[:, :, index] for index, name in enumerate(joints)}
    at.setdefault("thorax", at.get("neck", pose[:, :, 0]))  # detectors call it the neck
    columns = _trunk(at)
    for side in ("left", "right"):
        columns |= _leg(at, side) | _arm(at, side)
    return JointAngles(
        names=tuple(columns),
        degrees=np.stack(list(columns.values()), axis=-1),
        valid=valid,
        time_s=result.time_s,
        track_id=result.track_id,
        vertical="floor" if result.header["root"] is RootOrigin.FLOOR else "camera",
    )


def _unit(vectors: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _dot(one: Array, other: Array) -> Array:
    return (one * other).sum(axis=-1)


def angle_between(one: Array, other: Array) -> Array:
    """The angle between directions (..., 3) in degrees, also accurate near 0 and 180."""
    one, other = _unit(one), _unit(other)
    return np.degrees(
        2 * np.arctan2(np.linalg.norm(one - other, axis=-1), np.linalg.norm(one + other, axis=-1))
    )


def _bend(upper: Array, middle: Array, lower: Array) -> Array:
    """Flexion of a hinge joint in degrees: 0 if the three points are collinear."""
    return angle_between(middle - upper, lower - middle)


def _body_axes(across: Array, up: Array) -> tuple[Array, Array, Array]:
    """Unit vectors to the person's left, up along the trunk, and forward."""
    up = _unit(up)
    left = _unit(across - _dot(across, up)[..., None] * up)
    return left, up, np.cross(left, up)


def _in_plane(limb: Array, towards: Array, zero: Array, across: Array) -> Array:
    """The angle of a limb from `zero` to `towards`; NaN if it is nearly parallel to `across`."""
    limb = _unit(limb)
    angle = np.degrees(np.arctan2(_dot(limb, towards), _dot(limb, zero)))
    in_plane = np.sqrt(np.maximum(1 - _dot(limb, across) ** 2, 0))
    return np.where(in_plane > _LEAST_IN_PLANE, angle, np.nan)


def _overhead(degrees: Array) -> Array:
    """Shift angles to -90 to 270 degrees, so that an arm raised beyond vertical exceeds 180."""
    return np.where(degrees < -90, degrees + 360, degrees)


def _trunk(at: Points) -> dict[str, Array]:
    trunk = _unit(at["thorax"] - at["pelvis"])
    hips = at["left_hip"] - at["right_hip"]
    shoulders = at["left_shoulder"] - at["right_shoulder"]
    vertical = np.broadcast_to(np.array([0.0, 1.0, 0.0]), trunk.shape)
    left, _, forward = _body_axes(hips, vertical)
    hip_line = hips - _dot(hips, trunk)[..., None] * trunk
    shoulder_line = shoulders - _dot(shoulders, trunk)[..., None] * trunk
    turn = _dot(np.cross(hip_line, shoulder_line), trunk)
    return {
        "trunk_flexion": _in_plane(trunk, forward, vertical, left),
        "trunk_lean_right": _in_plane(trunk, -left, vertical, forward),
        "trunk_rotation_left": np.degrees(np.arctan2(turn, _dot(hip_line, shoulder_line))),
    }


def _leg(at: Points, side: str) -> dict[str, Array]:
    hip, knee, ankle = (at[f"{side}_{part}"] for part in ("hip", "knee", "ankle"))
    left, up, forward = _body_axes(at["left_hip"] - at["right_hip"], at["thorax"] - at["pelvis"])
    outwards = left if side == "left" else -left
    columns = {
        f"{side}_hip_flexion": _in_plane(knee - hip, forward, -up, left),
        f"{side}_hip_abduction": _in_plane(knee - hip, outwards, -up, forward),
        f"{side}_knee_flexion": _bend(hip, knee, ankle),
    }
    if (base := at.get(f"{side}_toe_base")) is not None:
        ahead = foot_axes(knee, ankle, base).ahead
        vertical = np.broadcast_to(np.array([0.0, 1.0, 0.0]), ahead.shape)
        left, _, forward = _body_axes(at["left_hip"] - at["right_hip"], vertical)
        outwards = left if side == "left" else -left
        columns[f"{side}_ankle_dorsiflexion"] = angle_between(ahead, ankle - knee) - 90
        columns[f"{side}_toe_out"] = _in_plane(base - ankle, outwards, forward, vertical)
    elif (toe := at.get(f"{side}_big_toe")) is not None:
        columns[f"{side}_ankle_dorsiflexion"] = angle_between(toe - ankle, ankle - knee) - 90
    return columns


def _arm(at: Points, side: str) -> dict[str, Array]:
    shoulder, elbow, wrist = (at[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist"))
    across = at["left_shoulder"] - at["right_shoulder"]
    left, up, forward = _body_axes(across, at["thorax"] - at["pelvis"])
    outwards = left if side == "left" else -left
    arm = elbow - shoulder
    return {
        f"{side}_shoulder_elevation": angle_between(arm, -up),
        f"{side}_shoulder_flexion": _overhead(_in_plane(arm, forward, -up, left)),
        f"{side}_shoulder_abduction": _overhead(_in_plane(arm, outwards, -up, forward)),
        f"{side}_elbow_flexion": _bend(shoulder, elbow, wrist),
    }
