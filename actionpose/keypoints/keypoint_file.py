"""A file that may hold keypoints: its content, loaded once for all formats that look at it."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from actionpose.keypoints.detections import frame_number
from actionpose.utils.errors import UserError


class KeypointFile:
    """A file, or a folder with a JSON file per frame; with a single one, it is that file.

    Args:
        image_size: width and height in pixels, if the user gives them.

    Raises:
        UserError: a folder without JSON files.
    """

    def __init__(self, path: Path, image_size: tuple[int, int] | None = None):
        files = json_files(path) if path.is_dir() else [path]
        if not files:
            raise UserError("the folder has no .json files")
        self.path, self.image_size = files[0], image_size
        self._frames = files if len(files) > 1 else []
        self._problem = ""  # why `json` is None

    @cached_property
    def start(self) -> bytes:
        """The first bytes, without a byte order mark; none of a folder."""
        if self._frames:
            return b""
        with self.path.open("rb") as file:
            return file.read(64).removeprefix(b"\xef\xbb\xbf")

    @cached_property
    def lines(self) -> list[str]:
        """The lines of a text file."""
        try:
            return self.path.read_bytes().decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise UserError("the table is not UTF-8 text") from None

    @cached_property
    def json(self) -> Any:
        """The content of a JSON file; None of a folder, and where it is not JSON."""
        try:
            return None if self._frames else load_json(self.path)
        except UserError as error:
            self._problem = str(error)
            return None

    @cached_property
    def frames(self) -> list[tuple[int, Any]]:
        """Of a folder, the number and the JSON content of each frame; else empty."""
        return [
            (frame_number(file.stem), load_json(file, f"{file.name}: ")) for file in self._frames
        ]

    def refusal(self, reason: str) -> UserError:
        """The error for a file that cannot be read: why it is not JSON, or else `reason`."""
        return UserError(self._problem or reason)


def json_files(folder: Path) -> list[Path]:
    """The JSON files of a folder by name, without hidden ones, which macOS leaves."""
    return sorted(file for file in folder.glob("*.json") if not file.name.startswith("."))


def load_json(path: Path, where: str = "") -> Any:
    """The content of a JSON file.

    Raises:
        UserError: it is empty, not JSON, or cut off.
    """
    content = path.read_bytes()
    if not content.strip():
        raise UserError(f"{where}the file is empty")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UserError(f"{where}neither JSON nor a NumPy file") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}not JSON, or cut off ({error})") from None
