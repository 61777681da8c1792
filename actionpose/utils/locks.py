"""Locks on files and folders, which are released when the process ends for any reason."""

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

UNFINISHED = ".unfinished-"  # prefix of the names of unfinished files and folders
_PATIENCE_S = 0.5  # seconds; `remove_abandoned` of another process holds a lock for a short time


def lock(path: Path, flags: int = os.O_RDONLY) -> int:
    """Lock a file or folder and return the descriptor that holds the lock until it is closed.

    Args:
        flags: Flags of `os.open`.

    Raises:
        BlockingIOError: If another process holds the lock.
        OSError: If the path does not exist, or locks are not supported (Windows, some file
            systems).
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
    """Create a file or folder and lock it. Returns None if locks are not supported.

    Raises:
        BlockingIOError: If the path exists and another process holds its lock.
        OSError: If the path cannot be created.
    """
    until = time.monotonic() + _PATIENCE_S
    while True:
        with suppress(FileExistsError):  # also raised if another process removes it in the meantime
            path.mkdir(parents=True) if folder else path.touch()
        try:
            return lock(path)
        except (BlockingIOError, FileNotFoundError) as error:  # locked, or removed meanwhile
            if time.monotonic() > until:
                raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK)) from error
            time.sleep(0.02)
        except OSError:
            return None


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Exclude other processes that enter the block with the same folder.

    Raises:
        UserError: If another process is in the block.
    """
    try:
        descriptor = lock(folder / ".lock", os.O_RDWR | os.O_CREAT)
    except BlockingIOError as error:
        raise UserError(
            f"another process is writing to {folder}: wait for it, or choose another folder"
        ) from error
    except OSError:  # the file system has no locks: do not exclude other processes
        descriptor = None
    try:
        yield
    finally:
        unlock(descriptor)


@cache  # once per folder, which may contain many files
def remove_abandoned(folder: Path) -> None:
    """Remove the unfinished files and folders of killed processes from a folder."""
    with suppress(OSError):
        for path in folder.glob(f"{UNFINISHED}*"):
            with suppress(OSError):
                descriptor = lock(path)
                try:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                finally:
                    unlock(descriptor)
