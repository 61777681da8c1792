"""`actionpose lift` for one file, many and folders; its executors; `doctor`; and no network."""

import json
import os
import signal
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE

import numpy as np
import pytest
from helpers.command_line import PATIENCE_S, call, environment, start_python
from helpers.drawn_people import WholePicture, drawn, network, write_video
from helpers.keypoint_writers import alphapose, standing

from actionpose import Keypoints, Result
from actionpose.cli import doctor
from actionpose.inference import batch
from actionpose.skeletons import COCO17
from actionpose.utils.errors import UserError
from actionpose.utils.telemetry import TELEMETRY
from actionpose.video.detectors import OnnxPose


def keypoint_file(path: Path, seed: int = 0, frames: int = 30, people: int = 1) -> Path:
    """A body that moves about, saved in our format or as an OpenPose folder."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(200, 500, (people, 1, 17, 2)) + np.arange(people)[:, None, None, None] * 700
    moves = rng.normal(0, 3, (people, frames, 17, 2)).cumsum(1)
    points = np.concatenate([body + moves, np.full((people, frames, 17, 1), 0.9)], axis=-1)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        Keypoints.from_array(points, skeleton=COCO17, fps=30, image_size=(2000, 1000)).save(path)
        return path
    path.mkdir()
    for frame in range(frames):
        bodies = [{"pose_keypoints_2d": p.ravel().tolist()} for p in points[:, frame]]
        (path / f"{frame:06d}_keypoints.json").write_text(json.dumps({"people": bodies}))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two good inputs, one deeper, and two that are none."""
    inputs = tmp_path / "in"
    keypoint_file(inputs / "a.npz", 1)
    keypoint_file(inputs / "openpose", 2)
    keypoint_file(inputs / "deep er" / "ü.npz", 3)
    (inputs / "broken.json").write_text("[{")
    (inputs / "empty.mp4").touch()
    (inputs / ".hidden.json").write_text("[{")
    (inputs / "notes.txt").write_text("no input")
    return inputs


def table(text: str) -> dict[str, str]:
    """Name of input -> result, of the summary."""
    rows = [line for line in text.splitlines() if line.startswith("in")][1:]
    return {Path(row.split("  ")[0].strip()).name: row.split("  ", 1)[1].split()[0] for row in rows}


def test_a_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    monkeypatch.chdir(folder.parent)
    flags = ["--out-dir", "out", "--save", "npz,csv", "-q"]
    assert call(monkeypatch, "lift", "in", *flags) == 3
    shown = capsys.readouterr().out
    expected = {"a.npz": "done", "openpose": "done", "broken.json": "failed", "empty.mp4": "failed"}
    assert table(shown) == expected
    assert "0 bytes" in shown and "2 failed, 2 done" in shown.replace(
        "2 done, 2 failed", "2 failed, 2 done"
    )
    written = sorted(path.name for path in Path("out").rglob("*"))
    assert written == ["a.csv", "a.npz", "openpose.csv", "openpose.npz"]
    assert Result.load("out/openpose.npz").pose_m.shape == (1, 30, 17, 3)


def test_folders_in_folders_and_what_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """Outputs inside the folder of inputs are never inputs themselves."""
    monkeypatch.chdir(folder.parent)
    flags = ["--recursive", "--out-dir", "in/out", "--save", "npz", "-q"]
    for bad in ("broken.json", "empty.mp4"):
        (folder / bad).unlink()
    assert call(monkeypatch, "lift", "in", *flags) == 0
    assert (folder / "out" / "deep er" / "ü.npz").is_file()
    (folder / "out" / "a.npz").unlink()
    before = (folder / "out" / "openpose.npz").stat().st_mtime_ns
    capsys.readouterr()
    assert call(monkeypatch, "lift", "in", *flags, "--skip-existing") == 0
    assert table(capsys.readouterr().out) == {
        **{"a.npz": "done", "openpose": "skipped", "ü.npz": "skipped"},
    }
    assert (folder / "out" / "openpose.npz").stat().st_mtime_ns == before


