"""AMASS in many processes, and what a stop, a kill or a full disk leaves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.amass import AmassFixture, contents
from helpers.command_line import PATIENCE_S

from actionpose.prepare.amass import workers
from actionpose.prepare.amass.workers import Bodies, PartTask
from actionpose.utils.errors import UserError


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> AmassFixture:
    """Twelve recordings without a defect."""
    return AmassFixture(tmp_path_factory.mktemp("small"), 12, defects=())


def test_make_parts_same_bytes_for_any_number_of_processes(
    small: AmassFixture, tmp_path: Path
) -> None:
    small.prepare(tmp_path / "one")
    small.prepare(tmp_path / "again")
    small.prepare(tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "again") == contents(tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "one", "two"]


@pytest.fixture
def posed_ids(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The recordings that were posed, in this process."""
    done = []

    def counted(task: PartTask, bodies: Bodies, make: Any = workers.make_part) -> str | None:
        done.append(task.sequence.id)
        return make(task, bodies)

    monkeypatch.setattr(workers, "make_part", counted)
    return done


def stop_after(count: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == count:
            raise KeyboardInterrupt

    return progress


def test_make_parts_resumes(small: AmassFixture, tmp_path: Path, posed_ids: list[str]) -> None:
    small.prepare(tmp_path / "whole")
    posed_ids.clear()
    with pytest.raises(KeyboardInterrupt):
        small.prepare(tmp_path / "out", progress=stop_after(5))
    assert len(posed_ids) == 5 and not (tmp_path / "out").exists()
    seen = []
    small.prepare(tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert len(posed_ids) == 12 == len(set(posed_ids))
    assert seen[0] == (5, 12) and seen[-1] == (12, 12)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not (tmp_path / "out.parts").exists()


def test_make_parts_redoes_what_changed(tmp_path: Path, posed_ids: list[str]) -> None:
    own = AmassFixture(tmp_path / "tree", 8, defects=())
    with pytest.raises(KeyboardInterrupt):
        own.prepare(tmp_path / "out", progress=stop_after(8))
    posed_ids.clear()
    one = own.made[3]
    with np.load(one.file) as file:
        np.savez(one.file, **dict(file) | {"betas": np.zeros(16)})
    own.prepare(tmp_path / "out")
    assert posed_ids == [one.babel]
    posed_ids.clear()
    own.prepare(tmp_path / "other", text="raw_label")
    assert len(posed_ids) == 8


def live_processes() -> set[int]:
    return {int(folder.name) for folder in Path("/proc").glob("[0-9]*")}


def descendants(pid: int) -> set[int]:
    """Processes that a process started, and theirs."""
    parents = {}
    for one in live_processes():
        try:
            stat = Path(f"/proc/{one}/stat").read_text()
        except OSError:
            continue
        parents[one] = int(stat.rpartition(") ")[2].split()[1])
    found = {pid}
    for _ in range(3):
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {pid}


@pytest.mark.slow
def test_make_parts_resumes_after_sigkill(small: AmassFixture, tmp_path: Path) -> None:
    """SIGKILL: no handler runs. The workers end by themselves, and the next run is complete."""
    code = (
        "import sys, time; from pathlib import Path; from actionpose.prepare.amass.build import "
        "prepare; from actionpose.prepare.amass import build as m\n"
        "if __name__ == '__main__':\n"
        "    a, b, c, r, o = map(Path, sys.argv[1:])\n"
        "    prepare(a, b, o, body_model=c, regressor=r, workers=2,"
        " progress=lambda done, total: time.sleep(0.1 * done))\n"
    )
    places = [small.folder / "AMASS", small.folder / "BABEL", small.bodies / "smplh"]
    script = tmp_path / "run.py"
    script.write_text(code)
    process = subprocess.Popen(
        [sys.executable, script, *places, small.regressor, tmp_path / "out"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
    )
    parts = tmp_path / "out.parts"
    # fork server, tracker of resources and two workers, where /proc tells
    number = 4 if Path("/proc/self").exists() else 0
    while not list(parts.glob("[0-9a-f]*.npz")) or len(descendants(process.pid)) < number:
        time.sleep(0.02)
        assert process.poll() is None
    started = descendants(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    small.prepare(tmp_path / "out")
    small.prepare(tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    deadline = time.monotonic() + PATIENCE_S
    while started & live_processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not started & live_processes()


def test_make_parts_names_a_killed_worker(
    small: AmassFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise BrokenProcessPool

    monkeypatch.setattr(workers, "_in_pool", broken)
    with pytest.raises(UserError, match="fewer workers: what is finished is kept"):
        small.prepare(tmp_path / "out", workers=2)


def test_make_part_names_the_file_of_an_internal_error(
    small: AmassFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "pose_joints", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        small.prepare(tmp_path / "out")
    assert f"while {small.folder}" in caught.value.__notes__[0]


def test_make_part_on_a_full_disk(
    small: AmassFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", full)
        with pytest.raises(UserError, match=r"cannot write .*: No space left on device"):
            small.prepare(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    small.prepare(tmp_path / "out")
