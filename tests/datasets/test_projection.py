"""Cameras and projections: clips agree with the motion, the camera and the scale."""

import numpy as np
import pytest
from helpers.motions import some_motion

from actionpose.datasets.detector_noise import detector_noise
from actionpose.datasets.projection import (
    IMAGE_SIZE,
    NOISE_PERSON_SIZE,
    orthographic_clip,
    perspective_clip,
    place_camera,
    rotated,
    subsample,
    tilted,
)
from actionpose.datasets.synthetic.generate import dataset
from actionpose.geometry.camera import Camera, box_frame, heading_rad, look_at
from actionpose.skeletons import H36M17


def test_subsample_keeps_a_full_clip(walk_m: np.ndarray) -> None:
    camera = place_camera(walk_m, 0.3, 4.0, 1.5)
    clip = perspective_clip(walk_m, camera, "image", None)
    for key, value in subsample(clip, 1, len(walk_m)).items():
        np.testing.assert_array_equal(value, clip[key])


@pytest.mark.parametrize("azimuth", np.linspace(-3, 3, 7))
def test_place_camera_stands_where_asked(walk_m: np.ndarray, azimuth: float) -> None:
    camera = place_camera(walk_m, azimuth, 4.0, 1.5)
    assert camera.position_m[2] == 1.5
    low, high = walk_m[:, 0].min(axis=0), walk_m[:, 0].max(axis=0)
    middle = (low + high) / 2
    seen = camera.project(camera.from_world(middle))
    np.testing.assert_allclose(seen, np.array(IMAGE_SIZE) / 2, atol=1e-6)
    away = (camera.position_m - middle)[:2]
    assert np.arctan2(away[1], away[0]) == pytest.approx(azimuth)
    ahead = walk_m @ [np.cos(azimuth), np.sin(azimuth), 0]
    along = camera.position_m @ [np.cos(azimuth), np.sin(azimuth), 0]
    assert (along - ahead).min() > 1 - 1e-9
    near = place_camera(walk_m, azimuth, 0.1, 1.5)
    assert (near.position_m @ [np.cos(azimuth), np.sin(azimuth), 0] - ahead).min() == pytest.approx(
        1
    )


@pytest.mark.parametrize("normalization", ["image", "box"])
def test_perspective_clip_pose_projects_onto_keypoints(
    walk_m: np.ndarray, normalization: str
) -> None:
    """Put back at the root, at true scale, the pose projects onto the noise-free keypoints."""
    camera = place_camera(walk_m, 0.8, 4.0, 1.7)
    clip = perspective_clip(walk_m, camera, normalization, None)
    root_m = camera.from_world(walk_m)[:, :1]
    pixels = camera.project(clip["pose"].astype(float) * clip["scale_m"] + root_m)
    keypoints_px = np.ones((*pixels.shape[:2], 3))
    keypoints_px[..., :2] = pixels
    expected = (pixels - 500) / 500
    if normalization == "box":
        frame = box_frame(keypoints_px)
        expected = (pixels - np.array(frame.origin_px)) / frame.unit_px
    np.testing.assert_allclose(clip["keypoints"][..., :2], expected, atol=1e-4)
    assert (clip["keypoints"][..., 2] == 1).all()


@pytest.mark.parametrize("normalization", ["image", "box"])
def test_perspective_clip_from_far_is_orthographic(walk_m: np.ndarray, normalization: str) -> None:
    """Without perspective, x and y of the pose are the keypoints' relative to the root's."""
    middle = walk_m[:, 0].mean(axis=0)
    position = middle + [4e4, 3e4, 100.0]
    camera = Camera(look_at(position, middle), position, 1.4e7, np.array([500.0, 500.0]))
    clip = perspective_clip(walk_m, camera, normalization, None)
    seen = clip["keypoints"][..., :2] - clip["keypoints"][:, :1, :2]
    np.testing.assert_allclose(clip["pose"][..., :2], seen, atol=1e-3)


def test_perspective_clip_points_down_and_away() -> None:
    """Heads are above pelvises (y down); of a person who faces the camera, the nose is nearer."""
    joints_m = some_motion("a", 27).joints_m.astype(float)
    pose = perspective_clip(joints_m, place_camera(joints_m, 0.0, 4.0, 1.5), "image", None)["pose"]
    head, nose, left = H36M17.indices("head", "nose", "left_shoulder")
    assert (pose[:, head, 1] < -0.1).all()
    assert (pose[:, nose, 2] < pose[:, head, 2]).all()
    assert (pose[:, left, 0] > 0).all()  # facing the camera, the person's left is on the right


@pytest.mark.parametrize("distance_m", [3.0, 12.0])
def test_perspective_clip_noise_grows_with_the_person(
    walk_m: np.ndarray, distance_m: float
) -> None:
    """In box units it is the table's, over the size of person for which that was measured."""
    camera = place_camera(walk_m, 0.5, distance_m, 1.5)
    clean = perspective_clip(walk_m, camera, "image", None)
    keypoints_px = np.ones((len(walk_m), 17, 3))
    keypoints_px[..., :2] = camera.project(camera.from_world(walk_m))
    noisy = perspective_clip(walk_m, camera, "image", np.random.default_rng(2))
    drawn, confidence = detector_noise(len(walk_m), np.random.default_rng(2))
    box = box_frame(keypoints_px).unit_px / 500  # in units of half the image
    moved = (noisy["keypoints"] - clean["keypoints"])[..., :2]
    seen = confidence > 0
    np.testing.assert_allclose(moved[seen], (drawn / NOISE_PERSON_SIZE * box)[seen], atol=1e-4)
    np.testing.assert_allclose(noisy["keypoints"][..., 2], confidence, rtol=1e-6)


