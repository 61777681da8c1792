"""Files changed where their structure is: what a reader must read, or refuse in a sentence.

JSON, arrays, pickles, weights and text are taken apart, changed in a few places and put together
again; sometimes bytes are changed as well. All choices come from `random`.
"""

import contextlib
import copy
import io
import json
import pickle
import random
import re
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

HOSTILE: list[Any] = [
    *(None, True, 0, -1, 1, 7, 2**31, 2**63, -(2**70), 10**400, 10**12),
    *(float("nan"), float("inf"), -float("inf"), 1e300, -1e300, 1e-300, 0.5),
    *("", "nan", "abc", "x" * 5000, "\udcff", "\x00\n\x1b[2J", "../../a", "人", "1", "1e9"),
    *([], {}, [[]], {"a": None}, [None], [1, "a", [2.0]], {"": {}}),
]
HOSTILE_NUMBERS = [0.0, -1.0, 1e5, 1e38, 1e300, 2.0**62, np.nan, np.inf, -np.inf, 1e-40]


def mutated(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Another content for a file of this suffix."""
    result = content
    if rng.random() < 0.85:
        # some of what comes out cannot be written: numbers without a type, or texts without a code
        with contextlib.suppress(
            ValueError, TypeError, LookupError, ArithmeticError, RecursionError
        ):
            result = _BY_SUFFIX.get(suffix, _text)(content, rng)
    if rng.random() < 0.2 or result == content:
        result = _damaged(result, rng)
    return result


def _damaged(content: bytes, rng: random.Random) -> bytes:
    """Bytes cut off, changed, doubled or left out."""
    kind = rng.randrange(5)
    place = rng.randrange(len(content) + 1)
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + content[place + rng.randrange(1, 40) :]
    if kind == 2:
        return content[:place] + content[place : place + 40] + content[place:]
    if kind == 3:
        return rng.choice([b"", b"\x00" * 64, b"PK\x03\x04", b"\x93NUMPY", b"[", b"null", b"\xff"])
    changed = bytearray(content)
    for _ in range(rng.randrange(1, 9)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


# ---- values of JSON, YAML and pickles


def changed_value(value: Any, rng: random.Random, leaf: Callable[[Any], Any] | None = None) -> Any:
    """A copy of nested lists and dicts, changed in one to three places.

    Args:
        leaf: changes an array; else it is replaced.
    """
    root = [copy.deepcopy(value)]
    for _ in range(rng.randrange(1, 4)):
        holder, key = _place(root, rng)
        item, kind = holder[key], rng.randrange(9)
        if leaf is not None and isinstance(item, np.ndarray | torch.Tensor) and kind < 6:
            holder[key] = leaf(item)
        elif kind == 0 and holder is not root:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(item))
        elif kind == 2 and isinstance(holder, dict):
            holder[rng.choice(["", "a", "fps", f"{key} ", rng.choice(list(holder))])] = item
        elif kind == 3 and isinstance(item, list) and item:
            del item[rng.randrange(len(item)) :]
        elif kind == 4:
            for _ in range(rng.choice([1, 2, 30, 500, 5000])):
                item = [item]
            holder[key] = item
        elif kind == 5 and isinstance(item, int | float) and not isinstance(item, bool):
            holder[key] = rng.choice([str(item), -item, [item], float(item), item * 10**6])
        else:
            holder[key] = copy.deepcopy(rng.choice(HOSTILE))
    return root[0]


def _place(root: list[Any], rng: random.Random) -> tuple[Any, Any]:
    """A container and a key in it; those near the root are met more often."""
    holder, key = root, 0
    while isinstance(holder[key], list | dict) and holder[key] and rng.random() < 0.8:
        holder = holder[key]
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        key = rng.choice(keys)
    return holder, key


def _dumped(value: Any) -> str:
    """JSON of any depth: `json.dumps` recurses."""
    depth = 0
    while isinstance(value, list) and len(value) == 1:
        value, depth = value[0], depth + 1
    try:
        text = json.dumps(value)
    except (RecursionError, ValueError):
        text = "[" * 5000 + "]" * 5000
    return "[" * depth + text + "]" * depth


def _json(content: bytes, rng: random.Random) -> bytes:
    text = _dumped(changed_value(json.loads(content), rng))
    if rng.random() < 0.1:  # a key twice
        text = text.replace('"', '"fps": [], "', 1)
    return text.encode("utf-8", "surrogatepass")


def _json_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.decode().splitlines()
    place = rng.randrange(len(lines))
    lines[place] = _json(lines[place].encode(), rng).decode("utf-8", "replace")
    return "\n".join(lines).encode()


# ---- arrays


def changed_array(array: Any, rng: random.Random) -> Any:
    """Another shape, type or values; texts that are JSON are changed as such."""
    array = np.array(array)
    kind = rng.randrange(9)
    if array.ndim == 0 and array.dtype.kind == "U" and rng.random() < 0.8:
        try:
            return np.array(_dumped(changed_value(json.loads(str(array)), rng)))
        except ValueError:
            return np.array(str(rng.choice(HOSTILE)))
    if kind == 0:
        return array[..., None] if rng.random() < 0.5 else array[None]
    if kind == 1 and array.ndim:
        return array[(0,) * rng.randrange(1, array.ndim + 1)]
    if kind == 2 and array.ndim:
        return array.take(range(rng.randrange(array.shape[-1] + 1)), axis=-1)
    if kind == 3 and array.ndim:
        return array[: rng.randrange(len(array) + 1)]
    if kind == 4:
        with np.errstate(all="ignore"):
            try:
                return array.astype(rng.choice(["U3", "S3", "?", "i1", "f2", "c16", "u8", "f8"]))
            except (ValueError, TypeError, OverflowError, UnicodeError):
                return np.zeros(array.shape, "c16")
    if kind == 5:
        return np.zeros(rng.choice([(), (0,), (3, 0), (1,) * 6]), array.dtype)
    if array.dtype.kind in "fiu" and array.size:
        array = array.copy()
        with np.errstate(all="ignore"):
            value = np.array(rng.choice(HOSTILE_NUMBERS)).astype(array.dtype)
        if kind == 6:
            array[...] = value
        else:
            array.flat[rng.randrange(array.size)] = value
        return array
    return array.T


def _npy(content: bytes, rng: random.Random) -> bytes:
    array = np.load(io.BytesIO(content), allow_pickle=True)
    return _npy_bytes(changed_array(array, rng), rng)


def _npy_bytes(array: Any, rng: random.Random) -> bytes:
    """An npy; now and then its header claims another shape."""
    buffer = io.BytesIO()
    if rng.random() < 0.15 and not array.dtype.hasobject:
        size = rng.choice([2**20, 2**33, 2**40, 2**62, 2**70, -1])
        shape = rng.choice([(size,), (size, *array.shape[1:]), (1, size, 3)])
        header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(buffer, header)
        return buffer.getvalue() + array.tobytes()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _npz(content: bytes, rng: random.Random) -> bytes:
    with np.load(io.BytesIO(content), allow_pickle=True) as file:
        arrays = {name: file[name] for name in file.files}
    for _ in range(rng.randrange(1, 4)):
        name = rng.choice(list(arrays) or [""])
        kind = rng.randrange(8)
        if kind == 0:
            arrays.pop(name, None)
        elif kind == 1 and name:
            arrays[rng.choice(["", "a", "pose", "keypoints", "header"])] = arrays[name]
        elif name:
            arrays[name] = _changed_item(arrays[name], rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", _npy_bytes(np.asanyarray(array), rng))
    return buffer.getvalue()


def _changed_item(array: Any, rng: random.Random) -> Any:
    """An array, or the object in an array of one."""
    if array.dtype.hasobject and array.ndim == 0:
        made = np.empty((), object)
        made[()] = changed_value(array.item(), rng, lambda inner: changed_array(inner, rng))
        return made
    return changed_array(array, rng)


def _pickle(content: bytes, rng: random.Random) -> bytes:
    value = pickle.loads(content)
    return pickle.dumps(changed_value(value, rng, lambda array: changed_array(array, rng)))


def changed_tensor(tensor: Any, rng: random.Random) -> Any:
    real = tensor.real if tensor.is_complex() else tensor  # changed a second time
    changed = changed_array(real.float().numpy(), rng)
    try:
        return torch.from_numpy(np.ascontiguousarray(changed))
    except TypeError:
        return torch.zeros(changed.shape)


def _safetensors(content: bytes, rng: random.Random) -> bytes:
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__")
    tensors = load_safetensors(content)
    for _ in range(rng.randrange(1, 3)):
        name = rng.choice(list(tensors) or [""])
        kind = rng.randrange(6)
        if kind == 0:
            tensors.pop(name, None)
        elif kind == 1 and name:
            tensors[f"{name}a"] = tensors[name].clone()
        elif name:
            tensors[name] = changed_tensor(tensors[name], rng)
    if metadata:
        metadata = {key: _changed_text(text, rng) for key, text in metadata.items()}
    return save_safetensors(tensors, metadata)


def _changed_text(text: str, rng: random.Random) -> str:
    if rng.random() < 0.7:
        return text
    return _dumped(changed_value(json.loads(text), rng)).encode("utf-8", "replace").decode()


def _torch(content: bytes, rng: random.Random) -> bytes:
    value = torch.load(io.BytesIO(content), weights_only=True)
    buffer = io.BytesIO()
    torch.save(changed_value(value, rng, lambda tensor: changed_tensor(tensor, rng)), buffer)
    return buffer.getvalue()


# ---- text


def _text(content: bytes, rng: random.Random) -> bytes:
    """Lines and words left out, doubled, exchanged or replaced."""
    lines = content.decode("utf-8", "replace").splitlines()
    for _ in range(rng.randrange(1, 4)):
        place, kind = rng.randrange(len(lines) + 1), rng.randrange(7)
        if place == len(lines) or kind == 0:
            lines[place:] = []
        elif kind == 1:
            del lines[place]
        elif kind == 2:
            lines.insert(place, lines[rng.randrange(len(lines))])
        else:
            words = re.split(r"([\s,;:]+)", lines[place])
            chosen = rng.randrange(len(words))
            words[chosen] = rng.choice(
                [str(rng.choice(HOSTILE)), "", rng.choice(words), words[chosen] * 2, "{", '"', "-"]
            )
            lines[place] = "".join(words)
        if not lines:
            break
    return "\n".join(lines).encode("utf-8", "surrogateescape")


_BY_SUFFIX: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".npy": _npy,
    ".npz": _npz,
    ".pkl": _pickle,
    ".safetensors": _safetensors,
    ".bin": _torch,
    ".pt": _torch,
}
