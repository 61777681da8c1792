"""The error for what the user can repair, and the exit codes of programs."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

_LONGEST_WORD, _LONGEST_MESSAGE = 200, 2000  # characters; files may hold names of any length
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # no line, or not printable

_OF_OUTPUT = (errno.ENOSPC, errno.EIO, errno.EBADF)  # a full or lost stdout


class UserError(ValueError):
    """A mistake in what the user gave: the message says what is wrong, where, and how to mend it.

    The command line prints it as one sentence and exits with code 2; in Python it is a ValueError.
    It is one line of limited length, whatever is quoted in it.
    """

    def __init__(self, message: str) -> None:
        line = _CONTROL.sub(
            lambda sign: " " if sign[0] in "\n\t" else ascii(sign[0])[1:-1], message
        )
        words = re.sub(
            rf"\S{{{_LONGEST_WORD + 1},}}", lambda word: _cut(word[0], _LONGEST_WORD), line
        )
        super().__init__(_cut(words, _LONGEST_MESSAGE))


def _cut(text: str, length: int) -> str:
    """The text without its middle, if it is longer."""
    half = (length - 3) // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"


class UserNotice(UserWarning):
    """Something about the input that the user should know, in one sentence; work goes on."""


@contextmanager
def exit_codes(program: str) -> Iterator[None]:
    """End the program as a shell expects: 2 and one sentence for a `UserError`, 130 for Ctrl-C.

    Raises:
        SystemExit: the block raised one of these, or whoever reads its output went away (141).
    """
    _open_streams()
    try:
        yield
        sys.stdout.flush()
    except UserError as error:
        _end(2, f"{program}: {error}")
    except BrokenPipeError:  # who reads the output has seen enough, as `| head` does
        _end(141)
    except KeyboardInterrupt:
        _end(130, f"{program}: interrupted")
    except OSError as error:
        if error.filename is None and error.errno not in _OF_OUTPUT:
            raise
        what = "the output" if error.filename is None else os.fsdecode(error.filename)
        _end(2, f"{program}: {UserError(f'{what}: {error.strerror}')}")


def _end(code: int, message: str = "") -> NoReturn:
    with suppress(OSError):  # stderr may be full
        if message:
            print(message, file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # Python would try again when it ends
        with suppress(OSError):  # a test's has no number
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _open_streams() -> None:
    """Make the standard streams fit for any output: closed ones discard it, others escape it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened gets the number, and the output
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))
        elif hasattr(stream, "reconfigure"):  # not where a test or a notebook put its own
            stream.reconfigure(errors="backslashreplace")  # names may hold what is no text
