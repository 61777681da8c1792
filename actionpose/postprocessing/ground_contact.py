"""Contacts of feet with the ground, the floor's plane, and feet that do not slide.

All of it assumes that the camera does not move and that the floor is flat. A foot is its toe base,
which stays where it is while the heel rises, 1.5 % of the stature above the floor; among 17 joints
it is its ankle, 3.9 % of the stature above it (Drillis and Contini 1966).

Letters in shapes: P persons, T frames, J joints.
"""

import warnings
from typing import Any

import numpy as np

from actionpose.geometry.axes import Axes
from actionpose.geometry.stature import ANKLE_HEIGHT
from actionpose.postprocessing.bone_lengths import bone_lengths
from actionpose.postprocessing.common import (
    positions,
    processed,
    require_h36m17,
    steps,
    valid_frames,
)
from actionpose.postprocessing.foot_axes import TOE_BASE_HEIGHT
from actionpose.postprocessing.smoothing import butterworth
from actionpose.result import Result, RootOrigin
from actionpose.skeletons import H36M17, H36M17_FEET
from actionpose.utils.errors import UserError, UserNotice
from actionpose.utils.resampling import frame_rate, interpolate, true_runs
from actionpose.utils.typing import Array, BoolArray

FEET = ("left", "right")
_ANKLES = H36M17.indices("left_ankle", "right_ankle")
_TOE_BASES = H36M17_FEET.indices("left_toe_base", "right_toe_base")

# A foot stands if it is slower than this and not far above the other one, for long enough:
# at the top of a jump a foot is as slow for 0.07 s.
CONTACT_M_PER_S = 0.4
_ABOVE_OTHER_M = 0.15
_SHORTEST_S = 0.12
_SPEED_CUTOFF_HZ = 5.0  # depth from one camera is noisy: speeds are of smoothed feet

# Who stays at one place leaves the floor's tilt open: steps are weighed against what upright bodies
# say, or, if nobody is ever upright, against a level camera. How well each of them is known:
_POINT_M, _UPRIGHT_RAD, _LEVEL_RAD = 0.03, np.radians(4), np.radians(10)
_STRETCHED = 0.93  # of its length from ankles to thorax is the height of an upright body
_FEWEST_UPRIGHT = 10  # frames
_STRAY_M = 0.15  # a stance so far from the plane of the others is left out
_RAMP_S = 0.15  # a locked foot comes and goes in this time
_APART_M = 1.2  # persons whose places are not known are put side by side


def _chain_m(joints_m: Array, *joints: str) -> float:
    """The summed length of the bones above some joints of a person (T, J, 3)."""
    return float(bone_lengths(joints_m)[H36M17.indices(*joints)].sum())


def _feet(joints_m: Array) -> list[int]:
    """The joints that stand, left and right, of (..., J, 3)."""
    return _TOE_BASES if joints_m.shape[-2] == len(H36M17_FEET) else _ANKLES


def _foot_height_m(joints_m: Array) -> float:
    """Of the joint that stands, above the floor, of a person (T, J, 3)."""
    legs, trunk = ("left_knee", "left_ankle"), ("spine", "thorax", "nose", "head")
    stature_m = _chain_m(joints_m, *legs, *trunk) / (1 - ANKLE_HEIGHT)
    return stature_m * (TOE_BASE_HEIGHT if _feet(joints_m) is _TOE_BASES else ANKLE_HEIGHT)


def foot_contact_mask(result: Result) -> BoolArray:
    """Which feet stand: (P, T, 2), left and right.

    Raises:
        UserError: the path of the root is not known, or the skeleton is not h36m17.
    """
    require_h36m17(result, "foot contacts")
    if result.root_m is None:
        raise UserError("foot contacts need the path of the root: give fov_deg or focal_px as well")
    joints = positions(result)
    feet = joints[:, :, _feet(joints)]  # (P, T, 2, 3)
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
    for person, foot, run in _contacts(stands):
        if result.time_s[run.stop - 1] - result.time_s[run.start] < _SHORTEST_S:
            stands[person, run, foot] = False
    return stands


def _contacts(stands: BoolArray) -> list[tuple[int, int, slice]]:
    """Person, foot and frames of each contact of a mask (P, T, 2)."""
    return [
        (person, foot, run)
        for person, foot in np.ndindex(len(stands), 2)
        for run in true_runs(stands[person, :, foot])
    ]


