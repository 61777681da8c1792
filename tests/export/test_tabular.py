"""Results as JSON, CSV and data frame equal the arrays."""

import csv
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from helpers.results import HEADER, random_result

from actionpose.export import tabular
from actionpose.result import TABLE_COLUMNS
from actionpose.skeletons import H36M17


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_equals_the_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "_CSV_FRAMES", 2)  # 5 frames are then 3 blocks
    result = random_result()
    result.pose_m[0, 0, 0] = [np.nan, -0.00003, -1.23456]
    result.save(tmp_path / "a.csv")
    table = rows(tmp_path / "a.csv")
    assert tuple(table[0]) == TABLE_COLUMNS
    assert len(table) == 2 * 5 * 17
    first = table[0]
    assert (first["x_m"], first["y_m"], first["z_m"]) == ("", "0.0000", "-1.2346")
    for row in table[1:]:
        i = int(row["person"]), int(row["frame"]), H36M17.joints.index(row["joint"])
        pose = [float(row[key]) for key in ("x_m", "y_m", "z_m")]
        np.testing.assert_allclose(pose, result.pose_m[i], atol=0.51e-4)
        image = [float(row[key]) for key in ("x_px", "y_px")]
        np.testing.assert_allclose(image, result.keypoints_px[i][:2], atol=0.51e-2)
        assert float(row["confidence"]) == pytest.approx(result.keypoints_px[i][2], abs=0.51e-3)
        assert float(row["time_s"]) == pytest.approx(result.time_s[i[1]], abs=1e-6)
        assert row["valid"] == str(result.valid[i[:2]])


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
    np.testing.assert_array_equal(table["z_m"].to_numpy(), result.pose_m[..., 2].ravel())
    assert read["valid"].dtype == bool


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
