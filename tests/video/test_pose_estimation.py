"""From videos to keypoints of people: times, gaps, damage."""

from pathlib import Path

import numpy as np
import pytest
from helpers.drawn_people import (
    BODY,
    WholePicture,
    drawn,
    network,
    write_video,
)

from actionpose.utils.errors import UserError
from actionpose.video.decoding import VideoReader
from actionpose.video.detectors import OnnxPose
from actionpose.video.pose_estimation import estimate_poses

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network(tmp_path_factory.mktemp("models") / "pose.onnx", 17)


def test_estimate_poses_keeps_times_and_gaps(model_file: Path, tmp_path: Path) -> None:
    """Uneven times, an absence, and the keypoints where they were drawn."""
    times_ms = np.cumsum([0, *([33, 70] * 12)])[:20].tolist()
    ways = [(30 + 4 * n, 60) for n in range(20)]
    images = [drawn(p) if not 8 <= n < 11 else drawn() for n, p in enumerate(ways)]
    path = write_video(tmp_path / "a.mkv", images, times_ms)
    done: list[int] = []
    with VideoReader(path) as video:
        found = estimate_poses(video, OnnxPose(model_file, WholePicture()), progress=done.append)
    assert sum(done) == found.num_frames == 20 and found.num_persons == 1
    assert np.flatnonzero(~found.valid[0]).tolist() == [8, 9, 10]
    np.testing.assert_allclose(found.times_s, np.array(times_ms) / 1000, atol=1e-3)
    assert found.rate_source == "file, uneven"
    assert (found.image_size, found.source) == ((320, 240), "a.mkv")
    for frame in (0, 7, 19):
        error = found.keypoints_px[0, frame, :, :2] - (BODY[:17] + ways[frame])
        assert np.abs(error).max() < 4


def test_estimate_poses_takes_even_times_for_a_rate(model_file: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [drawn((30, 60))] * 10)  # times in whole milliseconds
    with VideoReader(path) as video:
        found = estimate_poses(video, OnnxPose(model_file, WholePicture()))
    assert found.fps == pytest.approx(30) and found.time_s is None and found.complete


def test_estimate_poses_looks_at_a_span(model_file: Path, tmp_path: Path) -> None:
    ways = [(30 + 4 * n, 60) for n in range(20)]
    path = write_video(tmp_path / "a.mkv", [drawn(way) for way in ways])  # 30 frames a second
    done: list[int] = []
    with VideoReader(path) as video:
        found = estimate_poses(
            video, OnnxPose(model_file, WholePicture()), span_s=(0.19, 0.41), progress=done.append
        )
    assert sum(done) == found.num_frames == 7
    assert found.fps == pytest.approx(30, abs=0.1) and found.rate_source == "file"
    np.testing.assert_allclose(found.times_s, np.arange(6, 13) / 30, atol=1e-3)
    assert np.abs(found.keypoints_px[0, 0, :, :2] - (BODY[:17] + ways[6])).max() < 4
    with VideoReader(path) as video, pytest.raises(UserError, match="no frame from 5 to inf s"):
        estimate_poses(video, OnnxPose(model_file, WholePicture()), span_s=(5, np.inf))


def test_estimate_poses_notes_a_single_frame(model_file: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [drawn((30, 60))])
    with VideoReader(path) as video:
        found = estimate_poses(video, OnnxPose(model_file, WholePicture()))
    assert found.num_frames == 1 and "one frame only" in found.notes[0]


def test_estimate_poses_marks_a_cut_video(model_file: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [drawn((30 + n, 60)) for n in range(90)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoReader(path) as video:
        found = estimate_poses(video, OnnxPose(model_file, WholePicture()))
    assert 30 < found.num_frames < 60
    assert not found.complete and "a.mkv: it ends after" in " ".join(found.notes)
    found.save(tmp_path / "k.npz")
    again = type(found).read(tmp_path / "k.npz")
    assert not again.complete and again.notes == found.notes


def test_estimate_poses_refuses_a_video_without_people(model_file: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "empty.mkv", [drawn()] * 6)
    with (
        VideoReader(path) as video,
        pytest.raises(UserError, match=r"no person.*6 frames.*empty.mkv"),
    ):
        estimate_poses(video, OnnxPose(model_file, WholePicture()))
