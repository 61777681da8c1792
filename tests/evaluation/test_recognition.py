"""Recognition and segmentation: scores by hand, baselines that can win, whole tracks."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import call
from helpers.pretrained import write_checkpoint

from actionpose import ActionPose
from actionpose.actions.timeline import Action
from actionpose.datasets.corpus import Corpus, Motion, open_corpus, write_corpus
from actionpose.datasets.synthetic.generate import motion
from actionpose.evaluation import recognition
from actionpose.evaluation.calibration import calibrate
from actionpose.evaluation.recognition import (
    nearest_labels,
    recognize,
    statistics_of,
)
from actionpose.evaluation.segmentation import (
    frames_of,
    make_tracks,
    segment,
    segmental_counts,
    segments_of,
)
from actionpose.evaluation.views import labeled_spans
from actionpose.geometry.camera import heading_rad
from actionpose.utils.errors import UserError

ACTIONS = ("lie down", "punch", "walk", "sit")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Four actions, three times each in train, and twice in val."""
    motions = []
    for i, action in enumerate(ACTIONS * 5):
        made = motion(action, np.random.default_rng(i), duration_s=2.0)
        split = "train" if i < 12 else "val"
        motions.append(Motion(f"m{i:02d}", made.subject, split, made.joints_m, text=action))
    folder = tmp_path_factory.mktemp("corpora") / "four"
    return open_corpus(write_corpus(folder, motions, source="made up", license="ours"))


