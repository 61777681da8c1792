"""The exception for invalid user input, and the exit codes of programs."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

_LONGEST_WORD, _LONGEST_MESSAGE = 200, 2000  # characters; files may contain names of any length
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # unprintable characters

_OF_OUTPUT = (errno.ENOSPC, errno.EIO, errno.EBADF)  # stdout is on a full disk or closed


class UserError(ValueError):
    """Raised for invalid user input: the message says what is wrong, where, and how to correct it.

    The command line prints the message as one sentence and exits with code 2. In Python it is a
    ValueError. The message is a single line of limited length, whatever text it quotes.
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
    """The text without its middle part if it is longer than `length`."""
    half = (length - 3) // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"


class UserNotice(UserWarning):
    """A warning about the input, in one sentence. The computation continues."""


@contextmanager
def exit_codes(program: str) -> Iterator[None]:
    """Exit with code 2 and one sentence for a `UserError`, and with code 130 for Ctrl-C.

    Raises:
        SystemExit: If the block raises one of these, or the reader of stdout has closed it (code
            141).
    """
    _open_streams()
    try:
        yield
        sys.stdout.flush()
    except UserError as error:
        _end(2, f"{program}: {error}")
    except BrokenPipeError:  # the reader has closed the pipe, as `| head` does
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
    except OSError:  # Python would flush again at exit
        with suppress(OSError):  # stdout of a test has no file descriptor
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _open_streams() -> None:
    """Make the standard streams safe for any output: closed ones discard it, others escape it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # otherwise the next opened file gets this descriptor, and the output
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))
        elif hasattr(stream, "reconfigure"):  # not if a test or a notebook replaced the stream
            stream.reconfigure(errors="backslashreplace")  # file names may be invalid UTF-8
