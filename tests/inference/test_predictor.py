"""Lifting: windows, blending, mirroring, scale, rates, and what comes out."""

import itertools
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from actionpose import ActionPose, Keypoints, Result
from actionpose.datasets.corpus import Corpus
from actionpose.datasets.projection import perspective_clip, place_camera
from actionpose.geometry.joint_conventions import convert_convention
from actionpose.geometry.stature import AVERAGE_ADULT_M, STATURE_PER_CHAIN, chain_length
from actionpose.inference.windows import WindowLifter
from actionpose.models import PoseEncoder
from actionpose.skeletons import COCO17, H36M17, H36M17_FEET, MEDIAPIPE33
from actionpose.utils.errors import UserError

FRAMES = 9
META = {"frames": FRAMES, "normalization": "box", "fps": 30.0}


@pytest.fixture(scope="module")
def model() -> ActionPose:
    """Random weights, larger than at the start of a training, so that inputs matter."""
    torch.manual_seed(0)
    encoder = PoseEncoder(
        dim=16, depth=1, num_heads=2, dim_rep=16, max_frames=FRAMES, class_token=False
    )
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    return ActionPose(encoder.eval(), META, name="random")


@pytest.fixture(scope="module")
def track(corpus: Corpus) -> np.ndarray:
    """(T, 17, 3) pixels of a real view of a made-up motion."""
    joints_m = np.asarray(corpus.joints_m[:60], dtype=np.float64)
    clip = perspective_clip(joints_m, place_camera(joints_m, 0.3, 4.0, 1.5), "image", None)
    points = clip["keypoints"] * np.array([500, 500, 1]) + np.array([500, 500, 0])
    return points.astype(np.float32)


def keypoints_of(*tracks: np.ndarray, fps: float = 30.0) -> Keypoints:
    return Keypoints.from_array(np.stack(tracks), skeleton=H36M17, fps=fps, image_size=(1000, 1000))


@pytest.mark.parametrize(("weight", "message"), [(0.0, "without extent"), (np.inf, "not finite")])
def test_lift_refuses_weights_that_give_no_poses(
    track: np.ndarray, weight: float, message: str
) -> None:
    encoder = PoseEncoder(
        dim=16, depth=1, num_heads=2, dim_rep=16, max_frames=FRAMES, class_token=False
    )
    with torch.no_grad():
        encoder.head.weight.fill_(weight)
        encoder.head.bias.fill_(weight)
    damaged = ActionPose(encoder.eval(), META, name="damaged")
    with pytest.raises(UserError, match=f"damaged is damaged: it gives poses .*{message}"):
        damaged.lift(keypoints_of(track))


def test_lift_header_describes_the_result(model: ActionPose, track: np.ndarray) -> None:
    result = model.lift(keypoints_of(track))
    assert result.pose_m.shape == (1, len(track), 17, 3)
    assert np.isfinite(result.pose_m).all()
    assert (result.pose_m[:, :, 0] == 0).all()
    assert result.header["units"] == "meters"
    assert result.header["scale_source"] == "average_adult"
    assert result.header["checkpoint"]["name"] == "random"
    np.testing.assert_allclose(result.time_s, np.arange(len(track)) / 30)


def test_lift_puts_exchanged_sides_back(model: ActionPose, track: np.ndarray) -> None:
    swapped = track.copy()
    swapped[20:24] = swapped[20:24, H36M17.mirror]
    clean, result = model.lift(keypoints_of(track)), model.lift(keypoints_of(swapped, track))
    np.testing.assert_array_equal(result.keypoints_px[0], clean.keypoints_px[0])
    np.testing.assert_allclose(result.pose_m[0], clean.pose_m[0], atol=1e-5)
    notes = [note for note in result.header["notes"] if "exchanged" in note]
    assert notes == ["id 0: left and right are exchanged in 4 frames of the input: put back"]


