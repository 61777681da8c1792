"""Where persons stand in the scene that is drawn."""

from collections.abc import Callable

import numpy as np
import pytest

from actionpose.geometry.axes import Axes
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.visualization.scene import (
    CLEARANCE_M,
    SPACING_M,
    scene_positions,
    view_rotation,
)

Waving = Callable[..., Result]


@pytest.mark.parametrize("axes", Axes)
def test_scene_is_upright_on_the_floor(waving: Waving, axes: Axes) -> None:
    result = waving(header={"axes": axes})
    result.pose_m[:] = result.pose_m @ Axes.CAMERA.rotation_to(axes).T
    joints, _ = scene_positions(result)
    head, ankle = (joints[0, :, H36M17.joints.index(name)] for name in ("head", "left_ankle"))
    np.testing.assert_allclose(head[:, 1] - ankle[:, 1], 1.64, atol=1e-6)
    assert ankle[:, 1] == pytest.approx(CLEARANCE_M)
    nose = joints[0, :, H36M17.joints.index("nose")]
    assert (nose[:, 2] > head[:, 2]).all()  # the face is towards the viewer
    left, right = (
        joints[0, :, H36M17.joints.index(f"{name}_hip"), 0] for name in ("left", "right")
    )
    assert (left > right).all()


def test_floor_ignores_a_stray_frame(waving: Waving) -> None:
    result = waving(frames=100)
    result.pose_m[0, 50, 0, 1] = 9.0
    joints, _ = scene_positions(result)
    assert joints[0, 0, H36M17.joints.index("left_ankle"), 1] == pytest.approx(CLEARANCE_M)


def test_scene_without_a_path_is_in_the_order_of_the_image(waving: Waving) -> None:
    joints, _ = scene_positions(waving(persons=3))
    x = joints[:, 0, 0, 0]
    np.testing.assert_allclose(x, [SPACING_M, 0, -SPACING_M])


def test_scene_of_a_crowd_is_in_rows(waving: Waving) -> None:
    result = waving(persons=30, frames=1)
    result.keypoints_px[:15, ..., 1] += 500  # nearer
    joints, _ = scene_positions(result)
    x, z = joints[:, 0, 0, 0], joints[:, 0, 0, 2]
    assert len(np.unique(z.round(3))) == 4 and np.ptp(x) == pytest.approx(7 * SPACING_M)
    assert z[:15].min() >= z[15:].max()
    distance = np.linalg.norm(joints[:, None, 0, 0] - joints[:, 0, 0], axis=-1)
    assert distance[~np.eye(30, dtype=bool)].min() > 0.99 * SPACING_M


def test_scene_with_a_path_keeps_distances(waving: Waving) -> None:
    root = np.zeros((2, 8, 3))
    root[0, :, 0], root[1, :, 0] = -1, 2
    root[..., 2] = 4 + np.arange(8) / 10
    result = waving(persons=2, root_m=root)
    joints, offset = scene_positions(result)
    np.testing.assert_allclose(joints[1, :, 0, 0] - joints[0, :, 0, 0], 3, atol=1e-6)
    np.testing.assert_allclose(np.diff(joints[0, :, 0, 2]), -0.1, atol=1e-6)
    np.testing.assert_array_equal(offset[0], offset[1])
    assert joints[..., 1].min() == pytest.approx(CLEARANCE_M)


def test_view_rotation_by_hand() -> None:
    np.testing.assert_allclose(view_rotation(azimuth_deg=0, elevation_deg=0), np.eye(3))
    side = view_rotation(azimuth_deg=90, elevation_deg=0) @ [1, 2, 3]
    np.testing.assert_allclose(side, [-3, 2, 1], atol=1e-12)  # the viewer stands at +x
    top = view_rotation(azimuth_deg=0, elevation_deg=90) @ [1, 2, 3]
    np.testing.assert_allclose(top, [1, -3, 2], atol=1e-12)
