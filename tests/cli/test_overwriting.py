"""No command writes over its own input."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import call

from actionpose.datasets.corpus import Corpus

DEMO = Path(__file__).parents[2] / "actionpose" / "assets" / "demo_keypoints.npz"


def same(folder: Path, kind: str) -> str:
    """Another name of the keypoints in the folder."""
    if kind == "path":
        return "in.npz"
    link: Callable[[Path], None] = getattr(folder / "other.npz", f"{kind}_to")
    link(folder / "in.npz")
    return "other.npz"


@pytest.mark.parametrize("kind", ["path", "symlink", "hardlink"])
@pytest.mark.parametrize("command", ["lift", "actions"])
def test_an_output_that_is_the_input_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
    kind: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(DEMO, "in.npz")
    assert call(monkeypatch, command, "in.npz", "-o", same(tmp_path, kind)) == 2
    assert "is the input itself" in capsys.readouterr().err
    assert Path("in.npz").read_bytes() == DEMO.read_bytes()


def test_a_folder_of_outputs_over_the_inputs_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(DEMO, "in.npz")
    assert call(monkeypatch, "lift", "in.npz", "--out-dir", ".", "--save", "npz") == 2
    assert "is the input itself" in capsys.readouterr().err
    assert Path("in.npz").read_bytes() == DEMO.read_bytes()


@pytest.mark.parametrize("command", ["export", "view", "angles"])
def test_a_result_is_not_written_over(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "lift", DEMO, "-o", "result.npz", "-q") == 0
    result = Path("result.npz").read_bytes()
    name = {"export": "o.npz", "view": "o.html", "angles": "o.csv"}[command]
    Path(name).symlink_to("result.npz")
    assert call(monkeypatch, command, "result.npz", "-o", name) == 2
    assert "is the input itself" in capsys.readouterr().err
    assert Path("result.npz").read_bytes() == result


@pytest.mark.parametrize(
    "arguments",
    [
        "search clip.npz results --json results/corpus/corpus.json",
        "search clip.npz results --json clip.npz",
        "corpus show results/corpus -o results/corpus/joints.npy",
        "evaluate open --data results/corpus --json results/corpus/corpus.json",
        "actions clip.npz --labels-file labels.txt -o labels.txt",
        "lift frames -o frames/1.json",
    ],
)
def test_a_part_of_a_folder_is_not_written_over(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    corpus: Corpus,
    arguments: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(corpus.folder, "results/corpus")
    shutil.copy(DEMO, "clip.npz")
    Path("labels.txt").write_text("walk")
    Path("frames").mkdir()
    for number in range(2):
        frame = {"people": [{"pose_keypoints_2d": [9.0, 9.0, 1.0] * 25}]}
        Path(f"frames/{number}.json").write_text(json.dumps(frame))
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert call(monkeypatch, *arguments.split()) == 2
    assert "is the input itself" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
