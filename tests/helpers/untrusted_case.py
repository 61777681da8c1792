"""Files of a reader, changed and read again and again."""

import os
import random
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from helpers.mutations import mutated

Write = Callable[[Path], object]  # valid files into a folder
Read = Callable[[Path], object]  # what users do with them


@dataclass(frozen=True)
class Reader:
    """Writes valid files, and reads them; of the files, only those that match are changed."""

    write: Write
    read: Read
    changed: str = "*"


class Case:
    """The files of a reader in a folder, which are changed and read again and again."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder = reader, folder
        folder.mkdir()
        reader.write(folder)
        self.content = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.time = {path: path.stat().st_mtime_ns for path in self.content}

    def attempt(self, rng: random.Random) -> None:
        """Change one file, and read them all. Raises what the reader raises."""
        path = rng.choice(sorted(self.folder.glob(self.reader.changed)) or sorted(self.content))
        if path.is_dir():
            path = rng.choice(sorted(file for file in self.content if path in file.parents))
        changed = mutated(self.content[path], path.suffix, rng)
        path.unlink()  # an old content may still be mapped into memory
        path.write_bytes(changed)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.reader.read(self.folder)
        finally:
            self._restore(path)

    def _restore(self, changed: Path) -> None:
        changed.unlink()
        changed.write_bytes(self.content[changed])
        os.utime(changed, ns=(self.time[changed],) * 2)
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in self.content:
                path.unlink()
        for path in self.folder.glob("out*"):
            shutil.rmtree(path)
