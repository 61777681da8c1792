"""TRC files, read by pandas, and C3D files, read by ezc3d."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.results import FPS, people

from actionpose.export import markers
from actionpose.export.markers import MARKERS
from actionpose.geometry.axes import Axes
from actionpose.postprocessing.common import positions
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError


def test_trc_equals_the_result(rubbery: Result, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    valid = rubbery.valid.copy()
    valid[0, 5:8] = False
    replace(rubbery, valid=valid).save(tmp_path / "a.trc")
    lines = (tmp_path / "a.trc").read_text().splitlines()
    head = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert head["Units"] == "m" and head["NumFrames"] == "37" and head["NumMarkers"] == "17"
    assert float(head["DataRate"]) == FPS
    names = [name for name in lines[3].split("\t")[2:] if name]
    assert names == [MARKERS[joint] for joint in H36M17.joints]
    assert {"Hip", "Neck", "RHip", "LAnkle", "RWrist", "Nose", "Head"} <= set(names)
    table = pandas.read_csv(tmp_path / "a.trc", sep="\t", skiprows=6, header=None)
    assert table[0].tolist() == (1 + np.flatnonzero(valid[0])).tolist()
    np.testing.assert_allclose(table[1], rubbery.time_s[valid[0]], atol=1e-6)
    found = table.iloc[:, 2 : 2 + 51].to_numpy().reshape(37, 17, 3)
    np.testing.assert_allclose(found, positions(rubbery)[0][valid[0]], atol=1e-6)


def test_trc_has_rows_from_first_to_last_visible_frame(rubbery: Result, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    valid = np.ones((1, 40), bool)
    valid[0, [0, 1, 12, 13, 20, 21, 22, 23, 24, 39]] = False
    header: Any = {**rubbery.header, "max_gap_s": 3.5 / FPS}  # fills two frames, not five
    replace(rubbery, valid=valid, header=header).save(tmp_path / "a.trc")
    table = pandas.read_csv(tmp_path / "a.trc", sep="\t", skiprows=6, header=None)
    assert table[0].tolist() == [*range(3, 21), *range(26, 40)]
    assert not table.iloc[:, :53].isna().any(axis=None)
    filled = positions(rubbery)[0, 12:14].reshape(2, 51)
    np.testing.assert_allclose(table.iloc[10:12, 2:53], filled, atol=1e-6)


def test_c3d_equals_the_result(tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d")
    result = people(2)
    result.valid[1, 5:8] = False
    result.save(tmp_path / "a.c3d")
    file = ezc3d.c3d(str(tmp_path / "a.c3d"))
    point = file["parameters"]["POINT"]
    assert point["UNITS"]["value"] == ["mm"] and point["RATE"]["value"][0] == FPS
    assert point["LABELS"]["value"][0] == "id3:Hip" and point["LABELS"]["value"][17] == "id8:Hip"
    assert point["Y_SCREEN"]["value"] == ["+Z"]
    found = file["data"]["points"][:3].transpose(2, 1, 0).reshape(40, 2, 17, 3)
    for person in range(2):
        valid = result.valid[person]
        expected = 1000 * positions(result)[person] @ Axes.Z_UP.rotation_to(Axes.Y_UP)
        np.testing.assert_allclose(found[valid, person], expected[valid], atol=2e-3)
        assert np.isnan(found[~valid, person]).all()
    residual = file["data"]["meta_points"]["residuals"][0].reshape(2, 17, 40)
    np.testing.assert_array_equal(residual[1, 0] < 0, ~result.valid[1])
    about = file["parameters"]["ACTIONPOSE"]
    assert about["AXES"]["value"] == [Axes.Z_UP.words] and about["SCALE"]["value"] == ["made up"]


def test_c3d_has_filled_absences(tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d")
    result = people(1)
    valid = np.ones((1, 40), bool)
    valid[0, 10:12] = valid[0, 20:26] = False
    header: Any = {**result.header, "max_gap_s": 3.5 / FPS}  # fills two frames, not six
    replace(result, valid=valid, header=header).save(tmp_path / "a.c3d")
    points = ezc3d.c3d(str(tmp_path / "a.c3d"))["data"]["points"][0]
    assert np.flatnonzero(np.isnan(points[0])).tolist() == [*range(20, 26)]


def test_c3d_that_is_cut_short_leaves_the_old_file(tmp_path: Path) -> None:
    pytest.importorskip("ezc3d")
    resource = pytest.importorskip("resource", reason="file size limits are those of POSIX")
    path = tmp_path / "a.c3d"
    path.write_bytes(b"before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(UserError, match="cannot write"):
            people(2).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["a.c3d"]


def test_c3d_of_more_frames_than_it_counts_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("ezc3d")
    monkeypatch.setattr(markers, "MAX_C3D_FRAMES", 39)
    with pytest.raises(UserError, match="up to 39 frames, and the result has 40"):
        people(1).save(tmp_path / "a.c3d")
    assert not list(tmp_path.iterdir())
