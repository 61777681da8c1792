"""Live lifting: the poses of windows, the delay, rates, gaps, people, memory."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch

from actionpose import ActionPose, Keypoints
from actionpose.geometry.stature import STATURE_PER_CHAIN, chain_length
from actionpose.inference import flip_averaging
from actionpose.keypoints.model_input import normalize_windows, prepare_tracks
from actionpose.live import LiveFrame, LiveLifter
from actionpose.models import PoseEncoder
from actionpose.skeletons import COCO17, H36M17
from actionpose.utils.errors import UserError

FRAMES = 27
META = {"frames": FRAMES, "normalization": "box", "fps": 30.0}
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def model() -> ActionPose:
    torch.manual_seed(0)
    encoder = PoseEncoder(
        dim=16, depth=1, num_heads=2, dim_rep=16, max_frames=FRAMES, class_token=False
    )
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    return ActionPose(encoder.eval(), META, name="random")


def moving(time_s: Array, person: int = 0) -> Array:
    """(T, 17, 3) somebody whose joints swing, at any times."""
    rng = np.random.default_rng(person)
    place, phase = rng.uniform(200, 600, (17, 2)), rng.uniform(0, 6, (17, 2))
    points = place + 40 * np.sin(4 * np.asarray(time_s)[:, None, None] + phase)
    return np.concatenate([points, np.full((*points.shape[:2], 1), 0.9)], axis=-1)


def pushed(lifter: LiveLifter, points: Array, time_s: Array) -> list[LiveFrame]:
    """All frames of one person, and those that are held back at the end."""
    frames = []
    for own, at in zip(points, time_s, strict=True):
        people = own[None] if own.any() else np.empty((0, 17, 3))
        frames += lifter.push(people, float(at))
    return frames + lifter.finish()


@pytest.mark.parametrize("interval", [1, 4])
def test_push_gives_the_poses_of_windows_that_end_now(model: ActionPose, interval: int) -> None:
    time_s = np.arange(60) / 30
    points = np.stack([moving(time_s, person) for person in (0, 1)]).astype(np.float32)
    delay = FRAMES // 2
    with LiveLifter(model, delay_frames=delay, interval=interval) as lifter:
        for now in range(60):
            frames = lifter.push(points[:, now], now / 30, [7, 3])
            assert len(frames) == (now >= delay)
            if not frames:
                continue
            due = now - delay
            assert frames[0].time_s == pytest.approx(due / 30) and frames[0].valid.all()
            np.testing.assert_array_equal(frames[0].track_id, [7, 3])
            np.testing.assert_allclose(frames[0].keypoints_px, points[:, due])
            # windows end at the first frame, and every `interval` frames, that has enough after it
            least = delay - 2 * (interval - 1)
            end = due + least + (interval - 1 - due % interval)
            first = max(0, end + 1 - FRAMES)
            window = points[:, first : end + 1]
            clips, _ = normalize_windows(window, "box", None)
            poses = flip_averaging.predict(model.encoder, torch.from_numpy(clips), flip=False)
            for pose, found in zip(poses.numpy().astype(float), frames[0].pose_m, strict=True):
                expected = pose[due - first] / (chain_length(pose) * STATURE_PER_CHAIN) * 1.7
                np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("fps", [15.0, 25.0, 30.0, 59.94, 120.0])
def test_keypoints_of_any_rate_are_those_of_a_file(model: ActionPose, fps: float) -> None:
    time_s = np.arange(round(2 * fps)) / fps
    points = moving(time_s)
    points[:, 4, 2] = time_s < 0.7  # a joint that is lost
    for start_s, stop_s in ((0.5, 0.65), (1.0, 1.6)):  # absences: one is filled
        points[(time_s > start_s) & (time_s < stop_s)] = 0
    points[points[..., 2] == 0] = 0
    keypoints = Keypoints.from_array(points, skeleton=H36M17, fps=fps)
    (track,) = prepare_tracks(keypoints, 30.0, 0.3)
    with LiveLifter(model, delay_frames=13, max_gap_s=0.3) as lifter:
        frames = pushed(lifter, points, time_s)
    assert len(frames) == round(time_s[-1] * 30 - 0.49) + 1
    expected = zip(track.grid_s, track.points, track.valid, track.detected, strict=True)
    for frame, (at, own, valid, detected) in zip(frames, expected, strict=False):
        assert frame.time_s == pytest.approx(at)
        assert len(frame.track_id) == valid
        if valid:
            np.testing.assert_allclose(frame.keypoints_px[0], own, atol=2e-3)
            assert frame.valid[0] == detected


def test_poses_are_no_later_than_the_delay(model: ActionPose) -> None:
    rng = np.random.default_rng(1)
    time_s = np.cumsum(rng.uniform(0.005, 0.15, 150))  # uneven, with dropped frames
    with LiveLifter(model, delay_frames=6, interval=3) as lifter:
        released: list[float] = []
        for at, own in zip(time_s, moving(time_s), strict=True):
            released += [frame.time_s for frame in lifter.push(own[None], float(at))]
            if released:
                assert at - released[-1] < lifter.delay_s + 1 / 30 + 1e-6
        released += [frame.time_s for frame in lifter.finish()]
    np.testing.assert_allclose(np.diff(released), 1 / 30)
    assert time_s[-1] - released[-1] < 1 / 30


def test_people_enter_and_leave(model: ActionPose) -> None:
    time_s = np.arange(90) / 30
    with LiveLifter(model, delay_frames=6, interval=3) as lifter:
        frames = []
        for now, at in enumerate(time_s):
            ids = [
                i
                for i, span in enumerate(((0, 90), (20, 40), (50, 90)))
                if span[0] <= now < span[1]
            ]
            people = np.concatenate([moving(time_s[now : now + 1], i) for i in ids])
            frames += lifter.push(people, float(at), ids)
        assert set(lifter.window(10)) == {0, 2}
        frames += lifter.finish()
    seen = [frame.track_id.tolist() for frame in frames]
    assert seen == [[0]] * 20 + [[0, 1]] * 20 + [[0]] * 10 + [[0, 2]] * 40


def test_a_long_pause_begins_anew(model: ActionPose) -> None:
    time_s = np.concatenate([np.arange(20) / 30, 100 + np.arange(20) / 30])
    with LiveLifter(model, delay_frames=6, interval=3) as lifter:
        frames = pushed(lifter, moving(time_s), time_s)
    np.testing.assert_allclose([frame.time_s for frame in frames], time_s)
    assert all(len(frame.track_id) == 1 for frame in frames)


def test_memory_is_constant(model: ActionPose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveLifter, "_poses", lambda self, window: (window.points, None))
    points = moving(np.zeros(1))
    sizes = []
    with LiveLifter(model, delay_frames=12, interval=7) as lifter:
        for now in range(5000):
            if now == 4600:
                tracemalloc.start()
            lifter.push(points, now / 30, [now // 50])  # ever new people
            if now in (4700, 4999):
                sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[1] < sizes[0] + 20_000


def test_stature_and_skeleton_follow_the_options(model: ActionPose) -> None:
    time_s = np.arange(30) / 30
    coco = np.random.default_rng(0).uniform(100, 500, (30, 1, 17, 3))
    coco[..., 2] = 1
    poses = []
    for height_m in (None, 0.85):
        with LiveLifter(
            model, skeleton=COCO17, height_m=height_m, delay_frames=6, interval=3
        ) as lifter:
            frames = [f for own, at in zip(coco, time_s, strict=True) for f in lifter.push(own, at)]
        poses.append(np.stack([frame.pose_m[0] for frame in frames]))
    np.testing.assert_allclose(poses[0], 2 * poses[1], rtol=1e-5)
    assert (poses[0][:, 0] == 0).all()


def test_offsets_of_mediapipe_are_removed(model: ActionPose) -> None:
    known = ActionPose(model.encoder, {**META, "joint_convention": "mocap"}, name="random")
    time_s = np.arange(30) / 30
    results = []
    for detector in ("", "MediaPipe Pose"):
        with LiveLifter(known, detector=detector, delay_frames=6, interval=3) as lifter:
            results.append(pushed(lifter, moving(time_s), time_s))
    plain, moved = (np.stack([frame.pose_m[0] for frame in frames]) for frames in results)
    assert np.abs(moved - plain)[10:].max(axis=(1, 2)).min() > 1e-3
    np.testing.assert_array_equal(results[0][9].keypoints_px, results[1][9].keypoints_px)


def test_wrong_input_is_refused(model: ActionPose) -> None:
    for options, message in (
        ({"delay_frames": 3}, "delay_frames is from 8 .* to 13"),
        ({"delay_frames": 14}, "delay_frames is from 8"),
        ({"interval": 0}, "interval is from 1"),
        ({"height_m": 17.0}, "height_m is 17"),
    ):
        with pytest.raises(UserError, match=message):
            LiveLifter(model, **options)  # type: ignore[arg-type]
    with LiveLifter(model) as lifter:
        lifter.push(moving(np.zeros(1)), 1.0)
        for points, at, ids, message in (
            (np.zeros((1, 16, 3)), 2.0, None, "keypoints are"),
            (np.full((1, 17, 3), np.nan), 2.0, None, "not finite"),
            (np.zeros((1, 17, 3)), 1.0, None, "time goes forward"),
            (np.zeros((2, 17, 3)), 2.0, [1, 1], "once"),
        ):
            with pytest.raises(UserError, match=message):
                lifter.push(points, at, ids)
