"""npz archives of unknown origin: no pickle runs freely, and nothing unpacks beyond a limit."""

import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from actionpose.utils.errors import UserError


class NpzReader:
    """The arrays of an npz archive, each read when asked for. To be used in a `with`.

    Args:
        max_bytes: of an array, unpacked.
        unpickle: an array of Python objects from its pickle; without it, such are refused.

    Raises:
        UserError: the archive or an array is damaged, too large, or holds pickled objects.
    """

    def __init__(
        self, path: Path, max_bytes: int, unpickle: Callable[[bytes], Any] | None = None
    ) -> None:
        self.path, self.max_bytes, self.unpickle = path, max_bytes, unpickle
        try:
            self.archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} cannot be read as an npz archive: {_reason(error)}") from error
        files = self.archive.namelist()
        self.names = [name.removesuffix(".npy") for name in files if name.endswith(".npy")]

    def __enter__(self) -> "NpzReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.close()

    def read(self, name: str) -> Any:
        """One array; KeyError if there is none of that name."""
        info = self.archive.getinfo(f"{name}.npy")
        try:
            return self._read(info)
        except UserError:
            raise
        # RuntimeError: an archive that is encrypted, or compressed in another way
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, MemoryError,
                RuntimeError) as error:  # fmt: skip
            raise UserError(f"{self.path}: {name} cannot be read: {_reason(error)}") from error

    def _read(self, info: zipfile.ZipInfo) -> NDArray[Any]:
        with self.archive.open(info) as file:
            is_first = npy.read_magic(file) == (1, 0)
            read_header = npy.read_array_header_1_0 if is_first else npy.read_array_header_2_0
            shape, by_columns, dtype = read_header(file)
            if dtype.hasobject:
                if self.unpickle is None:
                    raise ValueError("it is a pickle of Python objects, which is not loaded")
                return self.unpickle(file.read())
            size = math.prod(shape) * dtype.itemsize
            if size > self.max_bytes:
                raise ValueError(f"it would unpack to {size:,} bytes; {self.max_bytes:,} is most")
            if size != info.file_size - file.tell():
                raise ValueError("its size is not the one in its header")
            content = file.read(size)
        order = "F" if by_columns else "C"
        return np.frombuffer(content, dtype).reshape(shape, order=order)  # type: ignore[call-overload]


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
