"""npz archives of unknown origin: nothing is unpickled, and nothing unpacks beyond a limit."""

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from actionpose.utils.errors import UserError


class NpzReader:
    """The arrays of an npz archive, each read when asked for. To be used in a `with`.

    Raises:
        UserError: the archive or an array is damaged, too large, or holds pickled objects.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path, self.max_bytes = path, max_bytes
        try:
            self.archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} cannot be read as an npz archive: {_reason(error)}") from error

    def __enter__(self) -> "NpzReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.close()

    @property
    def names(self) -> list[str]:
        files = self.archive.namelist()
        return [name.removesuffix(".npy") for name in files if name.endswith(".npy")]

    def read(self, name: str) -> NDArray[Any]:
        """One array; KeyError if there is none of that name."""
        if name not in self.names:
            raise KeyError(name)
        try:
            return self._read(name)
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, MemoryError) as err:
            raise UserError(f"{self.path}: {name} cannot be read: {_reason(err)}") from err
        except RuntimeError as err:  # an archive that is encrypted, or compressed in another way
            raise UserError(f"{self.path}: {name} cannot be read: {err}") from err

    def _read(self, name: str) -> NDArray[Any]:
        info = self.archive.getinfo(f"{name}.npy")
        with self.archive.open(info) as file:
            version = npy.read_magic(file)
            read_header = npy.read_array_header_1_0
            if version != (1, 0):
                read_header = npy.read_array_header_2_0
            shape, by_columns, dtype = read_header(file)
            if dtype.hasobject:
                raise ValueError("it is a pickle of Python objects, which is not loaded")
            size = math.prod(shape) * dtype.itemsize
            if size > self.max_bytes:
                raise ValueError(f"it would unpack to {size:,} bytes; {self.max_bytes:,} is most")
            if size != info.file_size - file.tell():
                raise ValueError("its size is not what its header says")
            content = file.read(size)
        order = "F" if by_columns else "C"
        return np.frombuffer(content, dtype).reshape(shape, order=order)  # type: ignore[call-overload]


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
