"""Locks on files and folders: they end with the process that holds them, however it ends."""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from actionpose.utils.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

UNFINISHED = ".unfinished-"  # what names of files and folders on their way begin with
_PATIENCE_S = 0.5  # `remove_abandoned` of another process holds a lock for a moment


def lock(path: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor that holds the lock of a file or folder until it is closed.

    Args:
        flags: of `os.open`.

    Raises:
        BlockingIOError: somebody holds it.
        OSError: there is nothing to lock, or no locks: on Windows, and on some file systems.
    """
    if fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    descriptor = os.open(path, flags)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), os.stat(path)):  # removed or moved meanwhile
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def lock_new(path: Path, *, folder: bool) -> int | None:
    """Make a file or a folder and lock it; without locks, None.

    Raises:
        BlockingIOError: it is there and somebody holds it.
        OSError: it cannot be made.
    """
    until = time.monotonic() + _PATIENCE_S
    while True:
        with suppress(FileExistsError):  # raised too where another process removes it meanwhile
            path.mkdir(parents=True) if folder else path.touch()
        try:
            return lock(path)
        except (BlockingIOError, FileNotFoundError) as error:  # held, or removed by who held it
            if time.monotonic() > until:
                raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK)) from error
            time.sleep(0.02)
        except OSError:
            return None


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """While inside, other processes that enter with the same folder are refused.

    Raises:
        UserError: another process is inside.
    """
    try:
        descriptor = lock(folder / ".lock", os.O_RDWR | os.O_CREAT)
    except BlockingIOError as error:
        raise UserError(
            f"another process is writing to {folder}: wait for it, or choose another folder"
        ) from error
    except OSError:  # the file system has no locks: nobody is refused
        descriptor = None
    try:
        yield
    finally:
        unlock(descriptor)


@cache  # once a folder: it may hold many files
def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left unfinished in a folder."""
    with suppress(OSError):
        for path in folder.glob(f"{UNFINISHED}*"):
            with suppress(OSError):
                descriptor = lock(path)
                try:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                finally:
                    unlock(descriptor)
