"""A jointed human body: sampled sizes, joint limits, and from joint angles to 17 joint positions.

A posture is a dict of channels, each (T,) over the frames. World axes are x forward, y left, z up.
Angles are degrees, lengths are leg lengths (thigh plus shin), so that one posture suits every body:

    x, y, z                   pelvis; z = 1 stands on straight legs
    yaw, pitch, roll          pelvis; positive to the left, forward, onto the right side
    bend, side, twist         chest relative to the pelvis; positive forward, right, left
    nod, tilt, turn           head relative to the chest; likewise
    {left,right}_arm_fwd      upper arm's swing from hanging, as a rotation vector: 90 is level in
    {left,right}_arm_out      front, 90 is level at the side, (170, 0) is overhead
    {left,right}_arm_twist    outward rotation about the upper arm
    {left,right}_elbow        flexion
    {left,right}_foot_x       the flat foot's ankle: forward, outward from the middle line,
    {left,right}_foot_out     above its height when the sole is on the floor
    {left,right}_foot_lift
    {left,right}_toe_out      the foot's heading, outward
    {left,right}_heel         lift of the heel: the foot turns about its ball, which stays
    {left,right}_knee_out     how far the knee points outward from the pelvis' forward
    {left,right}_free         0 where the foot carries weight, 1 where it is in the air

Legs follow from pelvis and feet by two-bone inverse kinematics, all else by forward kinematics.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.spatial.transform import Rotation

from actionpose.skeletons import H36M17
from actionpose.utils.typing import Array

Posture = Mapping[str, Array]

SIDES = {"left": 1.0, "right": -1.0}  # the sign of y on that side

# (lowest, highest) angle, after Norkin and White, "Measurement of Joint Motion"; the knee and elbow
# keep off straight, where the plane they bend in is undefined
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
MAX_ARM_DEG = 178.0  # the whole swing of the upper arm, whatever its direction
KNEE_DEG = (3.0, 155.0)

# Where a joint's center rests when the body part lies on the floor, as a fraction of stature.
_CLEARANCE = {
    **dict.fromkeys(("pelvis", "left_hip", "right_hip", "spine", "thorax"), 0.055),
    **dict.fromkeys(("nose", "head", "left_shoulder", "right_shoulder"), 0.05),
    **dict.fromkeys(("left_knee", "right_knee"), 0.03),
    **dict.fromkeys(("left_elbow", "right_elbow", "left_wrist", "right_wrist"), 0.022),
}


@dataclass(frozen=True)
class Body:
    """Lengths in meters. Offsets are (forward, left, up) in the frame of the part they start on."""

    stature_m: float
    thigh_m: float
    shin_m: float
    hip_half_width_m: float
    ankle_height_m: float
    ball_m: float  # from the ankle forward to where the foot rolls off, by the ball and the toes
    spine_m: Array  # from the pelvis
    thorax_m: Array  # from the spine
    nose_m: Array  # from the thorax
    head_m: Array  # from the nose
    shoulder_m: Array  # from the thorax to the left one
    upper_arm_m: float
    forearm_m: float

    @property
    def leg_m(self) -> float:
        return self.thigh_m + self.shin_m


def sample_body(rng: np.random.Generator) -> Body:
    """A random adult or adolescent of 1.45 to 2.0 m.

    Means are segment lengths over stature (Drillis and Contini 1966), the torso and head as
    Human3.6M-like joint sets place their joints. Where such sets disagree on a joint (the width of
    the hips and shoulders, the height of the neck), the spread covers them.
    """
    stature = float(np.clip(rng.normal(1.70, 0.11), 1.45, 2.0))

    def length(fraction: float, spread: float) -> float:
        factor = float(np.clip(rng.normal(1, spread), 1 - 2 * spread, 1 + 2 * spread))
        return stature * fraction * factor

    limbs = float(rng.normal(1, 0.025))  # long limbs go together
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
    """The posture with every angle inside its joint's limits."""
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
    """Middle and end of a two-bone limb that reaches for a target.

    Args:
        root, target: (T, 3). A target out of reach is replaced by one within reach in the same
            direction, gradually, because a limb that snaps straight does so at any speed.
        pole: (T, 3) direction into which the middle joint points.
        upper, lower: bone lengths.

    Returns:
        (T, 3) middle joint, (T, 3) end joint.
    """
    bend = np.deg2rad(KNEE_DEG)
    farthest, nearest = np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(bend))
    reach = target - root
    wanted = np.linalg.norm(reach, axis=-1, keepdims=True)
    axis = reach / np.maximum(wanted, 1e-9)
    slack = 0.004 * farthest
    beyond = np.maximum(wanted - (farthest - slack), 0)
    distance = np.maximum(wanted - beyond + slack * -np.expm1(-beyond / slack), nearest)
    # the law of cosines: the middle joint's foot on the axis, and its height over it
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    height = np.sqrt(np.maximum(upper**2 - along**2, 0))
    pole = pole - axis * (pole * axis).sum(-1, keepdims=True)
    pole = pole / np.maximum(np.linalg.norm(pole, axis=-1, keepdims=True), 1e-9)
    return root + along * axis + height * pole, root + distance * axis


