"""Procedural human motion with labels: 17 joints, any amount, under no licence but ours.

Three kinds of movement make an action's motions, each a table here: `Keyed` plays key poses by name,
`Gait` steps along a path, `Gesture` moves the arms freely. Whoever adds an action adds rows. Speed,
amplitude, side, posture, body and a slow noise on every joint are drawn anew for each motion.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from actionpose.errors import UserError
from actionpose.synthetic_body import SIDES, Array, Body, pose_body, sample_body

NUM_SUBJECTS = 1000
_SUBJECT_SEED = 17  # a subject's number alone decides the body


@dataclass(frozen=True)
class Motion:
    joints_m: NDArray[np.float32]  # (T, 17, 3) metres, world, z up, floor at z = 0
    text: str
    action: str
    subject: str


@dataclass(frozen=True)
class Keyed:
    """Key poses one after another. Of one side: written for the left, mirrored for the right."""

    text: str  # {side} is the side that moves, {other} the other one
    # "pose:seconds from the pose before" each, with "(...)" around what is repeated; the first one
    # follows on the rest pose, unless its 0 seconds say that it is where the motion begins
    keys: str
    cycles: tuple[int, int] = (1, 1)  # how often the repeated part is played
    amplitude: tuple[float, float] = (0.85, 1.1)  # of the way from the rest pose to a key pose
    tempo: tuple[float, float] = (0.75, 1.3)
    rest: str = "stand"


@dataclass(frozen=True)
class Gait:
    """Steps along a path. Speeds are ranges, in m/s and degrees/s; {side} is left for positive."""

    text: str
    speed: tuple[float, float] = (0.0, 0.0)  # forward
    sideways: tuple[float, float] = (0.0, 0.0)
    turn: tuple[float, float] = (-4.0, 4.0)
    strides_hz: tuple[float, float] | None = None  # None: from the speed, as people walk
    duty: float = 0.62  # the share of a stride for which a foot is on the floor
    lift: float = 0.09  # of the foot in the air, leg lengths
    heel: float = 60.0  # when the toes leave the floor, degrees
    height: float = 0.955  # of the pelvis, leg lengths
    bob: float = 0.018  # of the pelvis, leg lengths; positive is highest over the foot
    pitch: float = 3.0
    bend: float = 3.0
    arm_swing: float = 20.0
    elbow: float = 22.0
    in_place: bool = False  # steps even if it gets nowhere
    arms: "Gesture | None" = None  # what the arms and the trunk do instead of swinging
    ramp: float = 0.35  # chance of starting, and of ending, at rest


@dataclass(frozen=True)
class Gesture:
    """The arms go from one random posture to the next, the trunk goes along."""

    text: str
    low: tuple[float, float, float, float] = (10, 0, -40, 40)  # arm_fwd, arm_out, arm_twist, elbow
    high: tuple[float, float, float, float] = (65, 40, 30, 115)
    seconds: tuple[float, float] = (0.35, 1.0)  # from one posture to the next
    trunk_deg: float = 6.0
    moving: float = 0.75  # chance of an arm to move on, rather than hold
    rest: str = "stand"
    step: float = 0.0  # chance of the feet to step, too
    sink: float = 0.01  # how far the pelvis comes down, leg lengths


Pose = dict[str, float | tuple[float, ...]]

_ARM = ("arm_fwd", "arm_out", "arm_twist", "elbow")
_FOOT = ("foot_x", "foot_lift", "heel")
# Fields that are not channels: {left,right}_arm is the tuple _ARM, arms both of them;
# {left,right}_foot is _FOOT, feet both; wide moves both feet outward; advance moves all on forward.
_REST: Pose = dict.fromkeys(
    ("x", "y", "z", "yaw", "pitch", "roll", "bend", "side", "twist", "nod", "tilt", "turn"), 0.0
) | {
    "z": 0.978,
    "arms": (-2.0, 9.0, -8.0, 25.0),
    "feet": (0.0, 0.0, 0.0),
    "wide": 0.0,
    **{
        f"{side}_{part}": value
        for side in SIDES
        for part, value in {"toe_out": 8.0, "knee_out": 6.0, "free": 0.0}.items()
    },
}
_FOOT_OUT = 0.12  # of a standing foot

_SIT: Pose = {"x": -0.42, "z": 0.50, "pitch": -8, "bend": 10, "arms": (28, 8, -20, 60)}
_SUPINE: Pose = {"x": -0.62, "z": 0.01, "pitch": -88, "bend": 2, "nod": 5, "arms": (0, 22, 0, 15)}
_FLOOR: Pose = {"x": -0.50, "z": 0.02, "pitch": -15, "bend": 30, "feet": (0.1, 0, 0)}
_KNEEL: Pose = {"x": 0.0, "z": 0.50, "pitch": 2, "feet": (-0.48, 0, 0)}
_HALF: Pose = {"x": 0.0, "z": 0.53, "left_foot": (0.46, 0, 0), "right_foot": (-0.42, 0, 60)}
_CROUCH: Pose = {"z": 0.72, "x": -0.08, "pitch": 30, "bend": 15, "nod": -15}
_AIR: Pose = {"z": 1.25, "feet": (0, 0.17, 25), "bend": 2}
_LAND: Pose = {"z": 1.0, "feet": (0, 0.0, 25), "pitch": 8}
_SQUAT: Pose = {"z": 0.36, "x": -0.14, "pitch": 32, "bend": 18, "nod": -22, "wide": 0.06}
_KNEES = {"left_knee_out": 22.0, "right_knee_out": 22.0}
_GUARD: Pose = {"z": 0.95, "arms": (45, 5, -15, 125), "bend": 8, "left_foot": (0.2, 0, 0)}
_GUARD |= {"right_foot": (-0.15, 0, 0), "twist": -15, "turn": 10}

POSES: dict[str, Pose] = {
    "stand": {},
    "wave_in": {"left_arm": (25, 78, 78, 112), "turn": 4},
    "wave_out": {"left_arm": (20, 82, 84, 55), "turn": 4, "side": -3},
    "wave_high_in": {"left_arm": (80, 110, 40, 62), "side": 4},
    "wave_high_out": {"left_arm": (45, 145, 40, 18), "side": -3},
    "wave_both_in": {"arms": (70, 110, 40, 62)},
    "wave_both_out": {"arms": (40, 140, 40, 18)},
    "clap_open": {"arms": (52, 24, -10, 72)},
    "clap_shut": {"arms": (52, -10, -28, 72)},
    "clap_high_open": {"arms": (140, 50, 0, 25)},
    "clap_high_shut": {"arms": (164, 14, -20, 22)},
    "sit_lean": {
        "x": -0.28,
        "z": 0.72,
        "pitch": 28,
        "bend": 22,
        "nod": -12,
        "arms": (38, 6, -10, 40),
    },
    "sit": _SIT,
    "squat": {**_SQUAT, **_KNEES, "arms": (85, 8, -10, 12)},
    "squat_crossed": {**_SQUAT, **_KNEES, "arms": (70, -18, -60, 112)},
    "squat_wide": {"wide": 0.06, "arms": (20, 10, -10, 20)},
    "kick_ready": {"z": 0.95, "right_arm": (40, 15, -20, 90), "left_arm": (30, 15, -20, 90)},
    "kick_load": {
        "left_foot": (-0.42, 0.24, 40),
        "pitch": 8,
        "arms": (25, 22, -10, 75),
        "y": -0.05,
    },
    "kick_chamber": {
        **{"left_foot": (0.22, 0.52, 15), "y": -0.08, "arms": (35, 18, -20, 95), "pitch": -4},
    },
    "kick_front": {
        **{"left_foot": (0.84, 0.84, 10), "y": -0.08, "x": 0.04, "z": 0.97, "pitch": -16},
        **{"bend": 14, "left_arm": (-25, 20, 0, 70), "right_arm": (50, 15, -20, 90), "twist": 12},
    },
    "kick_ball": {
        **{"left_foot": (0.55, 0.24, 5), "y": -0.06, "pitch": -6, "bend": 12, "twist": 14},
        **{"left_arm": (-35, 25, 0, 30), "right_arm": (45, 35, 0, 35)},
    },
    "kick_side": {
        **{"left_foot": (0.05, 0.62, 5), "left_foot_out": 0.85, "y": -0.10, "roll": 16, "side": 12},
        **{"arms": (35, 25, -20, 95), "left_knee_out": 40},
    },
    "guard": _GUARD,
    "punch": {**_GUARD, "right_arm": (92, -8, -40, 8), "twist": 32, "turn": -20, "x": 0.06},
    "jab": {**_GUARD, "left_arm": (92, -2, -40, 8), "twist": -34, "turn": 25, "x": 0.05},
    "uppercut": {**_GUARD, "right_arm": (80, -12, 5, 95), "twist": 35, "turn": -20, "z": 0.97},
    "dip": {**_GUARD, "z": 0.86, "side": 14, "twist": -28},
    "crouch": {**_CROUCH, "arms": (-38, 12, 0, 20)},
    "takeoff": {"z": 1.06, "feet": (0, 0, 55), "arms": (55, 18, 0, 35)},
    "air": {**_AIR, "arms": (125, 25, 0, 30)},
    "land": {**_LAND, "arms": (70, 30, 0, 40)},
    "absorb": {**_CROUCH, "arms": (30, 20, 0, 40)},
    "leap_takeoff": {"z": 1.0, "x": 0.18, "feet": (0, 0, 62), "arms": (45, 18, 0, 35), "pitch": 16},
    "leap_air": {**_AIR, "z": 1.16, "advance": 0.36, "arms": (95, 25, 0, 40), "pitch": 14},
    "leap_land": {**_CROUCH, "z": 0.86, "x": -0.18, "advance": 0.40, "arms": (50, 25, 0, 40)},
    "hop_load": {"z": 0.88, "pitch": 10, "bend": 8, "arms": (15, 15, -15, 70)},
    "hop_takeoff": {"z": 1.02, "x": 0.04, "feet": (0, 0, 45), "arms": (35, 20, -15, 75)},
    "hop_air": {"z": 1.12, "feet": (0, 0.12, 25), "advance": 0.12, "arms": (45, 25, -15, 75)},
    "hop_land": {**_LAND, "z": 0.93, "advance": 0.12, "arms": (30, 20, -15, 75)},
    "bow": {"pitch": 30, "bend": 36, "nod": 14, "x": -0.10, "arms": (14, 4, -10, 12)},
    "bow_hands": {"pitch": 20, "bend": 30, "nod": 18, "x": -0.06, "arms": (42, -14, -35, 100)},
    "reach_up": {
        **{"left_arm": (166, 10, 0, 8), "nod": -22, "side": 8, "left_heel": 12, "right_heel": 12},
        **{"z": 1.03, "right_arm": (4, 14, -8, 22)},
    },
    "reach_up_both": {
        "arms": (168, 10, 0, 10),
        "nod": -24,
        "z": 1.05,
        "feet": (0, 0, 18),
        "bend": -8,
    },
    "reach_out": {"left_arm": (88, 6, -10, 8), "bend": 10, "twist": -22, "pitch": 6, "turn": 15},
    "reach_side": {"left_arm": (15, 88, 0, 8), "side": -12, "turn": 35, "y": 0.03},
    "pick_stoop": {
        **{"z": 0.80, "x": -0.16, "pitch": 58, "bend": 48, "nod": -10},
        **{"left_arm": (105, 4, -5, 10), "right_arm": (60, 12, -10, 25)},
    },
    "pick_squat": {
        **{"z": 0.44, "x": -0.12, "pitch": 42, "bend": 38, "nod": -18, **_KNEES},
        **{"left_arm": (68, 6, -5, 10), "right_arm": (60, -6, -40, 60), "feet": (0, 0, 20)},
    },
    "hold": {"left_arm": (38, 4, -20, 88)},
    "touch_toes": {
        "z": 0.94,
        "x": -0.15,
        "pitch": 68,
        "bend": 62,
        "nod": 15,
        "arms": (134, 4, 0, 8),
    },
    "lunge": {
        **{"left_foot": (0.66, 0, 0), "right_foot": (-0.20, 0, 55), "x": 0.22, "z": 0.68},
        **{"arms": (8, 12, -10, 60), "pitch": 6},
    },
    "half_kneel": {**_HALF, "arms": (30, 10, -15, 45), "bend": 8},
    "kneel": {**_KNEEL, "arms": (10, 10, -20, 40)},
    "sit_back": {**_SQUAT, **_KNEES, "z": 0.34, "bend": 35, "arms": (35, 20, -10, 30)},
    "floor_sit": {**_FLOOR, "arms": (-35, 14, -5, 12)},
    "floor_knees": {**_FLOOR, "arms": (55, 8, -25, 40)},
    "floor_long": {**_FLOOR, "feet": (0.44, 0, 0), "pitch": -8, "arms": (-25, 14, -5, 12)},
    "half_supine": {**_SUPINE, "x": -0.56, "pitch": -52, "bend": 34, "feet": (0.25, 0, 0)},
    "supine": {**_SUPINE, "feet": (0.32, 0, 0)},
    "supine_knees": {**_SUPINE, "feet": (-0.05, 0, 0), "arms": (10, 35, -10, 60)},
    "all_fours": {
        **{"x": 0.0, "z": 0.50, "pitch": 72, "bend": 12, "nod": -25, "feet": (-0.48, 0, 0)},
        **{"arms": (86, 4, -5, 6)},
    },
    "prone": {
        **{"x": 0.42, "z": 0.02, "pitch": 86, "bend": -4, "nod": -8, "feet": (-0.55, 0, 0)},
        **{"arms": (60, 55, 45, 120)},
    },
    "throw_load": {
        **{"left_arm": (-20, 92, 82, 100), "twist": 38, "turn": -25, "right_arm": (75, 15, 0, 25)},
        **{"x": -0.08, "right_foot": (0.28, 0, 0), "bend": -8},
    },
    "throw_release": {
        **{"left_arm": (105, 25, 40, 25), "twist": -18, "turn": 10, "right_arm": (10, 20, -10, 60)},
        **{"x": 0.14, "right_foot": (0.28, 0, 0), "bend": 14, "left_heel": 30},
    },
    "throw_follow": {
        **{"left_arm": (48, -25, 0, 20), "twist": -38, "turn": 30, "right_arm": (-10, 20, -10, 50)},
        **{"x": 0.18, "right_foot": (0.28, 0, 0), "bend": 28, "pitch": 8, "left_heel": 40},
    },
    "toss_load": {"arms": (50, -4, -30, 110), "z": 0.88, "pitch": 10, "bend": 10},
    "toss": {"arms": (145, 6, -15, 15), "z": 1.03, "feet": (0, 0, 30), "nod": -15},
    "side_bend": {"side": -30, "roll": -5, "y": -0.05, "right_arm": (70, 135, 0, 25), "wide": 0.06},
    "open_chest": {"arms": (20, 95, 30, 12), "bend": -14, "nod": -14},
    "hug_self": {"arms": (72, -28, -45, 75), "bend": 12, "nod": 8},
    "jack_in": {"z": 0.95, "feet": (0, 0, 8), "arms": (0, 10, -5, 15)},
    "jack_mid": {"z": 1.06, "feet": (0, 0.08, 25), "wide": 0.1, "arms": (15, 95, 10, 15)},
    "jack_out": {"z": 0.90, "feet": (0, 0, 8), "wide": 0.22, "arms": (55, 150, 10, 20)},
    "circle_front": {"arms": (88, 8, 0, 8)},
    "circle_up": {"arms": (165, 30, 0, 10)},
    "circle_back": {"arms": (10, 110, 40, 8)},
    "circle_down": {"arms": (-40, 15, 0, 8)},
    "knee_touch": {
        **{
            "left_foot": (0.16, 0.46, 15),
            "y": -0.08,
            "bend": 38,
            "twist": 30,
            "nod": 12,
            "side": 0,
        },
        **{"right_arm": (62, -25, -25, 120), "left_arm": (15, 45, 20, 110), "pitch": 4},
    },
    "hands_head": {"arms": (30, 95, 65, 130)},
    "twist": {"twist": 38, "turn": 22, "arms": (55, 60, -20, 95), "yaw": 10},
    "drink": {"left_arm": (58, 5, -30, 138), "nod": -14},
    "point": {"left_arm": (86, 14, -15, 6), "turn": 10},
    "phone": {"left_arm": (45, 25, -35, 142), "tilt": -8},
    "hips": {"arms": (-18, 44, -50, 88), "wide": 0.03},
    "folded": {"arms": (30, -6, -62, 98), "bend": 4},
    "sit_forward": {**_SIT, "pitch": 12, "bend": 32, "nod": -15, "arms": (48, 4, -30, 75)},
}

_DANCE = Gesture(
    "dance with the arms",
    low=(-25, 0, -60, 8),
    high=(150, 110, 80, 125),
    seconds=(0.35, 0.8),
    trunk_deg=14,
    moving=0.9,
    step=0.5,
    sink=0.06,
)
_FIXED = ((1, 1), (1.0, 1.0))  # once, and all the way: on the floor, poses do not bear scaling

MOVEMENTS: dict[str, tuple[Keyed | Gait | Gesture, ...]] = {
    "walk": (
        Gait("walk forward", speed=(1.0, 1.5)),
        Gait("walk forward slowly", speed=(0.45, 0.85), heel=45, arm_swing=12),
        Gait("walk forward quickly", speed=(1.55, 2.0), duty=0.59, heel=64, arm_swing=32, elbow=40),
        Gait("walk backward", speed=(-0.9, -0.45), heel=30, height=0.94, arm_swing=10),
        Gait("walk and talk with the hands", speed=(0.5, 1.3), turn=(-20, 20), arms=Gesture("")),
        Gait("walk in a circle to the {side}", speed=(0.8, 1.3), turn=(25, 60)),
        Gait(
            "sneak forward",
            **{"speed": (0.35, 0.8), "strides_hz": (0.55, 0.8), "lift": 0.1, "height": 0.88},
            **{"pitch": 14, "bend": 24, "arm_swing": 14, "elbow": 60, "heel": 30},
        ),
    ),
    "march": (
        Gait(
            "march on the spot",
            **{"strides_hz": (0.75, 1.05), "lift": 0.32, "heel": 25, "in_place": True},
            **{"arm_swing": 35, "elbow": 60, "bob": 0.006},
        ),
        Gait("march forward", speed=(0.6, 1.1), lift=0.28, heel=25, arm_swing=38, elbow=45),
    ),
    "run": tuple(
        Gait(
            text,
            **{"speed": speed, "turn": turn, "strides_hz": (1.25, 1.5), "duty": duty, "heel": 55},
            **{"lift": lift, "height": 0.925, "bob": -0.045, "pitch": pitch, "bend": 8},
            **{"arm_swing": 36, "elbow": 92, "in_place": speed == (0, 0), "ramp": 0.2},
        )
        for text, speed, turn, lift, pitch, duty in (
            ("run forward", (2.8, 4.2), (-6, 6), 0.36, 9, 0.28),
            ("jog forward", (1.9, 2.7), (-6, 6), 0.22, 5, 0.35),
            ("jog in a circle to the {side}", (1.6, 2.4), (45, 90), 0.2, 5, 0.35),
            ("run on the spot", (0, 0), (-4, 4), 0.22, 3, 0.4),
        )
    ),
    "sidestep": (
        Gait(
            "step sideways to the {side}",
            **{"sideways": (0.25, 0.5), "strides_hz": (0.8, 1.15), "heel": 12, "height": 0.95},
            **{"arm_swing": 3, "elbow": 45, "bob": 0.008},
        ),
    ),
    "turn": (
        Gait(
            "turn to the {side}",
            **{"turn": (40, 95), "strides_hz": (0.8, 1.2), "heel": 15, "arm_swing": 6, "ramp": 1.0},
        ),
    ),
    "wave": (
        Keyed("wave with the {side} hand", "wave_in:.6 (wave_out:.3 wave_in:.3) stand:.7", (2, 6)),
        Keyed(
            "wave with the {side} hand high in the air",
            *("wave_high_in:.7 (wave_high_out:.35 wave_high_in:.35) stand:.7", (2, 5)),
        ),
        Keyed(
            "wave with both hands",
            *("wave_both_in:.7 (wave_both_out:.35 wave_both_in:.35) stand:.7", (2, 5)),
        ),
    ),
    "clap": (
        Keyed("clap hands", "clap_open:.5 (clap_shut:.16 clap_open:.2) stand:.6", (3, 9)),
        Keyed(
            "clap hands above the head",
            *("clap_high_open:.8 (clap_high_shut:.2 clap_high_open:.25) stand:.8", (3, 7)),
        ),
    ),
    "sit down": (
        Keyed("sit down on a chair", "stand:.3 sit_lean:.7 sit:.7 sit:.6", amplitude=(0.9, 1.1)),
    ),
    "stand up": (
        Keyed(
            "stand up from a chair",
            "sit:0 sit:.4 sit_lean:.6 stand:.8 stand:.4",
            amplitude=(0.9, 1.1),
        ),
    ),
    "sit": (
        Gesture("sit on a chair and talk", rest="sit", trunk_deg=7),
        Keyed("lean forward on a chair", "sit:.3 sit_forward:.9 sit_forward:.6 sit:.9", rest="sit"),
        Gesture(
            "sit still on a chair",
            **{"low": (22, 2, -35, 45), "high": (40, 14, -10, 75), "seconds": (1, 2.5)},
            **{"rest": "sit", "moving": 0.3, "trunk_deg": 4},
        ),
    ),
    "squat": (
        Keyed(
            "squat",
            "squat_wide:.4 (squat:.9 squat:.15 squat_wide:.8) stand:.4",
            (1, 3),
            (0.6, 1.05),
        ),
        Keyed(
            "squat with crossed arms",
            *(
                "squat_wide:.4 (squat_crossed:.9 squat_crossed:.15 squat_wide:.8) stand:.4",
                (1, 3),
                (0.6, 1.05),
            ),
        ),
    ),
    "kick": (
        Keyed(
            "kick to the front with the {side} leg",
            "kick_ready:.4 (kick_chamber:.35 kick_front:.18 kick_chamber:.22 kick_ready:.4)",
            **{"cycles": (1, 3), "amplitude": (0.7, 1.12), "tempo": (0.85, 1.3)},
        ),
        Keyed(
            "kick a ball with the {side} foot",
            "kick_ready:.3 kick_load:.4 kick_ball:.26 kick_ball:.1 stand:.55",
            **{"amplitude": (0.8, 1.1), "tempo": (0.9, 1.3)},
        ),
        Keyed(
            "kick to the side with the {side} leg",
            "kick_ready:.4 (kick_chamber:.4 kick_side:.22 kick_chamber:.3 kick_ready:.4)",
            **{"cycles": (1, 2), "amplitude": (0.75, 1.0), "tempo": (0.85, 1.3)},
        ),
    ),
    "punch": (
        Keyed(
            "punch with the {other} fist", "guard:0 guard:.3 (punch:.2 guard:.32) guard:.2", (2, 5)
        ),
        Keyed("jab with the {side} fist", "guard:0 guard:.3 (jab:.18 guard:.3) guard:.2", (2, 5)),
        Keyed(
            "box with both fists", "guard:0 guard:.3 (jab:.2 guard:.2 punch:.22 guard:.25)", (1, 4)
        ),
        Keyed(
            "uppercut with the {other} fist",
            "guard:0 guard:.3 (dip:.3 uppercut:.22 guard:.35)",
            (1, 3),
        ),
    ),
    "jump": (
        Keyed(
            "jump up",
            "stand:.2 (crouch:.45 takeoff:.22 air:.2 land:.2 absorb:.2 stand:.5)",
            **{"cycles": (1, 2), "tempo": (0.92, 1.12), "amplitude": (0.8, 1.1)},
        ),
        Keyed(
            "jump forward",
            "stand:.2 (crouch:.5 leap_takeoff:.22 leap_air:.18 leap_land:.2 absorb:.2 stand:.5)",
            **{"cycles": (1, 2), "tempo": (0.92, 1.15), "amplitude": (0.8, 1.1)},
        ),
        Keyed(
            "hop on both legs",
            "hop_load:.3 (hop_takeoff:.14 hop_air:.14 hop_land:.14 hop_load:.12) stand:.4",
            **{"cycles": (3, 7), "tempo": (0.92, 1.15)},
        ),
        Keyed(
            "jumping jacks",
            "jack_in:.3 (jack_mid:.2 jack_out:.2 jack_mid:.22 jack_in:.2) stand:.3",
            **{"cycles": (2, 5), "tempo": (0.9, 1.3)},
        ),
    ),
    "bow": (
        Keyed("bow", "stand:.2 bow:.9 bow:.4 stand:.9", amplitude=(0.5, 1.05)),
        Keyed("bow with folded hands", "stand:.2 bow_hands:.9 bow_hands:.4 stand:.9"),
    ),
    "reach": (
        Keyed(
            "reach up high with the {side} hand",
            *("stand:.2 reach_up:.9 reach_up:.4 stand:.9", (1, 1), (0.9, 1.05)),
        ),
        Keyed("reach up with both hands", "stand:.2 reach_up_both:1 reach_up_both:.4 stand:1"),
        Keyed("reach forward with the {side} hand", "stand:.2 reach_out:.8 reach_out:.3 stand:.8"),
        Keyed("reach to the {side}", "stand:.2 reach_side:.8 reach_side:.3 stand:.8"),
    ),
    "pick up": (
        Keyed(
            "bend down and pick something up from the floor with the {side} hand",
            *("stand:.2 pick_stoop:1 pick_stoop:.25 hold:1 hold:.3", (1, 1), (0.85, 1.05)),
        ),
        Keyed(
            "squat down and pick something up from the floor with the {side} hand",
            *("stand:.2 pick_squat:1 pick_squat:.3 hold:1 hold:.3", (1, 1), (0.9, 1.05)),
        ),
        Keyed(
            "bend down and put something on the floor with the {side} hand",
            *("hold:0 hold:.4 pick_stoop:1 pick_stoop:.25 stand:1", (1, 1), (0.85, 1.05)),
        ),
    ),
    "exercise": (
        Keyed("touch the toes", "stand:.2 touch_toes:1.1 touch_toes:.5 stand:1.1"),
        Keyed(
            "lunge forward with the {side} leg",
            *("stand:.2 (lunge:.8 lunge:.3 stand:.8)", (1, 2), (0.85, 1.05)),
        ),
        Keyed(
            "rotate both arms backward",
            *(
                "circle_down:0 (circle_front:.3 circle_up:.3 circle_back:.28 circle_down:.28)",
                (2, 4),
            ),
        ),
        Keyed(
            "rotate both arms forward",
            *(
                "circle_front:0 (circle_down:.28 circle_back:.28 circle_up:.3 circle_front:.3)",
                (2, 4),
            ),
        ),
        Keyed(
            "touch the {side} knee with the {other} elbow",
            *("hands_head:.6 (knee_touch:.5 hands_head:.5)", (1, 3), (0.9, 1.05)),
        ),
        Keyed("twist the trunk to the {side}", "hips:.5 (twist:.7 twist:.2 hips:.7)", (1, 2)),
    ),
    "stretch": (
        Keyed("stretch sideways to the {side}", "stand:.2 side_bend:1 side_bend:.8 stand:1"),
        Keyed(
            "stretch the arms wide", "hug_self:.8 (open_chest:.8 open_chest:.3 hug_self:.8)", (1, 2)
        ),
        Keyed("stretch the arms overhead", "stand:.3 reach_up_both:1.1 reach_up_both:.9 stand:1.1"),
    ),
    "kneel": (
        Keyed(
            "kneel down",
            *("stand:.2 half_kneel:1 kneel:.8 kneel:.5", *_FIXED),
        ),
        Keyed("get up from the knees", "kneel:0 kneel:.4 half_kneel:.8 stand:1 stand:.3", *_FIXED),
        Keyed("kneel on the {other} knee", "stand:.2 half_kneel:1 half_kneel:.6", *_FIXED),
        Gesture("kneel and gesture", rest="kneel"),
    ),
    "lie down": (
        Keyed(
            "lie down on the floor",
            *("stand:.1 sit_back:.9 floor_sit:.7 half_supine:.8 supine:.8 supine:.6", *_FIXED),
        ),
    ),
    "get up": (
        Keyed(
            "get up from the floor",
            *(
                "supine:0 supine:.4 half_supine:.8 floor_sit:.7 sit_back:.8 stand:.9 stand:.3",
                *_FIXED,
            ),
        ),
        Keyed(
            "sit up on the floor",
            "supine:0 supine:.4 half_supine:.8 floor_long:.7 floor_long:.4",
            *_FIXED,
        ),
    ),
    "on the floor": (
        Keyed(
            "lie on the back and bend the knees",
            "supine:0 supine:.4 supine_knees:.9 supine_knees:.4 supine:.9",
            *_FIXED,
        ),
        Gesture("sit on the floor and talk", rest="floor_knees"),
        Keyed("get on all fours", "kneel:0 kneel:.3 all_fours:.9 all_fours:.8 kneel:.9", *_FIXED),
        Keyed("lie down on the stomach", "kneel:0 all_fours:.9 prone:1 prone:.8", *_FIXED),
        Keyed("push up from the stomach", "prone:0 prone:.3 all_fours:1 kneel:.9", *_FIXED),
    ),
    "throw": (
        Keyed(
            "throw with the {side} hand",
            "stand:.3 throw_load:.7 throw_release:.3 throw_follow:.25 throw_follow:.15 stand:.7",
            **{"tempo": (0.9, 1.3)},
        ),
        Keyed("throw a basketball", "stand:.2 toss_load:.6 toss:.3 toss:.25 stand:.7"),
    ),
    "gesture": (
        Keyed("drink from a cup with the {side} hand", "hold:.5 drink:.8 drink:.8 hold:.8"),
        Keyed("point forward with the {side} hand", "stand:.2 point:.6 point:.7 stand:.7"),
        Keyed("hold a phone to the {side} ear", "stand:.3 phone:.8 phone:1.5"),
        Keyed("put the hands on the hips", "stand:.3 hips:.8 hips:1"),
        Keyed("fold the arms", "stand:.3 folded:.8 folded:1"),
    ),
    "talk": (Gesture("stand and talk with the hands", step=0.05),),
    "stand": (
        Gesture(
            "stand still",
            **{"low": (-12, 4, -25, 8), "high": (14, 16, 10, 40), "seconds": (0.8, 2.0)},
            **{"moving": 0.3, "trunk_deg": 4, "step": 0.1},
        ),
    ),
    "dance": (
        Gait(
            "dance around",
            **{"speed": (-0.5, 0.6), "sideways": (-0.3, 0.3), "turn": (-80, 80), "heel": 30},
            **{"strides_hz": (0.8, 1.3), "height": 0.93, "in_place": True, "arms": _DANCE},
        ),
        _DANCE,
    ),
    "free": (
        Gesture(
            "move freely",
            **{"low": (-45, -20, -75, 6), "high": (165, 120, 90, 135), "seconds": (0.5, 1.2)},
            **{"trunk_deg": 24, "step": 0.4, "moving": 0.9, "sink": 0.22},
        ),
    ),
}

ACTIONS: tuple[str, ...] = tuple(MOVEMENTS)
# A data set has more of what real motion has most of, and of what is most varied.
_SCHEDULE = (*ACTIONS, "walk", "run", "dance", "free", "walk", "run", "jump", "dance", "walk")

# Slow random drift of a channel, standard deviation in degrees or leg lengths. A constant offset of
# the same size, the person's posture, comes with it.
_NOISE = {
    **{"x": 0.010, "y": 0.010, "z": 0.005, "pitch": 1.5, "roll": 1.0, "yaw": 1.5},
    **{"bend": 2.5, "side": 1.5, "twist": 2.0, "nod": 4.5, "tilt": 2.5, "turn": 6.0},
    **{"arm_fwd": 3.5, "arm_out": 3.0, "arm_twist": 8.0, "elbow": 5.0},
}
_MIRRORED_SIGN = ("y", "yaw", "roll", "side", "twist", "tilt", "turn")


def _channels(pose: Pose) -> dict[str, float]:
    """The pose's channels, its groups taken apart. A later field wins over an earlier one."""
    flat: dict[str, float] = {}
    for field, value in pose.items():
        if isinstance(value, tuple):
            names = _ARM if "arm" in field else _FOOT
            sides = SIDES if field in ("arms", "feet") else (field.split("_")[0],)
            flat |= {f"{side}_{n}": v for side in sides for n, v in zip(names, value, strict=True)}
        elif field == "wide":
            flat |= {f"{side}_foot_out": _FOOT_OUT + value for side in SIDES}
        else:
            flat[field] = value
    for side in SIDES:
        if flat.get(f"{side}_foot_lift", 0) > 0:
            flat[f"{side}_free"] = 1.0
    return flat


