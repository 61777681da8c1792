"""Clips from motions in world coordinates: cameras, projections and simulated detections."""

from typing import Any

import numpy as np
from numpy.random import Generator
from scipy.spatial.transform import Rotation

from actionpose.config import CameraConfig, SamplingConfig
from actionpose.datasets import augmentation
from actionpose.datasets.detector_noise import detector_noise
from actionpose.datasets.feet import hidden_with_feet, present_joints
from actionpose.geometry.camera import (
    Camera,
    Frame2D,
    box_frame,
    image_frame,
    look_at,
    mirror,
    orthographic_view,
)
from actionpose.skeletons import H36M17, skeleton_of
from actionpose.utils.typing import Array, BoolArray

Clip = dict[str, Any]

IMAGE_SIZE = (1000, 1000)
UNITS_PER_M = 0.298  # of orthographic views (MotionBERT)
# Half the box of a person of 1.7 m in Human3.6M, at about 4 mm per pixel, in units of half the
# image width: the size of a person for which the noise was measured. In the open benchmark, the
# noise is proportional to the size of the person.
NOISE_PERSON_SIZE = 0.42
TILT_DEG = (-20.0, 30.0)  # of a tilted camera, positive downward
_NEAREST_M = 1.0  # minimum distance of joints from the camera


def place_camera(
    joints_m: Array,
    azimuth_rad: float,
    distance_m: float,
    height_m: float,
    focal_px: float = 1145.0,
) -> Camera:
    """A camera that looks at the center of the person's path.

    The camera is in the direction `azimuth_rad` (from +x, about z). Its distance is increased if
    the person would be closer than one meter.

    Args:
        joints_m: (T, 17, 3) Joints in world coordinates.
        azimuth_rad: Direction of the camera from the person.
        distance_m: Horizontal distance.
        height_m: Height of the camera.
        focal_px: Focal length in pixels.
    """
    target = _middle_of_path(joints_m)
    direction = np.array([np.cos(azimuth_rad), np.sin(azimuth_rad), 0.0])
    position = _far_enough(joints_m, target, direction, distance_m)
    position[2] = height_m
    return Camera(look_at(position, target), position, focal_px, np.array(IMAGE_SIZE) / 2)


def random_camera(
    joints_m: Array, azimuth_rad: float, config: CameraConfig, rng: Generator
) -> Camera:
    """A camera in the given direction with random distance, height and focal length."""
    ranges = (config.distance_m, config.height_m, config.focal_px)
    return place_camera(joints_m, azimuth_rad, *(rng.uniform(*each) for each in ranges))


def tilted(camera: Camera, joints_m: Array, pitch_rad: float) -> Camera:
    """The camera with its distance and azimuth, looking down by `pitch_rad`."""
    target = _middle_of_path(joints_m)
    level = (camera.position_m - target) * [1, 1, 0]
    distance_m = float(np.linalg.norm(level))
    direction = np.cos(pitch_rad) * level / distance_m + np.sin(pitch_rad) * np.array([0, 0, 1.0])
    position = _far_enough(joints_m, target, direction, distance_m)
    return Camera(look_at(position, target), position, camera.focal_px, camera.center_px)


def rotated(camera: Camera, joints_m: Array, rng: Generator) -> Camera:
    """The camera with its distance, but with a random direction on the sphere and a random roll.

    For such cameras, bodies are lying, falling or upside down as often as they are upright.
    """
    target = _middle_of_path(joints_m)
    distance_m = float(np.linalg.norm(camera.position_m - target))
    rotation = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    position = _far_enough(joints_m, target, -rotation[2], distance_m)
    return Camera(rotation, position, camera.focal_px, camera.center_px)


def _middle_of_path(joints_m: Array) -> Array:
    low, high = joints_m[:, 0].min(axis=0), joints_m[:, 0].max(axis=0)
    middle: Array = (low + high) / 2
    return middle


def _far_enough(joints_m: Array, target: Array, direction: Array, distance_m: float) -> Array:
    """A position in a direction from the target, at least one meter beyond all joints."""
    reach_m = float(((joints_m - target) @ direction).max()) + _NEAREST_M
    place: Array = target + max(distance_m, reach_m) * direction
    return place


def perspective_clip(
    joints_m: Array,
    camera: Camera,
    normalization: str,
    rng: Generator | None,
    *,
    detected_m: Array | None = None,
    hidden: BoolArray | None = None,
    person_size: float | None = NOISE_PERSON_SIZE,
) -> Clip:
    """Simulate the projection of a motion by a camera and its detection.

    Args:
        joints_m: (T, 17, 3) Joints in world coordinates.
        camera: Camera.
        normalization: "image" or "box", as in `SamplingConfig`.
        rng: Random generator of detection errors; None for no errors and a confidence of 1.
        detected_m: (T, 17, 3) Joint positions of the detector, by default `joints_m`.
        hidden: (T, 17) True where the input is missing.
        person_size: Scale of the detection errors, as in `NoiseConfig`.
    """
    in_camera_m = camera.from_world(joints_m)
    points_m = in_camera_m if detected_m is None else camera.from_world(detected_m)
    # one scale for the clip, that of the mean depth, so that bone lengths are constant
    depth_m = float(in_camera_m[:, 0, 2].mean())
    image = image_frame(IMAGE_SIZE)
    return _clip(
        camera.project(points_m), in_camera_m, image, depth_m, camera.focal_px, normalization,
        rng, hidden, person_size,
    )  # fmt: skip


