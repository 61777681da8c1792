"""Atomic writing of files and folders, used by all writers of the library."""

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

_OF_FOLDERS = (".json", ".jsonl", ".npy")  # the files in folders that are inputs


def cache_folder() -> Path:
    """The user's cache folder, for files that can be created again.

    Raises:
        UserError: If the user has no home folder.
    """
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "actionpose"
    try:
        return Path.home() / ".cache" / "actionpose"
    except RuntimeError as error:  # HOME is not set, and the user is not in the user database
        raise UserError("there is no home: set XDG_CACHE_HOME to a folder for caches") from error


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path next to `path`, and rename the file to `path` at the end of the block.

    If the block raises any exception, including KeyboardInterrupt, `path` is not changed and the
    temporary file is removed. The temporary file of a killed process is removed by the next process
    that writes to the same folder. A symbolic link is followed: its target is replaced.

    Yields:
        The path of a new, empty file in the same folder. It has the same suffix, so that NumPy and
        matplotlib do not append theirs.

    Raises:
        UserError: If the file cannot be written (missing folder, no permission, disk full, ...), or
            `path` exists and is not a file.
    """
    target = Path(os.path.realpath(path))
    try:
        is_file = stat.S_ISREG(os.stat(target).st_mode)
    except FileNotFoundError:
        is_file = True
    except OSError as error:  # such as a name that is too long
        raise UserError(_reason(path, target, error)) from error
    if not is_file:
        raise UserError(f"cannot write {path}: it exists and is not a file; choose another name")
    # a separate short name, because that of the target may already have the maximum length
    unfinished = target.with_name(f"{UNFINISHED}{secrets.token_hex(6)}{target.suffix}")
    descriptor = None
    try:
        try:
            # fail before the computation if the folder is not writable
            descriptor = lock_new(unfinished, folder=False)
            remove_abandoned(target.parent)
            yield unfinished
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        if error.filename not in (None, os.fspath(unfinished)):
            raise  # the error is about another file, such as an input of the block
        raise UserError(_reason(path, target, error)) from error
    finally:
        unlock(descriptor)


@contextmanager
def atomic_text(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Yield a text file (UTF-8, line feeds) that is renamed to `path` at the end of the block.

    Raises:
        UserError: See `atomic_write`.
    """
    with (
        atomic_write(path) as unfinished,
        # file names may be invalid UTF-8; their bytes are written as \\udcXX
        unfinished.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        yield file


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value as indented JSON.

    Raises:
        UserError: See `atomic_write`.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    with atomic_text(path) as file:
        file.write(text)


def plain_cell(value: Any) -> Any:
    """Format a value for a CSV cell: text that a spreadsheet would evaluate gets an apostrophe."""
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if is_formula else value


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert an `OSError` in the block to a `UserError` with the path of the file."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def make_folder(folder: Path) -> None:
    """Create a folder and its parents if they do not exist.

    Raises:
        UserError: If the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}") from error


@contextmanager
def atomic_folder(path: str | os.PathLike[str], *, replace: bool = False) -> Iterator[Path]:
    """Yield a new folder next to `path`, and rename it to `path` at the end of the block.

    If the block raises an exception, the folder is removed. The folder of a killed process is
    removed by the next process that writes to the same path.

    Args:
        replace: Whether to replace an existing folder.

    Raises:
        UserError: If `path` exists, another process is writing it, or the folder cannot be written
            (disk full, ...).
    """
    target = Path(path)
    # the name depends on the target only, so that its lock is the lock of the target
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
        if descriptor is None:  # without locks, use a unique name
            unfinished.rmdir()
            unfinished = target.with_name(f"{UNFINISHED}{digest}-{secrets.token_hex(6)}")
            unfinished.mkdir()
        try:
            _check_absent(target, replace)  # another process may have created it in the meantime
            remove_abandoned(target.parent)
            for left in unfinished.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield unfinished
            replaced = target.with_name(UNFINISHED + secrets.token_hex(6))
            with suppress(FileNotFoundError):
                target.rename(replaced)
            unfinished.rename(target)
            shutil.rmtree(replaced, ignore_errors=True)
        except BaseException:  # not after the renaming: another process may use the name by then
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    except OSError as error:
        about = Path(os.fsdecode(error.filename)) if error.filename else unfinished
        if unfinished not in (about, *about.parents) and about not in unfinished.parents:
            raise  # the error is about another path, such as an input of the block
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
    """Check that no output overwrites an input: the same path, a link, or a file in a folder.

    Raises:
        UserError: If an output is an input. The message contains its path.
    """
    read = [path for path in inputs if os.path.exists(path)]
    for output in filter(os.path.exists, outputs):
        parents = Path(os.path.realpath(output)).parents
        for path in read:
            is_part = output.suffix in _OF_FOLDERS and Path(os.path.realpath(path)) in parents
            if is_part or os.path.samefile(output, path):
                raise UserError(f"the output {output} is the input itself: choose another name")
