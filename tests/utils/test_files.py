"""Writes are whole or leave no trace, and what goes wrong is told in a sentence."""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write, sha256


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
