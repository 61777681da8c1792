"""Foot contacts, the floor and locked feet, against scenes made here."""

import numpy as np
import pytest
from helpers.results import FOCAL_PX, Array, lengths_of_bones, lifted_perfectly, make_result

from actionpose.geometry.axes import Axes
from actionpose.postprocessing.bone_lengths import fix_bone_lengths
from actionpose.postprocessing.floor_alignment import align_to_floor
from actionpose.postprocessing.foot_locking import lock_feet
from actionpose.postprocessing.ground_contact import foot_contact_mask, with_contacts
from actionpose.postprocessing.root_trajectory import estimate_trajectory
from actionpose.postprocessing.smoothing import smooth
from actionpose.result import RootOrigin
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError, UserNotice

ANKLES = H36M17.indices("left_ankle", "right_ankle")


def test_foot_contacts_are_those_of_the_walk(walk: Array) -> None:
    result, _ = lifted_perfectly(walk)
    result = estimate_trajectory(result, focal_px=FOCAL_PX)
    mask = foot_contact_mask(result)
    stands = mask[0]
    speed = np.linalg.norm(np.gradient(walk[:, ANKLES], 1 / 30, axis=0), axis=-1)
    assert stands[speed < 0.2].mean() > 0.8
    assert stands[speed > 0.8].mean() < 0.05
    contacts = with_contacts(result, mask).header["foot_contacts"]
    assert {"left", "right"} == {contact["foot"] for contact in contacts}
    for contact in contacts:
        assert contact["stop_s"] - contact["start_s"] >= 0.12


@pytest.mark.parametrize("pitch_deg", [0.0, 12.0])
def test_floor_under_a_tilted_camera(walk: Array, pitch_deg: float) -> None:
    result, _ = lifted_perfectly(walk, pitch_deg)
    floor = align_to_floor(estimate_trajectory(result, focal_px=FOCAL_PX))
    step = floor.header["processing"][-1]
    assert step["tilt_deg"] == pytest.approx(pitch_deg, abs=3)
    assert step["camera_height_m"] == pytest.approx(1.5, abs=0.2)
    placed = floor.pose_m[0] + floor.root_m[0][:, None]
    height = -placed[..., 1]  # y points down
    np.testing.assert_allclose(height, walk[..., 2], atol=0.2)
    assert np.abs(height - walk[..., 2]).mean() < 0.06
    with pytest.raises(UserError, match="stands on a floor already"):
        align_to_floor(floor)
    with pytest.raises(UserError, match="stands on a floor or has locked feet already"):
        estimate_trajectory(floor, focal_px=FOCAL_PX)


def test_floor_without_a_path_is_below_the_lower_ankle(walk: Array) -> None:
    pose = np.stack([walk, walk]) @ Axes.Z_UP.rotation_to(Axes.CAMERA).T
    result = make_result(pose - pose[:, :, :1])
    result.keypoints_px[0, ..., 0] = 900  # the first person is further right
    floor = align_to_floor(result)
    placed = floor.pose_m + floor.root_m[:, :, None]
    lower = -placed[:, :, ANKLES, 1].max(axis=2)  # y points down
    np.testing.assert_allclose(lower, np.full_like(lower, lower[0, 0]), atol=1e-5)
    assert 0.05 < lower[0, 0] < 0.08  # 3.9 % of the stature
    assert (floor.root_m[0, :, 0] > floor.root_m[1, :, 0]).all()
    assert floor.header["root"] is RootOrigin.HEIGHT


def test_floor_without_a_path_is_below_filled_absences(walk: Array) -> None:
    pose = walk @ Axes.Z_UP.rotation_to(Axes.CAMERA).T
    valid = np.ones((1, len(walk)), bool)
    valid[0, 30:38] = False
    result = make_result(pose - pose[:, :1], valid=valid, header={"max_gap_s": 0.5})
    floor = align_to_floor(result)
    lower = -(floor.pose_m + floor.root_m[:, :, None])[0][:, ANKLES, 1].max(axis=1)
    np.testing.assert_allclose(lower, np.full_like(lower, lower[0]), atol=1e-5)


