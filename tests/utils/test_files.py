"""Writes are whole or leave no trace, and what goes wrong is told in a sentence."""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_text, atomic_write, cache_folder, plain_cell, sha256


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_atomic_write_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.npz"
    path.write_text("old")
    with atomic_write(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
        assert unfinished.parent == tmp_path and unfinished.suffix == ".npz"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.tar.npz"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_atomic_write_interrupted_changes_nothing(tmp_path: Path, error: type[Any]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as unfinished:
        unfinished.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_atomic_write_on_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(UserError, match=r"a\.txt: No space left on device"), atomic_write(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names(tmp_path) == []


def test_atomic_write_passes_on_errors_of_other_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="input"), atomic_write(tmp_path / "a.txt"):
        (tmp_path / "input").read_text()
    assert names(tmp_path) == []


def test_atomic_write_checks_the_folder_first(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        with atomic_write(path):
            pytest.fail("the block ran")

    with pytest.raises(UserError, match="there is no folder .*absent; create it"):
        write(tmp_path / "absent" / "a.txt")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="no folder"):
        write(tmp_path / "file" / "a.txt")
    with pytest.raises(UserError, match="is not a file"):
        write(tmp_path)


def test_atomic_write_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the superuser may write everywhere, so the refusal is made up
    def refuse(path: Any, mode: int = 0o666, exist_ok: bool = True) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(UserError, match=r"a\.txt: Permission denied"):
        with atomic_write(tmp_path / "a.txt"):
            pass


def test_atomic_write_follows_links(tmp_path: Path) -> None:
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    with atomic_write(link) as unfinished:
        unfinished.write_text("new")
    assert link.is_symlink() and target.read_text() == "new"


def test_atomic_write_permissions_and_longest_name(tmp_path: Path) -> None:
    with atomic_write(tmp_path / ("n" * 251 + ".txt")) as unfinished:
        unfinished.write_text("new")
    (tmp_path / "plain").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_sha256_is_of_the_content(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_plain_cell_keeps_spreadsheets_from_computing() -> None:
    cells = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "walk", "a=b", "", -1.5, None]
    assert [plain_cell(cell) for cell in cells] == [
        *("'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1"),
        *("walk", "a=b", "", -1.5, None),
    ]


def test_cache_folder_of_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == Path("/home/somebody/.cache/actionpose")

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(UserError, match="set XDG_CACHE_HOME"):
        cache_folder()


def test_atomic_text_writes_names_that_are_no_text(tmp_path: Path) -> None:
    with atomic_text(tmp_path / "a.txt") as file:
        file.write("é \udcff")
    assert (tmp_path / "a.txt").read_bytes() == "é \\udcff".encode()


def test_names_that_are_too_long_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="File name too long"):
        with atomic_write(tmp_path / ("n" * 300 + ".txt")):
            pytest.fail("the block ran")