def _ankle(body: Body, posture: Posture, side: str) -> Array:
    """(T, 3) meters: the ankle, on a foot that turns about its ball by the heel's lift."""
    sign, leg = SIDES[side], body.leg_m
    heading = sign * np.deg2rad(posture[f"{side}_toe_out"])
    heel = np.deg2rad(posture[f"{side}_heel"])
    height = 0.8 * body.ankle_height_m  # of the ankle over the ball
    # how a turn by the heel's angle moves the ankle; toes up, the foot turns about the heel instead
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
    """Turn about z, then forward about y, then sideways about x, of the frame that turns along."""
    angles = np.stack([posture[channel] for channel in channels], axis=-1)
    return Rotation.from_euler("ZYX", factor * angles, degrees=True)


def _arm(body: Body, posture: Posture, chest: Rotation, side: str) -> tuple[Array, Array, Array]:
    """Shoulder relative to the thorax, elbow to the shoulder, wrist to the elbow: (T, 3) each."""
    sign = SIDES[side]
    forward, out = posture[f"{side}_arm_fwd"], posture[f"{side}_arm_out"]
    zero = np.zeros_like(forward)
    # the shoulder blade goes along: up when the arm is raised, forward when it reaches forward
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
    """(T,) meters: how high the pelvis may be for both loaded feet to stay on the floor."""
    heights = []
    leg = body.leg_m
    for side, hip in hips.items():
        reach = _ankle(body, posture, side) - hip
        straight = 0.9985 * leg
        over = np.sqrt(np.maximum(straight**2 - (reach[:, :2] ** 2).sum(-1), 1e-4))
        # a foot in the air sets no limit; its weight comes and goes smoothly
        heights.append(reach[:, 2] + over + 0.4 * leg * posture[f"{side}_free"])
    softness = 0.002 * leg
    return -softness * np.logaddexp(-heights[0] / softness, -heights[1] / softness)


def pose_body(body: Body, posture: Posture) -> Array:
    """Positions of the joints of a posture: (T, 17, 3) meters, world, z up, floor at z = 0.

    The pelvis comes lower where the legs could not reach their feet, and higher where a part of
    the body would sink into the floor; feet that carry weight stay exactly where they are.
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

    for _ in range(2):  # the second round raises the pelvis out of the floor, if that is needed
        joints: dict[str, Array] = {name: pelvis + offset for name, offset in offsets.items()}
        for side, sign in SIDES.items():
            out = sign * np.deg2rad(posture[f"{side}_knee_out"])
            # forward of the pelvis, and a little up, for a leg that is raised straight forward
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