def orthographic_clip(
    joints_m: Array,
    yaw_rad: float,
    normalization: str,
    rng: Generator | None,
    *,
    detected_m: Array | None = None,
    hidden: BoolArray | None = None,
    person_size: float | None = NOISE_PERSON_SIZE,
) -> Clip:
    """Orthographic projection of a motion, first pelvis at (0, 0); see `perspective_clip`."""
    turned_m = orthographic_view(joints_m, yaw_rad)
    points_m = turned_m if detected_m is None else orthographic_view(detected_m, yaw_rad)
    xy = (points_m[..., :2] - turned_m[0, 0, :2]) * UNITS_PER_M
    image = Frame2D((0.0, 0.0), 1.0)
    return _clip(xy, turned_m, image, 1.0, UNITS_PER_M, normalization, rng, hidden, person_size)


def _clip(
    xy: Array,
    joints_m: Array,
    image: Frame2D,
    depth_m: float,
    focal: float,
    normalization: str,
    rng: Generator | None,
    hidden: BoolArray | None,
    person_size: float | None,
) -> Clip:
    """A clip from projected joints `xy` (T, 17, 2) and the joints in the axes of the view."""
    keypoints = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1)
    body = np.s_[:, : len(H36M17)]  # feet do not affect the box, so that the body is the same
    if rng is not None:
        noise, keypoints[..., 2] = detector_noise(len(xy), rng, num_joints=xy.shape[1])
        unit = image.unit_px
        if person_size:
            box = box_frame(keypoints[body])
            assert box is not None
            unit = box.unit_px / person_size
        keypoints[..., :2] += noise * unit
    if hidden is not None:
        keypoints[hidden] = 0
    frame = (box_frame(keypoints[body]) if normalization == "box" else None) or image
    scale_m = frame.unit_px * depth_m / focal
    return {
        "keypoints": frame.normalize(keypoints),
        "pose": ((joints_m - joints_m[:, :1]) / scale_m).astype(np.float32),
        "valid": np.ones(len(joints_m), dtype=bool),
        "scale_m": np.float32(scale_m),
    }


def detected_clip(
    joints_m: Array,
    camera: Camera,
    config: SamplingConfig,
    rng: Generator,
    *,
    detected_m: Array | None,
    hidden: BoolArray,
    feet_m: Array | None = None,
    hide_feet: bool = False,
) -> tuple[Clip, BoolArray]:
    """`perspective_clip` with tilt and rotation of `config.camera`, and all of `config.noise`.

    Args:
        joints_m: (T, 17, 3) Joints in world coordinates.
        camera: Camera before tilt and rotation.
        config: Settings of sampling, camera and noise.
        rng: Random generator.
        detected_m: (T, 17, 3) Joint positions of the detector, or None for `joints_m`.
        hidden: (T, 17) True where the input is missing.
        feet_m: (T, 4, 3) Feet in world coordinates, NaN for missing joints. The clip then has 21
            joints, and `present` (T, 21), True for joints with a target. Missing feet are hidden.
        hide_feet: Whether to hide all joints of the feet.

    Returns:
        The clip, and the final mask of its hidden keypoints.
    """
    noise = config.noise
    if (tilt := config.camera.tilt) and rng.random() >= 1 - tilt:
        camera = tilted(camera, joints_m, np.deg2rad(rng.uniform(*TILT_DEG)))
    if (rotation := config.camera.rotation) and rng.random() < rotation:
        camera = rotated(camera, joints_m, rng)
    if noise.random_joint_convention and rng.random() < noise.random_joint_convention:
        detected_m = augmentation.random_joint_convention(joints_m, rng)
    visible_m = joints_m if detected_m is None else detected_m
    hidden = hidden | augmentation.occluded(visible_m, camera, noise, rng)
    more = {}
    if feet_m is not None:
        joints_m, present = present_joints(np.concatenate([joints_m, feet_m], axis=1))
        feet_m = joints_m[:, len(H36M17) :]
        if detected_m is not None:
            detected_m = np.concatenate([detected_m, feet_m], axis=1)
        hidden, more = hidden_with_feet(hidden) | ~present, {"present": present}
        hidden[:, len(H36M17) :] |= hide_feet
    clip = perspective_clip(
        *(joints_m, camera, config.normalization, rng),
        detected_m=detected_m,
        hidden=hidden,
        person_size=noise.person_size,
    )
    clip |= more
    if noise.drop_confidence and rng.random() < noise.drop_confidence:
        clip["keypoints"][..., 2] = clip["keypoints"][..., 2] > 0
    return clip, hidden


def mirrored(clip: Clip) -> Clip:
    """The clip with left and right exchanged."""
    names = clip.keys() & {"hidden", "present"}
    order = skeleton_of(clip["pose"].shape[-2]).mirror
    moved = {key: mirror(clip[key]) for key in ("keypoints", "pose")}
    return clip | moved | {key: clip[key][:, order] for key in names}


def subsample(clip: Clip, step: int, frames: int) -> Clip:
    """Every `step`-th frame of a clip, padded to `frames` with zeros that are not valid."""
    return {
        key: np.pad(
            value[::step],
            [(0, frames - len(value[::step])), *[(0, 0)] * (value.ndim - 1)],
        )
        if isinstance(value, np.ndarray)
        else value
        for key, value in clip.items()
    }
