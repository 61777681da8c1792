"""npy and npz of unknown origin: whole ones come through, others cost no memory."""

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionpose.utils.errors import UserError
from actionpose.utils.numpy_files import NpzReader, checked_numbers, load_npy, load_npz

ARRAYS: dict[str, Any] = {
    "plain": np.arange(6, dtype="<f4").reshape(2, 3),
    "by_columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "scalar": np.array("text"),
    "empty": np.zeros((3, 0)),
    "mask": np.array([True, False]),
    "big_endian": np.arange(3, dtype=">i8"),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_load_npz_gives_what_was_saved(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "a.npz", **ARRAYS)
    found = load_npz(tmp_path / "a.npz")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].flags.writeable
    assert load_npz(tmp_path / "a.npz", ["mask", "absent"]).keys() == {"mask"}


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("name", ["plain", "by_columns", "empty", "big_endian"])
def test_load_npy_gives_what_was_saved(tmp_path: Path, name: str, mapped: bool) -> None:
    np.save(tmp_path / "a.npy", ARRAYS[name])
    np.testing.assert_array_equal(load_npy(tmp_path / "a.npy", mapped=mapped), ARRAYS[name])


def npy(shape: Any, content: bytes = bytes(24), descr: str = "<f8") -> bytes:
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + content


@pytest.mark.parametrize(
    "content",
    [
        *(npy((2**40,)), npy((2**70,)), npy((-3,)), npy((4,)), npy((True,))),
        *(npy((3,))[:-1], npy((3,))[:20], b"", b"\x93NUMPY", npy((3,), descr="|O")),
        npy((3,)).replace(b"(3,)", b"((3,"),
    ],
)
def test_damaged_arrays_are_refused_without_memory(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    tracemalloc.start()
    for read in (
        lambda: load_npy(tmp_path / "a.npy"),
        lambda: load_npy(tmp_path / "a.npy", mapped=True),
        lambda: load_npz(tmp_path / "a.npz"),
    ):
        with pytest.raises(UserError, match="a cannot be read; it|cannot be read as an npy file"):
            read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.arange(1000.0))
    whole = path.read_bytes()
    for content in (b"", whole[:100], whole[:-40], b"PK\x03\x04" + bytes(99)):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.npz cannot be read as an npz archive"):
            load_npz(path)
    path.write_bytes(whole[:200] + b"damage" + whole[206:])
    with pytest.raises(UserError, match=r"a\.npz: a cannot be read; it may be damaged: "):
        load_npz(path)


def test_a_small_archive_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.npy", "w") as file:
            file.write(npy((300 << 17,), b""))
            for _ in range(300):
                file.write(bytes(1 << 20))
    assert path.stat().st_size < 1e6
    with pytest.raises(UserError, match="bytes would unpack to 314,572,928"):
        NpzReader(path)


def test_checked_numbers_names_what_is_wrong() -> None:
    array = np.zeros((4, 17, 3), np.float32)
    assert checked_numbers(array, "a", (None, 17, 3)) is array
    assert checked_numbers([[1, 2]], "a", (1, None)).dtype == np.int64
    for value, shape, reason in (
        (array, (None, 16, 3), r"a has shape \(4, 17, 3\), not \(N, 16, 3\)"),
        ([["x"]], (1, 1), "a does not hold numbers"),
        ([[1], [2, 3]], (2, None), "a does not hold numbers"),
        ([1.0, np.inf], (2,), "a has numbers that are not finite"),
    ):
        with pytest.raises(UserError, match=reason):
            checked_numbers(value, "a", shape)
    assert np.isnan(checked_numbers([np.nan], "a", (1,), finite=False)).all()