REST = _channels(_REST)


def _mirror(channels: dict[str, float]) -> dict[str, float]:
    other = {"left": "right", "right": "left"}
    mirrored = {}
    for name, value in channels.items():
        side, _, rest = name.partition("_")
        mirrored[f"{other[side]}_{rest}" if side in other else name] = (
            -value if name in _MIRRORED_SIGN else value
        )
    return mirrored


def _ease(share: Array) -> Array:
    """0 to 1, at rest at both ends."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def _interpolate(
    key_times_s: Array, keys: list[dict[str, float]], time_s: Array
) -> dict[str, Array]:
    """Smooth channels through key poses. A foot that has to move between two of them steps."""
    values = np.array([list((REST | key).values()) for key in keys])
    names = list(REST)
    tracks = dict(zip(names, PchipInterpolator(key_times_s, values)(time_s).T, strict=True))
    rate_hz = 1 / (time_s[1] - time_s[0])
    for name in names:
        if not any(part in name for part in ("foot", "toe", "heel", "free")):
            tracks[name] = gaussian_filter1d(tracks[name], 0.05 * rate_hz, mode="nearest")
    segment = np.clip(np.searchsorted(key_times_s, time_s, "right") - 1, 0, len(keys) - 2)
    share = (time_s - key_times_s[segment]) / np.diff(key_times_s)[segment]
    bump = np.sin(np.pi * np.clip(share, 0, 1)) ** 2
    columns = {name: values[:, i] for i, name in enumerate(names)}
    for side in SIDES:
        path = [columns[f"{side}_{part}"] for part in ("foot_x", "foot_out")]
        moved = np.hypot(*np.diff(path, axis=1))
        lifted = columns[f"{side}_foot_lift"]
        step = (moved > 0.01) & (lifted[1:] + lifted[:-1] == 0)
        for name in (f"{side}_foot_x", f"{side}_foot_out"):  # at rest before and after the step
            stepped = columns[name][segment] + _ease(share) * np.diff(columns[name])[segment]
            tracks[name] = np.where(step[segment], stepped, tracks[name])
        tracks[f"{side}_foot_lift"] = tracks[f"{side}_foot_lift"] + 0.05 * (step[segment] * bump)
        tracks[f"{side}_free"] = np.maximum(tracks[f"{side}_free"], step[segment] * bump)
    return tracks


def _play_keyed(
    move: Keyed, mirrored: bool, rng: np.random.Generator, rate_hz: float, duration_s: float | None
) -> dict[str, Array]:
    head, _, rest = move.keys.partition("(")
    loop, _, tail = rest.partition(")")

    def parse(part: str) -> list[tuple[str, float]]:
        return [(name, float(s)) for name, s in (key.split(":") for key in part.split())]

    tempo = rng.uniform(*move.tempo)
    cycles = int(rng.integers(move.cycles[0], move.cycles[1] + 1))
    hold_s = rng.uniform(0.1, 0.5, size=2)
    if duration_s is not None and loop:
        once = tempo * sum(s for _, s in parse(loop))
        spare = duration_s - hold_s.sum() - tempo * sum(s for _, s in parse(head + tail))
        cycles = max(1, round(spare / once))
    script = parse(head) + parse(loop) * cycles + parse(tail)

    amplitude = rng.uniform(*move.amplitude)
    rest_pose = REST | _channels(POSES[move.rest])
    keys, travelled = [], 0.0
    for name, _ in script:
        pose = _channels(POSES[name])
        travelled += amplitude * pose.pop("advance", 0.0)
        full = REST | pose
        key = {c: rest_pose[c] + amplitude * (full[c] - rest_pose[c]) for c in REST}
        for channel in ("x", "left_foot_x", "right_foot_x"):
            key[channel] += travelled
        for side in SIDES:
            key[f"{side}_free"] = full[f"{side}_free"]
        keys.append(_mirror(key) if mirrored else key)
    if script[0][1] == 0:
        script = script[1:]
    else:
        keys.insert(0, rest_pose)
    seconds = np.array([s for _, s in script]) * tempo * rng.uniform(0.85, 1.15, size=len(script))
    if duration_s is not None:
        # what is too long is played faster, within reason, and then cut; the rest is waiting
        seconds *= np.clip((duration_s - 0.1) / seconds.sum(), 0.75, 1.0)
        spare = max(0.0, duration_s - seconds.sum())
        hold_s *= spare / hold_s.sum()
    total = seconds.sum() + hold_s.sum()
    key_times_s = hold_s[0] + np.concatenate([[0], np.cumsum(seconds)])
    key_times_s = np.concatenate([[-1.0], key_times_s, [key_times_s[-1] + hold_s[1] + 1.0]])
    time_s = np.arange(max(2, round((duration_s or total) * rate_hz))) / rate_hz
    return _interpolate(key_times_s, [keys[0], *keys, keys[-1]], time_s)


def _play_gesture(
    move: Gesture, rng: np.random.Generator, rate_hz: float, duration_s: float | None
) -> dict[str, Array]:
    duration_s = duration_s or rng.uniform(2.0, 6.0)
    rest = REST | _channels(POSES[move.rest])
    key_times_s, keys = [-1.0], [rest]
    while key_times_s[-1] < duration_s + 1:
        key_times_s.append(key_times_s[-1] + rng.uniform(*move.seconds))
        key = dict(keys[-1])
        together = rng.random() < 0.3
        arm = rng.uniform(move.low, move.high)
        for side in SIDES:
            if rng.random() < move.moving:
                arm = arm if together else rng.uniform(move.low, move.high)
                key |= {f"{side}_{c}": v for c, v in zip(_ARM, arm, strict=True)}
            # a foot moves only while the other one stands
            if (
                rng.random() < move.step
                and key[f"{_other(side)}_foot_x"] == (keys[-1][f"{_other(side)}_foot_x"])
            ):
                key[f"{side}_foot_x"] = rest[f"{side}_foot_x"] + rng.uniform(-0.16, 0.16)
                key[f"{side}_foot_out"] = rest[f"{side}_foot_out"] + rng.uniform(-0.03, 0.14)
        for channel, share in {
            "bend": 0.8,
            "side": 0.6,
            "twist": 1.0,
            "turn": 1.0,
            "nod": 0.7,
        }.items():
            key[channel] = rest[channel] + share * rng.normal(0, move.trunk_deg)
        key["z"] = rest["z"] - move.sink * abs(rng.normal())
        key["pitch"] = rest["pitch"] + 0.4 * rng.normal(0, move.trunk_deg)
        if move.rest == "stand":
            key["y"] = 0.25 * (key["left_foot_out"] - key["right_foot_out"]) + rng.normal(0, 0.025)
        keys.append(key)
    time_s = np.arange(max(2, round(duration_s * rate_hz))) / rate_hz
    return _interpolate(np.array(key_times_s), keys, time_s)


def _other(side: str) -> str:
    return "right" if side == "left" else "left"


def _play_gait(
    move: Gait,
    mirrored: bool,
    body: Body,
    rng: np.random.Generator,
    rate_hz: float,
    duration_s: float | None,
) -> dict[str, Array]:
    duration_s = duration_s or rng.uniform(2.0, 3.5 if move.ramp == 1 else 6.0)
    leg = body.leg_m
    size = np.sqrt(leg / 0.84)  # of two people with like gaits, the taller is faster (Froude)
    speed, sideways = size * rng.uniform(*move.speed), size * rng.uniform(*move.sideways)
    turn = rng.uniform(*move.turn)
    if mirrored:
        sideways, turn = -sideways, -turn
    if move.strides_hz:
        frequency = rng.uniform(*move.strides_hz) / size
    else:  # a step's length over the steps per minute is 0.0065 m in adults (Sekiya et al. 1996)
        frequency = (
            np.sqrt(60 * max(abs(speed), 0.3) / 0.0065) / 120 / size * rng.uniform(0.92, 1.08)
        )

    # the path, beyond both ends of the motion, because feet are planted ahead of it
    step_s = 0.01
    path_s = np.arange(-2, duration_s + 2, step_s)
    pace = np.ones_like(path_s)
    ramp_s = min(0.9, 0.35 * duration_s)
    if rng.random() < move.ramp:
        pace *= _ease((path_s - 0.1) / ramp_s)
    if rng.random() < move.ramp:
        pace *= _ease((duration_s - 0.1 - path_s) / ramp_s)
    path_yaw = np.cumsum(np.deg2rad(turn) * pace) * step_s
    path_x = np.cumsum(pace * (speed * np.cos(path_yaw) - sideways * np.sin(path_yaw))) * step_s
    path_y = np.cumsum(pace * (speed * np.sin(path_yaw) + sideways * np.cos(path_yaw))) * step_s

    def path(at_s: Array) -> tuple[Array, Array, Array]:
        x, y, yaw = (np.interp(at_s, path_s, track) for track in (path_x, path_y, path_yaw))
        return x / leg, y / leg, yaw

    time_s = np.arange(max(2, round(duration_s * rate_hz))) / rate_hz
    x, y, yaw = path(time_s)
    now = np.interp(time_s, path_s, pace)
    start = rng.random()
    half_width = (0.03 + 0.7 * body.hip_half_width_m) / leg * rng.uniform(0.8, 1.2)
    half_width += 0.5 * abs(sideways) / frequency / leg  # the feet must not meet
    posture = {name: np.full_like(time_s, value) for name, value in REST.items()}
    for side, sign in SIDES.items():
        phase = frequency * time_s + start + (0.5 if side == "right" else 0.0)
        stride = np.floor(phase)
        # planted nearer to the body's place at touch-down: a leg trails farther than it reaches
        plants_s = [(stride + n + 0.37 * move.duty - phase[0]) / frequency for n in (0, 1)]
        plants = []
        for plant_s in plants_s:
            plant_x, plant_y, plant_yaw = path(plant_s)
            plants.append(
                np.stack(
                    [
                        plant_x - sign * half_width * np.sin(plant_yaw),
                        plant_y + sign * half_width * np.cos(plant_yaw),
                        plant_yaw,
                    ]
                )
            )
        swing = np.clip((phase - stride - move.duty) / (1 - move.duty), 0, 1)
        # the foot leaves the floor in motion, and comes to rest on it
        foot = plants[0] + (_ease(swing) + swing * (1 - swing) ** 2) * (plants[1] - plants[0])
        # a short step lifts the foot less, none at all leaves it where it is
        size_of_step = np.abs(plants[1] - plants[0])
        effort = np.clip(np.hypot(*size_of_step[:2]) / 0.3 + size_of_step[2] / 0.5, 0, 1)
        if move.in_place:
            effort = np.ones_like(effort)
        push = np.clip((phase - stride - 0.45 * move.duty) / (0.55 * move.duty), 0, 1) ** 2
        posture[f"{side}_foot_x"] = foot[0]
        posture[f"{side}_foot_out"] = sign * foot[1]
        posture[f"{side}_toe_out"] = sign * np.rad2deg(foot[2]) + REST[f"{side}_toe_out"]
        posture[f"{side}_foot_lift"] = effort * move.lift * np.sin(np.pi * swing**0.7) ** 2
        posture[f"{side}_heel"] = effort * move.heel * push * (1 - _ease(swing / 0.7))
        posture[f"{side}_free"] = effort * np.sin(np.pi * swing)
        arm = now * move.arm_swing * np.cos(2 * np.pi * (phase - 0.04)) * rng.uniform(0.7, 1.3)
        posture[f"{side}_arm_fwd"] = 4 - arm * (1 if speed >= 0 else -1)
        posture[f"{side}_elbow"] = move.elbow * rng.uniform(0.8, 1.2) - 0.35 * arm
    # written for the left foot's stride, which the right one's mirrors
    cycle = 2 * np.pi * (frequency * time_s + start)
    middle = np.cos(cycle - np.pi * move.duty) * now  # 1 in the middle of the left foot's stance
    forward = np.cos(cycle) * now * np.clip(speed, -1.5, 1.5)  # 1 where the left foot is in front
    sway = (0.010 if move.bob < 0 else 0.022) * rng.uniform(0.6, 1.4) * middle
    posture["x"] = x - sway * np.sin(yaw)
    posture["y"] = y + sway * np.cos(yaw)
    posture["z"] += move.height - REST["z"]
    posture["z"] += (
        move.bob * rng.uniform(0.7, 1.3) * now * np.cos(2 * cycle - 2 * np.pi * move.duty)
    )
    hip, chest = rng.uniform(2.5, 5.5), rng.uniform(6, 12)
    posture["yaw"] = np.rad2deg(yaw) - hip * forward
    posture["twist"] += chest * forward
    posture["turn"] += 0.6 * (hip - chest) * forward + 0.2 * turn * now
    posture["roll"] += rng.uniform(2, 5) * middle - 0.004 * turn * speed * now
    posture["side"] -= 0.8 * posture["roll"]
    posture["pitch"] += move.pitch * rng.uniform(0.5, 1.5)
    posture["bend"] += move.bend * rng.uniform(0.5, 1.5)
    posture["nod"] -= 0.5 * (move.pitch + move.bend)
    if move.arms:
        gesture = _play_gesture(move.arms, rng, rate_hz, duration_s)
        posture |= {f"{side}_{part}": gesture[f"{side}_{part}"] for side in SIDES for part in _ARM}
        for name in ("bend", "side", "twist", "nod", "turn"):
            posture[name] = posture[name] + gesture[name] - REST[name]
    return posture


def _add_style(posture: dict[str, Array], rng: np.random.Generator, rate_hz: float) -> None:
    """The person's own posture and restlessness, on all but the feet."""
    frames = len(posture["z"])
    time_s = np.arange(frames)[:, None] / rate_hz
    liveliness = rng.uniform(0.4, 1.6)
    for name in posture:
        scale = _NOISE.get(name.removeprefix("left_").removeprefix("right_"))
        if scale is None:
            continue
        waves = np.sin(2 * np.pi * (rng.uniform(0.1, 1.2, 3) * time_s + rng.random(3)))
        drift = waves @ rng.normal(0, 0.8, 3)
        posture[name] = posture[name] + scale * (liveliness * drift + 1.5 * rng.normal())


