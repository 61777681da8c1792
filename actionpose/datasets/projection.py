"""Motions to clips: cameras, projections, and what a detector makes of them."""

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from actionpose.config import ClipConfig, TextClipConfig
from actionpose.datasets import augmentation
from actionpose.datasets.detector_noise import detector_noise
from actionpose.geometry.camera import (
    Camera,
    Frame2D,
    box_frame,
    image_frame,
    look_at,
    orthographic_view,
)

Array = NDArray[np.floating]
Clip = dict[str, Any]

IMAGE_SIZE = (1000, 1000)
# Half the box of a 1.7 m person in Human3.6M, about 4 mm a pixel, in units of half the image
# width: the size of person for which the noise was measured. It grows with the person.
NOISE_PERSON_SIZE = 0.42
_NEAREST_M = 1.0  # no joint comes nearer to the camera


def place_camera(
    joints_m: Array,
    azimuth_rad: float,
    distance_m: float,
    height_m: float,
    focal_px: float = 1145.0,
) -> Camera:
    """A camera that looks at the middle of the person's path.

    It stands in direction `azimuth_rad` (from +x, about z) and moves back if the person would
    come nearer than a meter.
    """
    low, high = joints_m[:, 0].min(axis=0), joints_m[:, 0].max(axis=0)
    target = (low + high) / 2
    direction = np.array([np.cos(azimuth_rad), np.sin(azimuth_rad), 0.0])
    # the nearest joint, seen along the ground
    reach = float(((joints_m - target) @ direction).max()) + _NEAREST_M
    position = target + direction * max(distance_m, reach)
    position[2] = height_m
    center = np.array(IMAGE_SIZE) / 2
    return Camera(look_at(position, target), position, focal_px, center)


def make_clip(
    joints_m: Array,
    camera: Camera,
    normalization: str,
    rng: Generator | None,
    *,
    seen_joints_m: Array | None = None,
    hidden: NDArray[np.bool_] | None = None,
) -> Clip:
    """See a motion through a camera, as a detector would.

    Args:
        joints_m: (T, 17, 3) world.
        normalization: "image" or "box", as in `ClipConfig`.
        rng: draws the detector's errors; None means none, and confidence 1.
        seen_joints_m: what the detector looks for, where that is not `joints_m`.
        hidden: (T, 17) True where the input is missing.
    """
    in_camera_m = camera.from_world(joints_m)
    seen_m = in_camera_m if seen_joints_m is None else camera.from_world(seen_joints_m)
    keypoints_px = np.ones((*joints_m.shape[:2], 3))
    keypoints_px[..., :2] = camera.project(seen_m)
    if rng is not None:
        box = box_frame(keypoints_px)
        assert box is not None
        noise, keypoints_px[..., 2] = detector_noise(len(joints_m), rng)
        keypoints_px[..., :2] += noise / NOISE_PERSON_SIZE * box.unit_px
    if hidden is not None:
        keypoints_px[hidden] = 0
    frame: Frame2D | None = image_frame(IMAGE_SIZE)
    if normalization == "box":
        frame = box_frame(keypoints_px) or frame
    assert frame is not None
    root_m = in_camera_m[:, :1]
    # one scale for the clip, as bones keep their length: that of the mean depth
    scale_m = frame.unit_px * float(root_m[..., 2].mean()) / camera.focal_px
    return {
        "keypoints": frame.normalize(keypoints_px),
        "pose": ((in_camera_m - root_m) / scale_m).astype(np.float32),
        "valid": np.ones(len(joints_m), dtype=bool),
        "scale_m": np.float32(scale_m),
    }


def orthographic_clip(
    joints_m: Array,
    yaw_rad: float,
    units_per_m: float,
    config: TextClipConfig,
    rng: Generator | None,
    *,
    seen_joints_m: Array | None = None,
    hidden: NDArray[np.bool_] | None = None,
) -> Clip:
    """See a motion without perspective; otherwise as `clips.make_clip`."""
    true_m = orthographic_view(joints_m, yaw_rad)
    if seen_joints_m is None:
        seen_m = true_m
    else:
        seen_m = orthographic_view(seen_joints_m, yaw_rad)
    keypoints = np.ones((*joints_m.shape[:2], 3))
    origin_m = true_m[0, 0, :2] if config.centring == "first_frame" else 0
    keypoints[..., :2] = (seen_m[..., :2] - origin_m) * units_per_m
    if rng is not None:
        box = box_frame(keypoints)
        assert box is not None
        noise, keypoints[..., 2] = detector_noise(len(joints_m), rng)
        keypoints[..., :2] += noise / NOISE_PERSON_SIZE * box.unit_px
    if hidden is not None:
        keypoints[hidden] = 0
    frame: Frame2D | None = Frame2D((0.0, 0.0), 1.0)
    if config.normalization == "box":
        frame = box_frame(keypoints) or frame
    assert frame is not None
    scale_m = frame.unit_px / units_per_m
    return {
        "keypoints": frame.normalize(keypoints),
        "pose": ((true_m - true_m[:, :1]) / scale_m).astype(np.float32),
        "valid": np.ones(len(joints_m), dtype=bool),
        "scale_m": np.float32(scale_m),
    }


def detected_clip(
    joints_m: Array,
    camera: Camera,
    config: ClipConfig | TextClipConfig,
    rng: Generator,
    *,
    seen_m: Array | None,
    hidden: NDArray[np.bool_],
) -> tuple[Clip, NDArray[np.bool_]]:
    """`make_clip` with what `config.augmentation` says that detectors and cameras do.

    Args:
        seen_m: what the detector looks for, as in `augmentation.as_detected`.

    Returns:
        The clip, and which of its keypoints are hidden now.
    """
    more = config.augmentation
    level = more.level_camera and rng.random() < more.level_camera
    if more.camera_pitch_deg is not None and not level:
        pitch_rad = np.deg2rad(rng.uniform(*more.camera_pitch_deg))
        camera = augmentation.pitched(camera, joints_m, pitch_rad)
    seen_m = augmentation.as_detected(joints_m, seen_m, more, rng)
    hidden = hidden | augmentation.unseen(joints_m if seen_m is None else seen_m, camera, more, rng)
    clip = make_clip(
        joints_m,
        camera,
        config.normalization,
        rng if config.noise else None,
        seen_joints_m=seen_m,
        hidden=hidden,
    )
    if more.drop_confidence and rng.random() < more.drop_confidence:
        clip["keypoints"][..., 2] = clip["keypoints"][..., 2] > 0
    return clip, hidden


def pad(clip: Clip, frames: int) -> Clip:
    """Lengthen a clip with invalid zero frames at its end."""
    missing = frames - len(clip["valid"])
    if missing == 0:
        return clip
    return {
        key: np.concatenate([value, np.zeros((missing, *value.shape[1:]), value.dtype)])
        if isinstance(value, np.ndarray)
        else value
        for key, value in clip.items()
    }


def every(clip: Clip, step: int) -> Clip:
    """Every so many frames of a clip."""
    return {
        key: value[::step] if isinstance(value, np.ndarray) else value
        for key, value in clip.items()
    }
