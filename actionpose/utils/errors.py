"""The error for what the user can repair, and the exit codes of programs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """A mistake in what the user gave: the message says what is wrong, where, and how to mend it.

    The command line prints it as one sentence and exits with code 2; in Python it is a ValueError.
    """


class UserNotice(UserWarning):
    """Something about the input that the user should know, in one sentence; work goes on."""


@contextmanager
def exit_codes(program: str) -> Iterator[None]:
    """End the program as a shell expects: 2 and one sentence for a `UserError`, 130 for Ctrl-C.

    Raises:
        SystemExit: the block raised one of these, or whoever reads its output went away (141).
    """
    try:
        yield
        sys.stdout.flush()
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # who reads the output has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or closing it fails again
        sys.exit(141)
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        sys.exit(130)
