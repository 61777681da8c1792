"""Smoothing, bones, the root's path, axes and the ground: against signals and scenes made here."""

from dataclasses import replace

import numpy as np
import pytest

from actionpose.cli.postprocess import MotionOptions, described
from actionpose.datasets.synthetic.generate import dataset
from actionpose.geometry.axes import CAMERA, UP, rotation_between, view_axes
from actionpose.geometry.camera import Camera, look_at
from actionpose.postprocessing import bone_lengths as bones
from actionpose.postprocessing import ground_contact as ground
from actionpose.postprocessing import root_trajectory as paths
from actionpose.postprocessing import smoothing as motion
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

SIZE = (1000, 800)
FOCAL_PX = 900.0
ANKLES = H36M17.indices("left_ankle", "right_ankle")


def made_up(pose, **changes) -> Result:
    """A result of poses (T, 17, 3) or (P, T, 17, 3) in camera axes."""
    pose = np.asarray(pose, dtype=np.float64)
    pose = pose[None] if pose.ndim == 3 else pose
    persons, frames = pose.shape[:2]
    fields = {
        "pose_m": pose,
        "keypoints_px": np.ones((persons, frames, 17, 3)),
        "valid": np.ones((persons, frames), bool),
        "track_id": np.arange(persons),
        "time_s": np.arange(frames) / 30,
        "header": {
            **{"units": "meters", "axes": CAMERA, "root": "pelvis", "skeleton": "h36m17"},
            **{"scale_source": "made up", "image_size": list(SIZE)},
        },
    }
    return Result(**fields | changes)


@pytest.fixture(scope="module")
def walk() -> np.ndarray:
    """Somebody made up who walks: (T, 17, 3) meters, world, z up, feet on z = 0."""
    walks = (made for made in dataset(60, seed=3) if made.action == "walk")
    joints = next(made.joints_m for made in walks if len(made.joints_m) >= 80)[:90]
    # obliquely away from the camera, which looks along y
    x, y = joints[-1, 0, :2] - joints[0, 0, :2]
    turn = np.pi / 3 - np.arctan2(y, x)
    cos, sin = np.cos(turn), np.sin(turn)
    return joints @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


def filmed(walk: np.ndarray, pitch_deg: float = 0.0) -> tuple[Result, Camera]:
    """The walk as a perfect lifter sees it, from 6 m and 1.5 m above the floor."""
    middle = walk[:, 0].mean(axis=0)
    position = np.array([middle[0], middle[1] - 6, 1.5])
    target = position + [0, 6, -6 * np.tan(np.radians(pitch_deg))]
    camera = Camera(look_at(position, target), position, FOCAL_PX, np.array(SIZE) / 2)
    seen = camera.from_world(walk)
    keypoints = np.concatenate([camera.project(seen), np.ones((*seen.shape[:2], 1))], axis=-1)
    return made_up(seen - seen[:, :1], keypoints_px=keypoints[None]), camera


# ---------------------------------------------------------------- smoothing


def wave(hz: float, time_s: np.ndarray) -> np.ndarray:
    pose = np.zeros((len(time_s), 17, 3))
    pose[:, 5, 1] = np.sin(2 * np.pi * hz * time_s)
    return pose


@pytest.mark.parametrize(("hz", "gain"), [(0.5, 1.0), (4.0, np.sqrt(0.5)), (12.0, 0.01)])
def test_butterworth_passes_what_is_slow_and_has_no_lag(hz, gain):
    time_s = np.arange(300) / 30
    result = motion.smooth(made_up(wave(hz, time_s)), "butterworth", cutoff_hz=4)
    middle = slice(60, 240)
    smoothed = result.pose_m[0, middle, 5, 1]
    expected = gain * wave(hz, time_s)[middle, 5, 1]
    np.testing.assert_allclose(smoothed, expected, atol=0.012)
    assert result.header["processing"] == [
        {"step": "smooth", "method": "butterworth", "cutoff_hz": 4, "lag_s": 0}
    ]


