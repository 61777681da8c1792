"""Error analysis: planted errors are found."""

from pathlib import Path

import numpy as np
from helpers.synthetic_fixtures import save_npz

from actionpose.datasets.paired import PairedDataset
from actionpose.evaluation.error_analysis import self_occluded, tables_of, write_error_analysis
from actionpose.evaluation.paired import evaluate, protocol_for, windows_of
from actionpose.evaluation.predictions import load_predictions

FRAMES = 27


def test_write_error_analysis_finds_what_is_wrong(sh: PairedDataset, tmp_path: Path) -> None:
    protocol = protocol_for(sh, frames=FRAMES)
    windows = windows_of(sh, protocol)
    poses = np.array(sh.truth_mm, np.float64)
    poses[:, 13, 2] += 100  # the left wrist, everywhere
    bad = windows.rows[2]
    poses[bad, 16] += 3000  # and one clip's right wrist
    predict, _ = load_predictions(save_npz(tmp_path / "p.npz", pose_absolute_mm=poses), sh, windows)
    evaluation = evaluate(predict, sh, protocol)
    tables = tables_of(evaluation, sh)
    assert [row["joint"] for row in tables["by_joint"][:2]] == ["right_wrist", "left_wrist"]
    worst = tables["worst_clips"][0]
    own = next(v for v in sh.videos if v.name == worst["video"])
    assert own.start + worst["first_frame"] == bad[0]
    assert worst["last_frame"] - worst["first_frame"] == FRAMES - 1
    assert worst["worst_joint"] == "right_wrist"
    assert sum(row["joints"] for row in tables["by_occlusion"][:2]) == 16 * len(evaluation.errors)
    folder = write_error_analysis(tmp_path / "failures", evaluation, predict, sh)
    assert {path.name for path in Path(folder).iterdir()} == {
        *(f"{name}.csv" for name in tables),
        "failures.png",
    }


def test_self_occluded_hand_behind_the_trunk(sh: PairedDataset) -> None:
    pose = np.array(sh.truth_mm[:1], np.float64)
    spine, thorax, wrist = 7, 8, 13
    pose[0, wrist] = (pose[0, spine] + pose[0, thorax]) / 2 + [0, 0, 300]
    assert self_occluded(pose)[0, wrist]
    pose[0, wrist, 2] -= 600
    assert not self_occluded(pose)[0, wrist]
