"""The command line, called as a test does it: in this process, or in one of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import actionpose
from actionpose.cli import main as cli

PATIENCE_S = 240  # a busy machine imports torch slowly


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command line in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["actionpose", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def environment() -> dict[str, str]:
    """Of a process that finds this package, whether installed or not."""
    path = [str(Path(actionpose.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}


def start_python(*arguments: object, **settings: Any) -> subprocess.Popen[bytes]:
    """Run `python` with arguments in a process of its own, which takes SIGINT as at a terminal.

    Args:
        settings: of `Popen`; `env` is `environment()` if it is not given.
    """
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        # a shell that runs the tests in the background has its children ignore SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **{"env": environment(), **settings},
    )
