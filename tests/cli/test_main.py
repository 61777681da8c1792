"""The command line as a user types it: output, files, exit codes."""

import json
import os
import signal
import termios
from importlib.metadata import version
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
from helpers.command_line import PATIENCE_S, call, start_python

from actionpose import Keypoints, Result
from actionpose.cli import main as cli
from actionpose.cli.options import parse_height
from actionpose.datasets.corpus import Corpus, verify_corpus
from actionpose.skeletons import COCO17, HALPE26


@pytest.fixture
def alphapose(tmp_path: Path) -> Path:
    """A Halpe-26 file of 40 frames, as AlphaPose writes it."""
    rng = np.random.default_rng(0)
    body = rng.uniform(200, 600, size=(26, 2))
    rows = []
    for frame in range(40):
        points = np.column_stack([body + frame + rng.normal(0, 1, (26, 2)), np.full(26, 0.9)])
        flat = points.ravel().tolist()
        rows.append({"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": flat, "score": 2.5})
    path = tmp_path / "alphapose.json"
    path.write_text(json.dumps(rows))
    assert len(HALPE26) == 26
    return path


def test_help_and_no_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch) == 0
    assert call(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    for name in cli.COMMANDS:
        assert name in shown
        assert call(monkeypatch, *name.split(), "--help") == 0


@pytest.mark.parametrize("name", ["models", "reproduce", "prepare", "evaluate"])
def test_group_lists_its_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert call(monkeypatch, name) == 0
    shown = capsys.readouterr().out
    below = [command for command in cli.COMMANDS if command.startswith(f"{name} ")]
    assert below and all(command in shown for command in below)


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"actionpose {version('actionpose')}\n"


def test_help_and_a_missing_input_import_nothing_heavy() -> None:
    code = "import sys; from actionpose.cli.main import UserError, run; run(['--help'])\n"
    code += "print({'torch', 'scipy', 'numpy', 'tyro', 'tqdm'} & sys.modules.keys() or 'light')\n"
    code += "for command in ('lift gone.json -o o.npz', 'actions gone.json'):\n"
    code += "    try: run(command.split())\n"
    code += "    except UserError as error: print(error, 'torch' in sys.modules)"
    with start_python("-c", code, stdout=PIPE) as process:
        lines = process.communicate()[0].decode().splitlines()
    assert lines[-3:] == ["light", *["no such file or folder: gone.json False"] * 2]


def test_help_fills_its_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert call(monkeypatch, "lift", "--help") == 0
    assert "mocap (as in the training data) or mediapipe33" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["1.75", "1.75m", "175cm", " 175 CM"])
def test_height_in_meters_or_centimeters(text: str) -> None:
    assert parse_height(text) == pytest.approx(1.75)


def test_errors_name_the_options_of_the_command_line() -> None:
    message = cli.with_flags("fov_deg is 0 to 180, not 200; height_m is given")
    assert message == "--fov is 0 to 180, not 200; --height is given"
    message = cli.with_flags("give joint_map=FILE; or recursive=True for folders")
    assert message == "give --joint-map FILE; or --recursive for folders"
    message = cli.with_flags("lacks a size (image_size): say skeleton=NAME")
    assert message == "lacks a size (--image-size): say --skeleton NAME"


@pytest.mark.parametrize(
    "text",
    [
        "image_size.json",
        "in/image_size",
        "take=A.json",
        "'the image_size'",
        '"fps=N"',
        "data.fov_deg",
    ],
)
def test_errors_leave_paths_and_quoted_text_as_they_are(text: str) -> None:
    message = cli.with_flags(f"{text}: not a person's: give image_size")
    assert message == f"{text}: not a person's: give --image-size"


@pytest.mark.parametrize("name", ["image_size", "my image_size a.json", "take=A.json"])
def test_errors_name_files_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    assert call(monkeypatch, "lift", tmp_path / name, "-o", tmp_path / "o.npz") == 2
    assert f"no such file or folder: {tmp_path / name}\n" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    Path(name).touch()
    assert call(monkeypatch, "lift", name, "-o", "o.npz") == 2
    assert capsys.readouterr().err.startswith(f"actionpose: {name}")
    assert call(monkeypatch, "lift", name, "--out-dir", "o", "-q") == 2
    assert f"  {name}" in capsys.readouterr().out


