"""`actionpose live` on a video with a detector that knows where the joints are."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command_line import call

from actionpose import ActionPose, Keypoints, Result
from actionpose.live import LiveLifter, source
from actionpose.live.frames import Window
from actionpose.postprocessing import floor_alignment
from actionpose.skeletons import H36M17_FEET
from actionpose.utils.errors import UserError
from actionpose.video import detectors
from actionpose.video.decoding import Frame

DEMO = Path(__file__).parents[2] / "actionpose/assets/demo_keypoints.npz"
Camera = Callable[..., None]


class KnownPeople:
    """Gives the bundled clip's person, frame by frame."""

    fingerprint = "known"

    def __init__(self, *_: object) -> None:
        keypoints = Keypoints.read(DEMO).to_skeleton(H36M17_FEET)
        self.skeleton, self._left = H36M17_FEET, list(keypoints.keypoints_px[0])

    def detect(self, image: np.ndarray) -> np.ndarray:
        return self._left.pop(0)[None]

    def close(self) -> None:
        pass


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Camera:
    """Make the camera give 45 pictures in no time, and then fail or end."""

    def set_up(end: BaseException | None = None) -> None:
        class Pictures:
            dropped = 2

            def __init__(self, frames: Any) -> None:
                self._times = iter(range(45))

            def take(self) -> tuple[Frame, float] | None:
                number = next(self._times, None)
                if number is None and isinstance(end, KeyboardInterrupt):
                    self.ended = False
                    signal.raise_signal(signal.SIGINT)
                    assert self.ended
                elif number is None and end is not None:
                    raise end
                image = np.zeros((720, 1280, 3), np.uint8)
                return None if number is None else (Frame(number / 30, image), 0.0)

            def end(self) -> None:
                self.ended = True

            def close(self) -> None:
                pass

        monkeypatch.setattr(source, "Newest", Pictures)
        monkeypatch.setattr(detectors, "make_detector", KnownPeople)

    return set_up


@pytest.mark.parametrize("end", [None, KeyboardInterrupt(), UserError("camera 0 was unplugged")])
def test_recording_is_kept_whatever_ends_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    camera: Camera,
    end: BaseException | None,
) -> None:
    camera(end)
    out = tmp_path / "live.npz"
    code = call(monkeypatch, "live", "-o", out, "--no-page", "--height", "1.8")
    shown = capsys.readouterr()
    assert code == (2 if isinstance(end, UserError) else 0)
    assert ("camera 0 was unplugged" in shown.err) == isinstance(end, UserError)
    assert "45 pictures, 2 dropped; 35 poses" in shown.err
    result = Result.load(out)
    assert result.pose_m.shape == (1, 45, 21, 3) and result.valid.all()
    np.testing.assert_allclose(result.time_s, np.arange(45) / 30)
    assert result.header["stature_m"] == 1.8 and result.header["detector"] == "known"
    assert result.uncertainty_mm is not None and result.header["uncertainty"]["coverage"] == 0.68
    assert not result.uncertainty_mm[..., 0].any()
    assert 15 < np.median(result.uncertainty_mm[..., 1:]) < 80
    assert "lifted live, 0.33 s" in result.header["notes"][0]


def test_engine_starts_before_pictures_come(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, camera: Camera
) -> None:
    """A video is played in real time: what comes while an engine is compiled is lost."""
    camera()
    order: list[str] = []
    engine, pictures = ActionPose.engine, source.Newest

    def started(self: ActionPose, frames: int) -> Any:
        order.append("engine")
        return engine(self, frames)

    def opened(frames: Any) -> Any:
        order.append("pictures")
        return pictures(frames)

    monkeypatch.setattr(ActionPose, "engine", started)
    monkeypatch.setattr(source, "Newest", opened)
    assert call(monkeypatch, "live", "-o", tmp_path / "live.npz", "--no-page") == 0
    assert order[:2] == ["engine", "pictures"]


