"""Every command that README, docs and recipes tell is one that the command line understands."""

import functools
import re
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tyro

from actionpose.cli import main as cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.parent.name != "experiments"]  # commands of the past
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def lines_of(page: Path) -> list[str]:
    """Lines of the bash blocks of a page, of the comments of a recipe; continued ones joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    comments = re.findall(r"^#   (.+)$", text, re.MULTILINE) if page.suffix == ".yaml" else []
    return [line.strip() for block in blocks for line in block.splitlines()] + comments


def commands_of(page: Path) -> list[str]:
    """Commands on lines of their own, and in code where they have an option or more."""
    lines = [line[11:] for line in lines_of(page) if line.startswith("actionpose ")]
    text = page.read_text(encoding="utf-8")
    return lines + re.findall(r"`actionpose ([^`]* --?[a-z][^`]*)`", text)


CASES = [
    pytest.param(command, id=f"{page.name}: {command[:50]}")
    for page in (*PAGES, *RECIPES)
    for command in commands_of(page)
]


BENCHMARKS = [
    pytest.param(name, options, id=f"{page.name}: {name} {options[:40]}")
    for page in PAGES
    for line in lines_of(page)
    for name, options in re.findall(r"^(?:\w+=\w+ )*python (benchmarks/\w+\.py) (.+)$", line)
]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Callable[..., Any]]:
    """Functions that would have been called, by what was typed at the project's root."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "benchmarks")])
    called = []
    parse = tyro.cli

    def only_parse(function: Callable[..., Any], **settings: Any) -> Any:
        @functools.wraps(function)
        def pretend(*arguments: Any, **options: Any) -> Any:
            called.append(function)
            raise SystemExit("understood")  # before the work

        return parse(pretend, **settings)

    monkeypatch.setattr(tyro, "cli", only_parse)
    return called


def test_there_are_commands() -> None:
    assert len(CASES) > 60 and len(BENCHMARKS) > 3
    assert {case.id.split(":")[0] for case in CASES} >= {"README.md", "actions.md", "h36m.yaml"}


@pytest.mark.parametrize("command", CASES)
def test_the_command_is_understood(command: str, called: list[Callable[..., Any]]) -> None:
    with pytest.raises(SystemExit, match="^understood$"):
        cli.run(shlex.split(command.replace("\n", " "), comments=True))
    assert called


@pytest.mark.parametrize(("name", "options"), BENCHMARKS)
def test_the_benchmark_is_understood(
    name: str, options: str, called: list[Callable[..., Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [name, *shlex.split(options)])
    with pytest.raises(SystemExit, match="^understood$"):
        runpy.run_path(name, run_name="__main__")
    assert called
