"""Recognition: scores by hand, and baselines that can win."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import call
from helpers.pretrained import write_checkpoint

from actionpose import ActionPose
from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.recognition import joint_statistics, nearest_labels, recognize
from actionpose.utils.errors import UserError


def test_recognize_beats_chance_where_the_labels_fit(
    action_corpus: Corpus, action_model: ActionPose
) -> None:
    report = recognize(action_model, [action_corpus], "val")
    scores = report["scores"]
    assert report["num_spans"] == 8 and report["num_unseen"] == 0 and "top1_unseen" not in scores
    assert scores["chance"] == 25
    assert scores["top1"].mean > 35 and scores["top1"].mean == scores["top1_seen"].mean
    assert scores["knn_top1"].mean > 40  # lying, punching and sitting differ in the joints' means
    correct = (report["predicted"] == report["target"][:, None]).mean(axis=1)
    assert scores["top1"].mean == pytest.approx(100 * correct.mean())
    classes = [100 * correct[report["target"] == i].mean() for i in range(4)]
    assert scores["per_class"].mean == pytest.approx(np.mean(classes))
    assert scores["per_class"].low <= scores["per_class"].mean <= scores["per_class"].high


def test_recognize_reports_unseen_labels_apart(action_corpus: Corpus, tmp_path: Path) -> None:
    """A checkpoint with a text encoder that was trained with other labels."""
    model = ActionPose.from_pretrained(
        write_checkpoint(tmp_path / "c", labels={"walk": np.ones(16)}, text=True), "cpu"
    )
    report = recognize(model, [action_corpus], "val")
    assert report["num_unseen"] == 6
    both = [report["scores"][name].mean for name in ("top1_seen", "top1_unseen")]
    assert report["scores"]["top1"].mean == pytest.approx(0.25 * both[0] + 0.75 * both[1])


def test_recognize_refuses_a_split_without_labels(
    action_corpus: Corpus, action_model: ActionPose
) -> None:
    with pytest.raises(UserError, match="test"):
        recognize(action_model, [action_corpus], "test")


def test_joint_statistics_by_hand() -> None:
    points = np.ones((3, 17, 3))
    points[..., 0] = np.arange(17) + 10 * np.arange(3)[:, None]  # x moves by 10 a frame
    found = joint_statistics(points)
    assert found.shape == (102,)
    np.testing.assert_allclose(found[68::2], 10 / 8, rtol=1e-5)  # the box is 16 wide
    np.testing.assert_allclose(found[69::2], 0)


def test_nearest_labels_by_hand() -> None:
    train = np.array([[0.0, 0], [1, 0], [10, 0], [10, 1], [11, 0]])
    names = ["a", "a", "b", "b", "b"]
    assert nearest_labels(train, names, np.array([[1.0, 0], [9, 0]]), k=3) == ["a", "b"]
    assert nearest_labels(train, names, np.array([[1.0, 0]]), k=5) == ["b"]


def test_evaluate_open_command_scores_actions(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    action_corpus: Corpus,
    action_checkpoint: Path,
    tmp_path: Path,
) -> None:
    base = ("evaluate", "open", "--data", action_corpus.folder, "--device", "cpu", "-q")
    outputs = ("--confusion", tmp_path / "c.png", "--json", tmp_path / "s.json")
    assert call(monkeypatch, *base, "--checkpoint", action_checkpoint, *outputs) == 0
    shown = capsys.readouterr().out
    assert "8 spans of 4 labels, 0 of labels not in training" in shown and "f1_50" in shown
    assert (tmp_path / "c.png").stat().st_size > 5000
    scores = json.loads((tmp_path / "s.json").read_text())["scores"]
    assert scores["chance"] == 25 and scores["top1"]["low"] <= scores["top1"]["high"]


def test_evaluate_open_command_refuses_confusion_of_a_model_without_text(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    action_corpus: Corpus,
    tmp_path: Path,
) -> None:
    textless = write_checkpoint(tmp_path / "textless", class_token=False)
    options = ("--checkpoint", textless, "--confusion", tmp_path / "d.png", "--device", "cpu", "-q")
    assert call(monkeypatch, "evaluate", "open", "--data", action_corpus.folder, *options) == 2
    assert "knows no actions" in capsys.readouterr().err
