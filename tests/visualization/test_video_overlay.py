"""The overlay video: keypoints lie on the frames, times are kept, and phones are turned."""

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.results import Array, make_result
from helpers.videos import rotated

from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256
from actionpose.visualization.drawing import PAPER, SIDE_COLORS, label_colors, rgb
from actionpose.visualization.video_overlay import HEIGHT_PX, write_video

av = pytest.importorskip("av")
pytest.importorskip("PIL")

SIZE = (320, 240)
LEFT = 255 * rgb(SIDE_COLORS["left"])
GREEN = np.array([20, 220, 20])


def result_at(xy: Array, **changes: Any) -> Result:
    """Somebody standing whose keypoints are around xy (T, 2) pixels."""
    frames = len(xy)
    body = np.zeros((17, 3))
    for joint, name in enumerate(H36M17.joints):
        side = 1 if name.startswith("left") else -1 if name.startswith("right") else 0
        height = {"hip": 0, "knee": 0.45, "ankle": 0.85, "elbow": -0.2, "wrist": 0.05}
        height |= {"shoulder": -0.45, "spine": -0.22, "thorax": -0.45, "nose": -0.6, "head": -0.7}
        body[joint] = [0.15 * side, height.get(name.split("_")[-1], 0.0), 0]
    keypoints = np.ones((1, frames, 17, 3))
    keypoints[0, ..., :2] = xy[:, None] + 60 * body[:, :2]
    actions = [{"start_s": 0.0, "stop_s": 0.4, "label": "slide", "score": 0.9}]
    header = {"image_size": list(SIZE), "fps": 10.0, "actions": actions}
    fields = {
        "keypoints_px": keypoints,
        "time_s": np.arange(frames) / 10,
        "header": header | changes.pop("header", {}),
    }
    return make_result(np.broadcast_to(body, (1, frames, 17, 3)).copy(), **fields | changes)


