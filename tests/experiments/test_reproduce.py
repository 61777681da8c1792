"""`recipes/reproduce.sh` for real: from synthetic files to all tables and figures."""

import contextlib
import csv
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.paper_files import RECIPES, write_paper_files

from actionpose.datasets.corpus import open_corpus
from actionpose.evaluation.protocols import SYNTHETIC
from actionpose.experiments import plan

CLIENT = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done > "$0.commands"
read -r status < "$0.statuses"
exit "$status"
"""


@contextlib.contextmanager
def script(client: Path, environment: dict[str, str]) -> Iterator[Iterator[list[str]]]:
    """The commands of `reproduce.sh`, which waits for the answer to each (see `answer`)."""
    client.write_text(CLIENT)
    client.chmod(0o755)
    commands, statuses = client.with_name("client.commands"), client.with_name("client.statuses")
    for path in (commands, statuses):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    process = subprocess.Popen(
        ["bash", RECIPES / "reproduce.sh"],
        env={**os.environ, **environment, "ACTIONPOSE": str(client)},
    )

    def end() -> None:
        process.wait()
        commands.write_text("")  # wakes the reader

    threading.Thread(target=end, daemon=True).start()
    yield iter(lambda: commands.read_text().splitlines(), [])
    assert process.wait() == 0


def answer(client: Path, status: int) -> None:
    client.with_name("client.statuses").write_text(f"{status}\n")


def run_script(
    monkeypatch: pytest.MonkeyPatch, folder: Path, **environment: str
) -> list[list[str]]:
    """Run the script; each of its commands runs in this process, which has imported all."""
    done = []
    client = folder / "client"
    with script(client, {"SMOKE": str(folder), **environment}) as commands:
        for command in commands:
            done.append(command)
            status = call(monkeypatch, *command)
            answer(client, status)
    return done


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_reproduce_goes_from_raw_files_to_all_tables_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    write_paper_files(tmp_path / "raw")
    # steps of a plan are processes; here, too, they run in this one
    monkeypatch.setattr(
        plan, "run_process", lambda command: (call(monkeypatch, *command[3:]), False)
    )
    dry = run_script(monkeypatch, tmp_path, DRY="1")
    assert [" ".join(command[:2]) for command in dry][-3:] == [
        f"reproduce table{number}" for number in (1, 2, 3)
    ]
    shown = capsys.readouterr().out
    assert shown.count("clips an epoch") == 3 and "fine-tune + MMM on 3dhp" in shown
    runs = tmp_path / "runs"
    assert not runs.exists() and (tmp_path / "data" / "h36m").is_dir()

    run_script(monkeypatch, tmp_path, SWEEP="0.1")
    work = runs / "reproduce"
    report = open_corpus(tmp_path / "data" / "amass_babel").info["report"]
    assert report["read"]["transitions paired"] > 0
    for name, rows in (("table1", 2), ("table2", 1), ("table3", 4)):
        for suffix in ("txt", "csv", "tex"):
            assert SYNTHETIC in (work / f"{name}.{suffix}").read_text(encoding="utf-8")
        table = (work / f"{name}.csv").read_text(encoding="utf-8").split("\n#")[0]
        ours = [row for row in csv.DictReader(table.splitlines()) if row["group"] == "ours"]
        assert len(ours) >= rows, name
    for figure in ("5", "7", "8a", "8b", "8c"):
        assert (work / f"figure{figure}.png").stat().st_size > 10_000, figure
    fine_tuning = json.loads((work / "h36m_full" / "report.json").read_text())
    assert fine_tuning["scores"]["test_mpjpe_mm"] > 0 and fine_tuning["best"]["step"] > 0
    # a second call only writes the tables again
    again = run_script(monkeypatch, tmp_path)
    assert [command[1] for command in again] == ["table1", "table2", "table3"]
