"""Decoding: times, rotation, and files that are not what they should be. All made here."""

import socket
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.videos import rotated

from actionpose.utils.errors import UserError
from actionpose.video.decoding import VideoReader

av = pytest.importorskip("av")
WIDTH, HEIGHT = 96, 64


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Upright: red above, blue below; a green bar tells the number of the frame."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[: height // 2, :, 0] = 220
    image[height // 2 :, :, 2] = 220
    image[:, : 1 + number % width, 1] = 200
    return image


def make_video(
    path: Path,
    num_frames: int = 30,
    *,
    times_ms: list[int] | None = None,
    codec: str = "libx264",
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Frames at 30 Hz, or at the given milliseconds."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if codec == "libx264":
            stream.options = {"g": "10"}
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if times_ms:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            if times_ms:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read(path: Path) -> tuple[list[float], list[np.ndarray], list[str]]:
    with VideoReader(path) as video:
        frames = list(video)
    times, images = zip(*frames, strict=True)
    return list(times), list(images), video.problems


def test_reader_gives_frames_and_times(tmp_path: Path) -> None:
    path = make_video(tmp_path / "ein tanz ☃ né.mp4")
    with VideoReader(path) as video:
        assert (video.size, video.fps, video.is_image) == ((WIDTH, HEIGHT), 30.0, False)
        frames = list(video)
        assert video.problems == []
        with pytest.raises(RuntimeError, match="open it again"):
            next(iter(video))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(30) / 30, atol=1e-4)
    for number, frame in enumerate(frames):
        assert frame.image.shape == (HEIGHT, WIDTH, 3) and frame.image.dtype == np.uint8
        assert np.abs(frame.image.astype(int) - picture(number)).mean() < 12


@pytest.mark.parametrize("quarters", range(4))
def test_reader_applies_rotation(tmp_path: Path, quarters: int) -> None:
    """What is stored lies on its side; the matrix says how to show it."""
    path = rotated(make_video(tmp_path / "a.mp4", 3), quarters)
    with VideoReader(path) as video:
        size = video.size
        shown = next(iter(video)).image
    assert size == ((WIDTH, HEIGHT) if quarters % 2 == 0 else (HEIGHT, WIDTH))
    # the matrix turns clockwise as seen on the screen
    expected = np.rot90(picture(0), -quarters)
    assert np.abs(shown.astype(int) - expected).mean() < 12


def test_reader_keeps_uneven_times(tmp_path: Path) -> None:
    times_ms = np.cumsum([0, *([33, 100, 20, 250] * 7)])[:25].tolist()
    times, _, problems = read(make_video(tmp_path / "a.mp4", 25, times_ms=times_ms))
    np.testing.assert_allclose(times, np.array(times_ms) / 1000, atol=1e-3)
    assert problems == []


def test_reader_starts_at_zero(tmp_path: Path) -> None:
    times_ms = [5000 + 40 * n for n in range(10)]
    times, _, _ = read(make_video(tmp_path / "a.mkv", 10, times_ms=times_ms))
    np.testing.assert_allclose(times, np.arange(10) * 0.04, atol=1e-3)


def test_reader_makes_pixels_square(tmp_path: Path) -> None:
    with VideoReader(make_video(tmp_path / "a.mp4", 2, aspect=Fraction(4, 3))) as video:
        assert video.size == (WIDTH * 4 // 3, HEIGHT)
        assert next(iter(video)).image.shape == (HEIGHT, WIDTH * 4 // 3, 3)


def test_reader_takes_single_frames_and_images(tmp_path: Path) -> None:
    assert len(read(make_video(tmp_path / "a.mp4", 1))[0]) == 1
    image = av.VideoFrame.from_ndarray(picture(5), format="rgb24")
    with av.open(str(tmp_path / "b.jpg"), "w", format="image2") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        container.mux(stream.encode(image.reformat(format="yuvj420p")))
    with VideoReader(tmp_path / "b.jpg") as still:
        assert still.is_image and still.fps is None and still.size == (WIDTH, HEIGHT)
        assert [frame.time_s for frame in still] == [0.0]


def packet_ends(path: Path) -> list[int]:
    """Bytes of the file at which a packet ends."""
    with av.open(str(path)) as container:
        return [p.pos + p.size for p in container.demux(video=0) if p.size]


def test_reader_reads_cut_off_files_and_says_so(tmp_path: Path) -> None:
    """With its index in front, or without an index: the beginning is read, the loss is said."""
    whole = make_video(tmp_path / "a.mp4", 90, options={"movflags": "faststart"}).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    times, images, problems = read(tmp_path / "cut.mp4")
    assert 20 < len(times) < 90 and problems
    assert np.abs(images[10].astype(int) - picture(10)).mean() < 12
    for at in packet_ends(tmp_path / "a.mp4")[40:43]:  # between two frames nothing is broken
        (tmp_path / "cut.mp4").write_bytes(whole[:at])
        times, _, problems = read(tmp_path / "cut.mp4")
        assert 30 < len(times) < 50 and problems
    whole = make_video(tmp_path / "a.mkv", 90).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) * 6 // 10])
    times, _, problems = read(tmp_path / "cut.mkv")
    assert 20 < len(times) < 90 and "of 3.0 s" in " ".join(problems)


def test_reader_skips_damage(tmp_path: Path) -> None:
    data = bytearray(
        make_video(tmp_path / "a.mp4", 90, options={"movflags": "faststart"}).read_bytes()
    )
    middle = len(data) * 6 // 10
    data[middle : middle + 200] = np.random.default_rng(0).bytes(200)
    (tmp_path / "a.mp4").write_bytes(data)
    times, images, problems = read(tmp_path / "a.mp4")
    assert len(times) > 60 and "damaged" in problems[0]
    assert times[-1] == pytest.approx(89 / 30, abs=1e-3)  # what follows the damage is there
    assert np.abs(images[5].astype(int) - picture(5)).mean() < 12


def sound_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_reader_refuses_other_files(tmp_path: Path) -> None:
    wrong = {
        "missing.mp4": "is not there",
        "empty.mp4": "empty",
        "text.mp4": "neither a video nor a keypoint file",
        "cut.mp4": "neither a video nor a keypoint file",  # its index stood at the end
        "sound.m4a": "only audio",
    }
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video at all " * 50)
    whole = make_video(tmp_path / "cut.mp4", 30).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    sound_only(tmp_path / "sound.m4a")
    for name, words in wrong.items():
        with pytest.raises(UserError, match=words) as caught:
            VideoReader(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(UserError, match="folder"):
        VideoReader(tmp_path)


def test_reader_does_not_follow_playlists(tmp_path: Path) -> None:
    """A file may name others to be played: a server at that address must not be asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        path = tmp_path / "list.m3u8"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n")
        with pytest.raises(UserError):
            VideoReader(path)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "a.mp4", 4).rename("10:30.mp4")
    times, _, problems = read(Path("10:30.mp4"))
    assert (len(times), problems) == (4, [])


def test_animated_webp_says_what_it_is(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    frames = [image.fromarray(picture(number)) for number in range(3)]
    path = tmp_path / "a.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match="animated WebP"):
        VideoReader(path)
