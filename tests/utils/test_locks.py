"""Locks end with their holder, and what nobody holds is removed."""

import threading
from pathlib import Path

import pytest

from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_folder, atomic_write
from actionpose.utils.locks import lock, lock_new, one_at_a_time, remove_abandoned, unlock

pytest.importorskip("fcntl")


def test_lock_is_of_one_holder(tmp_path: Path) -> None:
    held = lock(tmp_path)
    with pytest.raises(BlockingIOError):
        lock(tmp_path)
    unlock(held)
    unlock(lock(tmp_path))


def test_one_at_a_time_refuses_the_second(tmp_path: Path) -> None:
    with one_at_a_time(tmp_path):
        with pytest.raises(UserError, match="another process is writing to .*: wait for it"):
            with one_at_a_time(tmp_path):
                pytest.fail("it is inside")
    with one_at_a_time(tmp_path):
        pass


def test_remove_abandoned_keeps_what_is_held(tmp_path: Path) -> None:
    for name in ("a", "b.npz"):
        (tmp_path / f".unfinished-{name}").write_text("half")
    (tmp_path / ".unfinished-folder").mkdir()
    (tmp_path / ".unfinished-folder" / "file").write_text("half")
    (tmp_path / "other.tmp").write_text("whole")
    held = [lock_new(tmp_path / ".unfinished-held", folder=False)]
    held += [lock_new(tmp_path / ".unfinished-held-too", folder=True)]
    remove_abandoned(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".unfinished-held", ".unfinished-held-too", "other.tmp"]
    for descriptor in held:
        unlock(descriptor)


def test_atomic_write_removes_what_was_killed(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-0123456789ab.npz").write_text("half")
    with atomic_write(tmp_path / "a.txt") as path:
        path.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_atomic_folder_of_many_writers_is_whole(tmp_path: Path) -> None:
    """Of ten at once one writes the folder; the others are told why not."""
    start, ends = threading.Barrier(10), []

    def write(number: int) -> None:
        start.wait()
        try:
            with atomic_folder(tmp_path / "out") as folder:
                for name in "abc":
                    (folder / name).write_text(str(number))
            ends.append("written")
        except UserError as error:
            ends.append(str(error))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(tmp_path / "out" / name).read_text() for name in "abc"}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    refused = [end for end in ends if end != "written"]
    assert len(refused) == 9
    assert all("another process is writing" in end or "exists already" in end for end in refused)


def test_atomic_folder_continues_after_a_kill(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "out") as folder:
        name = folder.name
        (folder / "file").write_text("new")
    (tmp_path / "out").rename(tmp_path / name)  # as a killed process leaves it
    (tmp_path / name / "rest").write_text("old")
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "file").write_text("newer")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_without_locks_writes_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actionpose.utils.locks.fcntl", None)
    with one_at_a_time(tmp_path), atomic_folder(tmp_path / "out") as folder:
        with atomic_write(folder / "file") as path:
            path.write_text("new")
        with atomic_folder(tmp_path / "other"):
            pass
    assert (tmp_path / "out" / "file").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]
