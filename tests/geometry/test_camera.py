"""Every map and its inverse, and small cases worked out by hand."""

from typing import Any

import numpy as np
import pytest

from actionpose.datasets.synthetic.generate import motion
from actionpose.geometry.camera import (
    Camera,
    Frame2D,
    box_frame,
    heading_rad,
    image_frame,
    look_at,
    mirror,
    orthographic_view,
    orthographic_view_inverse,
    scale_bones,
)
from actionpose.skeletons import H36M17


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture(scope="module")
def walk_m() -> np.ndarray:
    return motion("walk", np.random.default_rng(1)).joints_m.astype(float)


def some_camera(rng: np.random.Generator) -> Camera:
    position = np.array([3.0, -2.0, 1.5])
    rotation = look_at(position, rng.normal(0, 0.3, 3))
    return Camera(rotation, position, 1145.0, np.array([500.0, 480.0]))


def is_rotation(matrix: np.ndarray) -> bool:
    return np.allclose(matrix @ matrix.T, np.eye(3)) and np.isclose(np.linalg.det(matrix), 1)


def test_camera_and_back(rng: np.random.Generator) -> None:
    camera, points = some_camera(rng), rng.normal(0, 1, (5, 17, 3))
    np.testing.assert_allclose(camera.to_world(camera.from_world(points)), points, atol=1e-12)


def test_image_and_back(rng: np.random.Generator) -> None:
    camera = some_camera(rng)
    points = camera.from_world(rng.normal(0, 0.5, (5, 17, 3)))
    assert (points[..., 2] > 0).all()
    back = camera.unproject(camera.project(points), points[..., 2])
    np.testing.assert_allclose(back, points, atol=1e-12)


def test_projection_by_hand() -> None:
    """A level camera 4 m south of the origin and 1 m up: east is right, up is up, north is far."""
    position = np.array([0.0, -4.0, 1.0])
    camera = Camera(
        look_at(position, np.array([0, 0, 1.0])), position, 1000.0, np.array([500.0, 400])
    )
    points = camera.from_world(np.array([[1.0, 0.0, 1.5], [0.0, 0.0, 1.0], [-2.0, 4.0, 0.0]]))
    np.testing.assert_allclose(points, [[1, -0.5, 4], [0, 0, 4], [-2, 1, 8]], atol=1e-12)
    np.testing.assert_allclose(camera.project(points), [[750, 275], [500, 400], [250, 525]])


def test_look_at_keeps_up(rng: np.random.Generator) -> None:
    for _ in range(50):
        position, target = rng.normal(0, 2, (2, 3))
        rotation = look_at(position, target)
        assert is_rotation(rotation)
        # the target is straight ahead; up in the world is up in the image and never sideways
        ahead = rotation @ (target - position)
        np.testing.assert_allclose(ahead, [0, 0, np.linalg.norm(target - position)], atol=1e-9)
        right, down, _ = rotation @ [0, 0, 1]
        assert abs(right) < 1e-9 and down < 0


def test_orthographic_view_and_back(rng: np.random.Generator) -> None:
    points = rng.normal(0, 1, (4, 17, 3))
    for yaw in rng.uniform(-np.pi, np.pi, 5):
        seen = orthographic_view(points, yaw)
        np.testing.assert_allclose(orthographic_view_inverse(seen, yaw), points, atol=1e-12)
        # heights are kept; distances are kept
        np.testing.assert_allclose(seen[..., 1], -points[..., 2], atol=1e-12)
        np.testing.assert_allclose(
            np.linalg.norm(seen, axis=-1), np.linalg.norm(points, axis=-1), atol=1e-12
        )


def test_orthographic_view_by_hand() -> None:
    point = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(orthographic_view(point, 0.0), [1, -3, 2], atol=1e-12)
    # turned left by a quarter, the camera looks along -x and has north on its right
    np.testing.assert_allclose(orthographic_view(point, np.pi / 2), [2, -3, -1], atol=1e-12)


