"""No command writes over its own input."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import call

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
