"""Reading of untrusted pickles without running code.

A pickle can import and call anything. Here only the names of an allowlist can be used, and none of
them runs code: arrays are created from their bytes, and classes of other packages are replaced by
`Kept`, which holds the state of the object and has no behavior.
"""

import io
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from actionpose.utils.errors import UserError
from actionpose.utils.files import reading
from actionpose.utils.numpy_files import NpzReader

MAX_BYTES = 4 << 30


class Kept:
    """Placeholder for an object of a class that is not imported: its state without behavior."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        # an instance whose class has slots pickles a pair (dict, slots)
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            self.state = {**getattr(self, "state", {}), **(part or {})}


class _ArrayType:
    """Represents `numpy.ndarray` in a pickle: an argument of `_empty_array`, never called."""


def _empty_array(_type: Any, _shape: Any, _dtype: Any) -> Any:
    # NumPy sets the content in __setstate__, which checks that the bytes match. The shape given
    # here is (0,) in valid files; others could allocate any amount of memory.
    return np.ndarray((0,), np.uint8)


def _dtype(spec: str, _align: bool = False, _copy: bool = False) -> Any:
    return np.dtype(spec)


def _scalar(dtype: Any, content: Any = b"") -> Any:
    content = content.encode("latin1") if isinstance(content, str) else content
    if dtype.hasobject or len(content) != dtype.itemsize:
        raise pickle.UnpicklingError("a NumPy scalar does not fit its type")
    return np.frombuffer(content, dtype)[0]


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> Any:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


def _encode(text: str, encoding: str = "latin1", *_: Any) -> bytes:
    # the encoding of bytes of Python 3 in pickles that Python 2 can read
    return text.encode("latin1" if encoding.startswith("latin") else "ascii")


def _reconstruct(cls: Any, _base: Any, _state: Any) -> Any:
    if cls is not Kept:
        raise pickle.UnpicklingError(f"an object of {cls!r} cannot be made like this")
    return Kept()


NUMPY: dict[str, Any] = {
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "builtins.object": object,
    "collections.OrderedDict": OrderedDict,
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _reconstruct,
    "numpy.ndarray": _ArrayType,
    "numpy.dtype": _dtype,
    **{  # the names in NumPy 1 and 2
        f"numpy.{core}.{name}": function
        for core in ("core", "_core")
        for name, function in {
            "multiarray._reconstruct": _empty_array,
            "multiarray.scalar": _scalar,
            "numeric._frombuffer": _from_buffer,
        }.items()
    },
}
"""Containers of the standard library; arrays and scalars of any version of NumPy."""


_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # names in Python 2


class _Restricted(pickle.Unpickler):
    def __init__(self, file: Any, path: Path, allowed: Mapping[str, Any]) -> None:
        super().__init__(file, encoding="latin1")  # preserves arrays of Python 2
        self.path, self.allowed = path, allowed

    def find_class(self, module: str, name: str) -> Any:
        wanted = f"{_RENAMED.get(module, module)}.{name}"
        if wanted not in self.allowed:
            raise UserError(
                f"{self.path} was not loaded: it asks for {wanted}, which such a file has no need "
                "of and which could run code; get the file from its original source"
            )
        return self.allowed[wanted]


def load_pickle(
    path: Path | str,
    allowed: Mapping[str, Callable[..., Any] | type] = NUMPY,
    *,
    max_bytes: int = MAX_BYTES,
) -> Any:
    """Read a pickle that may use only the names of an allowlist.

    Args:
        allowed: Mapping from each allowed name ("module.name") to its replacement; see `NUMPY`. Map
            a class to `Kept` to read only its state.
        max_bytes: Maximum size of the file. The memory used is similar, because lengths that exceed
            the file are errors before anything is allocated.

    Raises:
        UserError: If the file is missing, damaged or too large, or uses another name.
    """
    path = Path(path)
    with reading(path), path.open("rb") as file:
        if (size := path.stat().st_size) > max_bytes:
            raise UserError(f"{path} has {size:,} bytes; more than {max_bytes:,} are not read")
        return _unpickle(file, path, allowed)


def load_npz(path: Path | str) -> dict[str, Any]:
    """Read an npz archive whose arrays may contain Python objects, without running code.

    Only objects of NumPy and plain containers are allowed.

    Returns:
        The arrays by name. A 0-dimensional array of an object is returned as the object.

    Raises:
        UserError: See `load_pickle`.
    """
    path = Path(path)

    def unpickle(content: bytes) -> Any:
        value = _unpickle(io.BytesIO(content), path, NUMPY)
        return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value

    with NpzReader(path, MAX_BYTES, unpickle) as archive:
        return {name: archive.read(name) for name in archive.names}


def _unpickle(file: Any, path: Path, allowed: Mapping[str, Any]) -> Any:
    try:
        _check_lengths(file)
        file.seek(0)
        return _Restricted(file, path, allowed).load()
    except UserError:
        raise
    except Exception as error:  # damaged pickles raise exceptions of any type
        raise UserError(f"{path} cannot be read as a pickle: {error or 'damaged'}") from error


def _check_lengths(file: Any) -> None:
    """Check that lengths and memo indices do not exceed the file, to limit the allocated memory.

    Iterating over the operations reads each argument, so an argument longer than the file raises an
    exception.
    """
    operations = 0
    for code, argument, _ in pickletools.genops(file):
        operations += 1
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > operations:
            raise pickle.UnpicklingError("it remembers an object at a place that cannot be")
