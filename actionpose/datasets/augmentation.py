"""Augmentation of motions: other bodies, other joint conventions, occlusion and truncation.

Each augmentation is off by default and then draws no random numbers. T frames, J = 17 joints.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from actionpose.config import NoiseConfig, SamplingConfig
from actionpose.geometry.camera import Camera, scale_bones
from actionpose.geometry.joint_conventions import LIMB_JOINTS, OFFSETS, move_limbs
from actionpose.skeletons import H36M17
from actionpose.utils.typing import Array, BoolArray

_CUT_FRACTION = (0.15, 0.6)  # fraction of the person's box that is cut off by the image border
_FEWEST_VISIBLE = 4  # minimum number of joints in the image, median over frames
_OCCLUDED_FRACTION = (0.2, 1.0)  # fraction of the clip in which a limb is occluded
_TOO_LONG = 0.05  # fraction of the leg length
_STRAIGHT_DEG = (168, 178)  # knee angles of standing people
_MEDIAPIPE_FRACTION = 0.5  # fraction of random joint conventions
_CONVENTION_SPREAD = 0.02  # relative to the trunk length, between motions and between views
LIMBS = (
    *(("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"), ("left_wrist",)),
    *(("right_wrist",), ("left_knee", "left_ankle"), ("right_knee", "right_ankle")),
    *(("left_ankle",), ("right_ankle",), ("left_ankle", "right_ankle"), ("nose", "head")),
    ("left_knee", "left_ankle", "right_knee", "right_ankle"),
)


def _named(joints_m: Array) -> dict[str, Array]:
    return dict(zip(H36M17.joints, joints_m.swapaxes(0, 1), strict=True))


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)


# --- detector positions of H36M17 joints that detectors do not output ---


def _face(joint: dict[str, Array], up_fraction: float, ahead_fraction: float) -> Array:
    """A point on the face, relative to the length from the neck base to the head top."""
    up = joint["head"] - joint["thorax"]
    length_m = np.linalg.norm(up, axis=-1, keepdims=True)
    up = up / np.maximum(length_m, 1e-6)
    ahead = _unit(np.cross(joint["left_shoulder"] - joint["right_shoulder"], up))
    return joint["thorax"] + length_m * (up_fraction * up + ahead_fraction * ahead)


def _moved(joints_m: Array, places: dict[str, Array]) -> Array:
    result = joints_m.copy()
    for name, points in places.items():
        result[:, H36M17.joints.index(name)] = points
    return result


def _shoulders(joint: dict[str, Array]) -> Array:
    middle: Array = (joint["left_shoulder"] + joint["right_shoulder"]) / 2
    return middle


def from_coco(joints_m: Array) -> Array:
    """Move joints that COCO detectors do not output to positions derived from COCO.

    Nose and head are then on the face (nose, eyes), the thorax is between the shoulders, and the
    spine is between thorax and pelvis; see `skeletons.convert`. Limbs are not changed. The
    keypoints of MediaPipe and BODY_25 give the same positions.

    Args:
        joints_m: (T, 17, 3) Joints in world coordinates.
    """
    joint = _named(joints_m)
    thorax = _shoulders(joint)
    places = {"spine": (joint["pelvis"] + thorax) / 2, "thorax": thorax}
    return _moved(
        joints_m, {**places, "nose": _face(joint, 0.50, 0.40), "head": _face(joint, 0.62, 0.32)}
    )


def from_halpe(joints_m: Array) -> Array:
    """Halpe-26: spine between neck and pelvis, nose on the face; it has the top of the head."""
    joint = _named(joints_m)
    spine = (joint["pelvis"] + joint["thorax"]) / 2
    return _moved(joints_m, {"spine": spine, "nose": _face(joint, 0.50, 0.40)})


def from_ears(joints_m: Array) -> Array:
    """COCO layout with the head between the ears, as in some conversions."""
    return _moved(from_coco(joints_m), {"head": _face(_named(joints_m), 0.60, 0.08)})


def from_mpii(joints_m: Array) -> Array:
    """MPII: spine between hips and shoulders, nose at the upper neck."""
    joint = _named(joints_m)
    neck = joint["thorax"] + 0.35 * (joint["head"] - joint["thorax"])
    spine = (joint["pelvis"] + _shoulders(joint)) / 2
    return _moved(joints_m, {"spine": spine, "nose": neck})


JOINT_CONVENTIONS: tuple[Callable[[Array], Array], ...] = (
    from_coco,
    from_halpe,
    from_ears,
    from_mpii,
)


def random_joint_convention(joints_m: Array, rng: Generator) -> Array:
    """Move joints to the positions of a random detector, which is MediaPipe in half of the cases.

    The limb offsets of MediaPipe are measured (`geometry.joint_conventions`); those of other
    detectors are unknown. Random offsets are added in each case.

    Args:
        joints_m: (T, 17, 3) Joints in world coordinates.
        rng: Random generator.
    """
    spread = _CONVENTION_SPREAD * rng.standard_normal((2, len(LIMB_JOINTS), 3))
    if rng.random() < _MEDIAPIPE_FRACTION:
        return from_coco(move_limbs(joints_m, OFFSETS["mediapipe33"] + spread))
    layout = JOINT_CONVENTIONS[int(rng.integers(len(JOINT_CONVENTIONS)))]
    return layout(move_limbs(joints_m, spread))


# --- bodies ---


def random_body(joints_m: Array, config: SamplingConfig, rng: Generator) -> Array:
    """The motion with a random body: straight knees and bone lengths according to the settings."""
    if config.straighten_knees and rng.random() < config.straighten_knees:
        joints_m = straighten(joints_m, rng.uniform(*_STRAIGHT_DEG))
    if config.bone_length_jitter:
        scale = np.exp(rng.normal(0, config.bone_length_jitter, len(H36M17)))
        joints_m = scale_bones(joints_m, (scale + scale[H36M17.mirror]) / 2)
    return joints_m


def straighten(joints_m: Array, knee_deg: float) -> Array:
    """Shorten the leg bones until the straightest knee has `knee_deg`; hips and feet are fixed.

    Skeletons fitted to markers often have legs that are slightly too long, so that the knees are
    bent in standing, by 145 to 165 degrees in the open corpora. Three percent of the leg length
    correspond to 28 degrees. Clips in which no leg is straight within `_TOO_LONG`, such as sitting,
    are not changed.

    Args:
        joints_m: (T, 17, 3) Joints in world coordinates.
        knee_deg: Angle between thigh and shin, 180 for a straight knee.
    """
    result = joints_m.copy()
    legs = [
        H36M17.indices(*(f"{side}_{joint}" for joint in ("hip", "knee", "ankle")))
        for side in ("left", "right")
    ]
    thigh, shin, reach = (
        np.linalg.norm([joints_m[:, leg[b]] - joints_m[:, leg[a]] for leg in legs], axis=-1)
        for a, b in ((0, 1), (1, 2), (0, 2))
    )
    shorter = (reach / (thigh + shin)).max() / np.sin(np.deg2rad(knee_deg / 2))
    if not 1 - _TOO_LONG < shorter < 1:
        return result
    for leg, upper, lower, length in zip(legs, shorter * thigh, shorter * shin, reach, strict=True):
        root, middle, end = (joints_m[:, joint] for joint in leg)
        axis = _unit(end - root)
        # law of cosines: position of the knee along the line from hip to ankle, and distance to it
        along = (upper**2 - lower**2 + length**2) / (2 * np.maximum(length, 1e-6))
        height = np.sqrt(np.maximum(upper**2 - along**2, 0))
        aside = middle - root - ((middle - root) * axis).sum(axis=-1, keepdims=True) * axis
        result[:, leg[1]] = root + along[:, None] * axis + height[:, None] * _unit(aside)
    return result


# --- occlusion and truncation ---


def occluded(detected_m: Array, camera: Camera, config: NoiseConfig, rng: Generator) -> BoolArray:
    """(T, 17) True where a limb is occluded or a joint is outside the image."""
    hidden = np.zeros(detected_m.shape[:2], dtype=bool)
    if config.limb_occlusion and rng.random() < config.limb_occlusion:
        limb = H36M17.indices(*LIMBS[int(rng.integers(len(LIMBS)))])
        length = max(1, round(len(hidden) * rng.uniform(*_OCCLUDED_FRACTION)))
        start = int(rng.integers(len(hidden) - length + 1))
        hidden[start : start + length, limb] = True
    if config.truncation and rng.random() < config.truncation:
        xy = camera.project(camera.from_world(detected_m))
        axis, sign = int(rng.integers(2)), rng.choice([-1.0, 1.0])
        along = sign * xy[..., axis]
        low, high = np.median(along.min(axis=1)), np.median(along.max(axis=1))
        beyond = along > high - rng.uniform(*_CUT_FRACTION) * (high - low)
        if np.median((~beyond).sum(axis=1)) >= _FEWEST_VISIBLE:
            hidden |= beyond
    return hidden
