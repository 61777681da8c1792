"""The calibrated threshold of "other"."""

import json
from pathlib import Path

import pytest
from helpers.command_line import call

from actionpose import ActionPose
from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.calibration import calibrate
from actionpose.utils.errors import UserError


def test_calibrate_separates_better_than_a_coin(
    action_corpus: Corpus, action_model: ActionPose
) -> None:
    found = calibrate(action_model, [action_corpus], "val")
    assert found["accepted"] + found["rejected"] > 100
    assert -1 <= found["rejection_threshold"] <= 1


def test_calibrate_refuses_a_split_without_labels(
    action_corpus: Corpus, action_model: ActionPose
) -> None:
    with pytest.raises(UserError, match="test"):
        calibrate(action_model, [action_corpus], "test")


def test_calibrate_command_writes_the_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    action_corpus: Corpus,
    action_checkpoint: Path,
) -> None:
    options = ("--data", action_corpus.folder, "--device", "cpu", "-q")
    assert call(monkeypatch, "models", "calibrate", action_checkpoint, *options) == 0
    assert "has to reach" in capsys.readouterr().out
    meta = json.loads((action_checkpoint / "meta.json").read_text())
    assert meta["rejection_calibrated_on"] == "four, val"
    model = ActionPose.from_pretrained(action_checkpoint, "cpu")
    assert model.rejection_threshold == meta["rejection_threshold"]
