"""Links, pictures, lengths and names of the documents."""

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest
from test_layers import LAYERS

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "actionpose" / "weights").rglob("README.md"),
    ]
)
MOST_LINES = {"README.md": 120, "docs/results.md": 150}
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def links_of(page: Path) -> list[str]:
    """Targets of links and pictures that are not on the web."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def anchors_of(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(text: str, heading: str) -> str:
    """From a heading to the next one of its level."""
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def module_of(name: str) -> str:
    """The module that a dotted name below the package is in.

    Raises:
        AttributeError: the module has no such name.
    """
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        try:
            found = importlib.import_module(f"actionpose.{module}")
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:  # fields of a class have no value
            found = found if part in getattr(found, "__annotations__", {}) else getattr(found, part)
        return module
    raise AttributeError(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_links_resolve(page: Path) -> None:
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


def test_pictures_are_referenced() -> None:
    shown = {(page.parent / link).resolve() for page in PAGES for link in links_of(page)}
    assert set((ROOT / "docs").rglob("*.png")) <= shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_lines_fit(page: Path) -> None:
    """At most 100 columns, but for tables and pictures."""
    lines = page.read_text(encoding="utf-8").splitlines()
    wide = [line for line in lines if len(line) > 100 and not line.lstrip().startswith(("|", "!["))]
    assert not wide
    assert len(lines) <= MOST_LINES.get(str(page.relative_to(ROOT)), len(lines))


def test_architecture_lists_the_layers() -> None:
    folders = re.findall(r"^\| `(\w+)` \|", section(ARCHITECTURE, "Folders"), re.MULTILINE)
    assert folders == LAYERS


@pytest.mark.parametrize(
    "walk", ["From a keypoint file to a result", "From a corpus to a training step"]
)
def test_architecture_walk_is_straight(walk: str) -> None:
    """Every function is there, and no module is visited more than three times."""
    names = re.findall(r"^\| `([\w.]+)` \|", section(ARCHITECTURE, walk), re.MULTILINE)
    assert len(names) > 10
    assert max(Counter(map(module_of, names)).values()) <= 3


def test_equations_name_code_that_exists() -> None:
    text = (ROOT / "docs/reproduce.md").read_text(encoding="utf-8")
    names = re.findall(r"`([a-z_]+\.[\w.]+)`", section(text, "Equations and parts"))
    assert len(names) > 30
    for name in names:
        module_of(name)
