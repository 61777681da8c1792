"""The path of the root and the up axis, against scenes made here."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from helpers.results import FOCAL_PX, IMAGE_SIZE, Array, lifted_perfectly

from actionpose.geometry.axes import Axes
from actionpose.postprocessing.root_trajectory import estimate_trajectory, set_up_axis
from actionpose.result import RootOrigin
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError


@pytest.mark.parametrize("up", [None, "y", "z"])
def test_trajectory_is_that_of_the_root(walk: Array, up: Literal["y", "z"] | None) -> None:
    result, camera = lifted_perfectly(walk, pitch_deg=8)
    target = camera.from_world(walk[:, 0])
    result.keypoints_px[0, :, 3] = [5, 5, 0]  # not detected: must not count
    if up is not None:
        result = set_up_axis(result, up)
        target = target @ Axes.CAMERA.rotation_to(result.header["axes"]).T
    found = estimate_trajectory(result, focal_px=FOCAL_PX)
    np.testing.assert_allclose(found.root_m[0], target, atol=2e-3)
    step = found.header["processing"][-1]
    assert step["focal_px"] == FOCAL_PX and step["filled_frames"] == 0
    assert step["reprojection_px"] < 0.05
    assert found.header["root"] is RootOrigin.CAMERA


def test_trajectory_takes_a_field_of_view(walk: Array) -> None:
    result, _ = lifted_perfectly(walk)
    fov_deg = 2 * np.degrees(np.arctan(IMAGE_SIZE[0] / 2 / FOCAL_PX))
    one = estimate_trajectory(result, fov_deg=fov_deg)
    two = estimate_trajectory(result, focal_px=FOCAL_PX)
    np.testing.assert_allclose(one.root_m, two.root_m, atol=1e-4)


def test_trajectory_fills_frames_with_few_joints(walk: Array) -> None:
    result, camera = lifted_perfectly(walk)
    result.keypoints_px[0, 40:43, 3:, 2] = 0  # three joints left
    found = estimate_trajectory(result, focal_px=FOCAL_PX)
    assert found.header["processing"][-1]["filled_frames"] == 3
    np.testing.assert_allclose(found.root_m[0, 40:43], camera.from_world(walk[40:43, 0]), atol=0.03)
    nobody = replace(result, valid=np.zeros_like(result.valid))
    assert np.isnan(estimate_trajectory(nobody, focal_px=FOCAL_PX).root_m).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either focal_px or fov_deg"),
        ({"focal_px": 900, "fov_deg": 60}, "either focal_px or fov_deg"),
        ({"fov_deg": 200}, "5 to 170 degrees, not 200"),
        ({"focal_px": -900}, "focal_px is a number of pixels above 0, not -900"),
        ({"focal_px": 3}, "focal length of 3 px does not fit 1000 px"),
    ],
)
def test_trajectory_refuses_impossible_cameras(
    walk: Array, options: dict[str, float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        estimate_trajectory(lifted_perfectly(walk)[0], **options)


def test_trajectory_needs_the_image_size(walk: Array) -> None:
    result, _ = lifted_perfectly(walk)
    result.header["image_size"] = None
    with pytest.raises(UserError, match="lift again with image_size"):
        estimate_trajectory(result, fov_deg=60)


@pytest.mark.parametrize("up", ["y", "z"])
def test_up_axis_points_up(walk: Array, up: Literal["y", "z"]) -> None:
    result, _ = lifted_perfectly(walk)
    turned = set_up_axis(estimate_trajectory(result, focal_px=FOCAL_PX), up)
    assert turned.header["axes"] is {"y": Axes.Y_UP, "z": Axes.Z_UP}[up]
    height = turned.pose_m[0, :, H36M17.joints.index("head"), "xyz".index(up)]
    assert (height > 0.5).all()
    to_y_up = turned.header["axes"].rotation_to(Axes.Y_UP)
    expected = result.pose_m @ Axes.CAMERA.rotation_to(Axes.Y_UP).T
    np.testing.assert_allclose(turned.pose_m @ to_y_up.T, expected, atol=1e-5)
    both = set_up_axis(turned, "y")
    np.testing.assert_allclose(both.root_m[0], turned.root_m[0] @ to_y_up.T, atol=1e-5)
