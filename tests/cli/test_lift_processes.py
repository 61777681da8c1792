"""`actionpose lift` as a process: interrupted, without network, on the real clip."""

import os
import signal
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest
from helpers.command_line import PATIENCE_S, call, environment, start_python
from helpers.drawn_people import drawn, write_video
from helpers.keypoint_writers import keypoint_file

from actionpose import Result
from actionpose.utils.telemetry import TELEMETRY


def test_ctrl_c_leaves_nothing_broken(tmp_path: Path) -> None:
    """Exit code 130, no traceback, no process left, and every file there is a whole one."""
    frames = 120
    for number in range(24):
        keypoint_file(tmp_path / "in" / f"{number}.npz", number, frames)
    arguments = "-m actionpose lift in --out-dir out --save npz,csv --jobs 2 -q".split()
    out = tmp_path / "out"
    with start_python(*arguments, cwd=tmp_path, stderr=PIPE) as process:
        try:
            while not list(out.glob("*.csv")):
                assert process.poll() is None, "the lift ended before it was interrupted"
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 130
    assert b"interrupted" in error and b"Traceback" not in error
    for path in out.iterdir():
        assert not path.name.startswith(".")
        if path.suffix == ".npz":
            assert Result.load(path).pose_m.shape == (1, frames, 17, 3)
        else:
            assert len(path.read_text().splitlines()) == 1 + frames * 17


WATCHED = """
import os, sys, threading
opened = []
def hook(event, arguments):
    if event.startswith("socket."):
        opened.append((event, str(arguments)))
sys.addaudithook(hook)
def sockets():  # of libraries that are not Python too
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found
before, done = sockets(), threading.Event()
def look():
    while not done.wait(0.01):
        opened.extend(("fd", target) for target in sockets() - before)
thread = threading.Thread(target=look); thread.start()
from actionpose.cli import main as cli
from actionpose.utils.telemetry import TELEMETRY
try:
    for source in sys.argv[2:]:
        cli.run(["lift", source, "-o", sys.argv[1], "-q"])
finally:
    done.set(); thread.join()
assert not opened, opened[:5]
print({variable: os.environ.get(variable) for variable, _ in TELEMETRY.values()})
"""


def test_no_socket_is_opened_and_telemetry_is_off(tmp_path: Path) -> None:
    """Lifting, with whatever is imported for it; and who has set a switch keeps what they set."""
    sources = [keypoint_file(tmp_path / "a.npz")]
    if os.environ.get("ACTIONPOSE_VIDEO"):
        sources.append(beginning(tmp_path / "clip.mp4", 12))
    switches = {variable for variable, _ in TELEMETRY.values()}
    clean = {name: value for name, value in environment().items() if name not in switches}
    process = start_python(
        *("-c", WATCHED, tmp_path / "o.npz", *sources),
        env=clean | {"RAY_USAGE_STATS_ENABLED": "1"},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    shown, error = process.communicate()
    assert process.returncode == 0, error.decode()
    assert eval(shown.splitlines()[-1]) == {
        "ORT_DISABLE_TELEMETRY": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "RAY_USAGE_STATS_ENABLED": "1",
    }


def beginning(path: Path, num_frames: int) -> Path:
    """The first frames of the real clip, as they are stored."""
    av = pytest.importorskip("av")
    original = Path(os.environ["ACTIONPOSE_VIDEO"]) / "sports2d_demo.mp4"
    with av.open(str(original)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number == num_frames or packet.dts is None:
                break
            packet.stream = stream
            target.mux(packet)
    return path


def test_the_real_clip(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    video_data: Path,
) -> None:
    """From the film to files; and the film cut off, which is lifted as far as it goes."""
    clip = beginning(tmp_path / "ein tanz ☃.mp4", 40)
    out = tmp_path / "o.npz"
    assert call(monkeypatch, "lift", clip, "-o", out, "-q") == 0
    shown = capsys.readouterr()
    assert "frames a second" in shown.out and "detect" in shown.out and shown.err == ""
    result = Result.load(out)
    assert result.header["image_size"] == [1768, 994] and result.header["complete"]
    assert "MediaPipe" in result.header["detector"]
    assert result.valid[0].sum() >= 30
    joints = result.skeleton.joints
    head, ankle = (
        result.pose_m[0, result.valid[0]][:, joints.index(j), 1] for j in ("head", "left_ankle")
    )
    assert (head < ankle - 0.8).all()  # he stands; y points down
    with_loss = tmp_path / "cut.mkv"
    _as_matroska(clip, with_loss)
    with_loss.write_bytes(with_loss.read_bytes()[: with_loss.stat().st_size // 2])
    assert call(monkeypatch, "lift", with_loss, "-o", out, "-q") == 3
    shown = capsys.readouterr()
    assert "could not be read" in shown.err and "note" in shown.out
    cut = Result.load(out)
    assert 5 < len(cut.time_s) < 40 and not cut.header["complete"]


def _as_matroska(source_path: Path, path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(source_path)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)


def test_lift_decodes_a_video_before_it_imports_torch_and_scipy(tmp_path: Path) -> None:
    """They take seconds; a detector that ends the program sees that they are not there yet."""
    video = write_video(tmp_path / "a.mkv", [drawn()] * 3)
    program = """
import sys
from actionpose.cli import main
from actionpose.video import detectors

class Ends:
    def detect(self, image):
        sys.exit(7 if {"torch", "scipy"} & sys.modules.keys() else 5)

    def close(self):
        pass

detectors.make_detector.__globals__["MediaPipe"] = lambda *_: Ends()
main.main()
"""
    process = start_python("-c", program, "lift", video, "-o", tmp_path / "a.npz", stderr=PIPE)
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 5, shown