def test_uneven_times_are_filtered_by_time():
    """A film whose rate doubles: the cutoff is in Hz all the way."""
    time_s = np.concatenate([np.arange(60) / 15, 4 + np.arange(180) / 30])
    fast = wave(6, time_s) * (time_s > 4)[:, None, None]
    result = made_up(wave(0.5, time_s) + fast, time_s=time_s)
    smoothed = motion.smooth(result, cutoff_hz=2).pose_m[0, :, 5, 1]
    inner = (time_s > 0.5) & (time_s < 9.4) & (np.abs(time_s - 4) > 0.5)
    np.testing.assert_allclose(smoothed[inner], wave(0.5, time_s)[inner, 5, 1], atol=0.03)


@pytest.mark.parametrize("method", ["butterworth", "one-euro"])
def test_nothing_is_smoothed_across_a_gap(method):
    pose = np.zeros((60, 17, 3))
    pose[30:] = 1.0
    pose[28:32] = 1e6  # nobody there: means nothing
    valid = np.ones((1, 60), bool)
    valid[0, 28:32] = False
    result = motion.smooth(made_up(pose, valid=valid), method)
    np.testing.assert_allclose(result.pose_m[0], pose, atol=1e-6)


def test_one_euro_looks_only_back_and_quietens_rest():
    rng = np.random.default_rng(1)
    pose = rng.normal(0, 0.01, (90, 17, 3))
    other = pose.copy()
    other[50:] += 1
    one, two = (motion.smooth(made_up(p), "one-euro").pose_m[0] for p in (pose, other))
    np.testing.assert_array_equal(one[:50], two[:50])
    assert one[20:50].std() < 0.6 * pose[20:50].std()
    # and follows what is fast: within a few frames it is there
    assert np.abs(two[56] - 1).max() < 0.25


def test_short_runs_and_single_frames_stay():
    for frames in (1, 2):
        pose = np.random.default_rng(0).normal(size=(frames, 17, 3))
        smoothed = motion.smooth(made_up(pose)).pose_m[0]
        np.testing.assert_allclose(smoothed, pose, atol=1e-6)


def test_cutoffs_that_do_not_fit_are_refused():
    result = made_up(np.zeros((50, 17, 3)))
    with pytest.raises(UserError, match="cutoff of 16 Hz does not fit 30 frames a second"):
        motion.smooth(result, cutoff_hz=16)
    with pytest.raises(UserError, match="--cutoff is in Hz and above 0, not -1"):
        motion.smooth(result, "one-euro", cutoff_hz=-1)
    with pytest.raises(UserError, match="--smooth is butterworth, one-euro or none, not median"):
        motion.smooth(result, "median")


# ---------------------------------------------------------------- bones


def lengths(pose: np.ndarray) -> np.ndarray:
    child, parent = np.array(H36M17.bones).T
    return np.linalg.norm(pose[..., child, :] - pose[..., parent, :], axis=-1)


@pytest.fixture(scope="module")
def rubber(walk) -> np.ndarray:
    return (walk - walk[:, :1]) + np.random.default_rng(0).normal(0, 0.015, walk.shape)


def test_rigid_gives_bones_one_length_and_says_what_it_cost(rubber):
    result = made_up(rubber)
    rigid = bones.rigid(result)
    found = lengths(rigid.pose_m[0])
    np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), atol=1e-6)
    step = rigid.header["processing"][-1]
    for (child, _), length in zip(H36M17.bones, found[0], strict=True):
        joint = H36M17.joints[child]
        assert step["bone_lengths_m"][0][joint] == pytest.approx(length, abs=1e-4)
        twin = H36M17.joints[H36M17.mirror[child]]
        assert step["bone_lengths_m"][0][twin] == step["bone_lengths_m"][0][joint]
    moved = 1000 * np.linalg.norm(rigid.pose_m - result.pose_m, axis=-1)
    assert step["residual_mm"] == pytest.approx(moved.mean(), abs=0.01)
    assert step["residual_p95_mm"] == pytest.approx(np.percentile(moved, 95), abs=0.01)
    np.testing.assert_allclose(rigid.pose_m[0, :, 0], result.pose_m[0, :, 0], atol=1e-6)
    hips = H36M17.indices("left_hip", "right_hip")
    np.testing.assert_allclose(
        rigid.pose_m[0][:, hips].mean(axis=1), rigid.pose_m[0, :, 0], atol=1e-6
    )


