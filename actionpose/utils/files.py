"""Files that appear whole or not at all; every writer of the library uses this module."""

import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from actionpose.utils.errors import UserError
from actionpose.utils.locks import UNFINISHED, lock_new, remove_abandoned, unlock

_OF_FOLDERS = (".json", ".jsonl", ".npy")  # what folders that are inputs are made of


def cache_folder() -> Path:
    """The user's cache, for what can be made again.

    Raises:
        UserError: the user has no home.
    """
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "actionpose"
    try:
        return Path.home() / ".cache" / "actionpose"
    except RuntimeError as error:  # no HOME, and a user whom the system does not know
        raise UserError("there is no home: set XDG_CACHE_HOME to a folder for caches") from error


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside `path` to write to; what was written there becomes `path` at the end.

    If the block raises, whatever it raises (KeyboardInterrupt too), `path` stays as it was and
    nothing is left beside it; what a killed process leaves is removed by a later one that writes
    to the same folder. A link is followed: the file it points at is replaced.

    Yields:
        The path of a new, empty file in the same folder and with the same suffix, so that NumPy
        and matplotlib append none of their own.

    Raises:
        UserError: the file cannot be written (no such folder, no permission, disk full, ...), or
            `path` is something else than a file.
    """
    target = Path(os.path.realpath(path))
    try:
        is_file = stat.S_ISREG(os.stat(target).st_mode)
    except FileNotFoundError:
        is_file = True
    except OSError as error:  # say, a name that is too long
        raise UserError(_reason(path, target, error)) from error
    if not is_file:
        raise UserError(f"cannot write {path}: it exists and is not a file; choose another name")
    # a short name of its own, because the target's may already be as long as names can be
    unfinished = target.with_name(f"{UNFINISHED}{secrets.token_hex(6)}{target.suffix}")
    descriptor = None
    try:
        try:
            # a folder that cannot be written to fails before the work
            descriptor = lock_new(unfinished, folder=False)
            remove_abandoned(target.parent)
            yield unfinished
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        if error.filename not in (None, os.fspath(unfinished)):
            raise  # not about this file: say, one that the block reads
        raise UserError(_reason(path, target, error)) from error
    finally:
        unlock(descriptor)


@contextmanager
def atomic_text(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """A text file (UTF-8, lines end with a line feed) that becomes `path` at the end.

    Raises:
        UserError: as for `atomic_write`.
    """
    with (
        atomic_write(path) as unfinished,
        # names of files may hold bytes that are no text: they are written as \\udcXX
        unfinished.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        yield file


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value that JSON can hold, indented.

    Raises:
        UserError: as for `atomic_write`.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    with atomic_text(path) as file:
        file.write(text)


def plain_cell(value: Any) -> Any:
    """A value for a cell of a CSV: a text that a spreadsheet would compute gets an apostrophe."""
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if is_formula else value


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise a `UserError` that names the file where the block raises an `OSError`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def make_folder(folder: Path) -> None:
    """Make a folder with its parents, if it is not there.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}") from error


@contextmanager
def atomic_folder(path: str | os.PathLike[str], *, replace: bool = False) -> Iterator[Path]:
    """Give a new folder beside `path` to fill; it becomes `path` at the end.

    If the block raises, nothing is left; what a killed process leaves is removed by a later one
    that writes to the same place.

    Args:
        replace: whether a folder that is there makes way.

    Raises:
        UserError: `path` exists, another process is writing it, or the folder cannot be written
            (disk full, ...).
    """
    target = Path(path)
    # the name is always the same, so that its lock is that of the target
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]
    unfinished = target.with_name(UNFINISHED + digest)
    descriptor = None
    try:
        try:
            _check_absent(target, replace)
            descriptor = lock_new(unfinished, folder=True)
        except BlockingIOError as error:
            raise UserError(
                f"another process is writing {path}: wait for it, or choose another name"
            ) from error
        if descriptor is None:  # without locks, a name that nobody else has
            unfinished.rmdir()
            unfinished = target.with_name(f"{UNFINISHED}{digest}-{secrets.token_hex(6)}")
            unfinished.mkdir()
        try:
            _check_absent(target, replace)  # another process may have written it meanwhile
            remove_abandoned(target.parent)
            for left in unfinished.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield unfinished
            replaced = target.with_name(UNFINISHED + secrets.token_hex(6))
            with suppress(FileNotFoundError):
                target.rename(replaced)
            unfinished.rename(target)
            shutil.rmtree(replaced, ignore_errors=True)
        except BaseException:  # not after the renaming: the name may be another process's by then
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    except OSError as error:
        about = Path(os.fsdecode(error.filename)) if error.filename else unfinished
        if unfinished not in (about, *about.parents) and about not in unfinished.parents:
            raise  # not about this folder: say, a file that the block reads
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        unlock(descriptor)


def _check_absent(target: Path, replace: bool) -> None:
    if os.path.lexists(target) and not replace:
        raise UserError(f"{target} exists already: remove it, or choose another name")


def _reason(path: str | os.PathLike[str], target: Path, error: OSError) -> str:
    if not target.parent.is_dir():
        return f"cannot write {path}: there is no folder {target.parent}; create it first"
    return f"cannot write {path}: {error.strerror or error}"


def check_not_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to write over what is read: the same path, a link to it, or a part of a folder.

    Raises:
        UserError: names the output.
    """
    read = [path for path in inputs if os.path.exists(path)]
    for output in filter(os.path.exists, outputs):
        parents = Path(os.path.realpath(output)).parents
        for path in read:
            is_part = output.suffix in _OF_FOLDERS and Path(os.path.realpath(path)) in parents
            if is_part or os.path.samefile(output, path):
                raise UserError(f"the output {output} is the input itself: choose another name")