def make_video(path: Path, times_s: list[float], xy: Array) -> Path:
    """A video in which a green spot is at xy at these times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "12"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, (time_s, (x, y)) in enumerate(zip(times_s, xy, strict=True)):
            picture = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
            picture[int(y) - 8 : int(y) + 8, int(x) - 8 : int(x) + 8] = (20, 220, 20)
            picture[:20, 300 - 6 * number :] = 200  # no two pictures are equal
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(1000 * time_s), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path: Path) -> tuple[list[float], list[Array]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
        frames = list(container.decode(stream))
        return [frame.time for frame in frames], [
            frame.to_ndarray(format="rgb24") for frame in frames
        ]


def middle_of(image: Array, color: Array, within: int = 60) -> Array:
    """The mean x, y of pixels of a color."""
    is_it = (np.abs(image.astype(int) - color) < within).all(axis=-1)
    assert is_it.sum() > 50
    return np.argwhere(is_it).mean(axis=0)[::-1]


def test_overlay_lies_on_the_video_at_its_times(tmp_path: Path) -> None:
    """A video with uneven times; the spot is where the pelvis is."""
    times_s = [0.0, 0.1, 0.2, 0.35, 0.4, 0.5]
    xy = np.stack([60 + 200 * np.array(times_s), np.full(6, 110)], axis=1)
    clip = make_video(tmp_path / "clip.mp4", times_s, xy)
    result = result_at(xy, time_s=np.array(times_s))
    done: list[int] = []
    write_video(result, tmp_path / "out.mp4", video=clip, progress=done.append)
    times, pictures = read(tmp_path / "out.mp4")
    np.testing.assert_allclose(times, times_s, atol=2e-3)
    assert sum(done) == 6
    scale = 720 / SIZE[1]
    assert pictures[0].shape == (720 + 36, 960 + 720, 3)
    for (x, _), picture in zip(xy, pictures, strict=True):
        knees = picture[:, :960]
        legs = middle_of(knees[450:720], LEFT)  # the left leg, below the spot
        assert legs[0] == pytest.approx(scale * (x + 60 * 0.15), abs=6)
        right_half = picture[:, 960:]
        assert middle_of(right_half[100:720], LEFT)[1] > 100  # the 3D figure is there
    spot = middle_of(pictures[2][:720, :960], GREEN, 90)
    assert spot[0] == pytest.approx(scale * xy[2, 0], abs=30)


def test_overlay_is_of_the_frames_of_the_result(tmp_path: Path) -> None:
    times_s = [i / 10 for i in range(8)]
    xy = np.tile([100.0, 110], (8, 1))
    clip = make_video(tmp_path / "clip.mp4", times_s, xy)
    result = result_at(xy[:3])
    result.header["first_frame"] = 4
    write_video(result, tmp_path / "out.mp4", video=clip)
    times, pictures = read(tmp_path / "out.mp4")
    np.testing.assert_allclose(times, [0, 0.1, 0.2], atol=2e-3)
    scale = 720 / SIZE[1]
    for number, picture in enumerate(pictures, start=4):
        assert (np.abs(picture[:, :960].astype(int) - LEFT) < 40).all(axis=-1).sum() > 300
        # `make_video` draws a bar that grows with the frame's number
        assert (picture[5, :960].mean(axis=-1) > 150).sum() == pytest.approx(
            scale * (20 + 6 * number), abs=6
        )
    result.header["first_frame"] = 40
    with pytest.raises(UserError, match="ends before the result begins, at 4 s"):
        write_video(result, tmp_path / "out.mp4", video=clip)


def test_overlay_on_slow_motion_and_on_a_mirrored_video(tmp_path: Path) -> None:
    """The file plays at a fourth of the speed, and shows the spot at the other side."""
    times_s = [i / 10 for i in range(6)]
    xy = np.stack([60 + 200 * np.array(times_s), np.full(6, 110)], axis=1)
    clip = make_video(tmp_path / "clip.mp4", times_s, np.array([SIZE[0], 0]) + xy * [-1, 1])
    facts = {"path": str(clip), "bytes": clip.stat().st_size, "sha256": sha256(clip)}
    facts |= {"time_scale": 4.0, "mirrored": True}
    result = result_at(xy, time_s=np.array(times_s) / 4, header={"fps": 40.0, "video": facts})
    write_video(result, tmp_path / "out.mp4")
    times, pictures = read(tmp_path / "out.mp4")
    np.testing.assert_allclose(times, times_s, atol=2e-3)
    scale = 720 / SIZE[1]
    for (x, _), picture in zip(xy, pictures, strict=True):
        legs = middle_of(picture[450:720, :960], LEFT)
        assert legs[0] == pytest.approx(scale * (x + 60 * 0.15), abs=6)
        spot = middle_of(picture[:720, :960], GREEN, 90)
        assert spot[0] == pytest.approx(scale * x, abs=30)


def test_overlay_without_a_video_is_on_paper(tmp_path: Path) -> None:
    result = result_at(np.tile([160.0, 110], (5, 1)))
    result.valid[0, 2] = False
    assert result.save(tmp_path / "out.mp4") == [tmp_path / "out.mp4"]
    times, pictures = read(tmp_path / "out.mp4")
    np.testing.assert_allclose(times, np.arange(5) / 10, atol=1e-3)
    assert (np.abs(pictures[0][5, 5].astype(int) - 255 * rgb(PAPER)) < 6).all()
    seen = [(np.abs(p.astype(int) - LEFT) < 40).all(axis=-1).sum() > 300 for p in pictures]
    assert seen == [True, True, False, True, True]


def test_overlay_has_a_timeline_of_actions(tmp_path: Path) -> None:
    actions = [
        {"start_s": 0.0, "stop_s": 0.5, "label": "slide", "score": 0.9, "person": 0},
        {"start_s": 0.5, "stop_s": 0.95, "label": "other", "score": 0.1, "person": 0},
    ]
    made = result_at(np.full((20, 2), 120.0))
    made.header["actions"] = actions
    made.time_s[:] = np.arange(20) / 20
    write_video(made, tmp_path / "with.mp4")
    _, pictures = read(tmp_path / "with.mp4")
    height, width = pictures[0].shape[:2]
    assert height == HEIGHT_PX + 36
    lane = pictures[10][-18 - 8]  # a row above the words
    colors = np.array([lane[int(fraction * width)] for fraction in (0.25, 0.75)]).astype(int)
    expected = [255 * rgb(color) for color in label_colors(["slide"], "other").values()]
    assert np.abs(colors - expected).max() < 25
    dark = [np.flatnonzero(picture[-18 - 8].max(axis=1) < 80).mean() for picture in pictures[1:]]
    assert (np.diff(dark) > 0).all()  # the mark moves
    made.header["actions"] = []
    write_video(made, tmp_path / "without.mp4")
    assert read(tmp_path / "without.mp4")[1][0].shape[0] == HEIGHT_PX


def test_overlay_finds_the_video_of_the_header(tmp_path: Path) -> None:
    xy = np.tile([100.0, 110], (3, 1))
    clip = make_video(tmp_path / "with space é.mp4", [0, 0.1, 0.2], xy)
    result = result_at(xy)
    result.header["source"] = str(clip)
    result.save(tmp_path / "out.mp4")
    _, pictures = read(tmp_path / "out.mp4")
    middle_of(pictures[0][:, :960], GREEN, 90)
    result.header["source"] = str(tmp_path / "gone.mp4")  # then on paper
    result.save(tmp_path / "out.mp4")


def test_overlay_of_a_rotated_video_is_upright(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_video(tmp_path / "clip.mp4", [0, 0.1], np.tile([60.0, 200], (2, 1)))
    rotated(clip, 1)
    result = result_at(np.tile([120.0, 160], (2, 1)), header={"image_size": SIZE[::-1]})
    write_video(result, tmp_path / "out.mp4", video=clip)
    _, pictures = read(tmp_path / "out.mp4")
    assert pictures[0].shape == (720 + 36, 540 + 720, 3)


def test_overlay_errors_leave_no_file(tmp_path: Path) -> None:
    result = result_at(np.tile([100.0, 110], (3, 1)))
    (tmp_path / "no_video.mp4").write_text("hello")
    for video, message in (
        (tmp_path / "gone.mp4", "no such video"),
        (tmp_path / "no_video.mp4", "is neither a video"),
    ):
        with pytest.raises(UserError, match=message):
            write_video(result, tmp_path / "out.mp4", video=video)
    result.valid[:] = False
    with pytest.raises(UserError, match="nothing to draw"):
        result.save(tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["no_video.mp4"]


def test_overlay_names_missing_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"pip install 'actionpose\[video\]'"):
        result_at(np.tile([100.0, 110], (3, 1))).save(tmp_path / "out.mp4")


def test_overlay_of_a_truncated_video(tmp_path: Path) -> None:
    times_s = [i / 10 for i in range(30)]
    xy = np.tile([100.0, 110], (30, 1))
    clip = make_video(tmp_path / "clip.mkv", times_s, xy)
    whole = clip.read_bytes()
    clip.write_bytes(whole[: int(0.7 * len(whole))])
    write_video(result_at(xy), tmp_path / "out.mp4", video=clip)
    times, _ = read(tmp_path / "out.mp4")
    assert 5 < len(times) < 30
