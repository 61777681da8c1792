"""Pickles of unknown origin: plain ones come through, code and bombs do not."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionpose.prepare.paired.h36m import prepare_h36m
from actionpose.utils.errors import UserError
from actionpose.utils.safe_pickle import NUMPY, load_npz, load_pickle

BOMBS = {
    # memory for places of remembered objects, for one array, for bytes that are not there
    "remembers": b"\x80\x04N" + b"r\xff\xff\xff\x7f" + b".",
    "cannot be read": b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b".",
    "pickle": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n" + b"garbage",
}


@pytest.mark.parametrize("message", BOMBS)
def test_load_pickle_refuses_bombs(tmp_path: Path, message: str) -> None:
    (tmp_path / "x.pkl").write_bytes(BOMBS[message])
    with pytest.raises(UserError, match=message):
        load_pickle(tmp_path / "x.pkl")


def test_load_pickle_does_not_allocate_a_huge_array(tmp_path: Path) -> None:
    """NumPy's own function would allocate whatever shape a pickle names."""
    content = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1000000000000\ntS'b'\ntR."
    (tmp_path / "x.pkl").write_bytes(content)
    assert load_pickle(tmp_path / "x.pkl").shape == (0,)


def test_load_pickle_limits(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(np.zeros(100)))
    with pytest.raises(UserError, match="more than 100 are not read"):
        load_pickle(tmp_path / "x.pkl", max_bytes=100)
    with pytest.raises(UserError, match=r"asks for numpy\._?core\.multiarray\._reconstruct"):
        load_pickle(tmp_path / "x.pkl", allowed={})


@pytest.mark.parametrize("protocol", range(6))
def test_load_pickle_plain_values(tmp_path: Path, protocol: int) -> None:
    content = {
        "array": np.arange(12, dtype=np.float32).reshape(3, 4),
        "columns": np.asfortranarray(np.eye(3)),
        "scalar": np.float64(1.5),
        "table": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "text": ["S1", "é", b"\xff\x00"],
        "set": {1, 2},
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    loaded = load_pickle(tmp_path / "x.pkl", NUMPY)
    assert loaded.keys() == content.keys()
    for name in ("array", "columns", "scalar", "table"):
        np.testing.assert_array_equal(loaded[name], content[name])
        assert loaded[name].dtype == content[name].dtype
    assert (loaded["text"], loaded["set"]) == (content["text"], content["set"])


def dump(path: Path, content: Any) -> Path:
    with path.open("wb") as file:
        pickle.dump(content, file)
    return path


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch was_run",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_load_pickle_arrays_and_containers(tmp_path: Path, protocol: int) -> None:
    content = {
        "array": np.arange(6.0).reshape(2, 3),
        "objects": np.array(["a", None], dtype=object),
        "scalar": np.float64(0.5),
        "plain": [1, "x", b"bytes", (2.5, None), {3}],
    }
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    found = load_pickle(path)
    np.testing.assert_array_equal(found["array"], content["array"])
    assert found["objects"].tolist() == ["a", None]
    assert (found["scalar"], found["plain"]) == (content["scalar"], content["plain"])


def test_load_pickle_names_of_numpy_1(tmp_path: Path) -> None:
    raw = pickle.dumps(np.arange(3.0), protocol=2)
    path = tmp_path / "file.pkl"
    path.write_bytes(raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert load_pickle(path).tolist() == [0, 1, 2]


def test_load_pickle_and_npz_refuse_code_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dump(tmp_path / "evil.pkl", {"train": Evil()})
    with pytest.raises(UserError, match=r"posix\.system|nt\.system"):
        prepare_h36m(tmp_path / "evil.pkl", tmp_path / "out")
    np.savez(tmp_path / "evil.npz", positions_3d=np.array(Evil(), dtype=object))
    with pytest.raises(UserError, match=r"posix\.system|nt\.system"):
        load_npz(tmp_path / "evil.npz")
    assert not (tmp_path / "was_run").exists()


def test_load_pickle_and_npz_damaged_files(tmp_path: Path) -> None:
    (tmp_path / "cut.pkl").write_bytes(pickle.dumps({"train": list(range(99))})[:40])
    with pytest.raises(UserError, match="as a pickle"):
        load_pickle(tmp_path / "cut.pkl")
    (tmp_path / "empty.npz").write_bytes(b"")
    with pytest.raises(UserError, match="as an npz"):
        load_npz(tmp_path / "empty.npz")
    with pytest.raises(UserError, match="cannot read"):
        load_pickle(tmp_path / "missing.pkl")
