"""A result survives its file, and a wrong one is refused with a sentence."""

import builtins
import json
import math
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from helpers.results import HEADER, random_result

from actionpose.geometry.axes import Axes
from actionpose.result import ARRAYS, Result, RootOrigin
from actionpose.utils.errors import UserError
from actionpose.utils.writers import WRITERS, register_writer


def assert_equal(one: Result, other: Result) -> None:
    assert one.header == other.header
    for name in ARRAYS:
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"root_m": np.full((2, 5, 3), 2.5)},
        {"embeddings": np.ones((2, 3, 8)), "root_m": np.zeros((2, 5, 3))},
    ],
)
def test_npz_keeps_everything(tmp_path: Path, more: dict[str, Any]) -> None:
    result = random_result(**more)
    result.save(tmp_path / "a.npz")
    assert_equal(Result.load(tmp_path / "a.npz"), result)


def test_npz_is_plain_and_deterministic(tmp_path: Path) -> None:
    random_result().save(tmp_path / "a.NPZ")  # capitals are fine
    random_result().save(str(tmp_path / "b.npz"))
    assert (tmp_path / "a.NPZ").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "b.npz") as file:
        assert {member.date_time for member in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(tmp_path / "b.npz", allow_pickle=False) as file:
        assert json.loads(str(file["header"]))["axes"] == HEADER["axes"]
        assert file["pose_m"].dtype == np.float32
    assert len(list(tmp_path.iterdir())) == 2


def test_files_of_nobody(tmp_path: Path) -> None:
    result = random_result(persons=0)
    for suffix in ("npz", "json", "csv"):
        result.save(tmp_path / f"a.{suffix}")
    assert_equal(Result.load(tmp_path / "a.npz"), result)
    assert (tmp_path / "a.csv").read_text().count("\n") == 1


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
        ({"header": {"skeleton": "h36m"}}, "skeleton is one of h36m17, .*, but not 'h36m'"),
        ({"header": {"axes": "RAS"}}, "axes is one of RDF, RUB, RFU, but not 'RAS'"),
        ({"header": {"axes": "x right, y down"}}, "axes is one of RDF, .* not 'x right, y down'"),
        ({"header": {"root": "hip"}}, "root is one of pelvis, camera, floor, height"),
        ({"header": {"units": "feet"}}, "units is one of meters, but not 'feet'"),
        ({"header": {"format_version": 2}}, "in format 2, but .* reads format 1"),
        ({"header": {"detector": Path("x")}}, "cannot be written as JSON"),
        ({"header": {"fps": math.nan}}, "cannot be written as JSON"),
    ],
)
def test_result_refuses_what_does_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        random_result(**changes)


def test_save_refuses_suffixes_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.npz, \.json, .*\.bvh, \.trc, .*, not '\.fbx'"):
        random_result().save(tmp_path / "a.fbx")
    with pytest.raises(UserError, match="not ''"):
        random_result().save(tmp_path / "a")
    for suffix in ("npz", "json", "csv", "html", "bvh", "trc", "c3d", "glb"):
        with pytest.raises(UserError, match="there is no folder"):
            random_result().save(tmp_path / "absent" / f"a.{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    random_result().save(path)
    before = path.read_bytes()

    def fail(file: BinaryIO, **arrays: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(KeyboardInterrupt):
        random_result(frames=9).save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_load_refuses_other_files(tmp_path: Path) -> None:
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
    with pytest.raises(UserError, match="cannot be read as an npz archive"):
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


def test_load_refuses_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    random_result().save(path)
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


def test_load_refuses_encrypted_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, pose_m=np.zeros(3))
    data = bytearray(path.read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the file's header, the index
        data[data.index(magic) + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        Result.load(path)


def test_load_names_file_and_format(tmp_path: Path) -> None:
    random_result().save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    arrays["header"] = json.dumps(HEADER | {"format_version": 99})
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=r"a\.npz: the result is in format 99"):
        Result.load(tmp_path / "a.npz")


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in ("pandas", "matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'actionpose\[export\]'"):
        random_result().to_dataframe()
    with pytest.raises(UserError, match=r"pip install 'actionpose\[viz\]'"):
        random_result().save(tmp_path / "a.png")


def test_header_of_the_caller_is_left_alone() -> None:
    header = dict(HEADER)
    result = replace(random_result(), header=header)  # type: ignore[arg-type]
    assert header == HEADER and result.header["format_version"] == 1
    assert replace(result, header=result.header).header == result.header


def test_header_needs_its_facts() -> None:
    with pytest.raises(UserError, match="lacks units, axes, root, skeleton, scale_source"):
        replace(random_result(), header={})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("axes", Axes)
@pytest.mark.parametrize("root", RootOrigin)
def test_header_of_0_1_becomes_typed(axes: Axes, root: RootOrigin) -> None:
    """Its words are those that the facts are printed in today."""
    words = {"axes": axes.words, "root": root.words, "scale_source": "height given, 1.80 m"}
    result = random_result(header=words)
    assert result.header["axes"] is axes and result.header["root"] is root
    assert result.header["scale_source"] == "given_height" and result.header["stature_m"] == 1.8
    assert result.facts == {"units": "meters", **words}


def test_facts_name_other_scales() -> None:
    assert random_result().facts["scale_source"] == "made up"


def test_register_writer_adds_a_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(result: Result, path: Path) -> None:
        path.write_text(str(result.pose_m.shape))

    monkeypatch.setitem(WRITERS, ".shape", write)
    del WRITERS[".shape"]
    register_writer(".shape", write)
    assert random_result().save(tmp_path / "a.shape") == [tmp_path / "a.shape"]
    assert (tmp_path / "a.shape").read_text() == "(2, 5, 17, 3)"


def test_repr_is_three_lines() -> None:
    lines = repr(random_result(2, 5, header={"source": "dance.mp4"})).splitlines()
    assert lines[0] == "Result: 2 people, 5 frames, 0.00 to 0.13 s, h36m17"
    assert lines[1].strip().startswith("meters; x right, y down, z away from the camera; pelvis")
    assert lines[2].strip() == "scale: made up; source: dance.mp4"
    assert len(lines) == 3


def test_notebook_view_is_the_viewer_in_a_frame() -> None:
    class Frame(HTMLParser):
        page = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.page = dict(attrs).get("srcdoc") or self.page

    result = random_result(valid=np.ones((2, 5), bool), header={"source": "<script>.mp4"})
    text = result._repr_html_()
    assert "<script>" not in text
    frame = Frame()
    frame.feed(text)
    assert "<script" in frame.page and '"track_id":[1,5]' in frame.page
    nobody = random_result(valid=np.zeros((2, 5), bool))
    assert "iframe" not in nobody._repr_html_()
