"""The open benchmark on a made-up corpus."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import call
from helpers.motions import some_motion

from actionpose.datasets.corpus import Corpus, open_corpus, write_corpus
from actionpose.datasets.projection import Clip
from actionpose.evaluation.open_benchmark import (
    METRICS,
    benchmark_windows,
    evaluate_open,
    window_errors,
)
from actionpose.evaluation.views import project_clip
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError


def clips_of(corpus: Corpus, split: str) -> list[Clip]:
    windows = benchmark_windows(corpus, split)
    return [project_clip(joints, name, view) for name, joints in windows for view in range(4)]


def test_truth_scores_zero(corpus: Corpus) -> None:
    truth = {}
    for clip in clips_of(corpus, "val"):
        truth[clip["keypoints"].tobytes()] = clip["pose"]
    report = evaluate_open(
        lambda keypoints: np.stack([truth[view.tobytes()] for view in keypoints]), [corpus], "val"
    )
    scores = report["scores"]
    assert scores.keys() == METRICS.keys()
    for name in ("mpjpe_mm", "mpjpe_height_mm", "p_mpjpe_mm", "mpjve_mm"):
        assert scores[name].mean == pytest.approx(0, abs=1e-3)  # mm; the truth is float32
    assert scores["pck"].mean == pytest.approx(100)
    assert report["num_windows"] == len(report["windows"])


def test_window_errors_by_hand() -> None:
    """A pose that is 10 % too large, in units of half a meter."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(2, 5, 17, 3))
    truth -= truth[:, :, :1]
    errors = window_errors(1.1 * truth, truth, np.array([0.5, 0.5]))
    by_hand = 0.1 * 500 * np.linalg.norm(truth, axis=-1).mean()
    assert errors["mpjpe_mm"] == pytest.approx(by_hand)
    assert errors["mpjpe_height_mm"] == pytest.approx(0, abs=1e-6)
    assert errors["p_mpjpe_mm"] == pytest.approx(0, abs=1e-6)


