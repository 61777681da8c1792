"""Contacts of feet with the ground.

Their detection assumes a static camera and a flat floor. The position of a foot is that of its toe
base, which does not move while the heel rises, at 1.5 % of the body height above the floor. With 17
joints, it is that of the ankle, at 3.9 % of the body height (Drillis and Contini 1966).

Letters in shapes: P persons, T frames, J joints.
"""

import warnings

import numpy as np

from actionpose.geometry.stature import ANKLE_HEIGHT
from actionpose.postprocessing.bone_lengths import bone_lengths
from actionpose.postprocessing.common import (
    has_path,
    positions,
    processed,
    require_h36m17,
    valid_frames,
)
from actionpose.postprocessing.foot_axes import TOE_BASE_HEIGHT
from actionpose.postprocessing.smoothing import butterworth
from actionpose.result import Result
from actionpose.skeletons import H36M17, H36M17_FEET
from actionpose.utils.errors import UserError, UserNotice
from actionpose.utils.resampling import frame_rate, true_runs
from actionpose.utils.typing import Array, BoolArray

FEET = ("left", "right")
ANKLES = H36M17.indices("left_ankle", "right_ankle")
TOE_BASES = H36M17_FEET.indices("left_toe_base", "right_toe_base")

# A foot is in contact if it is slower than this and not much higher than the other foot, for a
# minimum duration: at the top of a jump, a foot is as slow for 0.07 s.
CONTACT_M_PER_S = 0.4
_ABOVE_OTHER_M = 0.15
_SHORTEST_S = 0.12
_SPEED_CUTOFF_HZ = 5.0  # speeds are computed from smoothed feet, because monocular depth is noisy


def chain_m(joints_m: Array, *joints: str) -> float:
    """The total length of the bones between joints of a person (T, J, 3) and their parents."""
    return float(bone_lengths(joints_m)[H36M17.indices(*joints)].sum())


def standing_joints(joints_m: Array) -> list[int]:
    """The left and right joint that represents the position of a foot, for (..., J, 3)."""
    return TOE_BASES if joints_m.shape[-2] == len(H36M17_FEET) else ANKLES


def foot_height_m(joints_m: Array) -> float:
    """Height above the floor of the joint of a standing foot, for a person (T, J, 3)."""
    legs, trunk = ("left_knee", "left_ankle"), ("spine", "thorax", "nose", "head")
    stature_m = chain_m(joints_m, *legs, *trunk) / (1 - ANKLE_HEIGHT)
    return stature_m * (TOE_BASE_HEIGHT if standing_joints(joints_m) is TOE_BASES else ANKLE_HEIGHT)


def foot_contact_mask(result: Result) -> BoolArray:
    """Detect which feet are in contact with the ground.

    Returns:
        (P, T, 2) True where the left and right foot are in contact with the ground.

    Raises:
        UserError: If the trajectory of the root is unknown, or the skeleton is neither h36m17 nor
            h36m17_feet.
    """
    require_h36m17(result, "foot contacts")
    if not has_path(result):
        raise UserError("foot contacts need the path of the root: give fov_deg or focal_px as well")
    joints = positions(result)
    feet = joints[:, :, standing_joints(joints)]  # (P, T, 2, 3)
    stands = np.zeros(feet.shape[:3], dtype=bool)
    for person, valid in enumerate(valid_frames(result) & np.isfinite(feet).all(axis=(2, 3))):
        for run in true_runs(valid):
            time_s = result.time_s[run]
            if len(time_s) < 3 or (np.diff(time_s) <= 0).any():
                continue
            cutoff_hz = min(_SPEED_CUTOFF_HZ, 0.35 * frame_rate(time_s))
            smoothed = butterworth(feet[person, run], time_s, cutoff_hz)
            speed = np.linalg.norm(np.gradient(smoothed, time_s, axis=0), axis=-1)
            lower = smoothed[..., 1].min(axis=1, keepdims=True)
            is_low = smoothed[..., 1] < lower + _ABOVE_OTHER_M
            stands[person, run] = (speed < CONTACT_M_PER_S) & is_low
    for person, foot, run in contacts(stands):
        if result.time_s[run.stop - 1] - result.time_s[run.start] < _SHORTEST_S:
            stands[person, run, foot] = False
    return stands


def contacts(stands: BoolArray) -> list[tuple[int, int, slice]]:
    """Person, foot and frames of each contact of a mask (P, T, 2)."""
    return [
        (person, foot, run)
        for person, foot in np.ndindex(len(stands), 2)
        for run in true_runs(stands[person, :, foot])
    ]


def some_stand(stands: BoolArray) -> bool:
    """Whether a mask (P, T, 2) contains contacts. Issues a `UserNotice` if there are none."""
    if stands.any():
        return True
    text = "no foot stands in any frame: there is no contact with the ground, nothing is changed"
    warnings.warn(UserNotice(text), stacklevel=3)
    return False


def with_contacts(result: Result, stands: BoolArray) -> Result:
    """Add the contacts of a mask (P, T, 2) to the header of a result."""
    found = [
        {
            "person": person,
            "foot": FEET[foot],
            "start_s": round(float(result.time_s[run.start]), 6),
            "stop_s": round(float(result.time_s[run.stop - 1]), 6),
        }
        for person, foot, run in contacts(stands)
    ]
    facts = {"slower_than_m_per_s": CONTACT_M_PER_S}
    return processed(result, "foot contacts", facts, foot_contacts=found)
