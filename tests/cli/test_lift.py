"""`actionpose lift` for one file, many and folders, and its executors."""

import json
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
from helpers.command_line import call, start_python
from helpers.drawn_people import WholePicture, drawn, network, write_video
from helpers.keypoint_writers import alphapose, keypoint_file, standing

from actionpose import Keypoints, Result
from actionpose.inference import batch
from actionpose.inference.jobs import LiftJob, find_jobs
from actionpose.skeletons import COCO17
from actionpose.utils.errors import UserError
from actionpose.video.detectors import OnnxPose


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
    jobs = find_jobs([tmp_path], tmp_path / "out", [".npz"])
    names = {job.source.name: job.outputs[0].name for job in jobs}
    assert names == {"a.mp4": "a.mp4.npz", "a.mov": "a.mov.npz", "b.mp4": "b.npz"}
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.mp4").touch()
    with pytest.raises(UserError, match="both be written"):
        find_jobs([tmp_path, other], tmp_path / "out", [".npz"])


def test_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    inner = tmp_path / "in" / "inner"
    inner.mkdir(parents=True)
    (inner / "a.mp4").touch()
    (inner / "up").symlink_to("..")
    jobs = find_jobs([tmp_path / "in"], tmp_path / "out", [".npz"], recursive=True)
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
    job = LiftJob(source, (tmp_path / "out.npz",))
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
        "--executor is local, ray, not 'dask'",
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