def test_recording_is_kept_if_lifting_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, camera: Camera
) -> None:
    camera()
    poses = LiveLifter._poses
    count = iter(range(5))

    def fail(self: LiveLifter, window: Window) -> tuple[Any, Any]:
        if next(count, None) is None:
            raise RuntimeError("out of memory")
        return poses(self, window)

    monkeypatch.setattr(LiveLifter, "_poses", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        call(monkeypatch, "live", "-o", tmp_path / "live.npz", "--no-page")
    assert 10 <= Result.load(tmp_path / "live.npz").valid.shape[1] < 45


def test_labels_page_and_avatar_get_what_is_due(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], camera: Camera
) -> None:
    pytest.importorskip("websockets")
    pytest.importorskip("pythonosc")
    from actionpose.live import server

    camera()
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(server.ViewerServer, "send", lambda self, message: sent.append(message))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        flags = ["--port", "0", "--no-open", "--labels", "all", "--vmc", address]
        assert call(monkeypatch, "live", *flags) == 0
        listener.settimeout(5)
        assert listener.recv(65536).startswith(b"#bundle")
    assert "page    http://127.0.0.1:" in capsys.readouterr().out
    assert len(sent) == 35 and {person["place"] for m in sent for person in m["people"]} == {0}
    joints = np.array(sent[-1]["people"][0]["joints_m"]).reshape(21, 3)
    assert 1.2 < np.ptp(joints[:, 1]) < 1.9 and abs(joints[:, 1].min()) < 0.2
    assert len(sent[-1]["people"][0]["uncertainty_mm"]) == 21
    assert "2 dropped" in sent[-1]["status"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--camera", "-1"], "--camera is a number from 0"),
        (["--delay", "3"], "--delay is from 8"),
        (["--interval", "0"], "interval is from 1"),
        (["--stop", "0"], "--stop is a number of seconds"),
        (["--vmc", "nowhere"], "--vmc is HOST:PORT"),
        (["--port", "70000"], "port is from 0 to 65535"),
        (["--labels", ","], "there is no label"),
        (["-o", "x.abc"], "its suffix must be one of"),
    ],
)
def test_wrong_options(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    camera: Camera,
    flags: list[str],
    message: str,
) -> None:
    pytest.importorskip("websockets")
    pytest.importorskip("pythonosc")
    camera()
    assert call(monkeypatch, "live", "--no-open", *flags) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--smooth", "butterworth", "--cutoff", "20"], "20 Hz does not fit 30 frames a second"),
        (["--smooth", "one-euro", "--cutoff", "-1"], "--cutoff is above 0, not -1"),
        (["--fov", "300"], "--fov is across the image, 5 to 170 degrees, not 300"),
        (["--focal-px", "0"], "--focal-px is a number of pixels above 0, not 0"),
        (["--lock-feet"], "--lock-feet needs the path of the root"),
    ],
)
def test_options_of_motion_are_checked_before_the_camera_is_opened(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(source, "Newest", lambda frames: pytest.fail("the camera was opened"))
    monkeypatch.setattr(detectors, "make_detector", KnownPeople)
    assert call(monkeypatch, "live", "--no-page", "-o", tmp_path / "live.npz", *flags) == 2
    assert message in capsys.readouterr().err


def test_focal_length_is_checked_with_the_first_picture(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    camera: Camera,
) -> None:
    camera()
    flags = ["-o", tmp_path / "live.npz", "--focal-px", "3"]
    assert call(monkeypatch, "live", "--no-page", *flags) == 2
    shown = capsys.readouterr().err
    assert "3 px does not fit 1280 px of width" in shown and "pictures" not in shown


@pytest.mark.parametrize("end", [None, UserError("camera 0 was unplugged")])
def test_recording_is_kept_if_a_step_fails(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    camera: Camera,
    end: UserError | None,
) -> None:
    def fail(result: Result) -> Result:
        raise UserError("there is no floor")

    camera(end)
    monkeypatch.setattr(floor_alignment, "align_to_floor", fail)
    out = tmp_path / "live.npz"
    assert call(monkeypatch, "live", "-o", out, "--no-page", "--smooth", "one-euro", "--floor") == 2
    lines = capsys.readouterr().err.splitlines()
    failed = "actionpose: there is no floor; the recording is written as it was lifted"
    unplugged = [] if end is None else ["actionpose: camera 0 was unplugged"]
    assert lines[-1 - len(unplugged) :] == [failed, *unplugged]
    result = Result.load(out)
    assert result.valid.shape == (1, 45) and "processing" not in result.header


def test_what_ends_a_recording_is_the_error_even_if_there_is_nothing_to_write(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    camera: Camera,
) -> None:
    camera(UserError("no picture came for 5 s"))
    monkeypatch.setattr(KnownPeople, "detect", lambda self, image: np.zeros((0, 21, 3)))
    assert call(monkeypatch, "live", "-o", tmp_path / "live.npz", "--no-page") == 2
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "actionpose: nobody was visible long enough: there is nothing to write",
        "actionpose: no picture came for 5 s",
    ]
    assert not list(tmp_path.iterdir())


def test_video_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(detectors, "make_detector", KnownPeople)
    assert call(monkeypatch, "live", "--no-page", "--input", "gone.mp4") == 2
    assert "no such video: gone.mp4" in capsys.readouterr().err
