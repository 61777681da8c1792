"""Cameras, image normalization and mirroring, each with its inverse; NumPy, any leading axes.

World coordinates are in meters with z up. Camera coordinates are in meters with x right, y down and
z away from the camera. Image coordinates are in pixels from the upper left corner, x right, y down.
Normalized image coordinates have the same unit for x and y, to preserve shapes: half the width of
the image, or half the person's box.
"""

from dataclasses import dataclass

import numpy as np

from actionpose.skeletons import H36M17, skeleton_of
from actionpose.utils.typing import Array

# Rows are the camera x, y and z axes in the world, of a camera at the origin that looks along +y.
_LEVEL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion.

    Attributes:
        rotation: (3, 3) Rotation from world to camera axes.
        position_m: (3,) Camera center in world coordinates.
        focal_px: Focal length, the same for x and y.
        center_px: (2,) Principal point.
    """

    rotation: Array
    position_m: Array
    focal_px: float
    center_px: Array

    def from_world(self, points_m: Array) -> Array:
        """Convert world to camera coordinates (..., 3), in meters."""
        return (points_m - self.position_m) @ self.rotation.T

    def to_world(self, points_m: Array) -> Array:
        """Inverse of `from_world`."""
        return points_m @ self.rotation + self.position_m

    def project(self, points_m: Array) -> Array:
        """Project camera coordinates (..., 3) to pixels (..., 2)."""
        return points_m[..., :2] / points_m[..., 2:] * self.focal_px + self.center_px

    def unproject(self, points_px: Array, depth_m: Array) -> Array:
        """Inverse of `project` for known depths (...,) along z."""
        xy = (points_px - self.center_px) / self.focal_px * depth_m[..., None]
        return np.concatenate([xy, depth_m[..., None]], axis=-1)


def look_at(position_m: Array, target_m: Array) -> Array:
    """The rotation (3, 3) of a camera without roll that looks from one world point at another."""
    forward = target_m - position_m
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right = right / np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def orthographic_view(points_m: Array, yaw_rad: float) -> Array:
    """Convert world points (..., 3) to the axes of a level camera with the given yaw.

    Their orthographic projection is x and y multiplied by a scale. A camera with yaw 0 looks along
    the +y axis of the world.
    """
    return points_m @ (_LEVEL @ _about_z(-yaw_rad)).T


def orthographic_view_inverse(points_m: Array, yaw_rad: float) -> Array:
    """Inverse of `orthographic_view`."""
    return points_m @ (_LEVEL @ _about_z(-yaw_rad))


def _about_z(angle_rad: float) -> Array:
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def heading_rad(joints_m: Array) -> float:
    """The direction that a pose (17, 3) faces in the world, as an angle from +x about z.

    The direction is perpendicular to the line through hips and shoulders.
    """
    left = joints_m[H36M17.indices("left_hip", "left_shoulder")].sum(axis=0)
    right = joints_m[H36M17.indices("right_hip", "right_shoulder")].sum(axis=0)
    across = left - right
    return float(np.arctan2(-across[0], across[1]))


@dataclass(frozen=True)
class Frame2D:
    """Origin and unit, in pixels, of normalized image coordinates."""

    origin_px: tuple[float, float]
    unit_px: float

    def normalize(self, keypoints_px: Array) -> Array:
        """Normalize x and y of keypoints (..., 2 or 3); a confidence is not changed.

        Missing keypoints (confidence 0) become (0, 0, 0).
        """
        result = np.array(keypoints_px, dtype=np.float32)
        result[..., :2] = (keypoints_px[..., :2] - np.array(self.origin_px)) / self.unit_px
        if result.shape[-1] == 3:
            result[result[..., 2] <= 0] = 0
        return result

    def denormalize(self, keypoints: Array) -> Array:
        """Inverse of `normalize` for keypoints that are not missing."""
        result = np.array(keypoints)
        result[..., :2] = keypoints[..., :2] * self.unit_px + np.array(self.origin_px)
        return result


def image_frame(image_size: tuple[int, int]) -> Frame2D:
    """Normalization by the image: unit half its width, origin at its center (VideoPose3D)."""
    width, height = image_size
    return Frame2D((width / 2, height / 2), width / 2)


def box_frame(keypoints_px: Array) -> Frame2D | None:
    """Normalization by the person's box: unit half the box, origin at its center.

    Both are constant for a clip. The box of a frame is the bounding box of the detected keypoints.
    The medians of the centers and of the longer sides over the frames are used, so that the size of
    a person who walks across the image is constant, and outliers have no effect.

    Args:
        keypoints_px: (T, J, 3) Keypoints with confidence 0 for missing ones.

    Returns:
        The normalization, or None if no frame has two detected keypoints at different positions.
    """
    detected = keypoints_px[..., 2:] > 0
    frames = detected[..., 0].sum(axis=1) >= 2
    if not frames.any():
        return None
    xy, detected = keypoints_px[frames, :, :2], detected[frames]
    low = np.where(detected, xy, np.inf).min(axis=1)
    high = np.where(detected, xy, -np.inf).max(axis=1)
    unit = float(np.median((high - low).max(axis=1))) / 2
    if unit <= 0:
        return None
    x, y = np.median((low + high) / 2, axis=0)
    return Frame2D((float(x), float(y)), unit)


def mirror(points: Array) -> Array:
    """Mirror points: negate x and swap left and right joints. This is its own inverse.

    Args:
        points: (..., J, C) Points of H36M17 or H36M17_FEET, x first, with the origin in the mirror
            plane.
    """
    result = points[..., skeleton_of(points.shape[-2]).mirror, :].copy()
    result[..., 0] *= -1
    return result


def scale_bones(joints_m: Array, scale: Array) -> Array:
    """Scale bone lengths without changing the directions of bones.

    The pelvis is raised or lowered with the length of the legs, so that the feet stay on the floor.

    Args:
        joints_m: (T, 17, 3) Joints in world coordinates, z up.
        scale: (17,) Scale factor of the bone between each joint and its parent.
    """
    result = np.empty_like(joints_m)
    result[:, 0] = joints_m[:, 0]
    for child, parent in H36M17.bones:  # parents precede children in this skeleton
        bone = (joints_m[:, child] - joints_m[:, parent]) * scale[child]
        result[:, child] = result[:, parent] + bone
    ankles = H36M17.indices("left_ankle", "right_ankle")
    raised = (result[:, ankles, 2] - joints_m[:, ankles, 2]).mean(axis=1)
    result[..., 2] -= np.median(raised)
    return result