def test_rigid_is_nearer_than_walking_down_the_tree_and_cannot_be_improved(rubber):
    lengths_m = bones.bone_lengths(rubber)
    fitted = bones.constant_lengths(rubber, lengths_m)
    walked = np.repeat(rubber[:, :1], 17, axis=1)
    for child, parent in H36M17.bones:
        bone = rubber[:, child] - rubber[:, parent]
        bone *= lengths_m[child] / np.linalg.norm(bone, axis=1, keepdims=True)
        walked[:, child] = walked[:, parent] + bone

    def cost(pose):
        return ((pose - rubber) ** 2).sum(axis=(1, 2))

    assert cost(fitted).mean() < 0.8 * cost(walked).mean()
    rng = np.random.default_rng(2)
    for child in H36M17.indices("left_knee", "thorax", "right_elbow", "right_ankle"):
        parent = dict(H36M17.bones)[child]
        bone = fitted[:, child] - fitted[:, parent]
        turned = bone + rng.normal(0, 0.004, bone.shape)
        turned *= lengths_m[child] / np.linalg.norm(turned, axis=1, keepdims=True)
        other = fitted.copy()
        other[:, bones._BELOW[child]] += (turned - bone)[:, None]
        assert (cost(other) >= cost(fitted) - 1e-6).all()


def test_what_is_rigid_stays(rubber):
    once = bones.rigid(made_up(rubber))
    twice = bones.rigid(once)
    np.testing.assert_allclose(twice.pose_m, once.pose_m, atol=1e-5)
    assert twice.header["processing"][-1]["residual_mm"] < 0.01
    assert len(twice.header["processing"]) == 2


def test_rigid_looks_only_at_frames_where_somebody_is(rubber):
    pose = np.stack([rubber, rubber])
    valid = np.ones((2, len(rubber)), bool)
    valid[0, 5:9] = False
    pose[0, 5:9] = np.nan
    valid[1] = False
    rigid = bones.rigid(made_up(pose, valid=valid))
    assert np.isnan(rigid.pose_m[0, 5:9]).all()
    np.testing.assert_allclose(rigid.pose_m[1], pose[1], atol=1e-6)
    assert rigid.header["processing"][-1]["bone_lengths_m"][1] == {}


# ---------------------------------------------------------------- path and axes


@pytest.mark.parametrize("up", [None, "y", "z"])
def test_the_path_is_where_the_root_was(walk, up):
    result, camera = filmed(walk, pitch_deg=8)
    truth = camera.from_world(walk[:, 0])
    result.keypoints_px[0, :, 3] = [5, 5, 0]  # not seen: must not count
    if up is not None:
        result = paths.up_axis(result, up)
        truth = truth @ rotation_between(CAMERA, UP[up]).T
    found = paths.trajectory(result, focal_px=FOCAL_PX)
    np.testing.assert_allclose(found.root_m[0], truth, atol=2e-3)
    step = found.header["processing"][-1]
    assert step["focal_px"] == FOCAL_PX and step["filled_frames"] == 0
    assert step["reprojection_px"] < 0.05
    assert "camera at the origin" in found.header["root"]


def test_a_field_of_view_is_a_focal_length(walk):
    result, _ = filmed(walk)
    fov_deg = 2 * np.degrees(np.arctan(SIZE[0] / 2 / FOCAL_PX))
    one = paths.trajectory(result, fov_deg=fov_deg)
    two = paths.trajectory(result, focal_px=FOCAL_PX)
    np.testing.assert_allclose(one.root_m, two.root_m, atol=1e-4)


