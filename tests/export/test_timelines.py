"""Timelines as files: tables, JSON, ELAN, pictures."""

import csv
import json
from pathlib import Path

import pytest

from actionpose.actions.timeline import (
    OTHER,
    Action,
)
from actionpose.export import timelines
from actionpose.utils.errors import UserError

ACTIONS = [
    Action(0.0, 1.25, "walk, then run", 0.81, 0, (("walk, then run", 0.81), ("sit", 0.1))),
    Action(1.25, 2.0, OTHER, 0.05, 0, (("sit", 0.05), ("walk, then run", 0.01))),
    Action(0.5, 2.0, "sit $1", 0.5, 1, (("sit $1", 0.5),), track_id=12),
]


def test_write_timelines(tmp_path: Path) -> None:
    for suffix, write in timelines.WRITERS.items():
        write(ACTIONS, tmp_path / f"t{suffix}")
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [a.label for a in ACTIONS]
    assert rows[0]["label_2"] == "sit" and rows[2]["label_2"] is None
    document = json.loads((tmp_path / "t.json").read_text())
    assert document["actions"][0]["stop_s"] == 1.25 and document["units"] == "seconds"
    elan = (tmp_path / "t.txt").read_text().splitlines()
    assert elan[1].split("\t") == ["id 0", "0", "1250", "walk, then run"]
    assert elan[3].split("\t") == ["id 12", "500", "2000", "sit $1"]
    assert [(row["person"], row["track_id"]) for row in rows] == [("0", "0")] * 2 + [("1", "12")]
    assert (tmp_path / "t.png").stat().st_size > 5000
    lines = timelines.table(ACTIONS).splitlines()
    assert lines[1].startswith(" 0    0.0   1.2  walk, then run")
    assert lines[3].startswith("12    0.5   2.0  sit $1")


def test_write_empty_timelines(tmp_path: Path) -> None:
    assert len(timelines.table([]).splitlines()) == 1
    for suffix in (".csv", ".json", ".txt"):
        timelines.WRITERS[suffix]([], tmp_path / f"t{suffix}")
    with pytest.raises(UserError, match="nothing to draw"):
        timelines.WRITERS[".png"]([], tmp_path / "t.png")


def test_timelines_show_margins(tmp_path: Path) -> None:
    margins = [action.margin for action in ACTIONS]
    assert margins == [pytest.approx(0.71), None, None]
    path = tmp_path / "t.csv"
    timelines.WRITERS[".csv"](ACTIONS, path)
    with path.open(newline="", encoding="utf-8") as file:
        assert [row["margin"] for row in csv.DictReader(file)] == ["0.71", "", ""]
    head, first, *_ = timelines.table(ACTIONS).splitlines()
    assert head.split()[4:7] == ["score", "margin", "confidence"] and "0.81    0.71" in first
    assert ACTIONS[0].to_dict()["margin"] == pytest.approx(0.71)
