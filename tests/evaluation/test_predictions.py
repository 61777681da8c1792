"""Predictions of other methods: every form of a file, and what must be refused."""

from pathlib import Path

import numpy as np
import pytest
from helpers.synthetic_fixtures import save_npz

from actionpose.datasets.paired import PairedDataset
from actionpose.evaluation.paired import evaluate, protocol_for, windows_of
from actionpose.evaluation.predictions import load_predictions
from actionpose.utils.errors import UserError

FRAMES = 27


def test_load_predictions_scores_every_form_alike(sh: PairedDataset, tmp_path: Path) -> None:
    protocol = protocol_for(sh, frames=FRAMES)
    windows = windows_of(sh, protocol)
    rng = np.random.default_rng(1)
    whole = np.asarray(sh.truth_mm, np.float64) + rng.normal(0, 40, sh.truth_mm.shape)
    scored = np.unique(windows.rows)
    forms = {"all": whole, "scored": whole[scored], "windows": whole[windows.rows]}
    scores = []
    for name, poses in forms.items():
        path = save_npz(tmp_path / f"{name}.npz", pose_absolute_mm=poses)
        predict, _ = load_predictions(path, sh, windows)
        scores.append(evaluate(predict, sh, protocol).report["mpjpe_mm"])
    assert scores[0] == scores[1] == scores[2]


WRONG_PREDICTIONS = {
    "length": (lambda p: {"pose_mm": p[:-1]}, "expected are"),
    "windows": (lambda p: {"pose_mm": p[None, :5]}, "windows"),
    "pixels": (lambda p: {"pose": p / 4}, "half the image's width"),
    "meters": (lambda p: {"pose_mm": p / 1000}, "not millimeters"),
    "joints": (lambda p: {"pose_mm": p[:, :16]}, "16"),
    "no pose": (lambda p: {"poses": p}, "needs one of pose_mm, pose_absolute_mm, pose"),
    "absolute": (lambda p: {"pose_mm": p + 1000}, "save places in camera axes as pose_absolute_mm"),
    "nothing": (lambda p: {"pose_mm": p * np.nan}, "finite"),
    "skeleton": (lambda p: {"pose_mm": p, "skeleton": "smpl"}, "unknown skeleton"),
    "sides": (
        lambda p: {"pose_mm": p[:, [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]]},
        "swapped",
    ),
}


@pytest.mark.parametrize("what", WRONG_PREDICTIONS)
def test_load_predictions_refuses(sh: PairedDataset, tmp_path: Path, what: str) -> None:
    spoil, message = WRONG_PREDICTIONS[what]
    protocol = protocol_for(sh, frames=FRAMES)
    truth = np.asarray(sh.truth_mm, np.float64)
    path = save_npz(tmp_path / "p.npz", **spoil(truth - truth[:, :1]))
    with pytest.raises(UserError, match=message):
        load_predictions(path, sh, windows_of(sh, protocol))


def test_evaluate_names_a_gap_in_predictions(sh: PairedDataset, tmp_path: Path) -> None:
    protocol = protocol_for(sh, frames=FRAMES)
    windows = windows_of(sh, protocol)
    poses = np.array(sh.truth_mm, np.float64)
    poses[windows.rows[1, 3]] = np.nan
    predict, _ = load_predictions(save_npz(tmp_path / "p.npz", pose_absolute_mm=poses), sh, windows)
    with pytest.raises(UserError, match=f"frame {windows.rows[1, 3]} is not finite"):
        evaluate(predict, sh, protocol)


def test_load_predictions_unpickles_nothing(sh: PairedDataset, tmp_path: Path) -> None:
    path = save_npz(tmp_path / "p.npz", pose_mm=np.array([{"a": 1}], dtype=object))
    protocol = protocol_for(sh, frames=FRAMES)
    with pytest.raises(UserError, match="could run code"):
        load_predictions(path, sh, windows_of(sh, protocol))
