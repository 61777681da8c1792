"""A result survives its files, and a wrong one is refused with a sentence."""

import builtins
import csv
import json
import math
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from actionpose.export import tabular
from actionpose.result import ARRAYS, TABLE_COLUMNS, Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

HEADER = {
    "units": "m",
    "axes": "x right, y down, z away from the camera",
    "root": "pelvis at the origin of every frame",
    "skeleton": "h36m17",
    "scale_source": "average adult (1.70 m)",
    "fps": 30.0,
    "image_size": [1920, 1080],
    "actions": [{"start_s": 0.0, "stop_s": 0.1, "label": "wave, “hello”", "score": 0.5}],
}


def made_up(persons: int = 2, frames: int = 5, **changes) -> Result:
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 1000, (persons, frames, 17, 3))
    keypoints[..., 2] = rng.uniform(0, 1, (persons, frames, 17))
    fields = {
        "pose_m": rng.normal(size=(persons, frames, 17, 3)),
        "keypoints_px": keypoints,
        "valid": rng.uniform(size=(persons, frames)) > 0.3,
        "track_id": np.arange(persons) * 4 + 1,
        "time_s": np.arange(frames) / 30,
        "header": HEADER,
    }
    return Result(**fields | changes)


def assert_equal(one: Result, other: Result) -> None:
    assert one.header == other.header
    for name in ARRAYS:
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"root_m": np.full((2, 5, 3), 2.5)},
        {"embeddings": np.ones((2, 3, 8)), "root_m": np.zeros((2, 5, 3))},
    ],
)
def test_npz_keeps_everything(tmp_path, more):
    result = made_up(**more)
    result.save(tmp_path / "a.npz")
    assert_equal(Result.load(tmp_path / "a.npz"), result)