def test_demo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(monkeypatch, "demo", "--out-dir", tmp_path / "demo") == 0
    result = Result.load(tmp_path / "demo" / "demo.npz")
    assert result.pose_m.shape == (1, 66, 21, 3)
    # the person stands, then lifts both arms: y points down
    joints = result.skeleton.joints
    head, ankle = (result.pose_m[0, :, joints.index(j), 1] for j in ("head", "left_ankle"))
    assert (head < ankle - 1.0).all()
    wrist = result.pose_m[0, :, joints.index("left_wrist"), 1]
    assert wrist[0] > -0.2 and wrist.min() < head[wrist.argmin()]
    assert (tmp_path / "demo" / "demo.png").stat().st_size > 10_000
    assert "three" in (tmp_path / "demo" / "demo.html").read_text()
    assert "meters" in capsys.readouterr().out


def test_lift_writes_every_format(
    monkeypatch: pytest.MonkeyPatch, alphapose: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / f"o.{suffix}" for suffix in ("npz", "json", "csv", "png", "html")]
    flags = [word for path in outputs for word in ("-o", path)]
    assert call(monkeypatch, "lift", alphapose, *flags, "--height", 1.8, "-q") == 0
    assert all(path.stat().st_size > 1000 for path in outputs)
    assert Result.load(outputs[0]).facts["scale_source"] == "height given, 1.80 m"
    assert call(monkeypatch, "export", outputs[0], "-o", tmp_path / "again.csv") == 0
    assert (tmp_path / "again.csv").read_bytes() == outputs[2].read_bytes()


