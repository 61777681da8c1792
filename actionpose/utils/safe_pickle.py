"""Pickles of unknown origin, read without running what is in them.

A pickle is a program: it may import and call anything. Here it gets only the names on a list, and
none of these runs code of its own: arrays are made from their bytes, and classes of packages that
are not needed are replaced by `Kept`, which holds their state and does nothing.
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
    """Stands in for an object of a foreign class: its state, and nothing that acts."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        # an instance whose class has slots pickles a pair (dict, slots)
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            self.state = {**getattr(self, "state", {}), **(part or {})}


class _ArrayType:
    """What `numpy.ndarray` means in a pickle: a name given to `_empty_array`, never called."""


def _empty_array(_type: Any, _shape: Any, _dtype: Any) -> Any:
    # NumPy fills it in __setstate__, which checks that the bytes fit; the shape given here is
    # always (0,) in real files, and would allocate any amount of memory in others
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
    # how Python 3 writes bytes into pickles that Python 2 can read
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
    **{  # the names of NumPy 1 and 2
        f"numpy.{core}.{name}": function
        for core in ("core", "_core")
        for name, function in {
            "multiarray._reconstruct": _empty_array,
            "multiarray.scalar": _scalar,
            "numeric._frombuffer": _from_buffer,
        }.items()
    },
}
"""Containers of Python's own; arrays and scalars, written by any version of NumPy."""


_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # since Python 2


class _Restricted(pickle.Unpickler):
    def __init__(self, file: Any, path: Path, allowed: Mapping[str, Any]) -> None:
        super().__init__(file, encoding="latin1")  # keeps arrays of Python 2 whole
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
    """Read a pickle that may use only the listed names.

    Args:
        allowed: what each name ("module.name") stands for; see `NUMPY`. Map a class to `Kept` to
            get its state alone.
        max_bytes: of the file. What is read is about as large: lengths that do not fit the file
            are refused before anything is made.

    Raises:
        UserError: no such file, one that is damaged or too large, or naming what was refused.
    """
    path = Path(path)
    with reading(path), path.open("rb") as file:
        if (size := path.stat().st_size) > max_bytes:
            raise UserError(f"{path} has {size:,} bytes; more than {max_bytes:,} are not read")
        return _unpickle(file, path, allowed)


def load_npz(path: Path | str) -> dict[str, Any]:
    """Read an npz whose arrays may hold Python objects, which `numpy.load` would unpickle freely.

    Objects are NumPy's and plain containers.

    Returns:
        The arrays by name; an array of one object without axes is that object.

    Raises:
        UserError: as for `load_pickle`.
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
    except Exception as error:  # a damaged pickle raises anything
        raise UserError(f"{path} cannot be read as a pickle: {error or 'damaged'}") from error


def _check_lengths(file: Any) -> None:
    """Refuse lengths and places beyond the file, which would allocate memory without bound.

    Walking the operations reads each argument, so one that is longer than the file raises.
    """
    operations = 0
    for code, argument, _ in pickletools.genops(file):
        operations += 1
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > operations:
            raise pickle.UnpicklingError("it remembers an object at a place that cannot be")
