"""Foot locking: keep standing feet in place. Letters in shapes as in `ground_contact`."""

import numpy as np

from actionpose.geometry.axes import Axes
from actionpose.postprocessing.common import positions, processed, steps, valid_frames
from actionpose.postprocessing.ground_contact import (
    FEET,
    TOE_BASES,
    foot_contact_mask,
    foot_height_m,
    some_stand,
    standing_joints,
    with_contacts,
)
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.resampling import interpolate, true_runs
from actionpose.utils.typing import Array, BoolArray

_RAMP_S = 0.15  # duration of the transition to and from a locked foot


def lock_feet(result: Result) -> Result:
    """Keep standing feet in place.

    First, the root is moved so that standing feet stay at the middle of their contact. If both
    feet stand, the remaining difference is resolved by bending the knees, with fixed hips, ankles
    and bone lengths. The header records the sliding speed of standing feet before and after. If
    there are no foot contacts, there is a `UserNotice`, and the result is unchanged.

    Args:
        result: Result with a trajectory of the root.

    Returns:
        A new result with locked feet.

    Raises:
        UserError: See `foot_contact_mask`.
    """
    stands = foot_contact_mask(result)
    if not some_stand(stands):
        return result
    if "foot_contacts" not in result.header:
        result = with_contacts(result, stands)
    joints, valid = positions(result), valid_frames(result)
    before = _slide_m_per_s(joints, stands, result.time_s)
    for person in np.flatnonzero(stands.any(axis=(1, 2))):
        on_floor = "floor" in steps(result)
        height_m = foot_height_m(joints[person, valid[person]]) if on_floor else None
        joints[person] = _locked(joints[person], stands[person], result.time_s, height_m)
    to_y_up = result.header["axes"].rotation_to(Axes.Y_UP)
    root = joints[:, :, 0]  # pelvis
    root = np.where(np.isfinite(root), root, np.asarray(result.root_m) @ to_y_up.T)
    pose = np.where(np.isfinite(joints), joints - root[:, :, None], np.nan)
    facts = {
        "slide_before_mm_per_s": round(1000 * before, 1),
        "slide_after_mm_per_s": round(1000 * _slide_m_per_s(joints, stands, result.time_s), 1),
    }
    pose_m, root_m = pose @ to_y_up, root @ to_y_up
    return processed(result, "lock feet", facts, pose_m=pose_m, root_m=root_m)


def _slide_m_per_s(joints: Array, stands: BoolArray, time_s: Array) -> float:
    """Mean speed of standing feet; 0 if there are none."""
    step_s = np.maximum(np.diff(time_s), 1e-6)[:, None]
    speed = np.linalg.norm(np.diff(joints[:, :, standing_joints(joints)], axis=1), axis=-1) / step_s
    both = stands[:, 1:] & stands[:, :-1]
    return float(speed[both].mean()) if both.any() else 0.0


def _locked(joints: Array, stands: BoolArray, time_s: Array, height_m: float | None) -> Array:
    """Lock the standing feet (T, 2) of one person (T, J, 3), y up."""
    moves = np.zeros((len(joints), 2, 3))  # displacement of each foot
    feet = standing_joints(joints)
    for foot in range(2):
        for run in true_runs(stands[:, foot]):
            target = np.median(joints[run, feet[foot]], axis=0)
            if height_m is not None:
                target[1] = height_m
            moves[run, foot] = target - joints[run, feet[foot]]
    frames = stands.any(axis=1)
    weight = stands[frames] / stands[frames].sum(axis=1, keepdims=True)
    shift = (weight[..., None] * moves[frames]).sum(axis=1)
    shift = interpolate(shift, time_s[frames], time_s)
    joints = joints + shift[:, None]
    for foot, name in enumerate(FEET):
        remaining = np.where(stands[:, [foot]], moves[:, foot] - shift, 0)
        hip, knee, ankle = H36M17.indices(f"{name}_hip", f"{name}_knee", f"{name}_ankle")
        target = joints[:, ankle] + _ramped(remaining, stands[:, foot], time_s)
        new_knee, new_ankle = _two_bones(joints[:, hip], joints[:, knee], joints[:, ankle], target)
        if feet is TOE_BASES:  # toe base and toe move with the ankle
            joints[:, feet[foot] : feet[foot] + 2] += (new_ankle - joints[:, ankle])[:, None]
        joints[:, knee], joints[:, ankle] = new_knee, new_ankle
    return joints


def _ramped(offsets: Array, stands: BoolArray, time_s: Array) -> Array:
    """Offsets (T, 3) of frames with contact, with linear transitions to 0 before and after."""
    ramped = np.zeros_like(offsets)
    weights = np.zeros(len(offsets))
    for run in true_runs(stands):
        before, after = slice(0, run.start), slice(run.stop, None)
        for edge, frames in ((run.start, before), (run.stop - 1, after)):
            weight = np.clip(1 - np.abs(time_s[frames] - time_s[edge]) / _RAMP_S, 0, 1)
            ramped[frames] += weight[:, None] * offsets[edge]
            weights[frames] += weight
    ramped /= np.maximum(weights, 1)[:, None]  # where the transitions of two contacts overlap
    ramped[stands] = offsets[stands]
    return ramped


def _two_bones(hip: Array, knee: Array, ankle: Array, target: Array) -> tuple[Array, Array]:
    """Knees and ankles (T, 3) with the ankle at the target, or as close as the leg permits."""

    def length(vectors: Array) -> Array:
        return np.linalg.norm(vectors, axis=-1, keepdims=True)

    # bones have zero length in frames without a pose
    thigh, shank = (np.maximum(length(bone), 1e-6) for bone in (knee - hip, ankle - knee))
    reach = target - hip
    along = reach / np.maximum(length(reach), 1e-9)
    straight = np.clip(length(reach), np.abs(thigh - shank) + 1e-6, thigh + shank)
    bend = (knee - hip) - ((knee - hip) * along).sum(axis=-1, keepdims=True) * along
    bend = bend / np.maximum(length(bend), 1e-9)  # the knee remains in its plane
    forward = (thigh**2 - shank**2 + straight**2) / (2 * straight)
    sideways = np.sqrt(np.maximum(thigh**2 - forward**2, 0))
    moved = length(target - ankle) > 1e-9
    new_knee = hip + forward * along + sideways * bend
    return np.where(moved, new_knee, knee), np.where(moved, hip + straight * along, ankle)