def test_inputs_of_one_name(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mov", "b.mp4"):
        (tmp_path / name).touch()
    jobs = batch.find_jobs([tmp_path], tmp_path / "out", [".npz"])
    names = {job.source.name: job.outputs[0].name for job in jobs}
    assert names == {"a.mp4": "a.mp4.npz", "a.mov": "a.mov.npz", "b.mp4": "b.npz"}
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.mp4").touch()
    with pytest.raises(UserError, match="both be written"):
        batch.find_jobs([tmp_path, other], tmp_path / "out", [".npz"])


def test_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    inner = tmp_path / "in" / "inner"
    inner.mkdir(parents=True)
    (inner / "a.mp4").touch()
    (inner / "up").symlink_to("..")
    jobs = batch.find_jobs([tmp_path / "in"], tmp_path / "out", [".npz"], recursive=True)
    assert [job.source for job in jobs] == [inner / "a.mp4"]


def same_results(a: Path, b: Path) -> None:
    names = sorted(p.relative_to(a) for p in a.rglob("*.npz"))
    assert names == sorted(p.relative_to(b) for p in b.rglob("*.npz")) and names
    for name in names:
        assert (a / name).read_bytes() == (b / name).read_bytes()


def test_processes_give_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    monkeypatch.chdir(folder.parent)
    flags = ["in", "-r", "--save", "npz", "-q"]
    assert call(monkeypatch, "lift", *flags, "--out-dir", "one") == 3
    first = capsys.readouterr().out
    assert call(monkeypatch, "lift", *flags, "--out-dir", "two", "--jobs", "2") == 3
    assert table(capsys.readouterr().out) == table(first)
    same_results(folder.parent / "one", folder.parent / "two")


@pytest.mark.slow
def test_ray_gives_the_same_bytes(folder: Path) -> None:
    """On a cluster of this machine; in a process of its own, which Ray may keep busy."""
    pytest.importorskip("ray")
    program = "-W ignore -m actionpose lift in -r -q --save npz --jobs 2".split()
    for out, executor in (("one", "local"), ("two", "ray")):
        arguments = (*program, "--out-dir", out, "--executor", executor)
        process = start_python(*arguments, cwd=folder.parent, stdout=PIPE, stderr=PIPE)
        shown, error = process.communicate()
        assert process.returncode == 3, error.decode()
        assert len(table(shown.decode())) == 5
    same_results(folder.parent / "one", folder.parent / "two")


def test_a_video_without_outputs_gets_a_folder_beside_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    model = network(tmp_path / "pose.onnx", 17)
    detector = "actionpose.video.source.make_detector"
    monkeypatch.setattr(detector, lambda *options: OnnxPose(model, WholePicture()))
    clip = write_video(tmp_path / "a.mkv", [drawn((30 + 4 * n, 60)) for n in range(20)])
    base = ["lift", str(clip), "-q"]
    assert call(monkeypatch, *base, "--start", "5") == 2
    assert "has no frame from 5" in capsys.readouterr().err
    assert not (tmp_path / "a_lifted").exists()
    part = ["--start", "0.19", "--person", "0"]
    assert call(monkeypatch, *base, *part, "--save", "npz,csv") == 0
    names = [path.name for path in sorted((tmp_path / "a_lifted").iterdir())]
    assert names == ["a.csv", "a.npz"]
    result = Result.load(tmp_path / "a_lifted" / "a.npz")
    np.testing.assert_allclose(result.time_s, np.arange(6, 20) / 30, atol=1e-3)
    video = result.header["video"]
    assert video is not None and video["path"] == str(clip)
    assert video["bytes"] == clip.stat().st_size and len(video["sha256"]) == 64
    assert video["duration_s"] == pytest.approx(20 / 30, abs=0.05)


def test_steps_between_lifting_and_saving(tmp_path: Path) -> None:
    """Where post-processing goes."""
    source = keypoint_file(tmp_path / "a.npz")
    job = batch.LiftJob(source, (tmp_path / "out.npz",))
    plain = batch.Worker(batch.LiftOptions())
    assert plain.lift(job).status == "done"
    before = Result.load(job.outputs[0]).pose_m
    stepped = batch.Worker(batch.LiftOptions(steps=(_doubled, _doubled)))
    outcome = stepped.lift(job)
    assert (outcome.status, outcome.persons, outcome.frames) == ("done", 1, 30)
    assert outcome.seconds.keys() == {"read", "lift", "files"}
    np.testing.assert_allclose(Result.load(job.outputs[0]).pose_m, before * 4, rtol=1e-6)


def _doubled(result: Result) -> Result:
    result.pose_m = result.pose_m * 2
    return result


def test_order_number_and_gaps_of_people(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = keypoint_file(tmp_path / "two.npz", people=2)
    keypoints = Keypoints.read(source)
    points = keypoints.keypoints_px.copy()
    points[0, :5] = points[1, 10:14] = points[1, 20:27] = 0
    points[0] *= np.array([0.5, 0.5, 1], dtype=np.float32)
    gappy = Keypoints.from_array(points, skeleton=COCO17, fps=10)
    gappy.save(source)
    out = tmp_path / "o.npz"
    flags = ["lift", source, "-o", out, "-q", "--persons", 1]
    for order, track in (("largest", 1), ("first", 1), ("most-moving", None)):
        assert call(monkeypatch, *flags, "--person-order", order) == 0
        ids = Result.load(out).track_id.tolist()
        assert len(ids) == 1 and track in (None, ids[0])
    for gap, filled in ((0.0, 0), (0.5, 4), (2.0, 11)):
        assert call(monkeypatch, *flags, "--max-gap", gap) == 0
        result = Result.load(out)
        assert (~result.valid[0]).sum() == 11
        there = np.abs(result.pose_m[0]).sum((1, 2)) > 0
        assert (there & ~result.valid[0]).sum() == filled
    assert call(monkeypatch, *flags, "--max-gap", -1) == 2
    assert call(monkeypatch, *flags, "--person-order", "tallest") == 2


MISTAKES = [
    (["lift"], "what to lift"),
    (["lift", "in"], "say where to write"),
    (["lift", "nowhere.mp4"], "no such file or folder: nowhere.mp4"),
    (["lift", "in", "-o", "o.npz"], "--save"),
    (["lift", "in/a.npz", "in/openpose", "-o", "o.npz"], "--save"),
    (["lift", "in", "--out-dir", "in", "--save", "npz"], "another folder"),
    (["lift", "in", "-o", "a.npz", "--out-dir", "b"], "--out-dir"),
    (["lift", "in", "--out-dir", "out", "--save", "npz,xyz"], "xyz"),
    (["lift", "nothing", "--out-dir", "out", "--save", "npz"], "nothing"),
    (["lift", "s3://bucket/x", "--out-dir", "out", "--save", "npz"], "mounted"),
    (["lift", "in/deep er", "nowhere", "--out-dir", "out", "--save", "npz"], "nowhere"),
    (["lift", "void", "--out-dir", "out", "--save", "npz"], "--recursive"),
    (["lift", "in", "--out-dir", "out", "--save", "npz", "--jobs", "0"], "--jobs"),
    (
        ["lift", "in", "--out-dir", "out", "--save", "npz", "--executor", "dask"],
        "no executor 'dask'",
    ),
    (["lift", "in", "--out-dir", "file/out", "--save", "npz"], "cannot make the folder"),
    (
        ["lift", "in", "--out-dir", "out", "--save", "npz", "--checkpoint", "nothing"],
        "no checkpoint",
    ),
    (["lift", "in/a.npz", "-o", "o.npz", "--max-gap", "-2"], "gap"),
    (["lift", "in/empty.mp4", "-o", "o.npz"], "0 bytes"),
    (["lift", "in/notes.txt", "-o", "o.npz"], "neither a video nor"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes_cost_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("void").mkdir()
    Path("file").touch()
    assert call(monkeypatch, *arguments, "-q") == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1, error
    assert not list(Path().rglob(".unfinished*")) and not Path("o.npz").exists()


def test_the_disk_is_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """One output of a folder cannot be written: the others are, and the table says why."""
    monkeypatch.chdir(folder.parent)
    Path("out").mkdir()
    Path("out/a.npz").mkdir()  # as good a reason as a full disk, and to be had everywhere
    assert (
        call(monkeypatch, "lift", "in/a.npz", "in/openpose", "--out-dir", "out", "--save", "npz")
        == 3
    )
    shown = capsys.readouterr().out
    assert table(shown) == {"a.npz": "failed", "openpose": "done"} and "cannot write" in shown


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


def test_doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "doctor") == 0
    shown = capsys.readouterr().out
    for word in ("torch", "mediapipe", "rtmlib", "GPU", "telemetry off", "nothing is sent"):
        assert word in shown
    assert doctor.problems() == []


def test_doctor_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"opencv-python": "5.0", "opencv-contrib-python": "5.1", "ray": "2.6"}
    monkeypatch.setattr(doctor, "installed", lambda package: versions.get(package, ""))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    first, second = doctor.problems()
    assert "opencv-python and opencv-contrib-python" in first and "cv2" in first
    assert "RAY_USAGE_STATS_ENABLED" in second


def test_lift_notes_and_flags_for_keypoints_that_are_upside_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The note names the option, and with it the result is that of the file with y down."""
    down = standing(30)
    up = down * (1, -1, 1) + (0, 994, 0)
    for name, points in (("down", down), ("up", up)):
        entries = [alphapose(f"{n}.jpg", body) for n, body in enumerate(points)]
        (tmp_path / f"{name}.json").write_text(json.dumps(entries))
    arguments = {"down": ("down",), "noted": ("up",), "turned": ("up", "--y-up")}
    for name, (file, *flags) in arguments.items():
        out = tmp_path / f"{name}.npz"
        options = ("--image-size", "1768x994", "-q", *flags)
        assert call(monkeypatch, "lift", tmp_path / f"{file}.json", *options, "-o", out) == 0
        assert ("--y-up" in capsys.readouterr().out) == (name == "noted")
    poses = {name: Result.load(tmp_path / f"{name}.npz").pose_m for name in arguments}
    np.testing.assert_allclose(poses["turned"], poses["down"], atol=1e-4)
    assert np.abs(poses["noted"] - poses["down"]).max() > 0.3


def test_lift_decodes_a_video_before_it_imports_torch(tmp_path: Path) -> None:
    """PyTorch takes seconds; a detector that ends the program sees that it is not there yet."""
    video = write_video(tmp_path / "a.mkv", [drawn()] * 3)
    program = """
import sys
from actionpose.cli import main
from actionpose.video import detectors

class Ends:
    def detect(self, image):
        sys.exit(7 if "torch" in sys.modules else 5)

    def close(self):
        pass

detectors.make_detector.__globals__["MediaPipe"] = lambda *_: Ends()
main.main()
"""
    process = start_python("-c", program, "lift", video, "-o", tmp_path / "a.npz", stderr=PIPE)
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 5, shown