def motion(
    action: str,
    rng: np.random.Generator,
    *,
    rate_hz: float = 30.0,
    duration_s: float | None = None,
) -> Motion:
    """A random motion of an action, by a random person, from a random place into a random direction.

    Args:
        action: one of `ACTIONS`.
        rng: where all randomness comes from.
        duration_s: as long as that, to the frame; by default as long as the movement takes, 1.5 to
            6 s mostly. What is much too long for it is cut off at the end.

    Raises:
        UserError: there is no such action.
    """
    if action not in MOVEMENTS:
        raise UserError(f"there is no synthetic action {action!r}; there are {', '.join(ACTIONS)}")
    subject = int(rng.integers(NUM_SUBJECTS))
    body = sample_body(np.random.default_rng([_SUBJECT_SEED, subject]))
    move = MOVEMENTS[action][rng.integers(len(MOVEMENTS[action]))]
    mirrored = bool(rng.integers(2))
    if isinstance(move, Keyed):
        posture = _play_keyed(move, mirrored, rng, rate_hz, duration_s)
    elif isinstance(move, Gait):
        posture = _play_gait(move, mirrored, body, rng, rate_hz, duration_s)
    else:
        posture = _play_gesture(move, rng, rate_hz, duration_s)
    _add_style(posture, rng, rate_hz)
    joints_m = pose_body(body, posture)

    heading = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(heading), np.sin(heading)
    joints_m = joints_m @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    joints_m[..., :2] += rng.uniform(-2, 2, size=2)
    side = "right" if mirrored else "left"
    return Motion(
        joints_m=joints_m.astype(np.float32),
        text=move.text.format(side=side, other=_other(side)),
        action=action,
        subject=f"synthetic_{subject:03d}",
    )


def dataset(num_motions: int, seed: int, rate_hz: float = 30.0) -> Iterator[Motion]:
    """Motions of all actions in turn, common ones more often. Motion i depends on the seed and i only."""
    for i in range(num_motions):
        yield motion(
            _SCHEDULE[i % len(_SCHEDULE)], np.random.default_rng([seed, i]), rate_hz=rate_hz
        )
