"""The formats of `Result.save`: a function for each suffix. Imports nothing, to be quick."""

from collections.abc import Callable
from pathlib import Path

Writer = Callable[..., list[Path] | None]
WRITERS: dict[str, Writer] = {}  # by suffix


def register_writer(suffix: str, writer: Writer) -> None:
    """Let `Result.save` write files of a suffix.

    Args:
        suffix: in small letters, with its dot.
        writer: writes one result to a path; returns the files if they are others than that path.
            What else it takes by name are options of `Result.save`.
    """
    WRITERS[suffix] = writer