def test_npz_is_plain_and_always_the_same_bytes(tmp_path):
    made_up().save(tmp_path / "a.NPZ")  # capitals are fine
    made_up().save(str(tmp_path / "b.npz"))
    assert (tmp_path / "a.NPZ").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "b.npz") as file:
        assert {member.date_time for member in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(tmp_path / "b.npz", allow_pickle=False) as file:
        assert json.loads(str(file["header"]))["axes"] == HEADER["axes"]
        assert file["pose_m"].dtype == np.float32
    assert len(list(tmp_path.iterdir())) == 2


def test_nobody_was_found(tmp_path):
    result = made_up(persons=0)
    for suffix in ("npz", "json", "csv"):
        result.save(tmp_path / f"a.{suffix}")
    assert_equal(Result.load(tmp_path / "a.npz"), result)
    assert rows(tmp_path / "a.csv") == []


def test_csv_is_tidy_and_equals_the_arrays(tmp_path, monkeypatch):
    monkeypatch.setattr(tabular, "_CSV_FRAMES", 2)  # 5 frames are then 3 blocks
    result = made_up()
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


def test_dataframe_is_the_csv_unrounded(tmp_path):
    pandas = pytest.importorskip("pandas")
    result = made_up()
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


def test_json_explains_itself(tmp_path):
    result = made_up(root_m=np.full((2, 5, 3), 1.00004))
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


def test_csv_takes_no_more_memory_for_more_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(tabular, "_CSV_FRAMES", 50)
    peaks = []
    for frames in (200, 800):
        result = made_up(persons=1, frames=frames)
        tracemalloc.start()
        result.save(tmp_path / "a.csv")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (tmp_path / "a.csv").read_text().count("\n") == 1 + frames * 17
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pose_m": np.zeros((2, 5, 17, 2))}, r"pose_m has shape .*must have \(P=2, T=5, J=17, 3"),
        ({"pose_m": np.zeros((2, 5, 16, 3))}, r"pose_m has shape .*J=17"),
        ({"pose_m": np.zeros((2, 5, 17))}, "pose_m has shape"),
        ({"keypoints_px": np.zeros((1, 5, 17, 3))}, "keypoints_px has shape"),
        ({"valid": np.ones((2, 6), bool)}, r"valid has shape \(2, 6\)"),
        ({"track_id": [1]}, "track_id has shape"),
        ({"time_s": np.arange(4)}, "time_s has shape"),
        ({"time_s": [0, 1, 2, 1, 3]}, "do not decrease"),
        ({"time_s": [0, 1, np.nan, 3, 4]}, "finite seconds"),
        ({"track_id": ["a", "b"]}, "track_id is not an array of int64"),
        ({"valid": None}, "valid has shape"),
        ({"root_m": np.zeros((2, 5, 17, 3))}, "root_m has shape"),
        ({"embeddings": np.zeros((3, 1, 8))}, "embeddings has shape"),
        ({"header": {}}, "lacks units, axes, root, skeleton, scale_source"),
        ({"header": HEADER | {"skeleton": "h36m"}}, "unknown skeleton 'h36m'; known are h36m17"),
        ({"header": HEADER | {"format_version": 2}}, "in format 2, but .* reads format 1"),
        ({"header": HEADER | {"detector": Path("x")}}, "cannot be written as JSON"),
        ({"header": HEADER | {"fps": math.nan}}, "cannot be written as JSON"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(UserError, match=message):
        made_up(**changes)


def test_unknown_suffix_and_missing_folder(tmp_path):
    with pytest.raises(UserError, match=r"\.npz, \.json, .*\.bvh, \.trc, .*, not '\.fbx'"):
        made_up().save(tmp_path / "a.fbx")
    with pytest.raises(UserError, match="not ''"):
        made_up().save(tmp_path / "a")
    for suffix in ("npz", "json", "csv", "html", "bvh", "trc", "c3d", "glb"):
        with pytest.raises(UserError, match="there is no folder"):
            made_up().save(tmp_path / "absent" / f"a.{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    made_up().save(path)
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(KeyboardInterrupt):
        made_up(frames=9).save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_what_is_not_a_result_is_not_loaded(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(UserError, match="there is no file"):
        Result.load(path)
    with pytest.raises(UserError, match="is not an .npz file"):
        Result.load(tmp_path)
    for content in (b"", b"hello", b"\x80\x04N.", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.npz"):
            Result.load(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UserError, match="a single array"):
        Result.load(path)
    np.savez(path, pose_m=np.zeros((1, 1, 17, 3)))
    with pytest.raises(UserError, match="it has no header"):
        Result.load(path)
    np.savez(path, pose_m=np.zeros((1, 1, 17, 3)), header="{")
    with pytest.raises(UserError, match="header is not JSON"):
        Result.load(path)
    np.savez(path, pose_m=np.zeros((1, 1, 17, 3)), header=json.dumps(HEADER))
    with pytest.raises(UserError, match="lacks keypoints_px, valid, track_id, time_s"):
        Result.load(path)
    np.savez(path, header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="is not an .npz file that actionpose wrote"):
        Result.load(path)  # and nothing was unpickled


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    made_up().save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 997):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="damaged"):
            Result.load(path)
    flipped = bytearray(whole)
    flipped[whole.index(b"NUMPY") + 500] ^= 0xFF
    path.write_bytes(flipped)
    with pytest.raises(UserError, match="damaged"):
        Result.load(path)


def test_an_archive_that_asks_for_a_password_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, pose_m=np.zeros(3))
    data = bytearray(path.read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the file's header, the index
        data[data.index(magic) + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        Result.load(path)


def test_another_version_is_told_with_the_file(tmp_path):
    made_up().save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    arrays["header"] = json.dumps(HEADER | {"format_version": 99})
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=r"a\.npz: the result is in format 99"):
        Result.load(tmp_path / "a.npz")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] in ("pandas", "matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'actionpose\[export\]'"):
        made_up().to_dataframe()
    with pytest.raises(UserError, match=r"pip install 'actionpose\[viz\]'"):
        made_up().save(tmp_path / "a.png")


def test_the_header_of_the_caller_is_left_alone():
    header = dict(HEADER)
    result = made_up(header=header)
    assert header == HEADER and result.header["format_version"] == 1
    assert replace(result, header=result.header).header == result.header
