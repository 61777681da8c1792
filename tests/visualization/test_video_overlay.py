"""The film: the keypoints lie on what was filmed, times are kept, and phones are turned."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.visualization import video_overlay as overlay
from actionpose.visualization.drawing import COLORS

av = pytest.importorskip("av")
pytest.importorskip("PIL")

SIZE = (320, 240)
LEFT = tuple(int(COLORS["left"][i : i + 2], 16) for i in (1, 3, 5))


def result_at(xy: np.ndarray, **changes) -> Result:
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
    fields = {
        "pose_m": np.broadcast_to(body, (1, frames, 17, 3)).copy(),
        "keypoints_px": keypoints,
        "valid": np.ones((1, frames), bool),
        "track_id": [1],
        "time_s": np.arange(frames) / 10,
        "header": {
            **{"units": "meters", "axes": "x right, y down, z away from the camera"},
            **{"root": "pelvis", "skeleton": "h36m17", "scale_source": "made up"},
            **{"image_size": list(SIZE), "fps": 10.0},
            "actions": [{"start_s": 0.0, "stop_s": 0.4, "label": "slide", "score": 0.9}],
        },
    }
    return Result(**fields | changes)


def film(path: Path, times_s: list[float], xy: np.ndarray, *, rotation: int = 0) -> Path:
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


def read(path: Path) -> tuple[list[float], list[np.ndarray]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
        frames = list(container.decode(stream))
        return [frame.time for frame in frames], [
            frame.to_ndarray(format="rgb24") for frame in frames
        ]


def middle_of(picture: np.ndarray, rgb: tuple[int, int, int], within: int = 60) -> np.ndarray:
    """The mean x, y of pixels of a color."""
    is_it = (np.abs(picture.astype(int) - rgb) < within).all(axis=-1)
    assert is_it.sum() > 50
    return np.argwhere(is_it).mean(axis=0)[::-1]


def test_keypoints_lie_on_the_film_at_its_own_times(tmp_path):
    """A film with uneven times; the spot is where the pelvis is."""
    times_s = [0.0, 0.1, 0.2, 0.35, 0.4, 0.5]
    xy = np.stack([60 + 200 * np.array(times_s), np.full(6, 110)], axis=1)
    clip = film(tmp_path / "clip.mp4", times_s, xy)
    result = result_at(xy, time_s=np.array(times_s))
    done = []
    overlay.video(result, tmp_path / "out.mp4", film=clip, progress=done.append)
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
    spot = middle_of(pictures[2][:720, :960], (20, 220, 20), 90)
    assert spot[0] == pytest.approx(scale * xy[2, 0], abs=30)


def test_film_without_result_is_shown_and_first_frame_counts(tmp_path):
    times_s = [i / 10 for i in range(8)]
    xy = np.tile([100.0, 110], (8, 1))
    clip = film(tmp_path / "clip.mp4", times_s, xy)
    result = result_at(xy[:3])
    result.header["first_frame"] = 4
    overlay.video(result, tmp_path / "out.mp4", film=clip)
    _, pictures = read(tmp_path / "out.mp4")
    has_figure = [
        (np.abs(picture[:, :960].astype(int) - LEFT) < 40).all(axis=-1).sum() > 300
        for picture in pictures
    ]
    assert has_figure == [False] * 4 + [True] * 3 + [False]


def test_without_a_film_the_keypoints_stand_on_paper(tmp_path):
    result = result_at(np.tile([160.0, 110], (5, 1)))
    result.valid[0, 2] = False
    assert result.save(tmp_path / "out.mp4") == [tmp_path / "out.mp4"]
    times, pictures = read(tmp_path / "out.mp4")
    np.testing.assert_allclose(times, np.arange(5) / 10, atol=1e-3)
    assert (np.abs(pictures[0][5, 5].astype(int) - [245, 247, 249]) < 6).all()
    seen = [(np.abs(p.astype(int) - LEFT) < 40).all(axis=-1).sum() > 300 for p in pictures]
    assert seen == [True, True, False, True, True]


def test_the_actions_are_a_timeline_below(tmp_path):
    actions = [
        {"start_s": 0.0, "stop_s": 0.5, "label": "slide", "score": 0.9, "person": 0},
        {"start_s": 0.5, "stop_s": 0.95, "label": "other", "score": 0.1, "person": 0},
    ]
    made = result_at(np.full((20, 2), 120.0))
    made.header["actions"] = actions
    made.time_s[:] = np.arange(20) / 20
    overlay.video(made, tmp_path / "with.mp4")
    _, pictures = read(tmp_path / "with.mp4")
    height, width = pictures[0].shape[:2]
    assert height == overlay.HEIGHT_PX + 36
    lane = pictures[10][-18 - 8]  # a row above the words
    colors = np.array([lane[int(share * width)] for share in (0.25, 0.75)]).astype(int)
    slide, other = (np.array(list(bytes.fromhex(c[1:]))) for c in ("#3b6fb6", "#c3cad4"))
    assert np.abs(colors[0] - slide).max() < 25 and np.abs(colors[1] - other).max() < 25
    dark = [np.flatnonzero(picture[-18 - 8].max(axis=1) < 80).mean() for picture in pictures[1:]]
    assert (np.diff(dark) > 0).all()  # the mark moves
    made.header["actions"] = []
    overlay.video(made, tmp_path / "without.mp4")
    assert read(tmp_path / "without.mp4")[1][0].shape[0] == overlay.HEIGHT_PX


def test_the_film_is_found_by_the_header(tmp_path):
    xy = np.tile([100.0, 110], (3, 1))
    clip = film(tmp_path / "with space é.mp4", [0, 0.1, 0.2], xy)
    result = result_at(xy)
    result.header["source"] = str(clip)
    result.save(tmp_path / "out.mp4")
    _, pictures = read(tmp_path / "out.mp4")
    middle_of(pictures[0][:, :960], (20, 220, 20), 90)
    result.header["source"] = str(tmp_path / "gone.mp4")  # then on paper
    result.save(tmp_path / "out.mp4")


def test_phones_are_turned(tmp_path, monkeypatch):
    clip = film(tmp_path / "clip.mp4", [0, 0.1], np.tile([60.0, 200], (2, 1)))
    plain = [picture for _, picture in overlay._film_pictures(clip)]
    monkeypatch.setattr(overlay, "_rotation", lambda frame: 90)
    turned = [picture for _, picture in overlay._film_pictures(clip)]
    np.testing.assert_array_equal(turned[0], np.rot90(plain[0]))
    result = result_at(np.tile([120.0, 160], (2, 1)), header=_portrait())
    overlay.video(result, tmp_path / "out.mp4", film=clip)
    _, pictures = read(tmp_path / "out.mp4")
    assert pictures[0].shape == (720 + 36, 540 + 720, 3)


def _portrait() -> dict:
    return {**result_at(np.zeros((1, 2))).header, "image_size": [SIZE[1], SIZE[0]]}


def test_mistakes_leave_no_file(tmp_path):
    result = result_at(np.tile([100.0, 110], (3, 1)))
    (tmp_path / "no_video.mp4").write_text("hello")
    for film_path, message in (
        (tmp_path / "gone.mp4", "there is no film"),
        (tmp_path / "no_video.mp4", "cannot be read as a video"),
    ):
        with pytest.raises(UserError, match=message):
            overlay.video(result, tmp_path / "out.mp4", film=film_path)
    result.valid[:] = False
    with pytest.raises(UserError, match="nothing to draw"):
        result.save(tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["no_video.mp4"]


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UserError, match=r"pip install 'actionpose\[video\]'"):
        result_at(np.tile([100.0, 110], (3, 1))).save(tmp_path / "out.mp4")


def test_a_broken_film_is_drawn_as_far_as_it_goes(tmp_path):
    times_s = [i / 10 for i in range(30)]
    xy = np.tile([100.0, 110], (30, 1))
    clip = film(tmp_path / "clip.mkv", times_s, xy)
    whole = clip.read_bytes()
    clip.write_bytes(whole[: int(0.7 * len(whole))])
    overlay.video(result_at(xy), tmp_path / "out.mp4", film=clip)
    times, _ = read(tmp_path / "out.mp4")
    assert 5 < len(times) < 30
