"""The tables of the paper with the rows of this project, as text, CSV and LaTeX.

The rows of the paper are data (`assets/table1.json` and others), each with its source and protocol.
Results without a verified source are not included. The rows of this project are read from the JSON
of `actionpose evaluate`, with its protocol line.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from actionpose.evaluation.protocols import SYNTHETIC
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write

TABLES = ("table1", "table2", "table3")


@dataclass
class OurRow:
    """A model of this project with its evaluations by dataset ("h36m", "3dhp")."""

    name: str
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)

    def value(self, column: str) -> float | None:
        """A value by the name of its column, such as "h36m.mpjpe_mm"."""
        data, _, metric = column.partition(".")
        return self.reports[data].get(metric) if data in self.reports else None


def load_table(name: str) -> dict[str, Any]:
    """Load a table of the paper as data.

    Raises:
        UserError: If the table does not exist.
    """
    if name not in TABLES:
        raise UserError(f"there is no {name}; there are {', '.join(TABLES)}")
    file = resources.files("actionpose") / "assets" / f"{name}.json"
    table: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return table


def as_rows(table: dict[str, Any], ours: Sequence[OurRow]) -> list[dict[str, Any]]:
    """All rows with the same keys, this project last; missing numbers are None."""
    columns = list(table["columns"])

    def row(group: str, entry: dict[str, Any]) -> dict[str, Any]:
        return {
            "group": group,
            "method": entry["method"],
            "venue": entry.get("venue", ""),
            "protocol": entry["protocol"],
            "marks": "".join(entry.get("marks", "")),
            **{column: entry.get(column) for column in columns},
            "source": entry["source"],
        }

    entries = [
        {"method": model.name, "protocol": f"ours {number}", "source": "this run"}
        | {column: model.value(column) for column in columns}
        for number, model in enumerate(ours, start=1)
    ]
    groups = {"paper": table["rows"], "other": table["others"], "ours": entries}
    return [row(group, entry) for group, rows in groups.items() for entry in rows]


def _notes(table: dict[str, Any], ours: Sequence[OurRow]) -> list[str]:
    """The protocol legend, the marks, and the protocol of each row of this project."""
    reports = [report for model in ours for report in model.reports.values()]
    lines = [SYNTHETIC] if any(report.get("synthetic") for report in reports) else []
    lines += [f"{key}: {text}." for key, text in table["legend"].items()]
    if table["marks"]:
        lines.append("; ".join(f"{key}: {text}" for key, text in table["marks"].items()) + ".")
    for number, model in enumerate(ours, start=1):
        for report in model.reports.values():
            lines.append(f"ours {number}: {report['protocol']}; {report['frames']} frames.")
    lines += table["notes"]
    lines.append(
        f"Rows of the paper: {table['source']}. Rows of different protocols share no rank."
    )
    return lines


def as_text(table: dict[str, Any], ours: Sequence[OurRow]) -> str:
    """Format for a terminal."""
    columns: dict[str, str] = table["columns"]
    rows = as_rows(table, ours)
    width = max(len(row["method"]) for row in rows)
    used = max(8, *(len(row["protocol"]) for row in rows))
    titles = {"paper": "as the paper prints", "other": "not in the paper", "ours": "ours"}
    lines = [table["title"], ""]
    head = " ".join(f"{name:>8}" for name in columns.values())
    lines.append(f"{'':{width}}  {'protocol':{used}} marks {head}  source")
    group = ""
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            lines.append(f"-- {titles[group]}")
        values = " ".join(f"{_number(row[column]):>8}" for column in columns)
        lines.append(
            f"{row['method']:{width}}  {row['protocol']:{used}} {row['marks']:5} {values}  "
            f"{row['source']}"
        )
    if not ours:
        lines.append("-- ours: nothing was run")
    return "\n".join([*lines, "", *_notes(table, ours)]) + "\n"


def as_csv(table: dict[str, Any], ours: Sequence[OurRow]) -> str:
    """Format as CSV, with the protocol lines of this project as comments at the end."""
    rows = as_rows(table, ours)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue() + "".join(f"# {line}\n" for line in _notes(table, ours))


def as_latex(table: dict[str, Any], ours: Sequence[OurRow]) -> str:
    """Format as a LaTeX tabular that requires no packages."""
    columns: dict[str, str] = table["columns"]
    lines = [
        f"% {table['title']}",
        r"\begin{tabular}{ll" + "r" * len(columns) + "}",
        r"\hline",
        " & ".join(["Method", "Protocol", *map(_tex, columns.values())]) + r" \\",
    ]
    group = ""
    for row in as_rows(table, ours):
        if row["group"] != group:
            group = row["group"]
            lines.append(r"\hline")
        marks = f"$^{{{row['marks']}}}$" if row["marks"] else ""
        values = [_number(row[column]) for column in columns]
        lines.append(
            " & ".join([_tex(row["method"]) + marks, _tex(row["protocol"]), *values]) + r" \\"
        )
    lines += [r"\hline", r"\end{tabular}"]
    lines += [r"\par\footnotesize", *(_tex(line) + r"\\" for line in _notes(table, ours))]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    """One decimal, or two if the second is not 0."""
    return "--" if value is None else f"{value:.2f}".removesuffix("0")


def _tex(text: str) -> str:
    return re.sub(r"([&%_#$])", r"\\\1", text)


def write_table(name: str, ours: Sequence[OurRow], folder: Path) -> str:
    """Write `NAME.txt`, `.csv` and `.tex` to a folder, and return the text."""
    table = load_table(name)
    for suffix, render in (("csv", as_csv), ("tex", as_latex), ("txt", as_text)):
        text = render(table, ours)
        with atomic_write(folder / f"{name}.{suffix}") as path:
            path.write_text(text, encoding="utf-8")
    return text
