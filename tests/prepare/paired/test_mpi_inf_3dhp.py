"""MPI-INF-3DHP's files, made key by key."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.synthetic_fixtures import mpi_inf_3dhp, save_npz

from actionpose.config import FinetuneDataConfig
from actionpose.datasets.paired import open_paired, verify_paired
from actionpose.datasets.paired_clips import PairedBatches, input_of, target_of
from actionpose.evaluation.paired import protocol_for
from actionpose.prepare.paired.mpi_inf_3dhp import prepare_3dhp
from actionpose.skeletons import H36M17, MPI_INF_3DHP17
from actionpose.utils.errors import UserError

Table = dict[str, Any]
Content = tuple[Table, Table]
SWAP = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 14, 15, 16]
TO_H36M = {  # MPI-INF-3DHP's place of each H36M17 joint, as P-STMO's table has it
    **{"pelvis": 14, "right_hip": 8, "right_knee": 9, "right_ankle": 10},
    **{"left_hip": 11, "left_knee": 12, "left_ankle": 13},
    **{"spine": 15, "thorax": 1, "nose": 16, "head": 0},
    **{"left_shoulder": 5, "left_elbow": 6, "left_wrist": 7},
    **{"right_shoulder": 2, "right_elbow": 3, "right_wrist": 4},
}


@pytest.fixture(scope="module")
def content() -> Content:
    return mpi_inf_3dhp(frames=40, test_frames=40)


def write(folder: Path, content: Content, **extra: Any) -> Path:
    save_npz(folder / "data_train_3dhp.npz", data=content[0], **extra)
    save_npz(folder / "data_test_3dhp.npz", data=content[1], **extra)
    return folder


@pytest.fixture(scope="module")
def prepared(content: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("3dhp")
    return prepare_3dhp(write(folder, content, synthetic=True), folder / "out")


def test_prepare_3dhp_maps_joints_by_name(content: Content, prepared: Path) -> None:
    info = verify_paired(prepared)
    assert (info["kind"], info["unit_mm"], info["synthetic"]) == ("3dhp", 1024, True)
    order = [TO_H36M[joint] for joint in H36M17.joints]
    test = open_paired(prepared, "test")
    for video in test.videos:
        raw, part = content[1][video.name], slice(video.start, video.stop)
        np.testing.assert_array_equal(test.pose[part], raw["data_3d"][:, order])
        np.testing.assert_allclose(test.keypoints_px[part, :, :2], raw["data_2d"][:, order], 1e-6)
        np.testing.assert_array_equal(test.scored[part], raw["valid"].astype(bool))
        assert (video.width, video.height) == (
            (1920, 1080) if video.name == "TS5" else (2048, 2048)
        )
    assert test.truth_mm is test.pose
    assert len(MPI_INF_3DHP17) == 17


def test_prepare_3dhp_keeps_rates(content: Content, prepared: Path) -> None:
    train = open_paired(prepared, "train")
    assert {v.subject: v.fps for v in train.videos} == {"S1": 50, "S2": 25, "S3": 50}
    assert len(train.videos) == 6  # a video of each camera
    assert train.scored is None


def test_inputs_and_targets_in_units_of_the_model(content: Content, prepared: Path) -> None:
    """2D by the sequence's own width; millimeters over one constant, for TS5 too."""
    test = open_paired(prepared, "test")
    video = next(v for v in test.videos if v.name == "TS5")
    rows = np.arange(video.start, video.stop)
    seen, pose = input_of(test, rows, video, "detected"), target_of(test, rows, video)
    raw = content[1]["TS5"]
    np.testing.assert_allclose(seen[:, 0, 0], raw["data_2d"][:, 14, 0] / 1920 * 2 - 1, atol=1e-6)
    np.testing.assert_allclose(
        seen[:, 0, 1], raw["data_2d"][:, 14, 1] / 1920 * 2 - 1080 / 1920, atol=1e-6
    )
    expected = (raw["data_3d"][:, 0] - raw["data_3d"][:, 14]) / 1024
    np.testing.assert_allclose(pose[:, 10], expected, atol=1e-6)
    assert np.array_equal(seen, input_of(test, rows, video, "truth"))


def test_batches_are_root_relative(prepared: Path) -> None:
    batches = PairedBatches(
        open_paired(prepared, "train"),
        FinetuneDataConfig(frames=27, stride=9),
        batch_size=4,
        seed=0,
    )
    assert batches.windows == 6 * 2
    batch = batches.batch(0)
    assert batch["pose"].shape == (4, 27, 17, 3)
    assert float(batch["pose"][:, :, 0].abs().max()) == 0


