"""Registry of the file formats of `Result.save`: one function per suffix. Quick to import."""

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path

from actionpose.utils.errors import UserError

Writer = Callable[..., list[Path] | None]
WRITERS: dict[str, Writer] = {}  # by suffix
# the packages that a suffix needs, and the extras that install them
_PACKAGES = {
    ".png": ("matplotlib", "viz"),
    ".c3d": ("ezc3d", "export"),
    ".glb": ("pygltflib", "export"),
    ".mp4": ("av", "video"),
}


def register_writer(suffix: str, writer: Writer) -> None:
    """Register a writer of `Result.save` for a suffix.

    Args:
        suffix: Suffix in lower case, with the dot.
        writer: Function that writes a result to a path, and returns the files if they are not that
            path. Its keyword arguments are options of `Result.save`.
    """
    WRITERS[suffix] = writer


def check_packages(suffixes: Iterable[str]) -> None:
    """Check before the computation that the packages for the output formats are installed.

    Raises:
        UserError: If a package is missing. The message contains the package and the extra.
    """
    for suffix in suffixes:
        package, extra = _PACKAGES.get(suffix, ("", ""))
        if package and importlib.util.find_spec(package) is None:
            raise UserError(f"{suffix} files need {package}: pip install 'actionpose[{extra}]'")
