"""Minimum versions allowed by pyproject.toml, one requirement per line, for `make test-minimums`.

    python tools/minimum_versions.py video text > minimums.txt

Without names of extras, those of the extra `all` are printed. PyTorch is omitted, because it is
tested in its pinned version.
"""

import re
import sys
import tomllib
from pathlib import Path


def minimums(extras: list[str]) -> dict[str, str]:
    """The minimum version by package name."""
    content = Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8")
    project = tomllib.loads(content)["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            if inner := re.fullmatch(r"actionpose\[(.+)\]", requirement):
                wanted += map("==".join, minimums(inner[1].split(",")).items())
            else:
                wanted.append(requirement)
    found = (re.match(r"([\w.-]+)[>=]=([\w.]+)", requirement) for requirement in wanted)
    return {m[1]: m[2] for m in found if m and m[1] != "torch"}


if __name__ == "__main__":
    for name, version in minimums(sys.argv[1:] or ["all"]).items():
        print(f"{name}=={version}")
