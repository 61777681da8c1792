"""Reading of untrusted NumPy files: no pickles run, and the unpacked size is limited.

The size in a header is compared with the size of the file before memory is allocated.
"""

import math
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from actionpose.utils.errors import UserError

MAX_BYTES = 4 << 30
# maximum compression ratio of archives that unpack to more than this size, against zip bombs;
# smaller archives may contain constant arrays, which compress best
_MAX_RATIO, _MIN_BOMB_BYTES = 100, 256 << 20


class NpzReader:
    """An npz archive as a context manager; each array is read on request.

    Args:
        max_bytes: Maximum size of an unpacked array.
        unpickle: Function that reads an array of Python objects from its pickle. By default such
            arrays are an error.

    Raises:
        UserError: If the archive or an array is damaged, too large, or contains pickled objects.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int = MAX_BYTES,
        unpickle: Callable[[bytes], Any] | None = None,
    ) -> None:
        self.path, self.max_bytes, self.unpickle = path, max_bytes, unpickle
        with _sentences(f"{path} cannot be read as an npz archive; it may be damaged"):
            self.archive = zipfile.ZipFile(path)
        files = self.archive.infolist()
        self.names = [f.filename[:-4] for f in files if f.filename.endswith(".npy")]
        unpacked, packed = sum(file.file_size for file in files), path.stat().st_size
        if unpacked > max(_MIN_BOMB_BYTES, _MAX_RATIO * packed):
            self.archive.close()
            raise UserError(f"{path}: {packed:,} bytes would unpack to {unpacked:,}: not read")

    def __enter__(self) -> "NpzReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.close()

    def read(self, name: str) -> Any:
        """Read an array. Raises KeyError if the archive has no array of this name."""
        info = self.archive.getinfo(f"{name}.npy")
        with (
            _sentences(f"{self.path}: {name} cannot be read; it may be damaged"),
            self.archive.open(info) as file,
        ):
            return _read(file, info.file_size, self.max_bytes, self.unpickle)


def load_npz(path: Path, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read the arrays of an npz archive by name, without pickles.

    Args:
        names: Names of the arrays to read if they exist. By default all.

    Raises:
        UserError: See `NpzReader`.
    """
    with NpzReader(path) as archive:
        wanted = archive.names if names is None else [n for n in names if n in archive.names]
        return {name: archive.read(name) for name in wanted}


def load_npy(path: Path, *, max_bytes: int = MAX_BYTES, mapped: bool = False) -> NDArray[Any]:
    """Read the array of an npy file, without pickles.

    Args:
        mapped: Whether to map the file into memory, read-only and without a size limit.

    Raises:
        UserError: If the file is damaged, too large, or contains pickled objects.
    """
    with (
        _sentences(f"{path} cannot be read as an npy file; it may be damaged"),
        path.open("rb") as file,
    ):
        size = os.fstat(file.fileno()).st_size
        if not mapped:
            return _read(file, size, max_bytes)
        shape, order, dtype = _header(file, size)
        if 0 in shape:
            return np.empty(shape, dtype)
        return np.memmap(path, dtype, "r", file.tell(), shape, order)


def _read(
    file: Any, size: int, max_bytes: int, unpickle: Callable[[bytes], Any] | None = None
) -> Any:
    shape, order, dtype = _header(file, size, objects=unpickle is not None)
    if dtype.hasobject and unpickle is not None:
        return unpickle(file.read())
    count = math.prod(shape)
    if (num_bytes := count * dtype.itemsize) > max_bytes:
        raise ValueError(f"it would unpack to {num_bytes:,} bytes; {max_bytes:,} is most")
    content = bytearray(num_bytes)  # so that the array is writable
    view, place = memoryview(content), 0
    while place < num_bytes and (got := file.readinto(view[place:])):
        place += got
    if place < num_bytes or file.read(1):  # reading to the end verifies the zip checksum
        raise ValueError("its size is not the one in its header")
    return np.ndarray(shape, dtype, content, order=order)


def _header(
    file: BinaryIO, size: int, objects: bool = False
) -> tuple[tuple[int, ...], Any, np.dtype[Any]]:
    """Read shape, order and type, and check them against the size of the file."""
    is_first = npy.read_magic(file) == (1, 0)
    read_header = npy.read_array_header_1_0 if is_first else npy.read_array_header_2_0
    shape, by_columns, dtype = read_header(file)
    if dtype.hasobject and not objects:
        raise ValueError("it is a pickle of Python objects, which could run code: not loaded")
    is_shape = all(type(side) is int and side >= 0 for side in shape)
    if not is_shape or not dtype.hasobject and math.prod(shape) * dtype.itemsize > size:
        raise ValueError("its size is not the one in its header")
    return shape, "F" if by_columns else "C", dtype


@contextmanager
def _sentences(what: str) -> Iterator[None]:
    """Convert exceptions in the block to a `UserError` that begins with `what`."""
    try:
        yield
    except (UserError, KeyError):
        raise
    except Exception as error:  # damaged archives raise exceptions of any type
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        raise UserError(f"{what}: {reason}") from error


def checked_numbers(
    value: Any, where: str, shape: tuple[int | None, ...], *, finite: bool = True
) -> NDArray[Any]:
    """Validate an array of real numbers. A list is converted to float64.

    Args:
        shape: Expected shape, with None for any length.

    Raises:
        UserError: If the shape is wrong, or values are not numbers or not finite.
    """
    try:
        array = np.asarray(value)
        array = array if array.dtype.kind in "iuf" else array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where} does not hold numbers: {error}") from error
    if len(array.shape) != len(shape) or any(
        b is not None and a != b for a, b in zip(array.shape, shape, strict=True)
    ):
        wanted = ", ".join("N" if side is None else str(side) for side in shape)
        raise UserError(f"{where} has shape {array.shape}, not ({wanted})")
    if finite and not np.isfinite(array).all():
        raise UserError(f"{where} has numbers that are not finite")
    return array