def test_frames_that_see_too_little_are_filled(walk):
    result, camera = filmed(walk)
    result.keypoints_px[0, 40:43, 3:, 2] = 0  # three joints left
    found = paths.trajectory(result, focal_px=FOCAL_PX)
    assert found.header["processing"][-1]["filled_frames"] == 3
    np.testing.assert_allclose(found.root_m[0, 40:43], camera.from_world(walk[40:43, 0]), atol=0.03)
    nobody = replace(result, valid=np.zeros_like(result.valid))
    assert np.isnan(paths.trajectory(nobody, focal_px=FOCAL_PX).root_m).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either --focal-px or --fov"),
        ({"focal_px": 900, "fov_deg": 60}, "either --focal-px or --fov"),
        ({"fov_deg": 200}, "5 to 170, not 200"),
        ({"focal_px": 3}, "focal length of 3 px does not fit 1000 px"),
    ],
)
def test_cameras_that_do_not_exist_are_refused(walk, options, message):
    with pytest.raises(UserError, match=message):
        paths.trajectory(filmed(walk)[0], **options)


def test_a_path_needs_the_size_of_the_image(walk):
    result, _ = filmed(walk)
    result.header["image_size"] = None
    with pytest.raises(UserError, match="lift again with --image-size"):
        paths.trajectory(result, fov_deg=60)


@pytest.mark.parametrize("up", ["y", "z"])
def test_up_is_up(walk, up):
    result, _ = filmed(walk)
    turned = paths.up_axis(paths.trajectory(result, focal_px=FOCAL_PX), up)
    assert turned.header["axes"] == UP[up]
    height = turned.pose_m[0, :, H36M17.joints.index("head"), "xyz".index(up)]
    assert (height > 0.5).all()
    view = turned.pose_m @ view_axes(turned.header["axes"]).T
    np.testing.assert_allclose(view, result.pose_m @ view_axes(CAMERA).T, atol=1e-5)
    both = paths.up_axis(turned, "y")
    np.testing.assert_allclose(both.root_m[0], turned.root_m[0] @ _to_y(up).T, atol=1e-5)


def _to_y(up: str) -> np.ndarray:
    return rotation_between(UP[up], UP["y"])


# ---------------------------------------------------------------- the ground


def test_feet_stand_where_the_truth_says(walk):
    result, _ = filmed(walk)
    result = paths.trajectory(result, focal_px=FOCAL_PX)
    stands = ground.standing(result)[0]
    speed = np.linalg.norm(np.gradient(walk[:, ANKLES], 1 / 30, axis=0), axis=-1)
    assert stands[speed < 0.2].mean() > 0.8
    assert stands[speed > 0.8].mean() < 0.05
    contacts = ground.foot_contacts(result).header["foot_contacts"]
    assert {"left", "right"} == {contact["foot"] for contact in contacts}
    for contact in contacts:
        assert contact["stop_s"] - contact["start_s"] >= 0.12


@pytest.mark.parametrize("pitch_deg", [0.0, 12.0])
def test_the_floor_is_found_under_a_tilted_camera(walk, pitch_deg):
    result, _ = filmed(walk, pitch_deg)
    floor = ground.floor(paths.trajectory(result, focal_px=FOCAL_PX))
    step = floor.header["processing"][-1]
    assert step["tilt_deg"] == pytest.approx(pitch_deg, abs=3)
    assert step["camera_height_m"] == pytest.approx(1.5, abs=0.2)
    assert "does not move" in step["assumes"]
    placed = floor.pose_m[0] + floor.root_m[0][:, None]
    height = -placed[..., 1]  # y points down
    np.testing.assert_allclose(height, walk[..., 2], atol=0.2)
    assert np.abs(height - walk[..., 2]).mean() < 0.06
    with pytest.raises(UserError, match="stands on a floor already"):
        ground.floor(floor)
    with pytest.raises(UserError, match="stands on a floor already"):
        paths.trajectory(floor, focal_px=FOCAL_PX)


def test_without_a_path_the_lower_ankle_stands(walk):
    pose = np.stack([walk, walk]) @ view_axes("x right, y away, z up").T @ view_axes(CAMERA)
    result = made_up(pose - pose[:, :, :1])
    result.keypoints_px[0, ..., 0] = 900  # the first person is further right
    floor = ground.floor(result)
    placed = floor.pose_m + floor.root_m[:, :, None]
    lower = -placed[:, :, ANKLES, 1].max(axis=2)  # y points down
    np.testing.assert_allclose(lower, np.full_like(lower, lower[0, 0]), atol=1e-5)
    assert 0.05 < lower[0, 0] < 0.08  # 3.9 % of the stature
    assert (floor.root_m[0, :, 0] > floor.root_m[1, :, 0]).all()
    assert "not known" in floor.header["root"]


