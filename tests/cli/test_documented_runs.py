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
PAGES += ["docs/actions.md", "docs/joint_angles.md", "docs/live.md"]
NEEDS_MORE = ("dance.mp4", "clips/", "actionpose live")  # the reader's files, or a camera


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
        for typed in [text] if language == "python" else text.splitlines():
            if any(need in typed for need in NEEDS_MORE):
                continue
            if language == "python":
                exec(compile(typed, page, "exec"), {"__name__": "__main__"})
            elif typed.startswith("actionpose "):
                assert call(monkeypatch, *shlex.split(typed, comments=True)[1:]) == 0, typed
            ran += 1
    assert ran > 1
    assert "Traceback" not in capsys.readouterr().err
    assert len(opened) == sum("actionpose view" in text for _, text in blocks_of(page))


def test_corpus_example_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (text,) = (text for language, text in blocks_of("docs/datasets.md") if language == "python")
    exec(compile(text, "docs/datasets.md", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out.strip()
    assert f"It prints `{printed}`" in (ROOT / "docs/datasets.md").read_text(encoding="utf-8")
