"""Articulated human body: sampled sizes, joint limits, and joint angles to 17 joint positions.

A posture is a dict of channels, each (T,) over the frames. World axes are x forward, y left, z up.
Angles are in degrees. Lengths are in leg lengths (thigh plus shin), so that a posture applies to
all bodies:

    x, y, z                   pelvis; z = 1 in standing with straight legs
    yaw, pitch, roll          pelvis; positive left, forward, to the right side
    bend, side, twist         chest relative to the pelvis; positive forward, right, left
    nod, tilt, turn           head relative to the chest; positive forward, right, left
    {left,right}_arm_fwd      swing of the upper arm from hanging, as a rotation vector: 90 is level
    {left,right}_arm_out      in front, 90 is level at the side, (170, 0) is overhead
    {left,right}_arm_twist    outward rotation about the upper arm
    {left,right}_elbow        flexion
    {left,right}_foot_x       ankle of the flat foot: forward, outward from the midline, and above
    {left,right}_foot_out     its height when the sole is on the floor
    {left,right}_foot_lift
    {left,right}_toe_out      outward heading of the foot
    {left,right}_heel         heel lift: rotation of the foot about its ball, which is fixed
    {left,right}_knee_out     outward angle of the knee from the forward axis of the pelvis
    {left,right}_free         0 if the foot carries weight, 1 if it is in the air

Legs are computed from pelvis and feet by two-bone inverse kinematics, all other joints by forward
kinematics.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.spatial.transform import Rotation

from actionpose.skeletons import H36M17
from actionpose.utils.typing import Array

Posture = Mapping[str, Array]

SIDES = {"left": 1.0, "right": -1.0}  # sign of y on that side

# (minimum, maximum) angle, after Norkin and White, "Measurement of Joint Motion"; knee and elbow
# are never straight, because the plane of flexion would be undefined
LIMITS_DEG: dict[str, tuple[float, float]] = {
    "bend": (-30, 75),
    "side": (-40, 40),
    "twist": (-60, 60),
    "nod": (-55, 55),
    "tilt": (-40, 40),
    "turn": (-75, 75),
    "arm_fwd": (-60, 178),
    "arm_out": (-45, 178),
    "arm_twist": (-85, 95),
    "elbow": (4, 145),
    "heel": (-20, 80),
    "knee_out": (-30, 60),
}
MAX_ARM_DEG = 178.0  # total swing of the upper arm in any direction
KNEE_DEG = (3.0, 155.0)

# Height of a joint center when the body part lies on the floor, as a fraction of body height.
_CLEARANCE = {
    **dict.fromkeys(("pelvis", "left_hip", "right_hip", "spine", "thorax"), 0.055),
    **dict.fromkeys(("nose", "head", "left_shoulder", "right_shoulder"), 0.05),
    **dict.fromkeys(("left_knee", "right_knee"), 0.03),
    **dict.fromkeys(("left_elbow", "right_elbow", "left_wrist", "right_wrist"), 0.022),
}


@dataclass(frozen=True)
class Body:
    """Lengths in meters. Offsets are (forward, left, up) relative to the part they start on."""

    stature_m: float
    thigh_m: float
    shin_m: float
    hip_half_width_m: float
    ankle_height_m: float
    ball_m: float  # forward from the ankle to the point of roll-off, near ball and toes
    spine_m: Array  # from the pelvis
    thorax_m: Array  # from the spine
    nose_m: Array  # from the thorax
    head_m: Array  # from the nose
    shoulder_m: Array  # from the thorax to the left shoulder
    upper_arm_m: float
    forearm_m: float

    @property
    def leg_m(self) -> float:
        return self.thigh_m + self.shin_m


def sample_body(rng: np.random.Generator) -> Body:
    """A random adult or adolescent of 1.45 to 2.0 m.

    Means are segment lengths relative to body height (Drillis and Contini 1966); torso and head are
    those of joint sets like Human3.6M. Where such sets differ (width of hips and shoulders, height
    of the neck), the spread includes them.
    """
    stature = float(np.clip(rng.normal(1.70, 0.11), 1.45, 2.0))

    def length(fraction: float, spread: float) -> float:
        factor = float(np.clip(rng.normal(1, spread), 1 - 2 * spread, 1 + 2 * spread))
        return stature * fraction * factor

    limbs = float(rng.normal(1, 0.025))  # limb lengths are correlated
    return Body(
        stature_m=stature,
        thigh_m=limbs * length(0.246, 0.035),
        shin_m=limbs * length(0.250, 0.03),
        hip_half_width_m=length(0.060, 0.17),
        ankle_height_m=length(0.050, 0.1),
        ball_m=length(0.09, 0.08),
        spine_m=np.array([-length(0.012, 0.4), 0.0, length(0.135, 0.06)]),
        thorax_m=np.array([length(0.004, 0.4), 0.0, length(0.143, 0.09)]),
        nose_m=np.array([length(0.034, 0.3), 0.0, length(0.080, 0.07)]),
        head_m=np.array([-length(0.018, 0.4), 0.0, length(0.077, 0.07)]),
        shoulder_m=np.array(
            [-length(0.004, 0.5), length(0.110, 0.12), stature * rng.uniform(-0.02, 0.04)]
        ),
        upper_arm_m=limbs * length(0.165, 0.03),
        forearm_m=limbs * length(0.162, 0.05),
    )


def clamp(posture: Posture) -> dict[str, Array]:
    """The posture with all angles within the joint limits."""
    clamped = dict(posture)
    for channel, values in posture.items():
        limits = LIMITS_DEG.get(channel.removeprefix("left_").removeprefix("right_"))
        if limits:
            clamped[channel] = np.clip(values, *limits)
    for side in SIDES:
        swing = np.hypot(clamped[f"{side}_arm_fwd"], clamped[f"{side}_arm_out"])
        shrink = np.minimum(1, MAX_ARM_DEG / np.maximum(swing, 1e-9))
        for channel in (f"{side}_arm_fwd", f"{side}_arm_out"):
            clamped[channel] = clamped[channel] * shrink
    return clamped


def two_bone(
    root: Array, target: Array, pole: Array, upper: float, lower: float
) -> tuple[Array, Array]:
    """Middle and end joint of a two-bone limb that reaches for a target.

    Args:
        root: (T, 3) Root joint.
        target: (T, 3) Target. A target out of reach is replaced by a reachable one in the same
            direction, with a smooth transition, because a limb that becomes straight suddenly has
            an infinite velocity.
        pole: (T, 3) Direction in which the middle joint points.
        upper: Length of the first bone.
        lower: Length of the second bone.

    Returns:
        (T, 3) middle joint and (T, 3) end joint.
    """
    bend = np.deg2rad(KNEE_DEG)
    farthest, nearest = np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(bend))
    reach = target - root
    wanted = np.linalg.norm(reach, axis=-1, keepdims=True)
    axis = reach / np.maximum(wanted, 1e-9)
    slack = 0.004 * farthest
    beyond = np.maximum(wanted - (farthest - slack), 0)
    distance = np.maximum(wanted - beyond + slack * -np.expm1(-beyond / slack), nearest)
    # law of cosines: position of the middle joint along the axis, and distance from it
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    height = np.sqrt(np.maximum(upper**2 - along**2, 0))
    pole = pole - axis * (pole * axis).sum(-1, keepdims=True)
    pole = pole / np.maximum(np.linalg.norm(pole, axis=-1, keepdims=True), 1e-9)
    return root + along * axis + height * pole, root + distance * axis


def _ankle(body: Body, posture: Posture, side: str) -> Array:
    """(T, 3) Ankle in meters, of a foot rotated about its ball by the heel lift."""
    sign, leg = SIDES[side], body.leg_m
    heading = sign * np.deg2rad(posture[f"{side}_toe_out"])
    heel = np.deg2rad(posture[f"{side}_heel"])
    height = 0.8 * body.ankle_height_m  # of the ankle above the ball
    # ankle displacement by heel lift; with toes up, the foot rotates about the heel instead
    forward = body.ball_m * (1 - np.cos(heel)) + height * np.sin(np.maximum(heel, 0))
    up = body.ball_m * np.sin(np.maximum(heel, 0)) + height * (np.cos(heel) - 1)
    return np.stack(
        [
            leg * posture[f"{side}_foot_x"] + forward * np.cos(heading),
            sign * leg * posture[f"{side}_foot_out"] + forward * np.sin(heading),
            leg * posture[f"{side}_foot_lift"] + np.maximum(up, 0) + body.ankle_height_m,
        ],
        axis=-1,
    )


def _euler(posture: Posture, *channels: str, factor: float = 1.0) -> Rotation:
    """Intrinsic rotation about z, then y (forward), then x (sideways)."""
    angles = np.stack([posture[channel] for channel in channels], axis=-1)
    return Rotation.from_euler("ZYX", factor * angles, degrees=True)


def _arm(body: Body, posture: Posture, chest: Rotation, side: str) -> tuple[Array, Array, Array]:
    """Shoulder relative to thorax, elbow to shoulder, and wrist to elbow: each (T, 3)."""
    sign = SIDES[side]
    forward, out = posture[f"{side}_arm_fwd"], posture[f"{side}_arm_out"]
    zero = np.zeros_like(forward)
    # the shoulder blade moves up when the arm is raised, and forward when it reaches forward
    raised = 25 * np.clip((np.hypot(forward, out) - 30) / 150, 0, 1)
    reached = 10 * np.clip(forward / 90, -0.5, 1)
    blade = chest * Rotation.from_rotvec(
        sign * np.stack([raised, zero, -reached], axis=-1), degrees=True
    )
    swing = np.stack([sign * out, -forward, zero], axis=-1)
    twist = np.stack([zero, zero, sign * posture[f"{side}_arm_twist"]], axis=-1)
    upper = chest * Rotation.from_rotvec(swing, degrees=True)
    upper = upper * Rotation.from_rotvec(twist, degrees=True)
    elbow = np.deg2rad(posture[f"{side}_elbow"])
    forearm = np.stack([np.sin(elbow), zero, -np.cos(elbow)], axis=-1)
    return (
        blade.apply(body.shoulder_m * [1, sign, 1]),
        body.upper_arm_m * upper.apply([0.0, 0.0, -1.0]),
        body.forearm_m * upper.apply(forearm),
    )


def _highest_pelvis(body: Body, hips: Mapping[str, Array], posture: Posture) -> Array:
    """(T,) Maximum height of the pelvis, in meters, for both loaded feet to stay on the floor."""
    heights = []
    leg = body.leg_m
    for side, hip in hips.items():
        reach = _ankle(body, posture, side) - hip
        straight = 0.9985 * leg
        over = np.sqrt(np.maximum(straight**2 - (reach[:, :2] ** 2).sum(-1), 1e-4))
        # a foot in the air is no constraint; its weight changes smoothly
        heights.append(reach[:, 2] + over + 0.4 * leg * posture[f"{side}_free"])
    softness = 0.002 * leg
    return -softness * np.logaddexp(-heights[0] / softness, -heights[1] / softness)


def pose_body(body: Body, posture: Posture) -> Array:
    """Joint positions of a posture: (T, 17, 3) in meters in world coordinates, floor at z = 0.

    The pelvis is lowered if the legs would not reach their feet, and raised if a body part would be
    below the floor. Feet that carry weight are not moved.
    """
    posture = clamp(posture)
    leg = body.leg_m
    pelvis_turn = _euler(posture, "yaw", "pitch", "roll")
    chest = pelvis_turn * _euler(posture, "twist", "bend", "side")
    spine_turn = pelvis_turn * _euler(posture, "twist", "bend", "side", factor=1 / 3)
    neck = chest * _euler(posture, "turn", "nod", "tilt", factor=0.5)
    head = chest * _euler(posture, "turn", "nod", "tilt")

    offsets = {"pelvis": np.zeros((len(posture["z"]), 3))}  # joints relative to the pelvis
    offsets["spine"] = spine_turn.apply(body.spine_m)
    offsets["thorax"] = offsets["spine"] + chest.apply(body.thorax_m)
    offsets["nose"] = offsets["thorax"] + neck.apply(body.nose_m)
    offsets["head"] = offsets["nose"] + head.apply(body.head_m)
    for side, sign in SIDES.items():
        offsets[f"{side}_hip"] = pelvis_turn.apply([0.0, sign * body.hip_half_width_m, 0.0])
        parts = np.cumsum(_arm(body, posture, chest, side), axis=0) + offsets["thorax"]
        for joint, part in zip(("shoulder", "elbow", "wrist"), parts, strict=True):
            offsets[f"{side}_{joint}"] = part

    pelvis = leg * np.stack([posture["x"], posture["y"], posture["z"]], axis=-1)
    pelvis[:, 2] += body.ankle_height_m
    level = pelvis * [1, 1, 0]
    hips = {side: level + offsets[f"{side}_hip"] for side in SIDES}
    highest = _highest_pelvis(body, hips, posture)
    softness = 0.002 * leg
    pelvis[:, 2] = -softness * np.logaddexp(-pelvis[:, 2] / softness, -highest / softness)

    for _ in range(2):  # the second iteration raises the pelvis if a part is below the floor
        joints: dict[str, Array] = {name: pelvis + offset for name, offset in offsets.items()}
        for side, sign in SIDES.items():
            out = sign * np.deg2rad(posture[f"{side}_knee_out"])
            # forward from the pelvis and slightly up, for a leg that is raised straight forward
            pole = pelvis_turn.apply(np.stack([np.cos(out), np.sin(out), 0 * out + 0.3], axis=-1))
            joints[f"{side}_knee"], joints[f"{side}_ankle"] = two_bone(
                joints[f"{side}_hip"],
                _ankle(body, posture, side),
                pole,
                body.thigh_m,
                body.shin_m,
            )
        sunk = np.max(
            [body.stature_m * rest - joints[joint][:, 2] for joint, rest in _CLEARANCE.items()],
            axis=0,
        )
        if sunk.max() <= 0:
            break
        lift = maximum_filter1d(np.maximum(sunk, 0), size=7, mode="nearest")
        pelvis[:, 2] += gaussian_filter1d(lift, sigma=3, mode="nearest")
    return np.stack([joints[joint] for joint in H36M17.joints], axis=1)