def spoil_views(change: Callable[[Table], object]) -> Callable[[Table, Table], None]:
    """Apply a change to every view of both files."""

    def spoil(train: Table, test: Table) -> None:
        for cameras, _ in train.values():
            for view in cameras.values():
                change(view)
        for view in test.values():
            change(view)

    return spoil


def swap_view(view: Table) -> None:
    view["data_2d"], view["data_3d"] = view["data_2d"][:, SWAP], view["data_3d"][:, SWAP]


def swap_2d(view: Table) -> None:
    view["data_2d"] = view["data_2d"][:, SWAP]


def nan_in_scored(train: Table, test: Table) -> None:
    frame = int(np.flatnonzero(test["TS2"]["valid"])[3])
    test["TS2"]["data_3d"][frame, 2] = np.nan


DEFECTS = {
    "no valid": (lambda train, test: test["TS1"].pop("valid"), "TS1 lacks valid"),
    "no 3D": (lambda train, test: train["S1 Seq1"][0]["0"].pop("data_3d"), "lacks data_3d"),
    "28 joints": (
        spoil_views(lambda v: v.update(data_3d=np.zeros((len(v["data_3d"]), 28, 3)))),
        r"\(N, 17, 3\)",
    ),
    "other length": (
        spoil_views(lambda v: v.update(data_2d=v["data_2d"][:-1])),
        "data_2d has shape",
    ),
    "short valid": (
        lambda train, test: test["TS1"].update(valid=np.ones(3)),
        "marks 3 of 3 frames",
    ),
    "no rate": (lambda train, test: train["S2 Seq1"].pop(), "not \\[cameras, rate\\]"),
    "normalized": (
        spoil_views(lambda v: v.update(data_2d=v["data_2d"] / 1024 - 1)),
        "pixels are expected",
    ),
    "meters": (spoil_views(lambda v: v.update(data_3d=v["data_3d"] / 1000)), "not millimeters"),
    "swapped sides": (spoil_views(swap_view), "knees would bend backwards"),
    "swapped 2D": (spoil_views(swap_2d), "swapped against the 3D"),
    "NaN truth": (nan_in_scored, "TS2: the 3D pose is not finite"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_prepare_3dhp_names_defects(content: Content, tmp_path: Path, name: str) -> None:
    spoil, message = DEFECTS[name]
    train, test = copy.deepcopy(content)
    spoil(train, test)
    write(tmp_path, (train, test))
    with pytest.raises(UserError, match=message) as caught:
        prepare_3dhp(tmp_path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_prepare_3dhp_allows_nan_where_nothing_is_scored(content: Content, tmp_path: Path) -> None:
    train, test = copy.deepcopy(content)
    frame = int(np.flatnonzero(test["TS2"]["valid"] == 0)[3])
    test["TS2"]["data_3d"][frame] = np.nan
    out = prepare_3dhp(write(tmp_path, (train, test)), tmp_path / "out")
    assert np.isnan(open_paired(out, "test").pose).any()


def test_prepare_3dhp_detects_the_annotation(content: Content, tmp_path: Path) -> None:
    write(tmp_path, mpi_inf_3dhp(frames=30, test_frames=40, universal=False))
    with pytest.raises(UserError, match="annot3, not univ_annot3: people differ by 1"):
        prepare_3dhp(tmp_path, tmp_path / "out")
    out = prepare_3dhp(tmp_path, tmp_path / "out", annotation="annot3")
    assert verify_paired(out)["annotation"] == "annot3"
    forced = prepare_3dhp(tmp_path, tmp_path / "forced", force=True)
    assert "people differ by 1" in verify_paired(forced)["forced"][0]
    protocol = protocol_for(open_paired(forced, "test"))
    assert "prepared with --force" in protocol.title and "annot3" not in protocol.title
    write(tmp_path, content)
    with pytest.raises(UserError, match="univ_annot3, not annot3"):
        prepare_3dhp(tmp_path, tmp_path / "other", annotation="annot3")


def test_prepare_3dhp_refuses_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data_train_3dhp\.npz"):
        prepare_3dhp(tmp_path, tmp_path / "out")
    np.savez(tmp_path / "data_train_3dhp.npz", frames=np.zeros(3))
    with pytest.raises(UserError, match="no data"):
        prepare_3dhp(tmp_path, tmp_path / "out")
