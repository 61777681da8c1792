"""What corpora and paired datasets share as folders: growing arrays, errors, hashes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256

FORMAT = 1  # raised when code that reads the old format would misread the new one


class GrowingArray:
    """An npy file that grows along its first axis.

    Args:
        shape: of a row.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any):
        self._file, self._shape, self._dtype = path.open("wb"), shape, np.dtype(dtype)
        self._length = 0
        self._write_header()  # NumPy leaves room in it for the length to grow

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
    """While inside, what goes wrong in reading a folder is said in one sentence.

    Args:
        kind: of the folder, with its article.
        advice: for a folder that lacks a file.
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
    """Refuse the format of another version."""
    if info.get("format") != FORMAT:
        raise UserError(
            f"{folder} is of format {info.get('format')}; this version reads {FORMAT}: "
            "prepare it again"
        )


def check_hashes(folder: Path, hashes: Mapping[str, str]) -> None:
    """Refuse a folder with a file that is not as it was written."""
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing")
        if sha256(folder / name) != expected:
            raise UserError(f"{folder / name} was changed after it was written")