def test_some_motion_faces_x() -> None:
    assert heading_rad(some_motion("a", 1).joints_m[0].astype(float)) == pytest.approx(0)


@pytest.mark.parametrize("pitch_deg", [0.0, 20.0, 45.0])
def test_tilted_camera_looks_down(walk_m: np.ndarray, pitch_deg: float) -> None:
    camera = place_camera(walk_m, 0.7, 4.0, 1.5)
    down = tilted(camera, walk_m, np.deg2rad(pitch_deg))
    assert np.rad2deg(np.arcsin(-down.rotation[2, 2])) == pytest.approx(pitch_deg, abs=1e-6)
    assert (down.from_world(walk_m)[..., 2] >= 1 - 1e-9).all()
    low, high = walk_m[:, 0].min(axis=0), walk_m[:, 0].max(axis=0)
    center = down.project(down.from_world((low + high) / 2))
    np.testing.assert_allclose(center, down.center_px)
    # from the same side
    a, b = camera.position_m - low, down.position_m - low
    assert a[:2] @ b[:2] > 0


def test_rotated_camera_looks_from_anywhere(walk_m: np.ndarray) -> None:
    camera, rng = place_camera(walk_m, 0.7, 4.0, 1.5), np.random.default_rng(0)
    cameras = [rotated(camera, walk_m, rng) for _ in range(400)]
    for each in cameras[:20]:
        np.testing.assert_allclose(each.rotation @ each.rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(each.rotation) == pytest.approx(1)
        assert (each.from_world(walk_m)[..., 2] >= 1 - 1e-9).all()
        low, high = walk_m[:, 0].min(axis=0), walk_m[:, 0].max(axis=0)
        center = each.project(each.from_world((low + high) / 2))
        np.testing.assert_allclose(center, each.center_px)
    # the vertical has any direction in the camera: its mean is 0, its covariance a third
    up = np.array([each.rotation[:, 2] for each in cameras])
    np.testing.assert_allclose(up.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(up.T @ up / len(up), np.eye(3) / 3, atol=0.06)


def test_orthographic_clip_is_the_view_of_its_motion() -> None:
    joints_m = next(iter(dataset(1, seed=3))).joints_m[:10]
    meters = []
    for yaw, across in ((0.0, joints_m[..., 0]), (np.pi / 2, joints_m[..., 1])):
        clip = orthographic_clip(joints_m, yaw, "image", None)
        assert clip["scale_m"] == pytest.approx(1 / 0.298)
        expected = (across - across[0, 0]) * 0.298
        np.testing.assert_allclose(clip["keypoints"][..., 0], expected, atol=1e-6)
        down = -(joints_m[..., 2] - joints_m[0, 0, 2]) * 0.298
        np.testing.assert_allclose(clip["keypoints"][..., 1], down, atol=1e-6)
        # x and y of the target are those of the input, from the root
        rooted = clip["keypoints"][..., :2] - clip["keypoints"][:, :1, :2]
        np.testing.assert_allclose(clip["pose"][..., :2], rooted, atol=1e-6)
        bones = np.linalg.norm(clip["pose"][:, 1] - clip["pose"][:, 2], axis=-1) * clip["scale_m"]
        true = np.linalg.norm(joints_m[:, 1] - joints_m[:, 2], axis=-1)
        np.testing.assert_allclose(bones, true, rtol=1e-5)
        meters.append(clip["pose"] * clip["scale_m"])
    box = orthographic_clip(joints_m, 0.0, "box", None)
    extent = np.ptp(box["keypoints"][..., :2], axis=1).max(axis=-1)
    assert np.median(extent) == pytest.approx(2)
    np.testing.assert_allclose(box["pose"] * box["scale_m"], meters[0], atol=1e-5)


@pytest.mark.parametrize("view", ["orthographic", "perspective"])
def test_noise_has_motionberts_size_whatever_the_person(walk_m: np.ndarray, view: str) -> None:
    """Without a person's size, displacements are the model's own, in units of half the image."""

    def clip(size: float, rng: np.random.Generator | None) -> np.ndarray:
        if view == "orthographic":
            made = orthographic_clip(size * walk_m, 0.0, "image", rng, person_size=None)
        else:
            camera = place_camera(walk_m, 0.0, 9.0, 1.5)
            made = perspective_clip(size * walk_m, camera, "image", rng, person_size=None)
        return made["keypoints"][..., :2]

    expected, _ = detector_noise(len(walk_m), np.random.default_rng(1))
    for size in (0.5, 1.0):
        noise = clip(size, np.random.default_rng(1)) - clip(size, None)
        np.testing.assert_allclose(noise, expected, atol=1e-6)