def test_orthographic_view_is_the_view_of_a_far_camera(walk_m: np.ndarray) -> None:
    yaw = 0.7
    forward = np.array([-np.sin(yaw), np.cos(yaw), 0])
    center = walk_m.mean(axis=(0, 1))
    position = center - 1e5 * forward
    camera = Camera(look_at(position, center), position, 1e5, np.zeros(2))
    seen = camera.project(camera.from_world(walk_m))
    level = orthographic_view(walk_m - center, yaw)[..., :2]
    np.testing.assert_allclose(seen, level, atol=1e-3)


@pytest.mark.parametrize("angle", [-3.0, -1.2, 0.0, 0.4, 2.5])
def test_heading_by_hand(angle: float) -> None:
    """Someone who faces +x has the left side at +y."""
    joints = np.zeros((17, 3))
    for side, y in (("left", 0.2), ("right", -0.2)):
        joints[H36M17.indices(f"{side}_hip", f"{side}_shoulder"), 1] = y
    cos, sin = np.cos(angle), np.sin(angle)
    turned = joints @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    assert heading_rad(turned + [3.0, -2.0, 1.0]) == pytest.approx(angle)


def test_heading_is_along_the_path() -> None:
    """Of those who walk forward at all: the path and the body's direction agree."""
    checked = 0
    for seed in range(40):
        made = motion("walk", np.random.default_rng(seed))
        if "back" in made.text or "side" in made.text or "forward" not in made.text:
            continue
        joints = made.joints_m.astype(float)
        middle = len(joints) // 2
        path = joints[middle + 3, 0, :2] - joints[middle - 3, 0, :2]
        if np.linalg.norm(path) < 0.1:
            continue
        heading = heading_rad(joints[middle])
        along = path @ [np.cos(heading), np.sin(heading)] / np.linalg.norm(path)
        assert along > 0.8, made.text
        checked += 1
    assert checked >= 3


