"""What the ground tells: when feet stand, where the floor is, and feet that stay where they stand.

All of it assumes a camera that does not move and one flat floor; headers say so. 17 joints have no
toes: a foot is its ankle, whose height above the floor is 3.9 % of the stature (Drillis and Contini
1966).

Letters in shapes: P persons, T frames, J joints.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.geometry.axes import view_axes
from actionpose.geometry.stature import ANKLE_HEIGHT
from actionpose.postprocessing.bone_lengths import bone_lengths
from actionpose.postprocessing.common import done, known, renewed, require_h36m17
from actionpose.postprocessing.smoothing import butterworth
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import frame_rate_hz, interpolate, runs

Array = NDArray[np.floating]

ASSUMES = "the camera does not move, and the floor is flat"
FEET = ("left", "right")
_ANKLES = H36M17.indices("left_ankle", "right_ankle")

# A foot stands if its ankle is slower than this and not far above the other one, for long enough:
# at the top of a jump a foot is as slow for 0.07 s.
STANDING_M_PER_S = 0.4
_ABOVE_OTHER_M = 0.15
_SHORTEST_S = 0.12
_SPEED_CUTOFF_HZ = 5.0  # depth from one camera is noisy: speeds are of smoothed ankles

# Who stays at one place leaves the floor's tilt open: steps are weighed against what upright bodies
# say, or, if nobody is ever upright, against a level camera. How well each of them is known:
_POINT_M, _UPRIGHT_RAD, _LEVEL_RAD = 0.03, np.radians(4), np.radians(10)
_STRETCHED = 0.93  # of its length from ankles to thorax is the height of an upright body
_FEWEST_UPRIGHT = 10  # frames
_STRAY_M = 0.15  # a stance so far from the plane of the others is left out
_RAMP_S = 0.15  # a locked foot comes and goes in this time
_APART_M = 1.2  # persons whose places are not known are put side by side


def _placed(result: Result) -> Array:
    """(P, T, J, 3) in view axes: y is up."""
    pose = result.pose_m.astype(np.float64)
    if result.root_m is not None:
        pose = pose + result.root_m[:, :, None]
    return pose @ view_axes(result.header["axes"]).T


def _ankle_height_m(joints_m: Array) -> float:
    """Of a standing person (T, 17, 3), above the floor."""
    lengths = dict(zip(H36M17.joints, bone_lengths(joints_m), strict=True))
    chain = ("left_knee", "left_ankle", "spine", "thorax", "nose", "head")
    chain_m = sum(float(lengths[name]) for name in chain)
    return ANKLE_HEIGHT * chain_m / (1 - ANKLE_HEIGHT)


def standing(result: Result) -> NDArray[np.bool_]:
    """Which feet stand: (P, T, 2), left and right.

    Raises:
        UserError: the path of the root is not known, or the skeleton is not h36m17.
    """
    require_h36m17(result, "feet that stand")
    if result.root_m is None:
        raise UserError(
            "which foot stands cannot be told without the path of the root: "
            "give --fov or --focal-px as well"
        )
    ankles = _placed(result)[:, :, _ANKLES]  # (P, T, 2, 3)
    stands = np.zeros(ankles.shape[:3], dtype=bool)
    for person, there in enumerate(known(result) & np.isfinite(ankles).all(axis=(2, 3))):
        for run in runs(there):
            time_s = result.time_s[run]
            if len(time_s) < 3 or (np.diff(time_s) <= 0).any():
                continue
            cutoff_hz = min(_SPEED_CUTOFF_HZ, 0.35 * frame_rate_hz(time_s))
            smoothed = butterworth(ankles[person, run], time_s, cutoff_hz)
            speed = np.linalg.norm(np.gradient(smoothed, time_s, axis=0), axis=-1)
            lower = smoothed[..., 1].min(axis=1, keepdims=True)
            is_low = smoothed[..., 1] < lower + _ABOVE_OTHER_M
            stands[person, run] = (speed < STANDING_M_PER_S) & is_low
        for foot in range(2):
            for run in runs(stands[person, :, foot]):
                times = result.time_s[run]
                if times[-1] - times[0] < _SHORTEST_S:
                    stands[person, run, foot] = False
    return stands


def foot_contacts(result: Result) -> Result:
    """Write into the header, under `foot_contacts`, when which foot of whom stands."""
    stands = standing(result)
    contacts = [
        {
            "person": person,
            "foot": FEET[foot],
            "start_s": round(float(result.time_s[run.start]), 6),
            "stop_s": round(float(result.time_s[run.stop - 1]), 6),
        }
        for person in range(len(stands))
        for foot in range(2)
        for run in runs(stands[person, :, foot])
    ]
    header = done(
        result, "foot contacts", slower_than_m_per_s=STANDING_M_PER_S, assumes="a static camera"
    )
    return renewed(result, {**header, "foot_contacts": contacts})


def floor(result: Result) -> Result:
    """Put everybody on the floor: its normal points up, and it is at height 0.

    With a path of the root, the floor is the plane through the ankles of feet that stand, less the
    ankles' height. Where the steps are too near to each other to give its tilt, bodies that are
    stretched out are taken to be upright; where no foot ever stands it goes through the lowest
    ankles. Poses and paths are turned, and the origin is then on the floor below the camera.

    Without a path only heights can be given: in every frame the lower ankle stands on the floor,
    which loses jumps, and persons are put side by side.

    Raises:
        UserError: nobody is there, or the skeleton is not h36m17.
    """
    require_h36m17(result, "the floor")
    if any(step["step"] == "floor" for step in result.header.get("processing", [])):
        raise UserError("the result stands on a floor already")
    return _grounded(result) if result.root_m is None else _levelled(result)


def _levelled(result: Result) -> Result:
    stands = standing(result)
    placed = _placed(result)
    there = known(result)
    persons = [person for person, frames in enumerate(there) if frames.any()]
    above = {person: _ankle_height_m(placed[person, there[person]]) for person in persons}
    soles = [
        placed[person, run, _ANKLES[foot]].mean(axis=0) - [0, above[person], 0]
        for person in persons
        for foot in range(2)
        for run in runs(stands[person, :, foot])
    ]
    up, spread_rad = _upright(placed, there)
    facts: dict[str, Any] = {
        "method": "the plane through feet that stand",
        "stances": len(soles),
        "tilt_from": "steps and upright bodies" if spread_rad == _UPRIGHT_RAD else "steps",
    }
    if soles:
        turn, height_m, residual_m, used = _plane(np.array(soles), up, spread_rad)
        facts |= {"used": used, "residual_mm": round(1000 * residual_m, 1)}
    else:
        facts["method"] = "no foot stands: through the lowest ankles"
        turn = _turn_to_y(up)
        height_m = _lowest_m(placed @ turn.T, there, above)
    view = view_axes(result.header["axes"])
    own_turn = view.T @ turn @ view
    up = view.T @ (0, 1, 0)
    assert result.root_m is not None
    root = result.root_m @ own_turn.T - height_m * up
    facts |= {
        "tilt_deg": round(float(np.degrees(np.arccos(np.clip(turn[1, 1], -1, 1)))), 2),
        "camera_height_m": round(-height_m, 3),
        "assumes": ASSUMES,
    }
    header = done(result, "floor", **facts)
    header["root"] = (
        "pelvis at the origin of every frame; root_m is its place, the origin on the floor "
        "below the camera"
    )
    return renewed(result, header, pose=result.pose_m @ own_turn.T, root=root)


def _lowest_m(placed: Array, there: NDArray[np.bool_], above: dict[int, float]) -> float:
    """The height that one in twenty frames' lower sole is below."""
    if not above:
        raise UserError("there is no floor to find: the result has no valid frame")
    heights = [
        placed[person, there[person]][:, _ANKLES, 1].min(axis=1) - above[person] for person in above
    ]
    return float(np.percentile(np.concatenate(heights), 5))