def test_lift_gives_anatomical_joints_if_the_convention_of_the_model_is_known(
    model: ActionPose, track: np.ndarray
) -> None:
    known = ActionPose(model.encoder, {**META, "joint_convention": "mocap"}, name="random")
    points = keypoints_of(track)
    old, own, moved = (
        model.lift(points),
        known.lift(points, joint_convention="mocap"),
        known.lift(points),
    )
    names = [result.header.get("joint_convention") for result in (old, own, moved)]
    assert names == [None, "mocap", "anatomical"]
    np.testing.assert_array_equal(old.pose_m, own.pose_m)
    expected = convert_convention(own.pose_m[0].astype(float), "mocap", "anatomical")
    assert np.abs(expected - own.pose_m[0]).max() > 0.01
    np.testing.assert_allclose(moved.pose_m[0], expected, atol=1e-5)
    with pytest.raises(UserError, match="from 'unknown' to 'anatomical'"):
        model.lift(points, joint_convention="anatomical")


def test_lift_removes_the_offsets_of_mediapipe_unless_the_model_has_learned_them(
    model: ActionPose, track: np.ndarray
) -> None:
    meta = {**META, "joint_convention": "mocap"}
    known = ActionPose(model.encoder, meta, name="random")
    learned = {**meta, "learned_detectors": ["mediapipe33"]}
    points = keypoints_of(track)
    given = replace(points, detector="MediaPipe Pose 0.10.14, model complexity 1")
    plain, moved = known.lift(points), known.lift(given)
    np.testing.assert_array_equal(moved.keypoints_px, plain.keypoints_px)
    assert np.abs(moved.pose_m - plain.pose_m).max() > 0.005
    same = [
        ActionPose(model.encoder, learned, name="random").lift(given),
        known.lift(replace(points, detector="RTMPose")),
    ]
    for result in same:
        np.testing.assert_array_equal(result.pose_m, plain.pose_m)


def test_lift_of_pickled_keypoints_of_mediapipe_is_the_same(
    model: ActionPose, track: np.ndarray
) -> None:
    meta = {**META, "joint_convention": "mocap"}
    known = ActionPose(model.encoder, meta, name="random")
    joints = [
        H36M17.joints.index(name) if name in H36M17.joints else 0 for name in MEDIAPIPE33.joints
    ]
    points = Keypoints.from_array(track[:, joints], skeleton=MEDIAPIPE33, fps=30.0)
    again = known.lift(pickle.loads(pickle.dumps(points)))
    np.testing.assert_array_equal(again.pose_m, known.lift(points).pose_m)


def test_lift_scales_to_the_height(model: ActionPose, track: np.ndarray) -> None:
    short = track[:FRAMES]  # one window: the chain is exact
    for height_m, given in ((AVERAGE_ADULT_M, None), (1.5, 1.5)):
        pose = model.lift(keypoints_of(short), height_m=given).pose_m[0]
        assert chain_length(pose) * STATURE_PER_CHAIN == pytest.approx(height_m, rel=1e-5)


def test_lift_of_mirrored_input_is_mirrored(model: ActionPose, track: np.ndarray) -> None:
    mirrored = track[:, H36M17.mirror].copy()
    mirrored[..., 0] = 1000 - mirrored[..., 0]
    pose = model.lift(keypoints_of(track), quality="best").pose_m
    other = model.lift(keypoints_of(mirrored), quality="best").pose_m[..., H36M17.mirror, :]
    other[..., 0] *= -1
    np.testing.assert_allclose(pose, other, atol=2e-5)


def test_lift_ignores_place_and_size_in_the_image(model: ActionPose, track: np.ndarray) -> None:
    moved = track * np.array([2, 2, 1]) + np.array([130, 40, 0])
    moved = moved.astype(np.float32)
    pose, other = (model.lift(keypoints_of(t)).pose_m for t in (track, moved))
    np.testing.assert_allclose(pose, other, atol=2e-5)


