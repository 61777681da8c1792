"""Folders of numbered images as videos."""

from pathlib import Path

import numpy as np
import pytest
from helpers.drawn_people import write_video

from actionpose.inference.jobs import find_jobs, holds_inputs
from actionpose.skeletons import COCO17
from actionpose.utils.errors import UserError
from actionpose.video import source
from actionpose.video.image_sequence import ImageSequence, numbered_images

PIL = pytest.importorskip("PIL.Image")


class OnePerson:
    """A detector that finds the same person in each picture, all joints at (20, 30)."""

    skeleton, fingerprint = COCO17, "one person"

    def detect(self, image: np.ndarray) -> np.ndarray:
        return np.full((1, 17, 3), (20, 30, 0.9), dtype=np.float32)

    def close(self) -> None:
        pass


def write_images(folder: Path, names: list[str], size: tuple[int, int] = (64, 48)) -> Path:
    """An image of another gray for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    for n, name in enumerate(names):
        PIL.fromarray(np.full((size[1], size[0], 3), 10 * n, np.uint8)).save(folder / name)
    return folder


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "a", [f"cam1_{n}.png" for n in (12, 0, 6, 24)])
    with ImageSequence(folder, fps=10) as video:
        frames = list(video)
    assert [round(frame.image.mean()) for frame in frames] == [10, 20, 0, 30]
    np.testing.assert_allclose([frame.time_s for frame in frames], [0, 0.1, 0.2, 0.4])
    assert (video.size, video.problems) == ((64, 48), [])


def test_damaged_and_other_images(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "a", [f"{n}.png" for n in range(4)])
    (folder / "2.png").write_bytes(b"damaged")
    video = ImageSequence(folder, fps=10)
    assert len(list(video)) == 3 and "2.png" in video.problems[0]
    write_images(folder, ["9.png"], size=(32, 32))
    with pytest.raises(UserError, match="32x32"):
        list(ImageSequence(folder, fps=10))
    with pytest.raises(UserError, match="count frames"):
        ImageSequence(write_images(tmp_path / "b", ["ann.png", "ben.png"]), fps=10)


def test_images_become_one_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_images(tmp_path / "a", [f"{n}.png" for n in range(8)])
    monkeypatch.setattr(source, "make_detector", lambda *options: OnePerson())
    found = source.read_source(folder)
    assert (found.num_frames, found.rate_source) == (8, "assumed 30 Hz")
    assert "8 images" in found.notes[-1] and "fps=N" in found.notes[-1]
    found = source.read_source(folder, fps=12.5)
    assert (found.fps, found.rate_source, found.notes) == (12.5, "given", ())
    mirrored = source.read_source(folder, fps=12.5, mirrored=True)
    np.testing.assert_array_equal(mirrored.keypoints_px[0, :, :, 0], 64 - 20)
    with pytest.raises(UserError, match="y_up=True"):
        source.read_source(folder, y_up=True)


def test_video_of_a_faster_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The facts of the video lead from the times of the motion to those of the file."""
    images = [np.full((48, 64, 3), 10 * n, np.uint8) for n in range(10)]
    path = write_video(tmp_path / "a.mkv", images)  # 30 frames a second
    monkeypatch.setattr(source, "make_detector", lambda *options: OnePerson())
    plain = source.read_source(path)
    assert "time_scale" not in plain.video and "mirrored" not in plain.video
    found = source.read_source(path, fps=240, start_s=0.1, mirrored=True)
    assert (found.fps, found.rate_source) == (240, "given")
    np.testing.assert_allclose(found.times_s, np.arange(3, 10) / 240)
    assert found.video["mirrored"] is True
    assert found.video["time_scale"] == pytest.approx(8, rel=1e-2)
    assert found.video["duration_s"] == plain.video["duration_s"] == pytest.approx(1 / 3, abs=0.01)


def test_folders_of_images_as_inputs(tmp_path: Path) -> None:
    numbered = write_images(tmp_path / "in" / "take", [f"{n:03d}.jpg" for n in range(3)])
    others = write_images(tmp_path / "others", ["ann.png", "ben.png"])
    mixed = write_images(tmp_path / "mixed", [f"{n:03d}.jpg" for n in range(3)])
    (mixed / "clip.mp4").write_bytes(b"0")
    out = tmp_path / "out"

    def inputs(folder: Path) -> list[str]:
        return [str(job.source.relative_to(tmp_path)) for job in find_jobs([folder], out, [".npz"])]

    assert not holds_inputs(numbered) and len(numbered_images(numbered)) == 3
    assert inputs(numbered) == inputs(tmp_path / "in") == ["in/take"]
    assert inputs(others) == ["others/ann.png", "others/ben.png"]
    assert inputs(mixed) == ["mixed/clip.mp4"]
