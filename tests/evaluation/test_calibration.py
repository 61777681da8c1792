"""The calibrated threshold of "other"."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import call

from actionpose import ActionPose
from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.calibration import _confidence, calibrate
from actionpose.utils.errors import UserError


def test_calibrate_separates_better_than_a_coin(
    action_corpus: Corpus, action_model: ActionPose
) -> None:
    found = calibrate(action_model, [action_corpus], "val")
    assert found["accepted"] + found["rejected"] > 100
    assert -1 <= found["rejection_threshold"] <= 1
    assert len(found["confidence_weights"]) == 3 and 0 <= found["calibration_error"] < 25


def test_confidence_finds_the_weights_that_made_the_cases() -> None:
    rng = np.random.default_rng(0)
    half, score, margin = rng.integers(0, 2, 20_000), *rng.uniform(0, 1, (2, 20_000))
    right = rng.random(20_000) < 1 / (1 + np.exp(3 - 2 * score - 5 * margin))
    found = _confidence(np.array([half, score, margin, right]).T)
    assert found["confidence_weights"] == pytest.approx([-3, 2, 5], abs=0.2)
    assert found["calibration_error"] < 2
    means, accuracies, numbers = zip(*found["reliability"], strict=True)
    assert accuracies == pytest.approx(means, abs=5) and sum(numbers) == 20_000


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
    assert model.confidence_weights == meta["confidence_weights"]
