"""Pictures as they come: the newest, stalls, cameras that fail."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from actionpose.live import source
from actionpose.live.source import Newest
from actionpose.utils.errors import UserError
from actionpose.video.decoding import Frame

PICTURE = np.zeros((4, 6, 3), np.uint8)


def test_newest_drops_what_is_not_taken() -> None:
    go, read = threading.Event(), threading.Event()

    def frames() -> Iterator[Frame]:
        yield Frame(0.0, PICTURE)
        go.wait(5)
        for number in range(1, 6):
            yield Frame(float(number), PICTURE)
        read.set()

    pictures = Newest(frames())
    first = pictures.take()
    assert first is not None and first[0].time_s == 0
    go.set()
    read.wait(5)
    last = pictures.take()
    assert last is not None and last[0].time_s == 5 and pictures.dropped == 4
    assert pictures.take() is None
    pictures.close()


def test_newest_says_that_nothing_comes() -> None:
    release = threading.Event()

    def frames() -> Iterator[Frame]:
        release.wait(10)
        yield Frame(0.0, PICTURE)

    with pytest.raises(UserError, match="no picture came for 0.1 s"):
        Newest(frames(), stall_s=0.1).take()
    release.set()


def test_camera_that_is_unplugged(monkeypatch: pytest.MonkeyPatch) -> None:
    av = pytest.importorskip("av")

    class Container:
        streams = SimpleNamespace(video=[0])

        def __enter__(self) -> "Container":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def decode(self, video: int) -> Iterator[Any]:
            yield av.VideoFrame(64, 48, "yuv420p")
            yield av.VideoFrame(32, 32, "yuv420p")  # another resolution
            raise av.error.FFmpegError(19, "No such device")

    monkeypatch.setattr(av, "open", lambda *_, **__: Container())
    frames = source.live_frames(0)
    first, second = next(frames), next(frames)
    assert first.image.shape == second.image.shape == (48, 64, 3)
    assert 0 <= first.time_s < second.time_s
    with pytest.raises(UserError, match="camera 0 broke off"):
        next(frames)


def test_no_camera() -> None:
    pytest.importorskip("av")
    with pytest.raises(UserError, match="camera 97 cannot be opened"):
        next(source.live_frames(97))


def test_stream_that_is_not_there() -> None:
    pytest.importorskip("av")
    started = time.monotonic()
    with pytest.raises(UserError, match="the stream tcp://127.0.0.1:9 cannot be opened"):
        next(source.live_frames("tcp://127.0.0.1:9"))
    assert time.monotonic() - started < 5


def test_keypoints_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "keypoints.npz").touch()
    with pytest.raises(UserError, match=r"keypoints.npz has keypoints, .* actionpose lift"):
        source.live_frames(tmp_path / "keypoints.npz")


def test_video_is_played_at_its_times(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from helpers.drawn_people import drawn, write_video

    video = write_video(tmp_path / "a.mkv", [drawn()] * 4, [0, 100, 150, 400])
    started, came = time.monotonic(), []
    for frame in source.live_frames(str(video)):
        came.append((frame.time_s, time.monotonic() - started))
    assert [at for at, _ in came] == [0, 0.1, 0.15, 0.4]
    assert all(real >= at for at, real in came)
