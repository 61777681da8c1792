"""Coverage of error bars and errors of feet, against sums done here."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.command_line import call
from helpers.motions import FEET_M, some_motion, with_feet

from actionpose import ActionPose, checkpoint
from actionpose.datasets.corpus import Corpus, open_corpus, write_corpus
from actionpose.evaluation.error_bars import (
    PersonErrors,
    coverage,
    coverage_of_others,
    fitted_bars,
    heads_errors,
    report,
)
from actionpose.evaluation.views import project_clip
from actionpose.geometry.stature import STATURE_PER_CHAIN, chain_length
from actionpose.models.dstformer import PoseEncoder
from actionpose.models.heads import ErrorBars
from actionpose.utils.errors import UserError

SIZES = {"dim": 8, "depth": 1, "num_heads": 1, "dim_rep": 8, "max_frames": 20, "middle_layer": 1}
META = {"frames": 20, "fps": 30.0, "normalization": "box"}


def with_heads(**sizes: bool) -> PoseEncoder:
    torch.manual_seed(0)
    return PoseEncoder(**SIZES, class_token=False, **sizes).eval()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two people: one whose toes were computed, one without feet."""
    one = with_feet(some_motion("a", 20, split="val"), derived=("left_toe", "right_toe"))
    motions = [one, replace(some_motion("b", 20, split="val"), subject="other")]
    folder = tmp_path_factory.mktemp("heads") / "two"
    return open_corpus(write_corpus(folder, motions, source="made up", license="ours"))


def test_errors_are_those_of_a_plain_loop(corpus: Corpus) -> None:
    model = ActionPose(with_heads(heads=True), META, name="heads")
    people = heads_errors(model, [corpus], "val")
    names = {motion.subject: motion for motion in corpus.motions("val").values()}
    assert people.keys() == names.keys()
    motion = names["other"]
    joints_m = np.asarray(corpus.joints_m[motion.start : motion.stop], dtype=np.float64)
    absent = np.repeat(joints_m[:, [6, 3]], 2, axis=1)
    clip = project_clip(np.concatenate([joints_m, absent], axis=1), "b[0:20]", 2)
    pixels = clip["keypoints"][None] * [500, 500, 1] + [500, 500, 0]
    pixels[:, :, 17:] = 0
    pose, log_error = model.predict_with_error(pixels, (1000, 1000))
    target = clip["pose"][:, :17].astype(np.float64)
    pose = pose[0, :, :17] * chain_length(target) / chain_length(pose[0])
    stature = STATURE_PER_CHAIN * chain_length(target)
    ratios = np.linalg.norm(pose - target, axis=-1) / stature / np.exp(log_error[0, :, :17])
    np.testing.assert_allclose(people["other"].ratios[2], ratios[:, 1:].ravel(), rtol=1e-5)
    assert not sum(map(len, people["other"].feet_mm))
    (first, *_) = [name for name in people if name != "other"]
    assert [len(each) for each in people[first].from_ankle_mm] == [40] * 4  # toe bases alone
    assert [len(each) for each in people[first].ratios] == [20 * 18] * 4
    scores = report(people, model.error_bars)
    assert 0 <= scores["coverage_68"] <= scores["coverage_95"] <= 100
    # the head has not learned: feet are nearly where the image has them, their depth is not
    assert 0.2 * scores["from_ankle_mm"] < 1000 * np.linalg.norm(FEET_M[0]) < 1000


def test_bars_cover_what_they_were_fitted_to() -> None:
    rng = np.random.default_rng(0)
    people = {
        str(n): PersonErrors(ratios=[scale * rng.exponential(size=5000)])
        for n, scale in enumerate((1.0, 1.0, 1.2))
    }
    bars = fitted_bars(people.values(), "made up")
    np.testing.assert_allclose(coverage(people.values(), bars), [68, 95], atol=0.1)
    one = fitted_bars([people["0"]])
    np.testing.assert_allclose([one.factor_68, one.factor_95], [1.139, 2.996], rtol=0.05)
    default = coverage([people["0"]], ErrorBars())
    np.testing.assert_allclose(default, [68, 95], atol=1.5)
    # the third person is covered less by the others' bars, the first two more: 63.9, 69.9, ...
    third = 100 * (1 - np.exp(-1.139 / 1.2))
    np.testing.assert_allclose(coverage([people["2"]], one)[0], third, atol=2)
    assert 66 < coverage_of_others(people)[0] < 69.5
    with pytest.raises(UserError, match="two people"):
        coverage_of_others({"0": people["0"]})


def test_a_corpus_of_another_rate_is_refused(corpus: Corpus) -> None:
    model = ActionPose(with_heads(heads=True), META, name="heads")
    faster = replace(corpus, info=corpus.info | {"fps": 60.0})
    with pytest.raises(UserError, match="60 Hz, but the open benchmark has 30"):
        heads_errors(model, [faster], "val")


def test_calibrate_command_stores_the_bars(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    corpus: Corpus,
    tmp_path: Path,
) -> None:
    meta = META | {"model": SIZES | {"class_token": False, "heads": True}}
    folder = checkpoint.save(tmp_path, 1, with_heads(heads=True), meta, {})
    options = ("--data", corpus.folder, "--device", "cpu", "-q")
    assert call(monkeypatch, "models", "calibrate", folder, *options) == 0
    assert "error bars are" in capsys.readouterr().out
    stored = json.loads((folder / "meta.json").read_text())["error_bars"]
    model = ActionPose.from_pretrained(folder, "cpu")
    assert model.error_bars == ErrorBars(**stored) and stored["calibrated_on"] == "two, val"
    np.testing.assert_allclose(
        coverage(heads_errors(model, [corpus], "val").values(), model.error_bars),
        [68, 95], atol=0.2,
    )  # fmt: skip
    meta["model"]["heads"] = False
    folder = checkpoint.save(tmp_path, 2, with_heads(), meta, {})
    assert call(monkeypatch, "models", "calibrate", folder, *options) == 2
    assert "nothing to calibrate" in capsys.readouterr().err