def test_evaluate_open_scores_unusual_motion_beside_val(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    motions = [some_motion("a", 10, split="val"), some_motion("b", 7, split="val-ood")]
    folder = write_corpus(tmp_path / "x", motions, source="", license="")
    command = ["evaluate", "open", "-q", "--no-actions", "--data", folder]
    assert call(monkeypatch, *command, "--json", tmp_path / "both.json") == 0
    printed = capsys.readouterr().out
    assert "1 windows, 40 frames, open benchmark, val\n" in printed
    assert "1 windows, 28 frames, open benchmark, val-ood\n" in printed
    both = json.loads((tmp_path / "both.json").read_text())
    assert list(both["windows"]) == ["x/a[0:10]"]
    assert list(both["val_ood"]["windows"]) == ["x/b[0:7]"]
    assert call(monkeypatch, *command, "--split", "val-ood", "--json", tmp_path / "one.json") == 0
    one = json.loads((tmp_path / "one.json").read_text())
    assert one["scores"]["mpjpe_mm"] == both["val_ood"]["scores"]["mpjpe_mm"]
    assert "val_ood" not in one


def test_evaluate_open_without_labels_scores_lifting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_corpus(
        tmp_path / "x", [some_motion("a", 10, split="val")], source="", license=""
    )
    command = ["evaluate", "open", "-q", "--data", folder, "--json", tmp_path / "report.json"]
    assert call(monkeypatch, *command) == 0
    assert "actions are not scored: the split 'val' has no two labels" in capsys.readouterr().err
    assert "mpjpe_mm" in json.loads((tmp_path / "report.json").read_text())["scores"]
    assert call(monkeypatch, *command, "--confusion", tmp_path / "confusion.png") == 2


def test_motions_of_two_corpora_may_have_the_same_id(tmp_path: Path) -> None:
    motion = some_motion("a", 10, split="val")
    corpora = [
        open_corpus(write_corpus(tmp_path / name, [motion], source="", license=""))
        for name in ("x", "y", "other/x")
    ]
    report = evaluate_open(lambda keypoints: keypoints, corpora[:2], "val")
    assert list(report["windows"]) == ["x/a[0:10]", "y/a[0:10]"]
    with pytest.raises(UserError, match="two corpora are named x"):
        evaluate_open(lambda keypoints: keypoints, corpora, "val")


def test_a_split_that_is_not_there(corpus: Corpus) -> None:
    with pytest.raises(UserError, match="'test'"):
        evaluate_open(lambda keypoints: keypoints, [corpus], "test")


def test_a_corpus_of_another_rate_is_refused(tmp_path: Path) -> None:
    """MPJVE is per frame at 30 Hz."""
    motions = [some_motion("a", 10, split="val")]
    corpora = [
        open_corpus(write_corpus(tmp_path / f"{fps}", motions, source="", license="", fps=fps))
        for fps in (30, 60)
    ]
    with pytest.raises(UserError, match="60 has 60 Hz, but the open benchmark has 30: resample"):
        evaluate_open(lambda keypoints: keypoints, corpora, "val")


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """192 frames are windows of 81, 81, 30; 101 are one, as 20 are too few; 10 alone are kept."""
    motions = [some_motion("a", 192), some_motion("b", 101), some_motion("c", 10)]
    motions.append(some_motion("d", 90, split="val"))
    folder = tmp_path_factory.mktemp("benchmark") / "x"
    return open_corpus(write_corpus(folder, motions, source="", license=""))


def test_benchmark_windows(benchmark: Corpus) -> None:
    windows = [name for name, _ in benchmark_windows(benchmark, "train")]
    assert windows == ["a[0:81]", "a[81:162]", "a[162:192]", "b[0:81]", "c[0:10]"]
    short = [name for name, _ in benchmark_windows(benchmark, "val", frames=27)]
    assert short == ["d[0:27]", "d[27:54]", "d[54:81]", "d[81:90]"]


def test_benchmark_views_are_around_the_person(benchmark: Corpus) -> None:
    """Front, left, back, right: the left shoulder is right in the image, near, left, far."""
    shoulders = H36M17.indices("left_shoulder", "right_shoulder")
    of_front, of_left, of_back, of_right = (
        np.subtract(*clip["pose"][0, shoulders]) for clip in clips_of(benchmark, "train")[:4]
    )
    assert of_front[0] > 0.05 and of_back[0] < -0.05
    assert of_left[2] < -0.05 and of_right[2] > 0.05


def test_benchmark_is_fixed(benchmark: Corpus) -> None:
    """Renew these with care: every published number of the open benchmark hangs on them."""
    clips = clips_of(benchmark, "train")
    keypoints = np.concatenate([clip["keypoints"] for clip in clips]).astype(float)
    pose = np.concatenate([clip["pose"] for clip in clips]).astype(float)
    scale_m = np.array([clip["scale_m"] for clip in clips], dtype=float)
    assert len(clips) == 20 and keypoints.shape == (1132, 17, 3)
    np.testing.assert_allclose(keypoints.mean(axis=(0, 1)), KEYPOINTS_MEAN, atol=1e-5)
    np.testing.assert_allclose(keypoints.std(axis=(0, 1)), KEYPOINTS_STD, atol=1e-5)
    np.testing.assert_allclose(pose.std(axis=(0, 1)), POSE_STD, atol=1e-5)
    assert scale_m.mean() == pytest.approx(SCALE_MEAN_M, abs=1e-5)
    again = clips_of(benchmark, "train")
    for a, b in zip(clips, again, strict=True):
        assert all(np.array_equal(a[key], b[key]) for key in a)


KEYPOINTS_MEAN = [-0.000013, -0.030391, 0.777387]
KEYPOINTS_STD = [0.245114, 0.253426, 0.160707]
POSE_STD = [0.067418, 0.24394, 0.088593]
SCALE_MEAN_M = 1.886934
