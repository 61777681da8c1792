"""A possible keypoint file, whose content is loaded once and shared by the format detectors."""

import csv
import re
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from actionpose.utils.errors import UserError
from actionpose.utils.json_files import parse_json

_MAX_FRAME_BYTES = 10_000_000  # larger JSON files do not contain a single frame
_LOOK = 1000  # maximum number of initial files of a folder without people
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # by the first bytes; otherwise UTF-8


class KeypointFile:
    """A file, or a folder with a JSON or text file per frame. A folder with one file is that file.

    Args:
        as_frames: Whether a single file in a folder is also a frame.

    Raises:
        UserError: If a folder has no such files.
    """

    def __init__(self, path: Path, *, as_frames: bool = False):
        files = frame_files(path) if path.is_dir() else [path]
        if not files:
            raise UserError("the folder has no .json files")
        self.path = files[0]
        several = len(files) > 1 or as_frames or self.path.suffix == ".txt"
        self._frames = files if several and path.is_dir() else []
        self._problem = ""  # the reason if `json` is None

    @property
    def is_folder(self) -> bool:
        return bool(self._frames)

    @property
    def frame_name(self) -> str | int:
        """The name of a file with a single frame if it contains a number, otherwise 0."""
        return self.path.stem if re.search(r"\d", self.path.stem) else 0

    @cached_property
    def start(self) -> bytes:
        """The first bytes without a byte order mark; empty for a folder."""
        if self.is_folder:
            return b""
        with self.path.open("rb") as file:
            return file.read(64).removeprefix(b"\xef\xbb\xbf")

    @cached_property
    def lines(self) -> list[str]:
        """The lines of a text file."""
        content = self.path.read_bytes()
        for encoding in (_ENCODINGS.get(content[:2], "utf-8-sig"), "cp1252"):
            try:
                text = content.decode(encoding)
            except UnicodeDecodeError:
                continue
            if "\0" not in text:
                return text.splitlines()
        raise UserError("the table is not UTF-8 text")

    @cached_property
    def table(self) -> list[list[str]]:
        """The non-empty rows of a table separated by commas, semicolons or tabs.

        With semicolons or tabs, a comma in a number is the decimal separator. Empty if the file is
        not a table.
        """
        if self.is_folder or self.start.lstrip()[:1] in b"{[":
            return []
        try:
            lines = [line for line in self.lines if line.strip() and not line.startswith("#")]
        except UserError:
            return []
        head = lines[0] if lines else ""
        separator = max(",;\t", key=head.count)
        try:
            rows = [
                [cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)
            ]
        except csv.Error as error:
            raise UserError(f"not a table: {error}") from None
        if separator != ",":
            rows = [[re.sub(r"^(-?\d*),(\d+)$", r"\1.\2", cell) for cell in row] for row in rows]
        return [row for row in rows if any(row)]

    @cached_property
    def json(self) -> Any:
        """The content of a JSON file; None for a folder or if the file is not JSON."""
        try:
            return None if self.is_folder else _unpacked(load_json(self.path))
        except UserError as error:
            self._problem = str(error)
            return None

    @cached_property
    def sample(self) -> Any:
        """The content of the first frame with people in a folder; None for other files."""
        for file in islice(self._frames, _LOOK):
            if file.suffix == ".txt" or file.stat().st_size > _MAX_FRAME_BYTES:
                return None
            try:
                data = load_json(file)
            except UserError:
                return None
            if data:
                return data
        return None

    @cached_property
    def frames(self) -> list[tuple[str, Any]]:
        """The name and JSON content of each frame in a folder; empty for other files."""
        return [(file.stem, load_json(file, f"{file.name}: ")) for file in self._frames]

    @property
    def texts(self) -> Iterator[tuple[str, str]]:
        """The name and content of each frame in a folder of text files; empty for other files."""
        for file in self._frames:
            if file.suffix == ".txt" and file.stat().st_size <= _MAX_FRAME_BYTES:
                yield file.stem, file.read_text(encoding="utf-8", errors="replace")

    def refusal(self, reason: str) -> UserError:
        """The error for a file that cannot be read: the reason why it is not JSON, or `reason`."""
        return UserError(self._problem or reason)


def frame_files(folder: Path) -> list[Path]:
    """The JSON files of a folder by name, or else its text files, without hidden files (macOS)."""
    for suffix in (".json", ".txt"):
        files = sorted(f for f in folder.glob(f"*{suffix}") if not f.name.startswith("."))
        if files:
            return files
    return []


def _unpacked(data: Any) -> Any:
    """JSON data. The strings in a list of JSON strings, such as those of `to_json`, are parsed."""
    if not isinstance(data, list) or not data or not all(isinstance(text, str) for text in data):
        return data
    try:
        return [parse_json(text, "a text") for text in data]
    except UserError:
        return data


def load_json(path: Path, where: str = "") -> Any:
    """Read a JSON file. A file with a JSON object on each line is read as a list.

    Raises:
        UserError: If the file is empty, not JSON, or truncated.
    """
    content = path.read_bytes()
    if not content.strip():
        raise UserError(f"{where}the file is empty")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{where}neither JSON nor a NumPy file") from None
    try:
        return parse_json(text, f"{where}the file")
    except UserError as error:
        problem = error
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        if len(lines) < 2 or not isinstance(parse_json(lines[0], ""), dict | list):
            raise problem
    except UserError:
        raise problem from None
    return [parse_json(line, f"{where}line {number}") for number, line in enumerate(lines, 1)]
