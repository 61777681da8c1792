"""A worker ends with its parent, also where that is killed and can tell nobody."""

import signal
from pathlib import Path
from subprocess import PIPE

import pytest
from helpers.command_line import PATIENCE_S, start_python

WORK = """
import multiprocessing, sys, time
from pathlib import Path
from actionpose.utils.processes import end_with_parent

def work(started):
    end_with_parent()
    Path(started).touch()
    time.sleep(600)

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=work, args=(sys.argv[1],)).start()
    time.sleep(600)
"""


@pytest.mark.parametrize("kill", ["SIGKILL", "SIGTERM"])
def test_end_with_parent(tmp_path: Path, kill: str) -> None:
    script, started = tmp_path / "script.py", tmp_path / "started"
    script.write_text(WORK)
    with start_python(script, started, stdout=PIPE) as process:
        while not started.exists():
            assert process.poll() is None
        process.send_signal(getattr(signal, kill))
        process.communicate(timeout=PATIENCE_S)  # until the worker, too, closes the output
