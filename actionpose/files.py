"""Files that appear whole or not at all: every writer of the library goes through here."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actionpose.errors import UserError


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside `path` to write to; what was written there becomes `path` at the end.

    If the block raises, whatever it raises (KeyboardInterrupt too), `path` stays as it was and
    nothing is left beside it. A link is followed: the file it points at is replaced.

    Yields:
        The path of a new, empty file in the same folder and with the same suffix, so that NumPy
        and matplotlib append none of their own.

    Raises:
        UserError: the file cannot be written (no such folder, no permission, disk full, ...), or
            `path` is something else than a file.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise UserError(f"cannot write {path}: it exists and is not a file; choose another name")
    # a short name of its own, because the target's may already be as long as names can be
    unfinished = target.with_name(f".unfinished-{secrets.token_hex(6)}{target.suffix}")
    try:
        unfinished.touch(exist_ok=False)  # a folder that cannot be written to fails before the work
        try:
            yield unfinished
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        if error.filename not in (None, os.fspath(unfinished)):
            raise  # not about this file: say, one that the block reads
        raise UserError(_reason(path, target, error)) from error


def _reason(path: str | os.PathLike[str], target: Path, error: OSError) -> str:
    if not target.parent.is_dir():
        return f"cannot write {path}: there is no folder {target.parent}; create it first"
    return f"cannot write {path}: {error.strerror or error}"
