"""Feet in results: angles, contacts, locked toes and fitted bones of motions made here."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.results import (
    Array,
    node_positions,
    people_with_feet,
    result_of,
    standing_pose,
    turned,
)

from actionpose.postprocessing.bone_lengths import bone_lengths, fix_bone_lengths
from actionpose.postprocessing.common import positions
from actionpose.postprocessing.floor_alignment import align_to_floor
from actionpose.postprocessing.foot_axes import foot_axes, surface_points
from actionpose.postprocessing.foot_locking import lock_feet
from actionpose.postprocessing.ground_contact import foot_contact_mask
from actionpose.postprocessing.joint_angles import joint_angles
from actionpose.postprocessing.skeleton_fit import fit_skeleton
from actionpose.result import Result, RootOrigin
from actionpose.skeletons import H36M17, H36M17_FEET

STANDING = standing_pose(H36M17_FEET)
LEFT_FOOT = ("left_toe_base", "left_toe")
LEFT_SHANK = ("left_ankle", *LEFT_FOOT)
TOE_BASES = H36M17_FEET.indices("left_toe_base", "right_toe_base")


def angles_of(pose: dict[str, Array]) -> dict[str, float]:
    table = joint_angles(result_of(pose))
    return dict(zip(table.names, table.degrees[0, 0].tolist(), strict=True))


def test_angles_of_flat_feet_are_zero() -> None:
    angles = angles_of(STANDING)
    assert {"left_ankle_dorsiflexion", "right_ankle_dorsiflexion", "left_toe_out"} <= set(angles)
    np.testing.assert_allclose(list(angles.values()), 0, atol=0.02)


# what is turned, about which joint, axis (x left, y up, z forward), degrees: name, angle
@pytest.mark.parametrize(
    ("joints", "about", "axis", "degrees", "name", "expected"),
    [
        (LEFT_FOOT, "left_ankle", (-1, 0, 0), 20, "left_ankle_dorsiflexion", 20),
        (LEFT_FOOT, "left_ankle", (-1, 0, 0), -35, "left_ankle_dorsiflexion", -35),
        (LEFT_FOOT, "left_ankle", (0, 1, 0), 30, "left_toe_out", 30),
        (LEFT_FOOT, "left_ankle", (0, 1, 0), 30, "left_ankle_dorsiflexion", 0),
        # the shin leans back with its foot: the ankle stays as it is
        (LEFT_SHANK, "left_knee", (1, 0, 0), 60, "left_ankle_dorsiflexion", 0),
        # the shin leans ahead over a flat foot: the ankle bends by as much
        (("left_knee",), "left_ankle", (1, 0, 0), 25, "left_ankle_dorsiflexion", 25),
    ],
)
@pytest.mark.parametrize("heading", [0, 130])
def test_angles_of_feet_are_those_that_they_are_turned_by(
    joints: tuple[str, ...],
    about: str,
    axis: tuple[float, float, float],
    degrees: float,
    name: str,
    expected: float,
    heading: float,
) -> None:
    pose = turned(STANDING, joints, about, axis, degrees)
    pose = turned(pose, H36M17_FEET.joints, "pelvis", (0, 1, 0), heading)
    assert angles_of(pose)[name] == pytest.approx(expected, abs=0.05)


def test_toe_out_is_positive_on_both_sides() -> None:
    foot = ("right_toe_base", "right_toe")
    angles = angles_of(turned(STANDING, foot, "right_ankle", (0, 1, 0), -15))
    assert angles["right_toe_out"] == pytest.approx(15, abs=0.01)
    assert angles["left_toe_out"] == pytest.approx(0, abs=0.01)


def heel_raises(*, drift_m_per_s: float = 0.0) -> Result:
    """Somebody who rises by 8 cm on the toes twice a second; the toe bases stay on the floor."""
    time_s = np.arange(60) / 30
    poses = []
    for t in time_s:
        lift = 0.04 * (1 - np.cos(4 * np.pi * t))
        pose = {name: place + np.array([0, lift, 0]) for name, place in STANDING.items()}
        pose |= {n: STANDING[n] for n in STANDING if "toe" in n}
        poses.append(pose)
    result = result_of(*poses, header={"root": RootOrigin.CAMERA})
    root = np.array([[pose["pelvis"] for pose in poses]])
    root[0, :, 0] += drift_m_per_s * time_s
    return replace(result, root_m=root)


def test_toe_bases_stand_while_heels_rise() -> None:
    result = heel_raises()
    assert foot_contact_mask(result).all()
    header = {**result.header, "skeleton": "h36m17"}
    ankles = replace(
        result, pose_m=result.pose_m[:, :, :17], keypoints_px=result.keypoints_px[:, :, :17],
        header=header,
    )  # fmt: skip
    assert foot_contact_mask(ankles).mean() < 0.5


def test_floor_is_below_the_toe_bases() -> None:
    floor = align_to_floor(heel_raises())
    heights = positions(floor)[0][:, TOE_BASES, 1]
    np.testing.assert_allclose(heights, 0.015 * 1.7, atol=3e-3)


def test_locked_toe_bases_do_not_slide_and_feet_keep_their_shape() -> None:
    result = heel_raises(drift_m_per_s=0.1)
    locked = lock_feet(result)
    step = locked.header["processing"][-1]
    assert step["slide_before_mm_per_s"] == pytest.approx(100, abs=5)
    assert step["slide_after_mm_per_s"] < 1
    before, after = positions(result)[0], positions(locked)[0]
    assert np.ptp(after[:, TOE_BASES], axis=0).max() < 2e-3
    for bone in (("left_ankle", "left_toe_base"), ("left_toe_base", "left_toe")):
        a, b = H36M17_FEET.indices(*bone)
        lengths = [
            np.linalg.norm(joints[:, a] - joints[:, b], axis=-1) for joints in (before, after)
        ]
        np.testing.assert_allclose(lengths[1], lengths[0], atol=1e-5)


def test_bones_of_feet_get_one_length() -> None:
    result = people_with_feet()
    fixed = fix_bone_lengths(result)
    lengths = bone_lengths(result.pose_m[0].astype(float))
    child, parent = np.array(H36M17_FEET.bones).T
    found = np.linalg.norm(fixed.pose_m[0][:, child] - fixed.pose_m[0][:, parent], axis=-1)
    np.testing.assert_allclose(found, np.tile(lengths[child], (40, 1)), atol=1e-5)
    assert {"left_toe_base", "right_toe"} <= set(
        fixed.header["processing"][-1]["bone_lengths_m"][0]
    )


def test_fitted_skeleton_of_feet_gives_back_the_joints() -> None:
    fixed = fix_bone_lengths(people_with_feet())
    fitted = fit_skeleton(fixed, 0, even=True)
    assert len(fitted.tree.names) == 25 and "LeftToeBase" in fitted.tree.names
    np.testing.assert_allclose(
        node_positions(fitted), positions(fixed)[0][:, fitted.tree.joints], atol=2e-5
    )
    rest = node_positions(replace(fitted, rotations=np.tile([0.0, 0, 0, 1], (1, 25, 1))))[0]
    at = dict(zip(fitted.tree.names, rest - rest[0], strict=True))
    assert at["LeftToeBase"][2] > at["LeftFoot"][2] + 0.08  # the rest pose faces z
    assert at["LeftToeBase"][1] < at["LeftFoot"][1]


def test_surface_points_of_a_flat_foot_lie_around_it() -> None:
    """Of a foot that points along z, x to the left: heel behind and below, big toe inside."""
    knee, ankle, base, toe = (
        STANDING[f"left_{part}"] for part in ("knee", "ankle", "toe_base", "toe")
    )
    big, small, heel = surface_points(knee, ankle, base, toe, left=True)
    length = 0.13
    np.testing.assert_allclose(heel - ankle, length * np.array([0, -0.36, -0.45]), atol=1e-5)
    np.testing.assert_allclose(big - toe, length * np.array([-0.18, 0, 0.08]), atol=1e-5)
    np.testing.assert_allclose(small - toe, length * np.array([0.18, 0, -0.08]), atol=1e-5)
    right = [STANDING[f"right_{part}"] for part in ("knee", "ankle", "toe_base", "toe")]
    mirrored = surface_points(*right, left=False)
    np.testing.assert_allclose(mirrored * [-1, 1, 1], [big, small, heel], atol=1e-9)


def test_foot_in_line_with_its_shin_has_no_axes() -> None:
    axes = foot_axes(np.array([0, 1.0, 0]), np.zeros(3), np.array([0, -0.1, 0]))
    assert np.isnan(axes.ahead).all()


def test_seventeen_joints_have_no_angles_of_feet() -> None:
    names = joint_angles(result_of(standing_pose(H36M17))).names
    assert not [name for name in names if "ankle" in name or "toe" in name]