def _upright(placed: Array, there: NDArray[np.bool_]) -> tuple[Array, float]:
    """The direction (3,) in which stretched bodies point, and how far it may be off.

    It is the camera's up, and may be further off, if nobody is ever stretched out or those who are
    lie down.
    """
    thorax = H36M17.joints.index("thorax")
    ups = []
    for person, frames in enumerate(there):
        if not frames.any():
            continue
        body = placed[person, frames][:, thorax] - placed[person, frames][:, _ANKLES].mean(axis=1)
        lengths = dict(zip(H36M17.joints, bone_lengths(placed[person, frames]), strict=True))
        chain = ("left_knee", "left_ankle", "spine", "thorax")
        height = np.linalg.norm(body, axis=1)
        is_stretched = height > _STRETCHED * sum(float(lengths[name]) for name in chain)
        ups.append(body[is_stretched] / height[is_stretched, None])
    directions = np.concatenate([np.zeros((0, 3)), *ups])
    if len(directions) >= _FEWEST_UPRIGHT:
        up = np.median(directions, axis=0)
        up /= np.linalg.norm(up)
        if up[1] > np.cos(np.radians(45)):
            return up, _UPRIGHT_RAD
    return np.array([0.0, 1.0, 0.0]), _LEVEL_RAD


def _plane(points: Array, up: Array, spread_rad: float) -> tuple[Array, float, float, int]:
    """The floor through points (N, 3) in view axes, near to perpendicular to `up`.

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


def _grounded(result: Result) -> Result:
    view = view_axes(result.header["axes"])
    placed = _placed(result)
    there = known(result)
    root = np.full((*placed.shape[:2], 3), np.nan)
    x_px = [
        float(np.mean(result.keypoints_px[person, frames, :, 0])) if frames.any() else np.inf
        for person, frames in enumerate(there)
    ]
    order = np.argsort(np.argsort(np.array(x_px)))
    for person, frames in enumerate(there):
        if frames.any():
            lower = placed[person][:, _ANKLES, 1].min(axis=1)
            height = _ankle_height_m(placed[person, frames]) - lower[frames]
            times = result.time_s
            root[person, :, 1] = interpolate(height, times[frames], times)
            root[person, :, 0] = _APART_M * (order[person] - (len(root) - 1) / 2)
            root[person, :, 2] = 0
    header = done(result, "floor", method="the lower ankle stands in every frame; no jumps")
    header["root"] = (
        "pelvis at the origin of every frame; root_m is its height above the floor; "
        "its place on the floor is not known"
    )
    return renewed(result, header, root=root @ view)


def lock_feet(result: Result) -> Result:
    """Keep feet that stand where they stand.

    First the root is moved so that standing ankles stay at the middle of their stance; what two
    standing feet cannot have at once, the knees give (hip and ankle held, bones as long as they
    were). The header says how fast standing ankles slid before and after.

    Raises:
        UserError: see `standing`.
    """
    stands = standing(result)
    if "foot_contacts" not in result.header:
        result = foot_contacts(result)
    placed = _placed(result)
    on_floor = any(step["step"] == "floor" for step in result.header["processing"])
    before = _slide_m_per_s(placed, stands, result.time_s)
    for person in range(len(placed)):
        if stands[person].any():
            height_m = _ankle_height_m(placed[person, known(result)[person]]) if on_floor else None
            frames = _locked(placed[person], stands[person], result.time_s, height_m)
            placed[person] = frames
    view = view_axes(result.header["axes"])
    root = placed[:, :, 0]  # the pelvis
    root = np.where(np.isfinite(root), root, np.asarray(result.root_m) @ view.T)
    pose = np.where(np.isfinite(placed), placed - root[:, :, None], np.nan) @ view
    facts: dict[str, Any] = {
        "slide_before_mm_per_s": round(1000 * before, 1),
        "slide_after_mm_per_s": round(1000 * _slide_m_per_s(placed, stands, result.time_s), 1),
        "assumes": ASSUMES,
    }
    header = done(result, "lock feet", **facts)
    return renewed(result, header, pose=pose, root=root @ view)


def _slide_m_per_s(placed: Array, stands: NDArray[np.bool_], time_s: Array) -> float:
    """The mean speed of standing ankles between frames; 0 if none stands."""
    step_s = np.maximum(np.diff(time_s), 1e-6)[:, None]
    speed = np.linalg.norm(np.diff(placed[:, :, _ANKLES], axis=1), axis=-1) / step_s
    both = stands[:, 1:] & stands[:, :-1]
    return float(speed[both].mean()) if both.any() else 0.0


def _locked(
    joints: Array, stands: NDArray[np.bool_], time_s: Array, ankle_height_m: float | None
) -> Array:
    """One person (T, 17, 3) in view axes, with standing feet (T, 2) in place."""
    wish = np.zeros((len(joints), 2, 3))  # how far each ankle is to be moved
    for foot in range(2):
        for run in runs(stands[:, foot]):
            target = np.median(joints[run, _ANKLES[foot]], axis=0)
            if ankle_height_m is not None:
                target[1] = ankle_height_m
            wish[run, foot] = target - joints[run, _ANKLES[foot]]
    standing_now = stands.any(axis=1)
    share = stands[standing_now] / stands[standing_now].sum(axis=1, keepdims=True)
    shift = (share[..., None] * wish[standing_now]).sum(axis=1)
    shift = interpolate(shift, time_s[standing_now], time_s)
    joints = joints + shift[:, None]
    for foot, name in enumerate(FEET):
        left_over = np.where(stands[:, [foot]], wish[:, foot] - shift, 0)
        hip, knee, ankle = H36M17.indices(f"{name}_hip", f"{name}_knee", f"{name}_ankle")
        target = joints[:, ankle] + _ramped(left_over, stands[:, foot], time_s)
        joints[:, knee], joints[:, ankle] = _two_bones(
            joints[:, hip], joints[:, knee], joints[:, ankle], target
        )
    return joints


def _ramped(offsets: Array, stands: NDArray[np.bool_], time_s: Array) -> Array:
    """Offsets (T, 3) of the frames that stand, fading to nothing in the frames around."""
    ramped = np.zeros_like(offsets)
    weights = np.zeros(len(offsets))
    for run in runs(stands):
        for edge, frames in (
            (run.start, slice(0, run.start)),
            (run.stop - 1, slice(run.stop, None)),
        ):
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
    share = (thigh**2 - shank**2 + straight**2) / (2 * straight)
    aside = np.sqrt(np.maximum(thigh**2 - share**2, 0))
    moved = length(target - ankle) > 1e-9
    new_knee = hip + share * along + aside * bend
    return np.where(moved, new_knee, knee), np.where(moved, hip + straight * along, ankle)
