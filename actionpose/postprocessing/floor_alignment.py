"""Floor alignment, with the plane of the floor from standing feet and upright bodies.

A static camera and a flat floor are assumed. Letters in shapes as in `ground_contact`.
"""

from typing import Any

import numpy as np

from actionpose.geometry.axes import Axes
from actionpose.postprocessing.common import (
    positions,
    processed,
    require_h36m17,
    steps,
    valid_frames,
)
from actionpose.postprocessing.ground_contact import (
    ANKLES,
    chain_m,
    contacts,
    foot_contact_mask,
    foot_height_m,
    standing_joints,
)
from actionpose.result import Result, RootOrigin
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import interpolate
from actionpose.utils.typing import Array, BoolArray

# If a person stays in one place, contacts do not determine the tilt of the floor. They are combined
# with a prior: upright bodies, or a level camera if no body is upright. Standard deviations of
# contact heights and of both priors:
_POINT_M, _UPRIGHT_RAD, _LEVEL_RAD = 0.03, np.radians(4), np.radians(10)
_STRETCHED = 0.93  # minimum height of an upright body, relative to its length from ankles to thorax
_FEWEST_UPRIGHT = 10  # minimum number of frames with upright bodies
_STRAY_M = 0.15  # contacts farther from the plane of the others are outliers
_APART_M = 1.2  # distance between persons with unknown positions


def align_to_floor(result: Result) -> Result:
    """Align the motion to the floor, so that the floor is level at height 0.

    With a trajectory of the root, the floor is the plane through the ankles of standing feet, minus
    the height of the ankles. If the steps are too close to each other to determine its tilt, fully
    extended bodies are assumed to be upright. Without foot contacts, the plane passes through the
    lowest ankles. Poses and trajectories are rotated, and the new origin is on the floor below the
    camera.

    Without a trajectory, only heights can be estimated: the lower ankle is on the floor in every
    frame, so that jumps are lost, and persons are placed side by side.

    Args:
        result: Result to process.

    Returns:
        A new, aligned result.

    Raises:
        UserError: If no person is visible, or the skeleton is neither h36m17 nor h36m17_feet.
    """
    require_h36m17(result, "the floor")
    if "floor" in steps(result):
        raise UserError("the result stands on a floor already")
    return _on_lower_ankle(result) if result.root_m is None else _on_plane(result)


def _on_plane(result: Result) -> Result:
    assert result.root_m is not None
    stands = foot_contact_mask(result)
    joints, valid = positions(result), valid_frames(result)
    foot_m = {p: foot_height_m(joints[p, valid[p]]) for p in range(len(valid)) if valid[p].any()}
    feet = standing_joints(joints)
    soles = [
        joints[person, run, feet[foot]].mean(axis=0) - [0, foot_m[person], 0]
        for person, foot, run in contacts(stands)
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
    """The 5th percentile of the height of the lower sole."""
    if not foot_m:
        raise UserError("there is no floor to find: the result has no valid frame")
    heights = [
        joints[person, valid[person]][:, standing_joints(joints), 1].min(axis=1) - above
        for person, above in foot_m.items()
    ]
    return float(np.percentile(np.concatenate(heights), 5))


def _upright(joints: Array, valid: BoolArray) -> tuple[Array, float]:
    """The direction (3,) of fully extended bodies, and its standard deviation in radians.

    If no body is extended, or the extended bodies are lying, this is the up direction of the camera
    with a larger deviation.
    """
    thorax = H36M17.joints.index("thorax")
    ups = [np.zeros((0, 3))]
    for own in (pose[frames] for pose, frames in zip(joints, valid, strict=True) if frames.any()):
        body = own[:, thorax] - own[:, ANKLES].mean(axis=1)
        height = np.linalg.norm(body, axis=1)
        length = chain_m(own, "left_knee", "left_ankle", "spine", "thorax")
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
    """Fit the floor plane to points (N, 3), with the prior that its normal is `up`.

    Returns:
        The rotation (3, 3) that maps the normal to y, the height of the plane after the rotation,
        the root mean square distance of the inliers, and their number.
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
    """The smallest rotation (3, 3) that maps a unit vector with y > 0 to (0, 1, 0)."""
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
    for person, (frames, present) in enumerate(zip(valid, result.present, strict=True)):
        if frames.any():
            lower = joints[person, present][:, standing_joints(joints), 1].min(axis=1)
            height = foot_height_m(joints[person, frames]) - lower
            root[person, :, 1] = interpolate(height, result.time_s[present], result.time_s)
            root[person, :, 0] = _APART_M * (order[person] - (len(root) - 1) / 2)
            root[person, :, 2] = 0
    root_m = root @ result.header["axes"].rotation_to(Axes.Y_UP)
    facts = {"method": "lower ankle of each frame"}
    return processed(result, "floor", facts, root_m=root_m, root=RootOrigin.HEIGHT)