def detect_foot_contacts(result: Result) -> Result:
    """Write into the header, under `foot_contacts`, when which foot of whom stands.

    If no foot ever stands, there is a `UserNotice`, and the result stays as it is.

    Raises:
        UserError: see `foot_contact_mask`.
    """
    stands = foot_contact_mask(result)
    return _with_contacts(result, stands) if _some_stand(stands) else result


def _some_stand(stands: BoolArray) -> bool:
    if stands.any():
        return True
    text = "no foot stands in any frame: there is no contact with the ground, nothing is changed"
    warnings.warn(UserNotice(text), stacklevel=3)
    return False


def _with_contacts(result: Result, stands: BoolArray) -> Result:
    contacts = [
        {
            "person": person,
            "foot": FEET[foot],
            "start_s": round(float(result.time_s[run.start]), 6),
            "stop_s": round(float(result.time_s[run.stop - 1]), 6),
        }
        for person, foot, run in _contacts(stands)
    ]
    facts = {"slower_than_m_per_s": CONTACT_M_PER_S}
    return processed(result, "foot contacts", facts, foot_contacts=contacts)


def align_to_floor(result: Result) -> Result:
    """Put everybody on the floor: its normal points up, and it is at height 0.

    With a path of the root, the floor is the plane through the ankles of feet that stand, less the
    ankles' height. Where the steps are too near to each other to give its tilt, bodies that are
    stretched out are taken to be upright; where no foot ever stands it goes through the lowest
    ankles. Poses and paths are turned, and the origin is then on the floor below the camera.

    Without a path only heights can be given: in every frame the lower ankle stands on the floor,
    which loses jumps, and persons are put side by side.

    Raises:
        UserError: nobody is visible, or the skeleton is not h36m17.
    """
    require_h36m17(result, "the floor")
    if "floor" in steps(result):
        raise UserError("the result stands on a floor already")
    return _on_lower_ankle(result) if result.root_m is None else _on_plane(result)


def _on_plane(result: Result) -> Result:
    assert result.root_m is not None
    stands = foot_contact_mask(result)
    joints, valid = positions(result), valid_frames(result)
    foot_m = {p: _foot_height_m(joints[p, valid[p]]) for p in range(len(valid)) if valid[p].any()}
    feet = _feet(joints)
    soles = [
        joints[person, run, feet[foot]].mean(axis=0) - [0, foot_m[person], 0]
        for person, foot, run in _contacts(stands)
    ]
    up, spread_rad = _upright(joints, valid)
    facts: dict[str, Any] = {
        "method": "foot contacts",
        "stances": len(soles),
        "tilt_from": "steps and upright bodies" if spread_rad == _UPRIGHT_RAD else "steps",
    }
    if soles:
        turn, height_m, residual_m, used = _plane(np.array(soles), up, spread_rad)
        facts |= {"used": used, "residual_mm": round(1000 * residual_m, 1)}
    else:
        facts["method"] = "lowest ankles"
        turn = _turn_to_y(up)
        height_m = _lowest_m(joints @ turn.T, valid, foot_m)
    facts |= {
        "tilt_deg": round(float(np.degrees(np.arccos(np.clip(turn[1, 1], -1, 1)))), 2),
        "camera_height_m": round(-height_m, 3),
    }
    to_y_up = result.header["axes"].rotation_to(Axes.Y_UP)
    turn = to_y_up.T @ turn @ to_y_up
    root_m = result.root_m @ turn.T - height_m * to_y_up[1]
    pose_m = result.pose_m @ turn.T
    return processed(result, "floor", facts, pose_m=pose_m, root_m=root_m, root=RootOrigin.FLOOR)


def _lowest_m(joints: Array, valid: BoolArray, foot_m: dict[int, float]) -> float:
    """The height that the lower sole is below in one frame of twenty."""
    if not foot_m:
        raise UserError("there is no floor to find: the result has no valid frame")
    heights = [
        joints[person, valid[person]][:, _feet(joints), 1].min(axis=1) - above
        for person, above in foot_m.items()
    ]
    return float(np.percentile(np.concatenate(heights), 5))


