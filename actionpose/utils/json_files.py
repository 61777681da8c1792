"""Reading of untrusted JSON: size, depth and numbers are checked before the values are used."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from actionpose.utils.errors import UserError
from actionpose.utils.legacy import current_names

T = TypeVar("T")
MAX_BYTES = 1 << 30
_MAX_DEPTH = 50
_MAX_INTEGER = 2**63
_MAX_LAYER = 20_000_000  # lists and objects at the same depth


class Checked:
    """Base of dataclasses for `typed`: wrong types and non-finite numbers are errors."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True, "allow_inf_nan": False}


def read_json(path: Path, max_bytes: int = MAX_BYTES, where: str | None = None) -> Any:
    """Read a JSON file.

    Args:
        where: Name of the file in error messages. By default its path.

    Raises:
        UserError: If the file is larger than `max_bytes` or cannot be read, or `parse_json` fails.
    """
    where = str(path) if where is None else where
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= max_bytes else b""
    except OSError as error:
        raise UserError(f"cannot read {where}: {error.strerror or error}") from error
    if size > max_bytes:
        raise UserError(f"{where} is larger than {max_bytes:,} bytes")
    return parse_json(content, where)


def parse_json(content: str | bytes, where: str) -> Any:
    """Parse JSON text; bytes are decoded as UTF-8.

    Raises:
        UserError: If the text is not JSON, is nested too deeply, or has an integer beyond 64 bits
            or a string that is not valid Unicode.
    """
    try:
        value = json.loads(content.decode("utf-8-sig") if isinstance(content, bytes) else content)
        check_values(value)
    except UnicodeDecodeError:
        raise UserError(f"{where} is not UTF-8 text, as JSON is") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON, or cut off: {error}") from None
    return value


def check_values(value: Any) -> None:
    """Check that plain values are safe to process.

    Raises:
        ValueError: If a limit of `parse_json` is exceeded, or references repeat values too often.
    """
    layer = [[value]]
    for _ in range(_MAX_DEPTH):
        inner: list[Any] = []
        for item in layer:
            if isinstance(item, dict):
                "".join(map(str, item)).encode()
                item = list(item.values())
            kinds = set(map(type, item))  # most lists are long and contain numbers
            if int in kinds and any(type(x) is int and abs(x) >= _MAX_INTEGER for x in item):
                raise ValueError("an integer is beyond 64 bits")
            if str in kinds:
                "".join(x for x in item if type(x) is str).encode()  # raises for lone surrogates
            if kinds & {dict, list}:
                inner += [x for x in item if isinstance(x, dict | list)]
        if not inner:
            return
        if len(inner) > _MAX_LAYER:
            raise ValueError("it has too many lists and mappings")
        layer = inner
    raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")


def read_json_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """Read the lines of a JSON Lines file, each as the dataclass `kind` (see `typed`).

    Raises:
        UserError: If a line is invalid. The message contains its number.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path}, line {number}"
            yield typed(kind, current_names(parse_json(line, where)), where)


def typed(kind: type[T], value: Any, where: str) -> T:
    """Convert a plain value to a `Checked` dataclass, or to another type that pydantic validates.

    Raises:
        UserError: If a key is missing, or its value has a wrong type or is out of range.
    """
    from pydantic import ValidationError

    try:
        # from JSON, because strict mode accepts a list for a tuple only there
        found: T = _adapter(cast(Any, kind)).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{where}: {place or 'it'}: {first['msg'].lower()}") from None
    return found


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
