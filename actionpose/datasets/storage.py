"""Folder storage of corpora and paired datasets: growing arrays, errors, hashes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256

FORMAT = 1  # increased if older code would misread a new format


class GrowingArray:
    """An npy file that grows along its first axis.

    Args:
        path: File to create.
        shape: Shape of a row.
        dtype: Data type.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any):
        self._file, self._shape, self._dtype = path.open("wb"), shape, np.dtype(dtype)
        self._length = 0
        self._write_header()  # NumPy reserves space in it for a growing length

    def _write_header(self) -> None:
        shape = (self._length, *self._shape)
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, values: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype).tobytes())
        self._length += len(values)

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()


@contextmanager
def opening(folder: Path, kind: str, advice: str) -> Iterator[None]:
    """Context that reports errors in reading a folder in one sentence.

    Args:
        folder: Folder that is read.
        kind: Kind of the folder, with an article.
        advice: Advice if the folder lacks a file.
    """
    try:
        yield
    except (UserError, FileNotFoundError) as error:
        missing = error.__cause__ if isinstance(error, UserError) else error
        if not isinstance(missing, FileNotFoundError):
            raise
        raise UserError(
            f"{folder} is not {kind}: {missing.filename} is missing; {advice}"
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{folder} cannot be read as {kind}: {error}") from error


def check_format(folder: Path, info: Mapping[str, Any]) -> None:
    """Check that the format version is supported."""
    if info.get("format") != FORMAT:
        raise UserError(
            f"{folder} is of format {info.get('format')}; this version reads {FORMAT}: "
            "prepare it again"
        )


def check_hashes(folder: Path, hashes: Mapping[str, str]) -> None:
    """Check that no file was changed after it was written."""
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing")
        if sha256(folder / name) != expected:
            raise UserError(f"{folder / name} was changed after it was written")
