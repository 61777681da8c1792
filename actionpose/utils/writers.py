"""The formats of `Result.save`: a function for each suffix. Imports nothing, to be quick."""

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path

from actionpose.utils.errors import UserError

Writer = Callable[..., list[Path] | None]
WRITERS: dict[str, Writer] = {}  # by suffix
# the packages that suffixes need, and the extras that have them
_PACKAGES = {
    ".png": ("matplotlib", "viz"),
    ".c3d": ("ezc3d", "export"),
    ".glb": ("pygltflib", "export"),
    ".mp4": ("av", "video"),
}


def register_writer(suffix: str, writer: Writer) -> None:
    """Let `Result.save` write files of a suffix.

    Args:
        suffix: in small letters, with its dot.
        writer: writes one result to a path; returns the files if they are others than that path.
            What else it takes by name are options of `Result.save`.
    """
    WRITERS[suffix] = writer


def check_packages(suffixes: Iterable[str]) -> None:
    """Say before the work that a package is missing to write its outcome.

    Raises:
        UserError: names the package and the extra.
    """
    for suffix in suffixes:
        package, extra = _PACKAGES.get(suffix, ("", ""))
        if package and importlib.util.find_spec(package) is None:
            raise UserError(f"{suffix} files need {package}: pip install 'actionpose[{extra}]'")