def _upright(joints: Array, valid: BoolArray) -> tuple[Array, float]:
    """The direction (3,) in which stretched bodies point, and how far it may be off.

    It is the camera's up, and may be further off, if nobody is ever stretched out or those who are
    lie down.
    """
    thorax = H36M17.joints.index("thorax")
    ups = [np.zeros((0, 3))]
    for own in (pose[frames] for pose, frames in zip(joints, valid, strict=True) if frames.any()):
        body = own[:, thorax] - own[:, _ANKLES].mean(axis=1)
        height = np.linalg.norm(body, axis=1)
        length = _chain_m(own, "left_knee", "left_ankle", "spine", "thorax")
        is_stretched = height > _STRETCHED * length
        ups.append(body[is_stretched] / height[is_stretched, None])
    directions = np.concatenate(ups)
    if len(directions) >= _FEWEST_UPRIGHT:
        up = np.median(directions, axis=0)
        up /= np.linalg.norm(up)
        if up[1] > np.cos(np.radians(45)):
            return up, _UPRIGHT_RAD
    return np.array([0.0, 1.0, 0.0]), _LEVEL_RAD


def _plane(points: Array, up: Array, spread_rad: float) -> tuple[Array, float, float, int]:
    """The floor through points (N, 3), near to perpendicular to `up`.

    Returns:
        The (3, 3) rotation that makes its normal y, its height afterwards, the root mean square
        distance of the points that were used, and how many those were.
    """
    used = np.ones(len(points), dtype=bool)
    expected = -up[[0, 2]] / up[1]  # slopes along x and z
    prior = (_POINT_M / np.tan(spread_rad)) ** 2 * np.eye(2)
    turn: Array = np.eye(3)
    for _ in range(3):
        middle = points[used].mean(axis=0)
        across = points[used][:, [0, 2]] - middle[[0, 2]]
        unexpected = points[used, 1] - middle[1] - across @ expected
        slope = expected + np.linalg.solve(across.T @ across + prior, across.T @ unexpected)
        turn = _turn_to_y(np.array([-slope[0], 1, -slope[1]]) / np.sqrt(1 + slope @ slope))
        height = points @ turn[1]
        used = np.abs(height - np.median(height[used])) < _STRAY_M
    level = float(height[used].mean())
    return turn, level, float(np.sqrt(np.mean((height[used] - level) ** 2))), int(used.sum())


def _turn_to_y(normal: Array) -> Array:
    """The smallest rotation (3, 3) that turns a unit vector with y > 0 into (0, 1, 0)."""
    x, y, z = normal
    axis = np.array([[0, -x, 0], [x, 0, z], [0, -z, 0]])
    return np.eye(3) + axis + axis @ axis / (1 + y)


def _on_lower_ankle(result: Result) -> Result:
    joints, valid = positions(result), valid_frames(result)
    root = np.full((*valid.shape, 3), np.nan)
    x_px = [
        float(np.mean(points[frames, :, 0])) if frames.any() else np.inf
        for points, frames in zip(result.keypoints_px, valid, strict=True)
    ]
    order = np.argsort(np.argsort(np.array(x_px)))
    for person, frames in enumerate(valid):
        if frames.any():
            lower = joints[person][:, _feet(joints), 1].min(axis=1)
            height = _foot_height_m(joints[person, frames]) - lower[frames]
            root[person, :, 1] = interpolate(height, result.time_s[frames], result.time_s)
            root[person, :, 0] = _APART_M * (order[person] - (len(root) - 1) / 2)
            root[person, :, 2] = 0
    root_m = root @ result.header["axes"].rotation_to(Axes.Y_UP)
    facts = {"method": "lower ankle of each frame"}
    return processed(result, "floor", facts, root_m=root_m, root=RootOrigin.HEIGHT)


