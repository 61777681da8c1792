"""The fitted skeleton: its rotations, and the joints that follow from them."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.results import node_positions, people

from actionpose.postprocessing.bone_lengths import fix_bone_lengths
from actionpose.postprocessing.common import positions
from actionpose.postprocessing.skeleton_fit import _shortest, fit_skeleton
from actionpose.result import Result


@pytest.fixture(scope="module")
def fixed() -> Result:
    return fix_bone_lengths(people())


def test_rotations_give_back_the_joints(fixed: Result) -> None:
    fitted = fit_skeleton(fixed, 0, even=True)
    nodes = node_positions(fitted)
    np.testing.assert_allclose(nodes, fitted.joints_m[:, fitted.tree.joints], atol=1e-12)
    np.testing.assert_allclose(fitted.joints_m, positions(fixed)[0], atol=2e-5)  # root_m is float32
    assert fitted.residual_mm < 0.01


def test_frames_without_a_pose_do_not_change_bones(fixed: Result) -> None:
    """Interpolated between somebody who has turned around meanwhile, bones are too short."""
    valid = np.zeros(fixed.valid.shape, bool)
    valid[0, :6] = valid[0, -6:] = True
    pose = fixed.pose_m.copy()
    pose[0, -6:] *= [-1, 1, -1]
    turned = replace(fixed, pose_m=pose, valid=valid)
    joints = fit_skeleton(turned, 0, even=True).joints_m[valid[0]]
    np.testing.assert_allclose(joints, positions(turned)[0, valid[0]], atol=2e-5)


def test_rest_pose_is_a_t(fixed: Result) -> None:
    fitted = fit_skeleton(fixed, 0, even=True)
    rest = node_positions(replace(fitted, rotations=np.tile([0.0, 0, 0, 1], (1, 23, 1))))
    rest = dict(zip(fitted.tree.names, (rest - fitted.root_m[:, None])[0], strict=True))
    assert rest["LeftHand"][0] > 0.5 and rest["RightHand"][0] < -0.5
    assert abs(rest["LeftHand"][1] - rest["Spine2"][1]) < 1e-9
    assert rest["LeftFoot"][1] < -0.6 and rest["HeadTop"][1] > 0.5
    for name, node in rest.items():
        if name.startswith("Left"):
            mirrored = rest[name.replace("Left", "Right")] * [-1, 1, 1]
            np.testing.assert_allclose(node, mirrored, atol=1e-9)


def test_shortest_rotation_of_opposite_directions() -> None:
    source = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    turned = _shortest(source, -source).apply(source)
    np.testing.assert_allclose(turned, -source, atol=1e-12)


def test_rotations_are_continuous(fixed: Result) -> None:
    turns = fit_skeleton(fixed, 0, even=True).rotations
    assert (turns[1:] * turns[:-1]).sum(axis=-1).min() > 0.7
