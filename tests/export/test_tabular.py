"""Results as JSON, CSV and data frame equal the arrays."""

import csv
import importlib.util
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from helpers.results import HEADER, random_result

from actionpose.export import tabular
from actionpose.result import TABLE_COLUMNS, Result
from actionpose.skeletons import H36M17


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_equals_the_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "_CSV_FRAMES", 2)  # 5 frames are then 3 blocks
    result = random_result()
    result.pose_m[0, 0, 0] = [np.nan, -0.00003, -1.23456]
    result.valid[0, 0], result.keypoints_px[0, 0, 1, 2] = True, 0
    result.save(tmp_path / "a.csv")
    table = rows(tmp_path / "a.csv")
    assert tuple(table[0]) == TABLE_COLUMNS
    assert len(table) == 2 * 5 * 17
    first, second = table[:2]
    assert first["uncertainty_mm"] == ""  # not known
    assert (first["x_m"], first["y_m"], first["z_m"]) == ("", "0.0000", "-1.2346")
    assert (second["x_px"], second["y_px"], second["confidence"]) == ("", "", "0.000")
    assert (second["valid"], second["seen"]) == ("True", "False")
    for row in table[2:]:
        person, frame = int(row["person"]), int(row["frame"])
        i = person, frame, H36M17.joints.index(row["joint"])
        visible = result.valid[person, frame]
        numbers = [*result.pose_m[i], *result.keypoints_px[i]]
        for column, number in zip(TABLE_COLUMNS[5:11], numbers, strict=True):
            decimals = {"m": 4, "px": 2}.get(column[2:], 3)
            assert row[column] == (f"{number:.{decimals}f}" if visible else "")
        assert float(row["time_s"]) == pytest.approx(result.time_s[frame], abs=1e-6)
        assert row["track_id"] == str(result.track_id[person])
        assert row["valid"] == row["seen"] == str(visible)


def test_csv_leaves_out_meters_of_joints_that_are_never_visible(tmp_path: Path) -> None:
    result = random_result()
    knee = H36M17.joints.index("left_knee")
    result.keypoints_px[1, :, knee] = 0
    result.save(tmp_path / "a.csv")
    for row in rows(tmp_path / "a.csv"):
        unknown = (row["person"], row["joint"]) == ("1", "left_knee")
        assert (row["x_m"] == "") == (unknown or row["valid"] == "False")
        assert not (unknown and row["seen"] == "True")
    table = result.to_dataframe()
    assert table[(table.person == 1) & (table.joint == "left_knee")].x_m.isna().all()


def test_csv_has_the_poses_of_filled_absences(tmp_path: Path) -> None:
    valid = np.array([[True, False, True, False, False, True, False]])
    result = random_result(1, 7, valid=valid, header={"max_gap_s": 0.07})  # 30 frames a second
    result.save(tmp_path / "a.csv")
    table = rows(tmp_path / "a.csv")[::17]
    assert [row["x_m"] != "" for row in table] == [True, True, True, False, False, True, False]
    assert [row["x_px"] != "" for row in table] == [row["seen"] == "True" for row in table]
    assert [row["seen"] == "True" for row in table] == valid[0].tolist()


def test_dataframe_is_the_csv_unrounded(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    result = random_result()
    result.save(tmp_path / "a.csv")
    table, read = result.to_dataframe(), pandas.read_csv(tmp_path / "a.csv")
    assert tuple(table.columns) == TABLE_COLUMNS
    for name in TABLE_COLUMNS:
        if name == "joint":
            assert table[name].tolist() == read[name].tolist()
        else:
            np.testing.assert_allclose(table[name].astype(float), read[name], atol=0.006)
    expected = np.where(result.valid[..., None], result.pose_m[..., 2], np.nan)
    np.testing.assert_array_equal(table["z_m"].to_numpy(), expected.ravel())
    assert read["valid"].dtype == bool


def test_uncertainty_is_in_every_table(tmp_path: Path) -> None:
    valid = np.array([[True] * 4 + [False], [True] * 5])
    uncertainty = np.random.default_rng(0).uniform(10, 90, (2, 5, 17)).astype(np.float32)
    result = random_result(valid=valid, uncertainty_mm=uncertainty)
    for name in ("a.csv", "a.json", "a.npz"):
        result.save(tmp_path / name)
    known = np.where(valid[..., None], uncertainty, np.nan)
    found = [float(row["uncertainty_mm"] or "nan") for row in rows(tmp_path / "a.csv")]
    np.testing.assert_allclose(found, known.ravel(), atol=0.051)
    person = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["persons"][0]
    assert person["uncertainty_mm"][4] == [None] * 17
    np.testing.assert_allclose(person["uncertainty_mm"][3], known[0, 3], atol=0.051)
    np.testing.assert_array_equal(Result.load(tmp_path / "a.npz").uncertainty_mm, uncertainty)
    if importlib.util.find_spec("pandas"):
        column = result.to_dataframe()["uncertainty_mm"].to_numpy()
        np.testing.assert_array_equal(column, known.ravel())


def test_json_has_header_and_arrays(tmp_path: Path) -> None:
    result = random_result(root_m=np.full((2, 5, 3), 1.00004))
    result.pose_m[1, 2, 3, 0] = np.nan
    result.save(tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert (
        "NaN" not in text and "wave, “hello”" in json.loads(text)["header"]["actions"][0]["label"]
    )
    document = json.loads(text)
    assert document["joints"] == list(H36M17.joints)
    assert document["header"]["scale_source"] == HEADER["scale_source"]
    person = document["persons"][1]
    assert person["track_id"] == 5 and person["root_m"][0] == [1.0, 1.0, 1.0]
    assert person["pose_m"][2][3][0] is None
    assert person["pose_m"][4][16] == pytest.approx(result.pose_m[1, 4, 16], abs=0.51e-4)
    assert person["valid"] == result.valid[1].tolist()


def test_csv_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "_CSV_FRAMES", 50)
    peaks: list[int] = []
    for frames in (200, 800):
        result = random_result(persons=1, frames=frames)
        tracemalloc.start()
        result.save(tmp_path / "a.csv")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (tmp_path / "a.csv").read_text().count("\n") == 1 + frames * 17
    assert peaks[1] < 1.2 * peaks[0]
