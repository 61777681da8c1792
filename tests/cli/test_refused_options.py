"""Options that a command refuses in one sentence."""

from pathlib import Path

import pytest
from helpers.command_line import call

from actionpose.datasets.corpus import Corpus


def refusal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> str:
    """The one sentence of a call that must fail."""
    assert call(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    return error


def test_negative_seeds(
    corpus: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command in (
        ("prepare", "synthetic", tmp_path / "out", "-q"),
        ("corpus", "show", corpus.folder, "-o", tmp_path / "sheet.png"),
        ("evaluate", "h36m", "--data", tmp_path, "--checkpoint", "tiny"),
    ):
        message = refusal(monkeypatch, capsys, *command, "--seed", -1)
        assert "--seed must be 0 or more, not -1" in message
    assert not list(tmp_path.iterdir())


def test_evaluate_names_the_command_that_prepares_videopose3d(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = tmp_path / "data_3d_h36m.npz"
    original.write_bytes(b"")
    command = ("evaluate", "h36m", "--data", original, "--checkpoint", "tiny")
    message = refusal(monkeypatch, capsys, *command)
    assert f"prepare h36m {original} OUT --keypoints FILE --cameras FILE" in message