def lock_feet(result: Result) -> Result:
    """Keep feet that stand where they stand.

    First the root is moved so that standing ankles stay at the middle of their stance; what two
    standing feet cannot have at once, the knees give (hip and ankle held, bones as long as they
    were). The header says how fast standing ankles slid before and after. If no foot ever stands,
    there is a `UserNotice`, and the result stays as it is.

    Raises:
        UserError: see `foot_contact_mask`.
    """
    stands = foot_contact_mask(result)
    if not _some_stand(stands):
        return result
    if "foot_contacts" not in result.header:
        result = _with_contacts(result, stands)
    joints, valid = positions(result), valid_frames(result)
    before = _slide_m_per_s(joints, stands, result.time_s)
    for person in np.flatnonzero(stands.any(axis=(1, 2))):
        on_floor = "floor" in steps(result)
        height_m = _foot_height_m(joints[person, valid[person]]) if on_floor else None
        joints[person] = _locked(joints[person], stands[person], result.time_s, height_m)
    to_y_up = result.header["axes"].rotation_to(Axes.Y_UP)
    root = joints[:, :, 0]  # the pelvis
    root = np.where(np.isfinite(root), root, np.asarray(result.root_m) @ to_y_up.T)
    pose = np.where(np.isfinite(joints), joints - root[:, :, None], np.nan)
    facts = {
        "slide_before_mm_per_s": round(1000 * before, 1),
        "slide_after_mm_per_s": round(1000 * _slide_m_per_s(joints, stands, result.time_s), 1),
    }
    pose_m, root_m = pose @ to_y_up, root @ to_y_up
    return processed(result, "lock feet", facts, pose_m=pose_m, root_m=root_m)


def _slide_m_per_s(joints: Array, stands: BoolArray, time_s: Array) -> float:
    """The mean speed of standing feet between frames; 0 if none stands."""
    step_s = np.maximum(np.diff(time_s), 1e-6)[:, None]
    speed = np.linalg.norm(np.diff(joints[:, :, _feet(joints)], axis=1), axis=-1) / step_s
    both = stands[:, 1:] & stands[:, :-1]
    return float(speed[both].mean()) if both.any() else 0.0


def _locked(joints: Array, stands: BoolArray, time_s: Array, height_m: float | None) -> Array:
    """One person (T, J, 3), y up, with standing feet (T, 2) in place."""
    moves = np.zeros((len(joints), 2, 3))  # of each foot
    feet = _feet(joints)
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
        if feet is _TOE_BASES:  # base and toe go with the ankle
            joints[:, feet[foot] : feet[foot] + 2] += (new_ankle - joints[:, ankle])[:, None]
        joints[:, knee], joints[:, ankle] = new_knee, new_ankle
    return joints


def _ramped(offsets: Array, stands: BoolArray, time_s: Array) -> Array:
    """Offsets (T, 3) of the frames that stand, fading to nothing in the frames around."""
    ramped = np.zeros_like(offsets)
    weights = np.zeros(len(offsets))
    for run in true_runs(stands):
        before, after = slice(0, run.start), slice(run.stop, None)
        for edge, frames in ((run.start, before), (run.stop - 1, after)):
            weight = np.clip(1 - np.abs(time_s[frames] - time_s[edge]) / _RAMP_S, 0, 1)
            ramped[frames] += weight[:, None] * offsets[edge]
            weights[frames] += weight
    ramped /= np.maximum(weights, 1)[:, None]  # between two stances that are near to each other
    ramped[stands] = offsets[stands]
    return ramped


def _two_bones(hip: Array, knee: Array, ankle: Array, target: Array) -> tuple[Array, Array]:
    """Knees and ankles (T, 3) with the ankle at the target, or as near as the leg reaches."""

    def length(vectors: Array) -> Array:
        return np.linalg.norm(vectors, axis=-1, keepdims=True)

    thigh, shank = length(knee - hip), length(ankle - knee)
    reach = target - hip
    along = reach / np.maximum(length(reach), 1e-9)
    straight = np.clip(length(reach), np.abs(thigh - shank) + 1e-6, thigh + shank)
    bend = (knee - hip) - ((knee - hip) * along).sum(axis=-1, keepdims=True) * along
    bend = bend / np.maximum(length(bend), 1e-9)  # the knee stays in its plane
    forward = (thigh**2 - shank**2 + straight**2) / (2 * straight)
    sideways = np.sqrt(np.maximum(thigh**2 - forward**2, 0))
    moved = length(target - ankle) > 1e-9
    new_knee = hip + forward * along + sideways * bend
    return np.where(moved, new_knee, knee), np.where(moved, hip + straight * along, ankle)
