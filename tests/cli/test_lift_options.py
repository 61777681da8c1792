"""`actionpose lift`: options are checked before an input is read, and outputs found again."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import call
from helpers.keypoint_writers import keypoint_file

from actionpose import Keypoints
from actionpose.cli import options
from actionpose.inference.engines import ENGINES
from actionpose.inference.jobs import LiftJob, find_jobs, has_outputs
from actionpose.inference.predictor import check_height
from actionpose.inference.windows import QUALITIES
from actionpose.skeletons import H36M17_FEET
from actionpose.utils.errors import UserError

VALUES = [
    (["--person-order", "tallest"], "--person-order is largest, first, most-moving"),
    (["--quality", "x"], "--quality is fast, best"),
    (["--height", "0"], "--height is 0"),
    (["--joint-convention", "x"], "--joint-convention is mediapipe33, mocap, anatomical"),
    (["--checkpoint", "nope"], "no checkpoint nope"),
    (["--engine", "x"], "--engine is auto"),
    (["--device", "x"], "--device is auto"),
    (["--fov", "1"], "--fov"),
    (["--lock-feet"], "--lock-feet needs"),
    (["--max-gap", "nan"], "--max-gap is 0 or more, not nan"),
    (["--fps", "0"], "fps must be from 1"),
    (["--persons", "²"], "--persons is all or a number"),
    (["--image-size", "²x3"], "--image-size is WIDTHxHEIGHT"),
    (["--detector", "x"], "--detector is mediapipe, rtmlib"),
    (["--max-people", "0"], "--max-people is 1 or more"),
    (["--from", "x"], "--format is auto"),
    (["--skeleton", "x"], "no skeleton 'x'"),
]
DO_NOTHING = [  # with a video and -o
    (["--skeleton", "coco17"], "--skeleton is for keypoint files, and a.mp4 is none"),
    (["--image-size", "3x4"], "--image-size is for keypoint files"),
    (["--from", "coco"], "--format is for keypoint files"),
    (["--save", "csv"], "or formats with --save, not both"),
    (["--save", "foo"], "or formats with --save, not both"),
    (["--jobs", "2"], "--jobs needs --out-dir"),
    (["--executor", "foo"], "--executor needs --out-dir"),
    (["--recursive"], "--recursive needs --out-dir"),
]


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    assert call(monkeypatch, "lift", *arguments, "-q") == 2
    shown = capsys.readouterr()
    assert not shown.out and len(shown.err.splitlines()) == 1
    return shown.err


@pytest.mark.parametrize(("flags", "message"), VALUES)
def test_values_are_checked_before_an_input_is_read(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.json"):  # that cannot be read
        Path(name).touch()
    assert message in refused(monkeypatch, capsys, "a.mp4", "-o", "o.npz", *flags)
    assert message in refused(monkeypatch, capsys, "b.json", "-o", "o.npz", *flags)
    assert message in refused(monkeypatch, capsys, "a.mp4", "b.json", "--out-dir", "o", *flags)
    assert not Path("o").exists()


@pytest.mark.parametrize(("flags", "message"), DO_NOTHING)
def test_options_that_do_nothing_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.mp4").touch()
    assert message in refused(monkeypatch, capsys, "a.mp4", "-o", "o.npz", *flags)


@pytest.mark.parametrize("flags", [("--detector", "rtmlib"), ("--max-people", "1")])
def test_options_of_videos_are_refused_for_keypoints(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    flags: tuple[str, str],
) -> None:
    path = keypoint_file(tmp_path / "a.npz")
    message = refused(monkeypatch, capsys, str(path), "-o", str(tmp_path / "o.npz"), *flags)
    assert f"{flags[0]} is for videos, and {path} is none" in message


def test_values_are_those_of_the_library() -> None:
    assert options.ENGINES == ENGINES and options.QUALITIES == tuple(QUALITIES)
    for height_m, beyond_m in zip(options.HEIGHT_M, (0.29, 2.81), strict=True):
        check_height(height_m)
        assert options.parse_height(str(height_m)) == height_m
        with pytest.raises(UserError):
            check_height(beyond_m)
        with pytest.raises(UserError):
            options.parse_height(str(beyond_m))


def two_people(path: Path) -> Path:
    keypoints = Keypoints.read(keypoint_file(path, people=2))
    replace(keypoints, track_id=np.array([3, 7])).save(path)
    return path


@pytest.mark.parametrize(
    "outputs", [["--out-dir", "o", "--save", "npz,bvh"], ["-o", "o/two.npz", "-o", "o/two.bvh"]]
)
def test_files_of_several_people_are_found_again(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    outputs: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    two_people(Path("two.npz"))
    Path("o").mkdir()
    arguments = ["lift", "two.npz", *outputs, "--skip-existing", "-q"]
    for lacking in ("two.npz", "two_id7.bvh"):
        assert call(monkeypatch, *arguments) == 0
        assert "skipped" not in capsys.readouterr().out
        assert {"two.npz", "two_id3.bvh", "two_id7.bvh"} == {p.name for p in Path("o").iterdir()}
        assert call(monkeypatch, *arguments) == 0
        assert "skipped" in capsys.readouterr().out
        Path("o", lacking).unlink()


def test_files_of_people_without_a_result(tmp_path: Path) -> None:
    job = LiftJob(tmp_path / "in.npz", (tmp_path / "a.trc", tmp_path / "a.bvh"))
    (tmp_path / "a.trc").touch()
    (tmp_path / "a_idea.bvh").touch()
    assert not has_outputs(job)
    (tmp_path / "a_id12.bvh").touch()
    assert has_outputs(job)
    damaged = tmp_path / "a.npz"
    damaged.touch()
    assert not has_outputs(replace(job, outputs=(*job.outputs, damaged)))


def test_files_of_people_that_are_files_of_other_inputs(tmp_path: Path) -> None:
    for name in ("two.npz", "two_id3.npz", "four_id3.npz"):
        (tmp_path / name).touch()
    assert len(find_jobs([tmp_path], tmp_path / "o", [".npz"])) == 3
    with pytest.raises(UserError, match=r"of \S*/two\.npz .*/two_id3\.bvh, .*/two_id3\.npz"):
        find_jobs([tmp_path], tmp_path / "o", [".npz", ".bvh"])


def test_outputs_beside_a_video_are_no_inputs(tmp_path: Path) -> None:
    for name in ("a.mp4", "a_lifted/a.npz", "a_lifted/a.mp4", "b_lifted/b.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    jobs = find_jobs([tmp_path], tmp_path / "o", [".npz"], recursive=True)
    assert [job.source for job in jobs] == [tmp_path / "a.mp4", tmp_path / "b_lifted" / "b.npz"]
    jobs = find_jobs([tmp_path / "a_lifted"], tmp_path / "o", [".npz"])
    assert len(jobs) == 2


def test_nothing_is_lifted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit code 2, as for one input; 3 where some are lifted, or were."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.json", "b.json"):
        Path(name).touch()
    arguments = ["--out-dir", "o", "--skip-existing", "-q"]
    assert call(monkeypatch, "lift", "a.json", "b.json", *arguments) == 2
    shown = capsys.readouterr()
    assert "2 failed" in shown.out and "no input could be lifted" in shown.err
    keypoint_file(Path("c.npz"))
    assert call(monkeypatch, "lift", "a.json", "c.npz", *arguments) == 3
    assert call(monkeypatch, "lift", "a.json", "c.npz", *arguments) == 3
    assert "1 skipped" in capsys.readouterr().out


def test_a_csv_of_21_joints_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What `lift` writes, it reads."""
    monkeypatch.chdir(tmp_path)
    demo = Path(options.__file__).parents[1] / "assets" / "demo_keypoints.npz"
    shutil.copy(demo, "in.npz")
    assert call(monkeypatch, "lift", "in.npz", "-o", "1.npz", "-o", "1.csv", "-q") == 0
    for flags in ([], ["--from", "csv_joints"]):
        assert call(monkeypatch, "lift", "1.csv", "-o", "2.npz", "-q", *flags) == 0
        first, second = Keypoints.read("1.npz"), Keypoints.read("2.npz")
        assert first.skeleton is second.skeleton is H36M17_FEET
        np.testing.assert_allclose(first.keypoints_px, second.keypoints_px, atol=0.06)