WRONG_FILES = {
    "empty.json": "",
    "list.json": "[]",
    "cut.json": '[{"image_id": "0.jpg", "keypoints": [1.0, 2',
    "joints.json": json.dumps([{"image_id": "0.jpg", "keypoints": [9.0] * 21, "score": 1}]),
    "nan.json": json.dumps(
        [{"image_id": "0.jpg", "keypoints": [float("nan")] * 51, "score": 1, "category_id": 1}]
    ),
    "small.json": json.dumps(
        [{"image_id": "0.jpg", "keypoints": [0.5, 0.5, 1.0] * 17, "score": 1, "category_id": 1}]
    ),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_wrong_files(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
) -> None:
    path = tmp_path / name
    path.write_text(WRONG_FILES[name])
    assert call(monkeypatch, "lift", path, "-o", tmp_path / "o.npz") == 2
    error = capsys.readouterr().err
    assert name in error and len(error.strip().splitlines()) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lift", "missing.json", "-o", "o.npz"], "no such file"),
        (["lift", "{good}"], "-o"),
        (["lift", "{good}", "-o", "o.xyz"], ".npz"),
        (["lift", "{good}", "-o", "no/such/o.npz"], "no folder"),
        (["lift", "{good}", "-o", "o.npz", "--height", "175"], "are 1.75"),
        (["lift", "{good}", "-o", "o.npz", "--height", "tall"], "such as 1.75 or 175cm"),
        (["lift", "{good}", "-o", "o.npz", "--height", "9"], "--height is 9"),
        (["lift", "{good}", "-o", "o.npz", "--device", "gpu"], "cuda"),
        (["lift", "{good}", "-o", "o.npz", "--image-size", "12"], "WIDTHxHEIGHT"),
        (["lift", "{good}", "-o", "o.npz", "--persons", "few"], "--persons"),
        (["lift", "{good}", "-o", "o.npz", "--checkpoint", "nothing"], "no checkpoint"),
        (["lift", "{good}", "-o", "o.npz", "--fps", "0"], "fps"),
        (["lift", "{good}", "-o", "o.npz", "--skeleton", "coco17"], "26 joints"),
        (["export", "{good}", "-o", "o.csv"], "npz"),
        (["prepare", "nothing"], "prepare synthetic"),
        (["dance"], "no command"),
        (["lfit", "a.mp4"], "did you mean lift?"),
        (["models", "lst"], "did you mean models list?"),
        (["finetune", "--config", "missing.yaml", "--run", "r"], "missing.yaml"),
        (["evaluate", "open", "--data", "nowhere"], "not a corpus"),
        (["evaluate", "open"], "--data"),
    ],
)
def test_mistakes_cost_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    alphapose: Path,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(alphapose.parent)
    assert call(monkeypatch, *[a.format(good=alphapose) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1, error
    assert "Traceback" not in error
    assert sorted(p.name for p in alphapose.parent.iterdir()) == [alphapose.name]


def test_unknown_options_are_errors(monkeypatch: pytest.MonkeyPatch, alphapose: Path) -> None:
    assert call(monkeypatch, "lift", alphapose, "-o", "o.npz", "--color", "red") == 2


def test_unknown_recipe_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("data: {framez: 9}\n")
    assert call(monkeypatch, "finetune", "--config", recipe, "--run", tmp_path / "run") == 2
    assert "unknown key data.framez; did you mean data.frames?" in capsys.readouterr().err


def test_prepare_train_evaluate_lift(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    corpus: Corpus,
    alphapose: Path,
    tmp_path: Path,
) -> None:
    """The whole path on small data: a stranger's first half hour in seconds."""
    made = tmp_path / "made"
    assert call(monkeypatch, "prepare", "synthetic", made, "--num-motions", 12, "-q") == 0
    assert verify_corpus(made).info["motions"] == 12
    assert call(monkeypatch, "prepare", "synthetic", made, "--num-motions", 12, "-q") == 2
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "model: {dim: 16, depth: 1, num_heads: 2, dim_rep: 16, max_frames: 27,"
        " class_token: false}\n"
        f"data: {{corpora: {{{made}: 1}}, frames: 27, stride: 27, normalization: box}}\n"
        "training: {epochs: 1, batch_size: 4, device: cpu, learning_rate: 1e-3}\n"
    )
    run = tmp_path / "run"
    flags = ["--config", recipe, "--run", run, "-q"]
    assert call(monkeypatch, "finetune", *flags, "--training.epochs", 0.5) == 0
    assert "finished" in capsys.readouterr().out
    scores = tmp_path / "scores.json"
    evaluate = ["evaluate", "open", "--checkpoint", run, "--data", corpus.folder, "-q"]
    assert call(monkeypatch, *evaluate, "--json", scores) == 0
    assert json.loads(scores.read_text())["scores"]["mpjpe_mm"]["mean"] > 10
    out = tmp_path / "o.npz"
    assert call(monkeypatch, "lift", alphapose, "-o", out, "--checkpoint", run, "-q") == 0
    capsys.readouterr()
    assert call(monkeypatch, "models", "info", run) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] > 1000


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a long lift: exit code 130, no file, no traceback."""
    points = np.random.default_rng(0).uniform(100, 900, size=(1, 20_000, 17, 3))
    points[..., 2] = 1
    long = tmp_path / "long.npz"
    Keypoints.from_array(points, skeleton=COCO17, fps=30.0).save(long)
    screen, terminal = os.openpty()  # where the progress bar tells that the work has begun
    termios.tcsetwinsize(terminal, (24, 80))
    arguments = ("-m", "actionpose", "lift", long, "-o", tmp_path / "o.npz")
    with start_python(*arguments, stderr=terminal) as process:
        try:
            os.close(terminal)
            shown = read_until(b"lift:", screen)
            process.send_signal(signal.SIGINT)
            shown += read_until(b"interrupted", screen)
            assert process.wait(PATIENCE_S) == 130
        finally:
            process.kill()
            os.close(screen)
    assert b"Traceback" not in shown
    assert [path.name for path in tmp_path.iterdir()] == ["long.npz"]


def test_ctrl_c_during_imports() -> None:
    """Before the work begins, too: exit code 130, no traceback."""
    arguments = "-X importtime -m actionpose models info tiny".split()
    with start_python(*arguments, stderr=PIPE) as process:
        try:
            assert process.stderr
            shown = read_until(b" torch.", process.stderr.fileno())
            process.send_signal(signal.SIGINT)
            shown += process.communicate(timeout=PATIENCE_S)[1]
        finally:
            process.kill()
    assert process.returncode == 130
    assert b"interrupted" in shown and b"Traceback" not in shown


def read_until(word: bytes, file: int) -> bytes:
    """What a process writes, up to a word that it must write before it ends."""
    shown = b""
    while word not in shown:
        more = os.read(file, 4096)
        assert more, shown
        shown += more
    return shown


def test_output_that_nobody_reads_to_its_end() -> None:
    """As `actionpose ... | head`: no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    with start_python("-m", "actionpose", "--help", stdout=writing, stderr=PIPE) as process:
        os.close(writing)
        assert process.communicate(timeout=PATIENCE_S) == (None, b"")
    assert process.returncode == 141
