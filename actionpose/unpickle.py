"""Pickled data sets without running what a pickle may hold: an unpickler with an allow-list.

A pickle is a program: it may call any function it names. Here it can name NumPy's arrays, dtypes
and scalars, plain containers, and what the caller adds; anything else is refused by its name.
Nothing is imported on a file's request.
"""

import codecs
import collections
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from actionpose.errors import UserError


def _encode(text: str, encoding: str) -> bytes:
    """How pickles of protocol 2 hold bytes."""
    if codecs.lookup(encoding).name != "iso8859-1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding}")
    return text.encode("latin-1")


_ARRAY = np.empty(0).__reduce__()[0]  # how NumPy rebuilds an array
_SCALAR = np.float64(0).__reduce__()[0]
_FROM_BUFFER = np.empty(0).__reduce_ex__(5)[0]
_PLAIN: dict[str, Any] = {
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    # NumPy 1 and NumPy 2 keep these in differently named modules
    **{f"numpy.{core}.multiarray._reconstruct": _ARRAY for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _SCALAR for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _FROM_BUFFER for core in ("core", "_core")},
    "collections.OrderedDict": collections.OrderedDict,
    **{
        f"{module}.{kind.__name__}": kind
        for module in ("builtins", "__builtin__")  # Python 3 and 2
        for kind in (set, frozenset, bytearray, complex, slice, range)
    },
    "_codecs.encode": _encode,
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], allowed: Mapping[str, Any]):
        super().__init__(file, encoding="latin-1")  # for arrays that Python 2 wrote
        self._allowed = {**_PLAIN, **allowed}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[f"{module}.{name}"]
        except KeyError:
            reason = f"it holds {module}.{name}, which could run code"
            raise pickle.UnpicklingError(reason) from None


# what damaged files make the unpickler and NumPy raise
_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError),
    *(TypeError, ValueError, MemoryError, OverflowError, zipfile.BadZipFile),
)


def load_pickle(path: Path | str, allowed: Mapping[str, Any]) -> Any:
    """Read a pickle of arrays and plain containers.

    Args:
        allowed: what the pickle may name beyond those: "module.name" to the object it gets.

    Raises:
        UserError: no such file, a damaged one, or one that names anything else.
    """
    try:
        with open(path, "rb") as file:
            return _Unpickler(file, allowed).load()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except _UNREADABLE as error:
        raise UserError(f"cannot read {path} as a pickle: {_reason(error)}") from error


def load_npz(path: Path | str, allowed: Mapping[str, Any]) -> dict[str, Any]:
    """Read an npz whose arrays may hold Python objects, which `numpy.load` would unpickle freely.

    Returns:
        The arrays by name; an array of one object without axes is that object.

    Raises:
        UserError: as for `load_pickle`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removesuffix(".npy"): _load_member(archive, name, allowed)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except _UNREADABLE as error:
        raise UserError(f"cannot read {path} as an npz: {_reason(error)}") from error


def _load_member(archive: zipfile.ZipFile, name: str, allowed: Mapping[str, Any]) -> Any:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read_header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        *_, dtype = read_header(file)
        if dtype.hasobject:
            value = _Unpickler(file, allowed).load()
            return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _reason(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or "it is empty or cut off"