def test_lift_treats_people_separately(model: ActionPose, track: np.ndarray) -> None:
    other = (track[::-1] * np.array([0.5, 0.5, 1])).astype(np.float32)
    both = model.lift(keypoints_of(track, other))
    np.testing.assert_array_equal(both.pose_m[0], model.lift(keypoints_of(track)).pose_m[0])
    largest = model.lift(keypoints_of(other, track), persons=1)
    np.testing.assert_array_equal(largest.track_id, [1])


def test_lift_blends_windows(
    model: ActionPose, track: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows that contradict each other: the motion goes from one to the other, never jumps."""
    first, second = model.lift(keypoints_of(track)).pose_m[0][[5, 50]].astype(np.float64)
    numbers = itertools.count()

    def contradict(_: WindowLifter, windows: np.ndarray, *args: object, **kw: object) -> object:
        poses = [first if next(numbers) % 2 else second for _ in windows]
        return np.stack(poses)[:, None].repeat(FRAMES, axis=1), None

    monkeypatch.setattr(WindowLifter, "predict", contradict)
    pose = model.lift(keypoints_of(track)).pose_m[0]
    step = np.linalg.norm(np.diff(pose, axis=0), axis=-1).mean(axis=1)
    difference = np.linalg.norm(first - second, axis=-1).mean()
    # with windows side by side one frame would take the whole difference
    assert 0.02 * difference < step.max() < 0.3 * difference


@pytest.mark.parametrize("num_frames", [1, 2, 3, FRAMES, FRAMES + 1])
def test_lift_short_tracks(model: ActionPose, track: np.ndarray, num_frames: int) -> None:
    result = model.lift(keypoints_of(track[:num_frames]))
    assert result.pose_m.shape[1] == num_frames
    assert np.isfinite(result.pose_m).all()


def test_lift_resamples_to_the_models_frame_rate(model: ActionPose, track: np.ndarray) -> None:
    """The same motion filmed at twice the rate gives the same poses at the same times."""
    twice = np.repeat(track, 2, axis=0)[:-1]
    twice[1::2] = (track[1:] + track[:-1]) / 2
    slow, fast = (model.lift(keypoints_of(t, fps=r)) for t, r in ((track, 30.0), (twice, 60.0)))
    assert fast.pose_m.shape[1] == len(twice)
    np.testing.assert_allclose(fast.pose_m[:, ::2], slow.pose_m, atol=1e-4)


def test_lift_resamples_uneven_times_and_back(
    model: ActionPose, track: np.ndarray, tmp_path: pytest.TempPathFactory
) -> None:
    """Some frames of a fast camera are missing: at each time, the pose of the whole motion."""
    twice = np.repeat(track, 2, axis=0)[:-1]
    twice[1::2] = (track[1:] + track[:-1]) / 2
    kept = np.sort(np.r_[np.arange(0, len(twice), 2), 11, 13, 27, 51])
    times = kept / 60.0
    uneven = replace(keypoints_of(twice[kept]), time_s=times)
    result = model.lift(uneven)
    np.testing.assert_allclose(result.time_s, times)
    whole = model.lift(keypoints_of(track))
    np.testing.assert_allclose(result.pose_m[:, kept % 2 == 0], whole.pose_m, atol=1e-4)
    # the times go through files, of keypoints and of results
    path = f"{tmp_path}/k.npz"
    uneven.save(path)
    np.testing.assert_array_equal(Keypoints.read(path).times_s, times)
    result.save(path)
    np.testing.assert_array_equal(model.lift(path).pose_m, result.pose_m)
    whole.save(path)
    assert Keypoints.read(path).time_s is None
    with pytest.raises(UserError, match="increase"):
        replace(keypoints_of(track), time_s=np.zeros(len(track)))


def test_lift_fills_gaps_up_to_a_length(model: ActionPose, track: np.ndarray) -> None:
    gappy = track.copy()
    gappy[20:26] = 0
    there = [
        np.abs(model.lift(keypoints_of(gappy), max_gap_s=g).pose_m[0, 20:26]).sum() > 0
        for g in (0.0, 0.2, 0.24, 1.0)
    ]
    assert there == [False, False, True, True]
    straight = track.copy()
    share = (np.arange(1, 7) / 7)[:, None, None]
    straight[20:26] = track[19] * (1 - share) + track[26] * share
    filled = model.lift(keypoints_of(gappy)).pose_m
    np.testing.assert_allclose(filled, model.lift(keypoints_of(straight)).pose_m, atol=1e-5)


def test_lift_of_a_result_has_each_note_once(
    model: ActionPose, track: np.ndarray, tmp_path: Path
) -> None:
    hidden = track.copy()
    hidden[:, H36M17.indices("left_wrist", "right_wrist")] = 0
    result = model.lift(keypoints_of(hidden))
    result.save(tmp_path / "r.npz")
    notes = result.header["notes"]
    assert [note.partition(" visible in")[0] for note in notes] == ["wrists"]
    assert model.lift(tmp_path / "r.npz").header["notes"] == notes


def test_lift_orders_people(model: ActionPose, track: np.ndarray) -> None:
    small = (track * np.array([0.4, 0.4, 1])).astype(np.float32)
    late = track.copy()
    late[:5] = 0
    both = keypoints_of(late, small)
    for order, ids in (("largest", [0, 1]), ("first", [1, 0])):
        assert model.lift(both, order=order).track_id.tolist() == ids
        assert model.lift(both, order=order, persons=1).track_id.tolist() == ids[:1]


def test_lift_marks_filled_gaps(model: ActionPose, track: np.ndarray) -> None:
    gappy = track.copy()
    gappy[20:23] = 0
    result = model.lift(keypoints_of(gappy))
    assert not result.valid[0, 20:23].any()
    assert result.valid[0].sum() == len(track) - 3
    assert (np.abs(result.pose_m[0, 20:23, 1:]).sum(axis=(1, 2)) > 0).all()


def test_lift_leaves_long_absences_empty(model: ActionPose, track: np.ndarray) -> None:
    gappy = track.copy()
    gappy[15:45] = 0
    result = model.lift(keypoints_of(gappy))
    assert (result.pose_m[0, 26:34] == 0).all()
    assert np.isfinite(result.pose_m).all()


def test_lift_converts_other_layouts(model: ActionPose, track: np.ndarray) -> None:
    coco = np.zeros((len(track), 17, 3), dtype=np.float32)
    for joint in COCO17.joints:
        source = joint if joint in H36M17.joints else "head"
        index = COCO17.joints.index(joint)
        coco[:, index] = track[:, H36M17.joints.index(source)]
    result = model.lift(Keypoints.from_array(coco, skeleton=COCO17, fps=30.0))
    assert result.header["input_skeleton"] == "coco17"
    assert result.header["skeleton"] == "h36m17"


@pytest.fixture(scope="module")
def model_with_feet() -> ActionPose:
    torch.manual_seed(1)
    encoder = PoseEncoder(
        dim=16, depth=1, num_heads=2, dim_rep=16, max_frames=FRAMES, class_token=False, heads=True
    )
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    return ActionPose(encoder.eval(), META, name="feet")


def mediapipe_of(track: np.ndarray) -> Keypoints:
    """Landmarks of a track, the heel below the ankle and the tip of the foot beside it."""
    points = np.zeros((len(track), 33, 3), dtype=np.float32)
    for index, joint in enumerate(MEDIAPIPE33.joints):
        side, _, part = joint.partition("_")
        limb = {"heel": f"{side}_ankle", "foot_index": f"{side}_ankle"}.get(part, joint)
        points[:, index] = track[:, H36M17.joints.index(limb if limb in H36M17.joints else "head")]
        points[:, index, :2] += {"heel": (-6, 12), "foot_index": (24, 15)}.get(part, (0, 0))
    return Keypoints.from_array(points, skeleton=MEDIAPIPE33, fps=30.0)


def test_lift_gives_feet_where_model_and_keypoints_have_them(
    model: ActionPose, model_with_feet: ActionPose, track: np.ndarray, tmp_path: Path
) -> None:
    landmarks = mediapipe_of(track)
    result = model_with_feet.lift(landmarks)
    assert result.skeleton is H36M17_FEET and result.pose_m.shape == (1, len(track), 21, 3)
    toe = landmarks.keypoints_px[0, :, MEDIAPIPE33.joints.index("left_foot_index")]
    np.testing.assert_array_equal(result.keypoints_px[0, :, 18], toe)
    assert model.lift(landmarks).skeleton is H36M17
    assert model_with_feet.lift(keypoints_of(track)).skeleton is H36M17
    cut_off = landmarks.keypoints_px.copy()
    cut_off[:, :, MEDIAPIPE33.indices("left_foot_index", "right_foot_index")] = 0
    without = Keypoints.from_array(cut_off, skeleton=MEDIAPIPE33, fps=30.0)
    body = model_with_feet.lift(without)
    assert body.skeleton is H36M17
    np.testing.assert_array_equal(body.pose_m, result.pose_m[:, :, :17])  # feet change nothing
    result.save(tmp_path / "x.npz")
    np.testing.assert_array_equal(model_with_feet.lift(tmp_path / "x.npz").pose_m, result.pose_m)
    assert model.lift(tmp_path / "x.npz").pose_m.shape == (1, len(track), 17, 3)


def test_lift_of_mirrored_feet_is_mirrored(model_with_feet: ActionPose, track: np.ndarray) -> None:
    points = mediapipe_of(track).keypoints_px
    mirrored = points[:, :, MEDIAPIPE33.mirror].copy()
    mirrored[..., 0] = 1000 - mirrored[..., 0]
    pose, other = (
        model_with_feet.lift(
            Keypoints.from_array(both, skeleton=MEDIAPIPE33, fps=30.0), quality="best"
        ).pose_m
        for both in (points, mirrored)
    )
    other = other[..., H36M17_FEET.mirror, :] * np.array([-1, 1, 1])
    np.testing.assert_allclose(pose, other, atol=2e-5)


def test_lift_of_a_result_file_repeats_it(
    model: ActionPose, track: np.ndarray, tmp_path: pytest.TempPathFactory
) -> None:
    path = f"{tmp_path}/x.npz"
    result = model.lift(keypoints_of(track))
    result.save(path)
    np.testing.assert_array_equal(Result.load(path).pose_m, result.pose_m)
    np.testing.assert_array_equal(model.lift(path).pose_m, result.pose_m)


def test_lift_progress_counts_every_frame_once(model: ActionPose, track: np.ndarray) -> None:
    done: list[int] = []
    model.lift(keypoints_of(track, track), progress=done.append)
    assert sum(done) == 2 * len(track)


@pytest.mark.parametrize("height_m", [0.0, -1.0, 175.0, float("nan")])
def test_lift_refuses_impossible_heights(
    model: ActionPose, track: np.ndarray, height_m: float
) -> None:
    with pytest.raises(UserError, match="height"):
        model.lift(keypoints_of(track), height_m=height_m)


def test_lift_normalized_by_the_image_needs_its_size(model: ActionPose, track: np.ndarray) -> None:
    other = ActionPose(model.encoder, {**META, "normalization": "image"}, name="random")
    without = Keypoints.from_array(track, skeleton=H36M17, fps=30.0)
    with pytest.raises(UserError, match="image_size"):
        other.lift(without)
    assert np.isfinite(other.lift(keypoints_of(track)).pose_m).all()
