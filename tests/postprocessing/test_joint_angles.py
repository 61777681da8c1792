"""Joint angles: poses whose angles are known by how they were made."""

import numpy as np
import pytest
from helpers.results import make_result, result_of, standing_pose, turned

from actionpose.geometry.axes import Axes
from actionpose.postprocessing.floor_alignment import align_to_floor
from actionpose.postprocessing.joint_angles import joint_angles
from actionpose.postprocessing.root_trajectory import set_up_axis
from actionpose.result import Result, RootOrigin
from actionpose.skeletons import H36M17, HALPE26
from actionpose.utils.errors import UserError


def angle_of(result: Result, name: str, frame: int = 0) -> float:
    table = joint_angles(result)
    return float(table.degrees[0, frame, table.names.index(name)])


LEFT_LEG, LEFT_ARM = ("left_knee", "left_ankle"), ("left_elbow", "left_wrist")
RIGHT_ARM = ("right_elbow", "right_wrist")
TRUNK = [name for name in H36M17.joints if not name.endswith(("hip", "knee", "ankle", "pelvis"))]


def test_angles_of_standing_are_zero() -> None:
    table = joint_angles(result_of(standing_pose()))
    np.testing.assert_allclose(table.degrees, 0, atol=1e-4)


# what is turned, about which joint, axis (x left, y up, z forward), degrees: name, angle
CASES = [
    (LEFT_LEG, "left_hip", (-1, 0, 0), 40, "left_hip_flexion", 40),
    (LEFT_LEG, "left_hip", (-1, 0, 0), -15, "left_hip_flexion", -15),
    (LEFT_LEG, "left_hip", (0, 0, 1), 25, "left_hip_abduction", 25),
    (("left_ankle",), "left_knee", (1, 0, 0), 70, "left_knee_flexion", 70),
    (("right_ankle",), "right_knee", (1, 0, 0), 130, "right_knee_flexion", 130),
    (("left_wrist",), "left_elbow", (-1, 0, 0), 95, "left_elbow_flexion", 95),
    (LEFT_ARM, "left_shoulder", (-1, 0, 0), 120, "left_shoulder_flexion", 120),
    (LEFT_ARM, "left_shoulder", (-1, 0, 0), 120, "left_shoulder_elevation", 120),
    (LEFT_ARM, "left_shoulder", (-1, 0, 0), 190, "left_shoulder_flexion", 190),
    (LEFT_ARM, "left_shoulder", (-1, 0, 0), -60, "left_shoulder_flexion", -60),
    (LEFT_ARM, "left_shoulder", (0, 0, 1), 90, "left_shoulder_abduction", 90),
    (LEFT_ARM, "left_shoulder", (0, 0, 1), 190, "left_shoulder_abduction", 190),
    (RIGHT_ARM, "right_shoulder", (0, 0, -1), 60, "right_shoulder_abduction", 60),
    (RIGHT_ARM, "right_shoulder", (0, 0, -1), 60, "right_shoulder_elevation", 60),
    (TRUNK, "pelvis", (1, 0, 0), 35, "trunk_flexion", 35),
    (TRUNK, "pelvis", (0, 0, 1), 20, "trunk_lean_right", 20),
    (TRUNK, "pelvis", (0, 1, 0), 30, "trunk_rotation_left", 30),
]


@pytest.mark.parametrize(("joints", "about", "axis", "degrees", "name", "expected"), CASES)
@pytest.mark.parametrize("heading", [0, 130])
def test_angles_are_those_that_joints_are_turned_by(
    joints: tuple[str, ...],
    about: str,
    axis: tuple[float, float, float],
    degrees: float,
    name: str,
    expected: float,
    heading: float,
) -> None:
    pose = turned(standing_pose(), joints, about, axis, degrees)
    pose = turned(pose, H36M17.joints, "pelvis", (0, 1, 0), heading)  # whichever way one faces
    assert angle_of(result_of(pose), name) == pytest.approx(expected, abs=1e-3)


def test_angles_do_not_depend_on_axes() -> None:
    pose = turned(standing_pose(), LEFT_LEG, "left_hip", (-1, 0, 0), 40)
    result = result_of(pose)
    camera = make_result(
        result.pose_m @ Axes.Y_UP.rotation_to(Axes.CAMERA).T, header={"axes": Axes.CAMERA}
    )
    for other in (set_up_axis(result, "y"), set_up_axis(result, "z"), camera):
        expected = joint_angles(result).degrees
        np.testing.assert_allclose(joint_angles(other).degrees, expected, atol=1e-3)


def test_lean_is_undefined_for_a_trunk_bent_to_the_horizontal() -> None:
    bent = turned(standing_pose(), TRUNK, "pelvis", (1, 0, 0), 85)
    assert angle_of(result_of(bent), "trunk_flexion") == pytest.approx(85, abs=1e-3)
    assert np.isnan(angle_of(result_of(bent), "trunk_lean_right"))


def test_shoulder_flexion_is_undefined_for_an_arm_to_the_side() -> None:
    pose = turned(standing_pose(), LEFT_ARM, "left_shoulder", (0, 0, 1), 88)
    assert np.isnan(angle_of(result_of(pose), "left_shoulder_flexion"))
    assert angle_of(result_of(pose), "left_shoulder_abduction") == pytest.approx(88, abs=1e-3)


def test_angles_are_nan_in_invalid_frames() -> None:
    result = result_of(
        standing_pose(), standing_pose(), standing_pose(), valid=np.array([[True, False, True]])
    )
    result.pose_m[0, 2, 3] = np.nan
    table = joint_angles(result)
    assert np.isnan(table.degrees[0, 1:]).all() and np.isfinite(table.degrees[0, 0]).all()
    np.testing.assert_array_equal(table.valid, [[True, False, False]])


def test_ankle_angles_need_toes() -> None:
    table = joint_angles(result_of(standing_pose()))
    assert not any("ankle" in name for name in table.names)
    feet = np.zeros((1, 1, 26, 3))
    pose = standing_pose() | {"neck": np.array([0, 1.45, 0])}
    for side in ("left", "right"):
        pose[f"{side}_big_toe"] = pose[f"{side}_ankle"] + [0, 0.1, 0.17]  # toes up
    for name, place in pose.items():
        if name in HALPE26.joints:
            feet[0, 0, HALPE26.joints.index(name)] = place
    whole = result_of(standing_pose(), pose_m=feet, header={"skeleton": "halpe26"})
    expected = np.degrees(np.arctan2(0.1, 0.17))
    assert angle_of(whole, "left_ankle_dorsiflexion") == pytest.approx(expected, abs=1e-3)
    with pytest.raises(UserError, match="the skeleton coco17 lacks pelvis, thorax"):
        joint_angles(result_of(standing_pose(), header={"skeleton": "coco17"}))


def test_vertical_is_that_of_camera_or_floor() -> None:
    result = result_of(standing_pose())
    assert joint_angles(result).vertical == "camera"
    assert joint_angles(align_to_floor(result)).vertical == "camera"  # only heights are found
    root_m = np.zeros((1, 1, 3))
    placed = result_of(standing_pose(), root_m=root_m, header={"root": RootOrigin.CAMERA})
    assert joint_angles(placed).vertical == "camera"
    assert joint_angles(align_to_floor(placed)).vertical == "floor"