@pytest.fixture(scope="module")
def checkpoint(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels lie where a random encoder puts the train spans of their action."""
    folder = tmp_path_factory.mktemp("checkpoints")
    plain = ActionPose.from_pretrained(write_checkpoint(folder / "plain"), "cpu")
    spans = labeled_spans([corpus], "train")
    embeddings = recognition.embed_spans(plain, spans).mean(axis=1)
    center = embeddings.mean(axis=0)
    labels = {
        action: np.mean(
            [e - center for e, s in zip(embeddings, spans, strict=True) if s.text == action], 0
        )
        for action in ACTIONS
    }
    return write_checkpoint(folder / "knows", labels=labels)


def test_spans_are_actions_or_else_whole_motions(tmp_path: Path) -> None:
    joints_m = motion("walk", np.random.default_rng(0), duration_s=2).joints_m
    motions = [
        Motion("a", "s", "val", joints_m, text="A  whole", labels=[(5, 20, "Part.", "action")]),
        Motion("b", "s", "val", joints_m, text="only whole"),
        Motion("c", "s", "val", joints_m),
        Motion("d", "s", "train", joints_m, text="other split"),
    ]
    corpus = open_corpus(write_corpus(tmp_path / "c", motions, source="x", license="y"))
    spans = labeled_spans([corpus], "val")
    assert [(s.text, len(s.joints_m)) for s in spans] == [("part", 15), ("only whole", 60)]


def test_recognition_beats_chance_where_the_labels_fit(corpus: Corpus, checkpoint: Path) -> None:
    model = ActionPose.from_pretrained(checkpoint, "cpu")
    report = recognize(model, [corpus], "val")
    scores = report["scores"]
    assert report["num_spans"] == 8 and report["num_unseen"] == 0 and "top1_unseen" not in scores
    assert scores["chance"] == 25
    assert scores["top1"].mean > 35 and scores["top1"].mean == scores["top1_seen"].mean
    assert scores["knn_top1"].mean > 40  # lying, punching and sitting differ in the joints' means
    right = (report["found"] == report["truth"][:, None]).mean(axis=1)
    assert scores["top1"].mean == pytest.approx(100 * right.mean())
    classes = [100 * right[report["truth"] == i].mean() for i in range(4)]
    assert scores["per_class"].mean == pytest.approx(np.mean(classes))
    assert scores["per_class"].low <= scores["per_class"].mean <= scores["per_class"].high


def test_labels_not_in_training_are_told_apart(
    corpus: Corpus, checkpoint: Path, tmp_path: Path
) -> None:
    """A checkpoint with a text side that was trained with other labels."""
    model = ActionPose.from_pretrained(
        write_checkpoint(tmp_path / "c", labels={"walk": np.ones(16)}, text=True), "cpu"
    )
    report = recognize(model, [corpus], "val")
    assert report["num_unseen"] == 6
    both = [report["scores"][name].mean for name in ("top1_seen", "top1_unseen")]
    assert report["scores"]["top1"].mean == pytest.approx(0.25 * both[0] + 0.75 * both[1])


def test_statistics_and_neighbors_by_hand() -> None:
    points = np.ones((3, 17, 3))
    points[..., 0] = np.arange(17) + 10 * np.arange(3)[:, None]  # x moves by 10 a frame
    found = statistics_of(points)
    assert found.shape == (102,)
    np.testing.assert_allclose(found[68::2], 10 / 8, rtol=1e-5)  # the box is 16 wide
    np.testing.assert_allclose(found[69::2], 0)
    train = np.array([[0.0, 0], [1, 0], [10, 0], [10, 1], [11, 0]])
    names = ["a", "a", "b", "b", "b"]
    assert nearest_labels(train, names, np.array([[1.0, 0], [9, 0]]), k=3) == ["a", "b"]
    assert nearest_labels(train, names, np.array([[1.0, 0]]), k=5) == ["b"]


def test_tracks_are_continuous(corpus: Corpus) -> None:
    spans = labeled_spans([corpus], "val")
    tracks = make_tracks(spans)
    assert sum(len(segments_of(t.label_of_frame)) for t in tracks) >= 6
    for track in tracks:
        assert len(track.label_of_frame) == len(track.joints_m)
        for start, _, _ in segments_of(track.label_of_frame)[1:]:
            before, after = track.joints_m[start - 1], track.joints_m[start]
            np.testing.assert_allclose(before[0, :2], after[0, :2], atol=1e-9)
            turn = heading_rad(after) - heading_rad(before)
            assert abs((turn + np.pi) % (2 * np.pi) - np.pi) < 1e-6
        for (_, _, a), (_, _, b) in zip(
            segments_of(track.label_of_frame)[:-1],
            segments_of(track.label_of_frame)[1:],
            strict=True,
        ):
            assert a != b


def test_segmental_counts_by_hand() -> None:
    truth = [(0, 10, "a"), (10, 20, "b"), (20, 30, "a")]
    assert segmental_counts(truth, truth, 0.5) == (3, 0, 0)
    # the first "a" is found in two pieces: the first covers 6 of 10, the second is too much
    found = [(0, 6, "a"), (6, 10, "a"), (10, 14, "b"), (14, 30, "c")]
    assert segmental_counts(found, truth, 0.5) == (1, 3, 2)
    assert segmental_counts(found, truth, 0.25) == (2, 2, 1)
    assert segmental_counts([], truth, 0.1) == (0, 0, 3)


def test_frames_of_a_timeline() -> None:
    actions = [Action(0.1, 0.3, "a", 1, 0, ()), Action(0.3, 9.0, "b", 1, 0, ())]
    assert frames_of(actions, 5, 10) == ["", "a", "a", "b", "b"]
    assert segments_of(["a", "a", "b"]) == [(0, 2, "a"), (2, 3, "b")] and segments_of([]) == []


def test_segmentation(corpus: Corpus, checkpoint: Path) -> None:
    model = ActionPose.from_pretrained(checkpoint, "cpu")
    report = segment(model, [corpus], "val")
    scores = report["scores"]
    by_hand = [
        100 * np.mean([a == b for a, b in zip(t["truth"], t["found"], strict=True)])
        for t in report["tracks"]
    ]
    assert scores["frames"].mean == pytest.approx(np.mean(by_hand))
    assert scores["f1_10"] >= scores["f1_25"] >= scores["f1_50"]
    assert scores["frames_one_label"] >= 25
    # where nothing reaches the threshold, no frame is right
    assert segment(model, [corpus], "val", threshold=2.0)["scores"]["frames"].mean == 0


def test_splits_without_labels(corpus: Corpus, checkpoint: Path) -> None:
    model = ActionPose.from_pretrained(checkpoint, "cpu")
    for score in (recognize, segment, calibrate):
        with pytest.raises(UserError, match="test"):
            score(model, [corpus], "test")


def test_calibration_separates(corpus: Corpus, checkpoint: Path) -> None:
    model = ActionPose.from_pretrained(checkpoint, "cpu")
    found = calibrate(model, [corpus], "val")
    assert found["accepted"] + found["rejected"] > 100  # better than a coin
    assert -1 <= found["rejection_threshold"] <= 1


def test_commands(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    corpus: Corpus,
    tmp_path: Path,
) -> None:
    labels = {action: row for action, row in zip(ACTIONS, np.eye(16), strict=False)}
    folder = write_checkpoint(tmp_path / "c", labels=labels)
    base = ("--data", corpus.folder, "--device", "cpu", "-q")
    outputs = ("--confusion", tmp_path / "c.png", "--json", tmp_path / "s.json")
    assert call(monkeypatch, "evaluate", "open", *base, "--checkpoint", folder, *outputs) == 0
    shown = capsys.readouterr().out
    assert "8 spans of 4 labels, 0 of labels not in training" in shown and "f1_50" in shown
    assert (tmp_path / "c.png").stat().st_size > 5000
    scores = json.loads((tmp_path / "s.json").read_text())["scores"]
    assert scores["chance"] == 25 and scores["top1"]["low"] <= scores["top1"]["high"]

    assert call(monkeypatch, "models", "calibrate", folder, *base) == 0
    assert "has to reach" in capsys.readouterr().out
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["rejection_calibrated_on"] == "four, val"
    assert (
        ActionPose.from_pretrained(folder, "cpu").space.rejection_threshold
        == meta["rejection_threshold"]
    )

    textless = write_checkpoint(tmp_path / "textless", class_token=False)
    silent = ("--checkpoint", textless, "--confusion", tmp_path / "d.png")
    assert call(monkeypatch, "evaluate", "open", *base, *silent) == 2
    assert "knows no actions" in capsys.readouterr().err
