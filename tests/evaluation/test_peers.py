"""Scores against those of the peers' own code on the same arrays (tests/reference_outputs)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.synthetic_fixtures import save_npz

from actionpose.datasets.paired import PairedDataset, VideoData, open_paired, write_paired
from actionpose.evaluation.paired import evaluate, protocol_for, windows_of
from actionpose.evaluation.predictions import load_predictions
from actionpose.evaluation.protocols import CPN_FAMILIES, Protocol
from actionpose.skeletons import H36M17, MPI_INF_3DHP17, convert
from actionpose.utils.errors import UserError

REFERENCES = Path(__file__).parents[1] / "reference_outputs"


def reference(name: str) -> dict[str, Any]:
    with np.load(REFERENCES / f"{name}.npz") as file:
        return dict(file)


def prepared(folder: Path, kind: str, unit_mm: float, poses_mm: dict[str, Any]) -> PairedDataset:
    """A dataset of the poses of some videos; nobody looks at its keypoints."""
    videos = [
        VideoData(
            *(name, "S9", name, "0", (1000, 1000), 50.0, np.ones((len(pose), 17, 3)), pose),
            scored=np.ones(len(pose), bool) if kind == "3dhp" else None,
        )
        for name, pose in poses_mm.items()
    ]
    about = {"keypoints": "none", "source": "made up", "license": "none"}
    info = {"kind": kind, "pose_unit": "mm", "unit_mm": unit_mm, **about}
    return open_paired(write_paired(folder / "prepared", {"test": videos}, info), "test")


def report_of(
    dataset: PairedDataset, protocol: Protocol, folder: Path, **arrays: Any
) -> dict[str, Any]:
    windows = windows_of(dataset, protocol)
    path = save_npz(folder / "predictions.npz", **arrays)
    predict, who = load_predictions(path, dataset, windows, protocol.root)
    in_units = who["array"] == "pose"
    return evaluate(predict, dataset, protocol, in_units=in_units).report


def test_ktpformer_counts_overlap_twice_and_keeps_the_root(tmp_path: Path) -> None:
    """Videos of 700 frames (a last window that overlaps) and of 100 (padded to a window)."""
    given = reference("ktpformer_evaluation")
    targets = {n: 1000 * given[f"target_{n}"].astype(np.float64) for n in ("700", "100")}
    dataset = prepared(tmp_path, "h36m-cpn", 1000.0, targets)
    poses = np.concatenate([given[f"prediction_{n}"] for n in targets])
    protocol = protocol_for(dataset, CPN_FAMILIES["ktpformer"])
    report = report_of(dataset, protocol, tmp_path, pose=poses)
    for name in targets:
        found = report["per_action"][name]
        assert found["mpjpe_mm"] == pytest.approx(1000 * given[f"mpjpe_m_{name}"], abs=1e-4)
        assert found["p_mpjpe_mm"] == pytest.approx(1000 * given[f"p_mpjpe_m_{name}"], abs=1e-3)
    # one rule for each array, whatever its unit; P-STMO's sets the pelvis to 0 and counts once
    for family, protocol in CPN_FAMILIES.items():
        protocol = protocol_for(dataset, protocol)
        same = report_of(dataset, protocol, tmp_path, pose_mm=1000 * poses.astype(np.float64))
        scores = report_of(dataset, protocol, tmp_path, pose=poses)
        assert same["mpjpe_mm"] == pytest.approx(scores["mpjpe_mm"], abs=1e-6), family
    zeroed = poses.astype(np.float64) * 1000
    zeroed[:, 0] = 0
    target = np.concatenate(list(targets.values()))
    errors = np.linalg.norm(zeroed - (target - target[:, :1]), axis=-1).mean(axis=-1)
    expected = (errors[:700].mean() + errors[700:].mean()) / 2
    assert scores["mpjpe_mm"] == pytest.approx(same["mpjpe_mm"])
    found = report_of(dataset, protocol_for(dataset), tmp_path, pose=poses)
    assert found["mpjpe_mm"] == pytest.approx(expected, abs=1e-4)
    assert found["mpjpe_mm"] < report["mpjpe_mm"] and "P-STMO" in found["protocol"]


def test_mpi_inf_3dhp_equals_the_official_evaluation(tmp_path: Path) -> None:
    given = reference("mpi_inf_3dhp_scores")
    target = convert(given["target_mm"], MPI_INF_3DHP17, confidence=False)
    dataset = prepared(tmp_path, "3dhp", 1024.0, {"TS1": target})
    report = report_of(
        *(dataset, protocol_for(dataset, frames=9), tmp_path),
        pose_absolute_mm=given["prediction_mm"],
        skeleton=MPI_INF_3DHP17.name,
    )
    for name, key in (("pck", "pck_150"), ("auc", "auc"), ("mpjpe_mm", "mpjpe_mm")):
        assert report[name] == pytest.approx(float(given[key]), abs=1e-6), name
    assert "scales" not in report  # these were millimeters


def test_mpi_inf_3dhp_has_two_scales(dhp: PairedDataset, tmp_path: Path) -> None:
    """A perfect network, in 1024 mm, errs by 6 % of the pose where the image is 1,920 wide."""
    truth = np.asarray(dhp.truth_mm, np.float64)
    truth = truth - truth[:, :1]
    wide = np.array([video.width == 1920 for video in dhp.videos])[dhp.video_of_rows()]
    shrunk = np.linalg.norm(truth, axis=-1).mean(axis=-1) * (1 - 960 / 1024)
    expected = np.where(wide, shrunk, 0)[dhp.scored].mean()
    for scale, error in (("constant", 0.0), ("image_width", expected)):
        protocol = protocol_for(dhp, frames=9, scale=scale)
        arrays = {"pose": truth / 1024, "skeleton": H36M17.name}
        report = report_of(dhp, protocol, tmp_path, **arrays)
        assert report["mpjpe_mm"] == pytest.approx(error, abs=1e-6)
        both = report["scales"]
        assert both["constant"]["mpjpe_mm"] == pytest.approx(0, abs=1e-6)
        assert both["image_width"]["mpjpe_mm"] == pytest.approx(expected)
        assert report["protocol"] == both[scale]["protocol"]
    assert "MotionAGFormer" in both["image_width"]["protocol"] and expected > 5
    millimeters = {"pose_mm": truth, "skeleton": H36M17.name}
    with pytest.raises(UserError, match="the scale image_width is for .* units of 1024 mm"):
        report_of(dhp, protocol, tmp_path, **millimeters)