def test_someone_who_never_stands_is_put_on_a_level_floor(walk):
    sliding = walk + np.linspace(0, 30, len(walk))[:, None, None] * np.array([0.1, 0, 0])
    result, _ = filmed(sliding)
    floor = ground.floor(paths.trajectory(result, focal_px=FOCAL_PX))
    step = floor.header["processing"][-1]
    assert step["tilt_deg"] < 3 and "no foot stands" in step["method"]
    assert step["camera_height_m"] == pytest.approx(1.5, abs=0.3)


def test_who_stays_at_one_place_is_upright(walk):
    """Steps at one place do not tell the tilt of the camera; the body does, unless it lies."""
    tall = np.repeat(walk[:1], 60, axis=0)
    tall[:, :, :2] = tall[:, :1, :2] + 0.2 * (tall[:, :, :2] - tall[:, :1, :2])  # stretched out
    result, _ = filmed(tall, pitch_deg=15)
    floor = ground.floor(paths.trajectory(result, focal_px=FOCAL_PX))
    step = floor.header["processing"][-1]
    assert step["tilt_deg"] == pytest.approx(15, abs=3)
    assert step["tilt_from"] == "steps and upright bodies"
    lying = tall[..., [0, 2, 1]] + [0, -0.8, 0.1]
    floor = ground.floor(paths.trajectory(filmed(lying)[0], focal_px=FOCAL_PX))
    assert floor.header["processing"][-1]["tilt_from"] == "steps"


def test_locked_feet_do_not_slide_and_legs_keep_their_length(walk):
    result, _ = filmed(walk, pitch_deg=10)
    rng = np.random.default_rng(0)
    # what a noisy depth does: the whole body sways along the line of sight
    sway = np.cumsum(rng.normal(0, 0.01, (len(walk), 1)), axis=0)
    result = paths.trajectory(bones.rigid(result), focal_px=FOCAL_PX)
    result.root_m[0, :, 2:] += sway
    floor = ground.floor(motion.smooth(result))
    locked = ground.lock_feet(floor)
    step = locked.header["processing"][-1]
    assert step["slide_before_mm_per_s"] > 100
    assert step["slide_after_mm_per_s"] < 0.1 * step["slide_before_mm_per_s"]
    child, parent = np.array(H36M17.bones).T
    before, after = (lengths(r.pose_m[0]) for r in (floor, locked))
    np.testing.assert_allclose(after, before, atol=2e-3)
    # nothing tears: the fastest ankle is not much faster than it was
    speeds = [
        np.linalg.norm(np.diff((r.pose_m + r.root_m[:, :, None])[0][:, ANKLES], axis=0), axis=-1)
        for r in (floor, locked)
    ]
    assert speeds[1].max() < 1.5 * speeds[0].max()
    np.testing.assert_array_equal(locked.pose_m[0, :, 0], 0)


def test_feet_need_a_path(walk):
    with pytest.raises(UserError, match="give --fov or --focal-px"):
        ground.lock_feet(filmed(walk)[0])


# ---------------------------------------------------------------- options


def test_options_are_applied_in_order_and_described(walk):
    result, _ = filmed(walk, pitch_deg=5)
    options = MotionOptions(
        focal_px=FOCAL_PX, smooth="butterworth", rigid=True, floor=True, foot_lock=True, up="z"
    )
    done = options.apply(result)
    steps = [step["step"] for step in done.header["processing"]]
    assert steps == [
        *("trajectory", "smooth", "rigid", "floor", "foot contacts", "lock feet", "up axis")
    ]
    assert len(list(described(done.header["processing"]))) == 6  # contacts go with the lock
    assert "processing" not in result.header and result.root_m is None  # a new result
    assert MotionOptions().apply(result) is result


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fov": 60, "focal_px": 900}, "not both"),
        ({"cutoff": 5}, "--cutoff needs --smooth"),
        ({"foot_lock": True}, "--foot-lock needs the path"),
    ],
)
def test_options_that_contradict_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        MotionOptions(**options)
