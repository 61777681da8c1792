"""Joint conventions: the axes of the trunk, and offsets that follow the body."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from actionpose.geometry.joint_conventions import (
    LIMB_JOINTS,
    OFFSETS,
    convert_convention,
    move_limbs,
    trunk_axes,
    without_offsets,
)
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError


@pytest.fixture(scope="module")
def standing() -> np.ndarray:
    """(1, 17, 3) in camera axes: x right, y down. Faces the camera, so its left is at +x."""
    places = {"hip": (0.1, 0), "knee": (0.1, 0.4), "ankle": (0.1, 0.8)}
    places |= {"shoulder": (0.2, -0.5), "elbow": (0.2, -0.2), "wrist": (0.2, 0.1)}
    joints = np.zeros((1, 17, 3))
    for name, (x, y) in places.items():
        for side, sign in (("left", 1), ("right", -1)):
            joints[0, H36M17.joints.index(f"{side}_{name}"), :2] = sign * x, y
    return joints


def test_trunk_axes_are_left_up_and_ahead(standing: np.ndarray) -> None:
    axes, length = trunk_axes(standing)
    np.testing.assert_allclose(axes[0], np.transpose([[1, 0, 0], [0, -1, 0], [0, 0, -1]]))
    np.testing.assert_allclose(length, 0.5)


def test_move_limbs_mirrors_offsets_and_turns_with_the_body(standing: np.ndarray) -> None:
    offsets = np.zeros((6, 3))
    offsets[LIMB_JOINTS.index("elbow")] = 0.1, 0.2, 0.3  # outwards, up, ahead
    moved = move_limbs(standing, offsets)
    elbows = H36M17.indices("left_elbow", "right_elbow")
    np.testing.assert_allclose(
        (moved - standing)[0, elbows], [[0.05, -0.1, -0.15], [-0.05, -0.1, -0.15]], atol=1e-12
    )
    assert np.array_equal(np.delete(moved, elbows, 1), np.delete(standing, elbows, 1))
    turn = Rotation.from_euler("xyz", [0.3, 1.2, -2]).as_matrix().T
    np.testing.assert_allclose(move_limbs(standing @ turn, offsets), moved @ turn, atol=1e-12)


def test_offsets_of_elbows_turn_with_the_arm(standing: np.ndarray) -> None:
    """To the parent stays so; outwards becomes up where the arm is raised sideways."""
    raised, up = standing.copy(), standing.copy()
    shoulder, elbow = H36M17.indices("left_shoulder", "left_elbow")
    raised[0, elbow] = raised[0, shoulder] + [0.3, 0, 0]
    up[0, elbow] = up[0, shoulder] + [0, -0.3, 0]
    expected = {  # outwards, up, ahead: moves of both arms in camera axes
        (0.1, 0, 0): ([0, -0.025, 0], [0, 0, 0]),
        (0, 0.1, 0): ([-0.05, 0, 0], [0, 0.05, 0]),
        (0, 0, 0.1): ([0, 0, -0.025], [0, 0, 0]),
    }
    for offset, moves in expected.items():
        offsets = np.zeros((6, 3))
        offsets[LIMB_JOINTS.index("elbow")] = offset
        for arm, move in zip((raised, up), moves, strict=True):
            moved = move_limbs(arm, offsets)
            np.testing.assert_allclose((moved - arm)[0, elbow], move, atol=1e-12)


def test_convert_convention_keeps_the_pelvis_and_is_undone_by_its_inverse(
    standing: np.ndarray,
) -> None:
    found = convert_convention(standing, "mocap", "anatomical")
    assert not found[:, 0].any()
    hips = H36M17.indices("left_hip", "right_hip")
    np.testing.assert_allclose(found[:, hips].mean(axis=1), 0, atol=1e-12)
    shoulder = H36M17.joints.index("left_shoulder")
    wider_m = -0.5 * OFFSETS["mocap"][LIMB_JOINTS.index("shoulder"), 0]
    assert 0.005 < wider_m < 0.02
    np.testing.assert_allclose((found - standing)[0, shoulder, 0], wider_m)
    back = convert_convention(found, "anatomical", "mocap")
    np.testing.assert_allclose(back, standing, atol=2e-3)  # the trunk's length has changed
    assert convert_convention(standing, "mocap", "mocap") is standing


def test_without_offsets_undoes_the_displacement_of_a_detector(standing: np.ndarray) -> None:
    """An orthographic image of 200 pixels a meter; a wrist that was not detected stays."""
    offsets = OFFSETS["mediapipe33"]
    turn = Rotation.from_euler("y", 0.7).as_matrix().T
    body = standing @ turn
    thorax, spine, wrist = H36M17.indices("thorax", "spine", "left_wrist")
    for joints in (body, detected := move_limbs(body, offsets)):
        joints[:, thorax] = joints[:, H36M17.indices("left_shoulder", "right_shoulder")].mean(1)
        joints[:, spine] = (joints[:, 0] + joints[:, thorax]) / 2
    points = np.concatenate([200 * detected[..., :2] + 300, np.ones((1, 17, 1))], axis=-1)
    points[:, wrist] = 0
    found = without_offsets(points, 200 * body, offsets)
    error_px = np.linalg.norm(found[..., :2] - 200 * body[..., :2] - 300, axis=-1)
    assert not found[:, wrist].any()
    assert np.delete(error_px, wrist, 1).max() < 0.01
    assert np.linalg.norm(points - found, axis=-1).max() > 3


def test_convert_convention_leaves_absent_people_at_zero() -> None:
    assert not convert_convention(np.zeros((2, 17, 3)), "mocap", "anatomical").any()


def test_convert_convention_names_the_known_ones(standing: np.ndarray) -> None:
    with pytest.raises(UserError, match="from 'mocap' to 'h36m': known are .*anatomical"):
        convert_convention(standing, "mocap", "h36m")
