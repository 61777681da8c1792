"""Sentences are one line of limited length, and the program ends with a code on any stream."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command_line import environment

from actionpose.utils.errors import UserError


def test_a_message_is_one_bounded_line() -> None:
    assert str(UserError("a file\n\tof\x1b[2J two \udcff lines: Ä人")) == (
        r"a file  of\x1b[2J two \udcff lines: Ä人"
    )
    long = str(UserError(f"no label {'x' * 9000}: name another"))
    assert long.startswith("no label xxx") and long.endswith("xxx: name another")
    assert len(long) == len("no label ") + 199 + len(" name another")
    assert len(str(UserError("word " * 9000))) <= 2000


SCRIPT = """
import sys
from actionpose.utils.errors import UserError, exit_codes
with exit_codes("program"):
    exec(sys.argv[1])
"""
SAY, FAIL = r"print('\xe9\u4eba')", r"raise UserError('\xe9\u4eba')"


def run(code: str, redirections: str = "", **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = f'"$0" -c "$1" "$2" {redirections}'
    return subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, SCRIPT, code],
        capture_output=True,
        env=environment() | variables,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_full_streams_end_with_a_sentence() -> None:
    for code in (SAY, "print('x' * 100_000)"):
        end = run(code, ">/dev/full")
        assert end.returncode == 2
        assert end.stderr == b"program: the output: No space left on device\n"
    assert run(FAIL, "2>/dev/full").returncode == 2


@pytest.mark.skipif(os.name == "nt", reason="it needs a shell")
def test_closed_streams_discard_the_output() -> None:
    assert run(SAY, ">&-").returncode == 0
    assert run(SAY, ">&- 2>&- <&-").returncode == 0
    assert run(FAIL, "2>&-").returncode == 2
    end = run("import os; print(os.open('/dev/null', os.O_RDONLY) > 2, file=sys.stderr)", ">&- <&-")
    assert end.stderr == b"True\n"  # no file takes the place of a stream


@pytest.mark.skipif(os.name == "nt", reason="it needs a shell")
def test_streams_that_cannot_say_it_escape_it() -> None:
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    assert run(SAY, **plain).stdout == b"\\xe9\\u4eba\n"
    assert run(FAIL, **plain).stderr == b"program: \\xe9\\u4eba\n"
    name = "import os; print(os.fsdecode(b'\\xff'))"
    assert run(name, PYTHONIOENCODING="utf-8").stdout == b"\\udcff\n"


def test_an_error_of_a_file_is_a_sentence(tmp_path: Path) -> None:
    end = run(f"open({str(tmp_path / 'absent')!r})")
    assert end.returncode == 2
    assert end.stderr.decode() == f"program: {tmp_path / 'absent'}: No such file or directory\n"
    assert b"Traceback" in run("raise OSError('ours')").stderr
