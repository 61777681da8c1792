"""The commands and the Python of README's quick start and of the practitioners' pages run.

They run one after the other in an empty folder, as a reader would type them, on the bundled clip.
"""

import re
import shlex
import webbrowser
from pathlib import Path

import pytest
from helpers.command_line import call

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *(f"docs/{name}.md" for name in ("install", "inference", "outputs"))]
PAGES += ["docs/actions.md", "docs/joint_angles.md"]
NEEDS_FILES = ("dance.mp4", "clips/")  # of the reader; the tests of videos lift such


def blocks_of(page: str) -> list[tuple[str, str]]:
    """(language, text) of the code blocks of a page, continued lines joined."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(r"^```(bash|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_page_runs_as_typed(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address, *_: opened.append(address) or True)
    ran = 0
    for language, text in blocks_of(page):
        if language == "python":
            exec(compile(text, page, "exec"), {"__name__": "__main__"})
            ran += 1
            continue
        for line in text.splitlines():
            if line.startswith("actionpose ") and not any(need in line for need in NEEDS_FILES):
                assert call(monkeypatch, *shlex.split(line, comments=True)[1:]) == 0, line
                ran += 1
    assert ran > 1
    assert "Traceback" not in capsys.readouterr().err
    assert len(opened) == sum("actionpose view" in text for _, text in blocks_of(page))