@pytest.mark.parametrize("frame", [Frame2D((320.0, 200.0), 150.0), image_frame((1920, 1080))])
def test_normalize_and_back(frame: Frame2D, rng: np.random.Generator) -> None:
    keypoints = rng.uniform(0, 1000, (6, 17, 3))
    keypoints[..., 2] = rng.uniform(0.1, 1, (6, 17))
    back = frame.denormalize(frame.normalize(keypoints))
    np.testing.assert_allclose(back, keypoints, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(frame.normalize(keypoints)[..., 2], keypoints[..., 2], rtol=1e-6)
    without = frame.normalize(keypoints[..., :2])
    np.testing.assert_array_equal(without, frame.normalize(keypoints)[..., :2])


def test_image_frame_by_hand() -> None:
    corners = np.array([[0.0, 0, 1], [1920, 1080, 1], [960, 540, 1], [5, 5, 0]])
    expected = [[-1, -0.5625, 1], [1, 0.5625, 1], [0, 0, 1], [0, 0, 0]]
    np.testing.assert_allclose(image_frame((1920, 1080)).normalize(corners), expected)


def test_normalize_keeps_its_argument() -> None:
    keypoints = np.array([[5.0, 5.0, 0.0], [7.0, 8.0, 1.0]])
    image_frame((10, 10)).normalize(keypoints)
    assert keypoints.tolist() == [[5, 5, 0], [7, 8, 1]]


def box(x: int, y: int, width: int, height: int) -> np.ndarray:
    """One frame whose detected keypoints span a box."""
    keypoints = np.zeros((17, 3))
    keypoints[:4] = [[x, y, 1], [x + width, y, 1], [x, y + height, 1], [x + width, y + height, 1]]
    return keypoints


def test_box_frame_is_half_the_box() -> None:
    frame = box_frame(np.stack([box(100, 50, 60, 200)] * 5))
    assert frame == Frame2D((130.0, 150.0), 100.0)
    frame = box_frame(np.stack([box(100, 50, 300, 200)]))
    assert frame == Frame2D((250.0, 150.0), 150.0)


def test_box_frame_of_a_crossing_person() -> None:
    frame = box_frame(np.stack([box(100 * t, 50, 60, 200) for t in range(5)]))
    assert frame == Frame2D((230.0, 150.0), 100.0)


def test_box_frame_ignores_outliers() -> None:
    frames = [box(100, 50, 60, 200)] * 7 + [box(-3000, 4000, 1, 9000)] * 3
    assert box_frame(np.stack(frames)) == Frame2D((130.0, 150.0), 100.0)


def test_box_frame_ignores_missing_joints() -> None:
    keypoints = np.stack([box(100, 50, 60, 200)] * 3)
    keypoints[:, 10] = [9999, 9999, 0]  # somewhere, but not detected
    alone = np.zeros((17, 3))
    alone[0] = [7, 7, 1]
    frame = box_frame(np.concatenate([keypoints, np.zeros((8, 17, 3)), alone[None]]))
    assert frame == Frame2D((130.0, 150.0), 100.0)


def test_box_frame_of_nothing_is_none() -> None:
    assert box_frame(np.zeros((5, 17, 3))) is None
    one = np.zeros((5, 17, 3))
    one[:, 3] = [4, 5, 1]
    assert box_frame(one) is None
    assert box_frame(np.ones((5, 17, 3))) is None  # all in one point


def test_box_frame_does_not_depend_on_pixels(rng: np.random.Generator) -> None:
    keypoints = rng.uniform(100, 900, (9, 17, 3))
    larger = keypoints * [3.0, 3.0, 1.0] + [50.0, -20.0, 0.0]
    a, b = box_frame(keypoints), box_frame(larger)
    assert a is not None and b is not None
    np.testing.assert_allclose(a.normalize(keypoints), b.normalize(larger), atol=1e-5)


@pytest.mark.parametrize("channels", [2, 3])
def test_mirror_twice_is_nothing(channels: int, rng: np.random.Generator) -> None:
    points = rng.normal(0, 1, (2, 5, 17, channels))
    once = mirror(points)
    assert (mirror(once) == points).all()
    np.testing.assert_array_equal(once[..., 0, 0], -points[..., 0, 0])
    left, right = H36M17.indices("left_wrist", "right_wrist")
    np.testing.assert_array_equal(once[..., left, 1:], points[..., right, 1:])


def test_mirror_keeps_its_argument(rng: np.random.Generator) -> None:
    points = rng.normal(0, 1, (17, 3))
    before = points.copy()
    mirror(points)
    assert (points == before).all()


def bones_of(joints: np.ndarray) -> tuple[Any, ...]:
    children, parents = np.transpose(H36M17.bones)
    bones = joints[:, children] - joints[:, parents]
    lengths = np.linalg.norm(bones, axis=-1)
    return lengths, bones / lengths[..., None], children


def test_scale_bones_keeps_directions(walk_m: np.ndarray, rng: np.random.Generator) -> None:
    scale = rng.uniform(0.7, 1.3, 17)
    scaled = scale_bones(walk_m, scale)
    (lengths, directions, children), (new, same, _) = bones_of(walk_m), bones_of(scaled)
    np.testing.assert_allclose(same, directions, atol=1e-9)
    np.testing.assert_allclose(new, lengths * scale[children], rtol=1e-9)
    # the pelvis moves by one constant, up or down
    shift = scaled[:, 0] - walk_m[:, 0]
    np.testing.assert_allclose(shift[:, :2], 0, atol=1e-12)
    assert np.ptp(shift[:, 2]) < 1e-12


def test_scale_bones_keeps_feet_on_the_floor(walk_m: np.ndarray) -> None:
    """Twice the legs raise the pelvis about as much; the ankles stay about as high as they were."""
    scale = np.ones(17)
    scale[H36M17.indices("left_knee", "right_knee", "left_ankle", "right_ankle")] = 1.5
    scaled = scale_bones(walk_m, scale)
    ankles = H36M17.indices("left_ankle", "right_ankle")
    before, after = walk_m[:, ankles, 2], scaled[:, ankles, 2]
    assert abs(np.median((after - before).mean(axis=1))) < 1e-9
    assert scaled[0, 0, 2] > walk_m[0, 0, 2] + 0.2


def test_scale_bones_by_one_is_identity(walk_m: np.ndarray) -> None:
    np.testing.assert_allclose(scale_bones(walk_m, np.ones(17)), walk_m, atol=1e-12)
