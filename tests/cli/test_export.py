"""`actionpose export`, `view` and `angles` as a user types them."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.drawn_people import drawn, write_video
from helpers.results import make_result

from actionpose import Result
from actionpose.cli import main as cli
from actionpose.datasets.synthetic.generate import dataset
from actionpose.geometry.axes import Axes

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line; gives the exit code and what was printed."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["actionpose", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


@pytest.fixture
def lifted(tmp_path: Path) -> Path:
    """A result of somebody who was filmed from 5 m, with the focal length 900 px."""
    world = next(made.joints_m for made in dataset(3, seed=2) if len(made.joints_m) >= 40)[:40]
    seen = np.stack([world[..., 0], 1.0 - world[..., 2], world[..., 1] + 5], axis=-1)
    keypoints = np.ones((1, 40, 17, 3))
    keypoints[0, ..., :2] = seen[..., :2] / seen[..., 2:] * 900 + [500, 400]
    header = {"image_size": [1000, 800], "fps": 30.0}
    result = make_result(seen - seen[:, :1], keypoints_px=keypoints, header=header)
    result.save(tmp_path / "walk.npz")
    return tmp_path / "walk.npz"


def test_export_writes_formats_and_says_what_was_done(
    call: Call, lifted: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / f"o.{suffix}" for suffix in ("bvh", "trc", "c3d", "glb", "csv", "npz")]
    flags = [word for path in outputs for word in ("-o", path)]
    options = ["--focal-px", 900, "--smooth", "butterworth", "--floor", "--lock-feet", "--up", "z"]
    code, printed = call("export", lifted, *flags, *options)
    assert code == 0, printed
    for word in ("path", "smooth", "floor", "feet", "axes", "bones"):
        assert f"\n{word:8}" in f"\n{printed}"
    assert printed.count("wrote ") == 6 and all(path.is_file() for path in outputs)
    again = Result.load(tmp_path / "o.npz")
    assert again.header["axes"] is Axes.Z_UP and again.root_m is not None
    assert (again.pose_m + again.root_m[:, :, None])[0, :, :, 2].min() > -0.1  # over the floor


def test_view_writes_a_page_beside_the_result(call: Call, lifted: Path, tmp_path: Path) -> None:
    code, printed = call("view", lifted, "--no-open")
    assert code == 0 and str(tmp_path / "walk.html") in printed
    video = write_video(tmp_path / "f.mkv", [drawn((30, 60))] * 3).rename(tmp_path / "f.mp4")
    command = ("view", lifted, "-o", tmp_path / "p.html", "--no-open", "--video", video)
    assert call(*command)[0] == 0
    assert "data:video/mp4;base64" in (tmp_path / "p.html").read_text()
    video.write_text("no video")
    code, printed = call(*command)
    assert code == 2 and "f.mp4 is neither a video nor a keypoint file" in printed


def test_angles_prints_a_table_and_writes_files(call: Call, lifted: Path, tmp_path: Path) -> None:
    code, printed = call("angles", lifted, "-o", tmp_path / "a.csv")
    assert code == 0 and (tmp_path / "a.csv").stat().st_size > 1000
    assert "left_knee_flexion" in printed and "100%" in printed and "not known" in printed


def test_view_and_angles_say_what_steps_cost(call: Call, lifted: Path, tmp_path: Path) -> None:
    steps = ("--fov", "60", "--fix-bone-lengths", "--floor")
    for command in (("angles", lifted), ("view", lifted, "-o", tmp_path / "a.html", "--no-open")):
        code, printed = call(*command, *steps)
        assert code == 0
        assert "px off (median)" in printed and "joints moved" in printed and "tilt" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "{lifted}"], "say where to write"),
        (["export", "{lifted}", "-o", "x.fbx"], "cannot write x.fbx: its suffix must be one of"),
        (["export", "{lifted}", "-o", "no/such/x.bvh"], "there is no folder"),
        (["export", "gone.npz", "-o", "x.bvh"], "there is no file gone.npz"),
        (
            ["export", "{lifted}", "-o", "x.mp4", "--video", "gone.mp4"],
            "there is no video gone.mp4",
        ),
        (["export", "{lifted}", "-o", "x.bvh", "--fov", "60", "--focal-px", "9"], "not both"),
        (["export", "{lifted}", "-o", "x.bvh", "--cutoff", "5"], "--cutoff needs --smooth"),
        (["angles", "{lifted}", "-o", "x.pdf"], "its suffix must be one of .csv, .png"),
        (["view", "{lifted}", "-o", "x.pdf"], "its suffix must be one of .html"),
        (["view", "{lifted}", "--video", "gone.mp4"], "no such video: gone.mp4 is not there"),
    ],
)
def test_mistakes_are_one_sentence(
    call: Call,
    lifted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, printed = call(*(argument.format(lifted=lifted) for argument in arguments))
    assert code == 2 and message in printed and "Traceback" not in printed
    assert not list(tmp_path.glob("x.*"))