def test_floor_without_contacts_is_level(walk: Array) -> None:
    sliding = walk + np.linspace(0, 30, len(walk))[:, None, None] * np.array([0.1, 0, 0])
    result, _ = lifted_perfectly(sliding)
    floor = align_to_floor(estimate_trajectory(result, focal_px=FOCAL_PX))
    step = floor.header["processing"][-1]
    assert step["tilt_deg"] < 3 and step["method"] == "lowest ankles"
    assert step["camera_height_m"] == pytest.approx(1.5, abs=0.3)


def test_floor_tilt_from_upright_bodies(walk: Array) -> None:
    """Steps at one place do not tell the tilt of the camera; the body does, unless it lies."""
    tall = np.repeat(walk[:1], 60, axis=0)
    tall[:, :, :2] = tall[:, :1, :2] + 0.2 * (tall[:, :, :2] - tall[:, :1, :2])  # stretched out
    result, _ = lifted_perfectly(tall, pitch_deg=15)
    floor = align_to_floor(estimate_trajectory(result, focal_px=FOCAL_PX))
    step = floor.header["processing"][-1]
    assert step["tilt_deg"] == pytest.approx(15, abs=3)
    assert step["tilt_from"] == "steps and upright bodies"
    lying = tall[..., [0, 2, 1]] + [0, -0.8, 0.1]
    floor = align_to_floor(estimate_trajectory(lifted_perfectly(lying)[0], focal_px=FOCAL_PX))
    assert floor.header["processing"][-1]["tilt_from"] == "steps"


def test_locked_feet_do_not_slide_and_keep_leg_lengths(walk: Array) -> None:
    result, _ = lifted_perfectly(walk, pitch_deg=10)
    rng = np.random.default_rng(0)
    # what a noisy depth does: the whole body sways along the line of sight
    sway = np.cumsum(rng.normal(0, 0.01, (len(walk), 1)), axis=0)
    result = estimate_trajectory(fix_bone_lengths(result), focal_px=FOCAL_PX)
    result.root_m[0, :, 2:] += sway
    floor = align_to_floor(smooth(result))
    locked = lock_feet(floor)
    step = locked.header["processing"][-1]
    assert step["slide_before_mm_per_s"] > 100
    assert step["slide_after_mm_per_s"] < 0.1 * step["slide_before_mm_per_s"]
    before, after = (lengths_of_bones(r.pose_m[0]) for r in (floor, locked))
    np.testing.assert_allclose(after, before, atol=2e-3)
    # nothing tears: the fastest ankle is not much faster than it was
    speeds = [
        np.linalg.norm(np.diff((r.pose_m + r.root_m[:, :, None])[0][:, ANKLES], axis=0), axis=-1)
        for r in (floor, locked)
    ]
    assert speeds[1].max() < 1.5 * speeds[0].max()
    np.testing.assert_array_equal(locked.pose_m[0, :, 0], 0)


def test_lock_feet_leaves_frames_without_a_pose(walk: Array) -> None:
    result = estimate_trajectory(lifted_perfectly(walk)[0], focal_px=FOCAL_PX)
    result.valid[0, 40:60] = False
    result.pose_m[0, 40:60] = 0
    locked = lock_feet(result)
    np.testing.assert_array_equal(locked.pose_m[0, 43:57], 0)
    assert np.isfinite(locked.pose_m).all()


def test_lock_feet_needs_a_path(walk: Array) -> None:
    result, _ = lifted_perfectly(walk)
    for without in (result, align_to_floor(result)):
        with pytest.raises(UserError, match="give fov_deg or focal_px"):
            lock_feet(without)


def test_lock_feet_without_a_standing_foot_warns_and_changes_nothing(walk: Array) -> None:
    slides = np.repeat(walk[:1], 60, axis=0)
    slides[..., 0] += np.arange(60)[:, None] / 30  # 1 m/s: no foot stands
    result = estimate_trajectory(lifted_perfectly(slides)[0], focal_px=FOCAL_PX)
    with pytest.warns(UserNotice, match="no foot stands"):
        assert lock_feet(result) is result
