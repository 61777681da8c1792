"""Frozen dataclasses as configuration: strict parsing of YAML with pydantic, and settings tables.

Configuration dataclasses inherit from `Settings`. Fields are validated by their types, which may
include bounds (`annotated_types`). The string below a field is its documentation.
"""

import ast
import dataclasses
import difflib
import inspect
import json
import re
import textwrap
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import (
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import yaml

from actionpose.utils.errors import UserError
from actionpose.utils.json_files import Checked, check_values

Config = TypeVar("Config", bound="Settings")


class Settings(Checked):
    """Base of configuration dataclasses: unknown keys are errors."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        **Checked.__pydantic_config__,
        "extra": "forbid",
    }


class _Loader(yaml.SafeLoader):
    """Reads 1e-4 as a number, as in YAML 1.2. PyYAML follows YAML 1.1, where it is a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load_recipe(cls: type[Config], path: Path | str) -> Config:
    """Read a configuration from a YAML recipe.

    Raises:
        UserError: If the file is missing or not YAML, a key is unknown, or a value has a wrong
            type.
    """
    return from_dict(cls, read_yaml(path), str(path))


def read_yaml(path: Path | str) -> Any:
    """Read the plain values of a YAML file. An empty file has no settings.

    Raises:
        UserError: If the file is missing or not YAML.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read the recipe {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not YAML: {error}") from error
    values = parse_yaml(text, str(path))
    return {} if values is None else values


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML text to plain values.

    Raises:
        UserError: If the text is not YAML, or `check_values` fails.
    """
    try:
        values = yaml.load(text, _Loader)
        check_values(values)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    return values


def from_dict(cls: type[Config], values: Any, where: str) -> Config:
    """Create a configuration from plain values. Missing keys have their defaults.

    Args:
        where: Origin of the values for error messages.

    Raises:
        UserError: If a key is unknown (the message suggests the most similar key), or a value has a
            wrong type.
    """
    from pydantic import ValidationError

    try:
        # JSON, because its strict mode accepts a list for a tuple and a string for a path
        return _adapter(cast(Any, cls)).validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise UserError(f"{where}: {_sentence(cls, error.errors()[0])}") from error


def to_dict(config: Settings) -> dict[str, Any]:
    """Convert a configuration to plain values for YAML or JSON; the inverse of `from_dict`."""
    values: dict[str, Any] = _adapter(cast(Any, type(config))).dump_python(config, mode="json")
    return values


def checked(config: Config) -> Config:
    """Validate a configuration and return it.

    Raises:
        UserError: If a value has a wrong type or is out of bounds.
    """
    return from_dict(type(config), to_dict(config), "settings")


@cache
def _adapter(cls: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def _sentence(cls: type, error: Any) -> str:
    """The validation error in one sentence that names the key."""
    if "error" in error.get("ctx", {}):  # raised by a `__post_init__`
        return str(error["ctx"]["error"])
    path, hint = "", cast(Any, cls)
    for part in error["loc"]:  # ends with the tags of unions and the indices of tuples
        if not dataclasses.is_dataclass(hint) and get_origin(hint) is not dict:
            break
        path = f"{path}.{part}".lstrip(".")
        hint = get_type_hints(hint).get(part) if dataclasses.is_dataclass(hint) else Any
    if error["type"] == "unexpected_keyword_argument":
        known = [setting.name for setting in settings_of(cls)]
        groups = [name.rpartition(".")[0] for name in known if "." in name]
        by_key = {name.split(".")[-1]: name for name in groups + known}
        near = difflib.get_close_matches(path.split(".")[-1], by_key, n=1)
        hint = f"did you mean {by_key[near[0]]}?" if near else "docs/config.md has those known"
        return f"unknown key {path}; {hint}"
    what = error["msg"].replace("Input should", "it should")
    return f"{path or cls.__name__} is {error['input']!r}: {what}"


class Setting(NamedTuple):
    """A setting of a configuration that is not a group."""

    name: str  # with the names of its groups, such as data.camera.focal_px
    type: str
    default: Any
    meaning: str
    origin: str  # source of the default: paper, MotionBERT or ours


def settings_of(cls: type, prefix: str = "") -> Iterator[Setting]:
    """All settings of a configuration in order; settings outside of groups come first."""
    hints, documented = get_type_hints(cls), _documentation(cls)
    groups: list[tuple[Any, str]] = []
    for item in dataclasses.fields(cls):
        hint, name = hints[item.name], f"{prefix}{item.name}"
        if dataclasses.is_dataclass(hint):
            groups.append((hint, f"{name}."))
            continue
        factory = item.default_factory
        default = item.default if factory is dataclasses.MISSING else factory()
        text, _, origin = documented[item.name].removesuffix(")").rpartition(" (")
        yield Setting(name, _type_name(hint), default, text, origin)
    for hint, name in groups:
        yield from settings_of(hint, name)


def _documentation(cls: type) -> dict[str, str]:
    """The string below each field, including those of base classes."""
    found = {}
    for base in reversed(cls.__mro__):
        if dataclasses.is_dataclass(base):
            tree = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
            body = tree.body if isinstance(tree, ast.ClassDef) else []
            for node, after in zip(body, body[1:], strict=False):
                if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr):
                    assert isinstance(node.target, ast.Name)
                    found[node.target.id] = " ".join(ast.literal_eval(after.value).split())
    return found


def _type_name(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(map(str, inner))
    if origin is dict:
        return f"{_type_name(inner[0])}: {_type_name(inner[1])}"
    if origin is tuple:
        return ", ".join("..." if arg is Ellipsis else _type_name(arg) for arg in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(arg) for arg in inner)
    return {type(None): "null", Path: "path"}.get(hint, hint.__name__)


def as_text(value: Any) -> str:
    """Format a plain value as in a recipe, without brackets."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {as_text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, tuple):
        return ", ".join(map(as_text, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value).lower() if value in (True, False) else str(value)
