"""Speed of `actionpose prepare amass-babel`, and its memory for increasing numbers of files.

    PYTHONPATH=tests python benchmarks/prepare_speed.py            # 2,000 files, 2 processes
    PYTHONPATH=tests python benchmarks/prepare_speed.py --quick    # 100 files, to see that it runs

The data are synthetic (`tests/helpers/amass.py`: files of 1 to 4 seconds, including all defects),
with a body model of the size of SMPL-H. Subsets of increasing size are prepared, each in a new
process. Seconds are wall time, which depends on the load of the machine, or CPU time of all
processes (main process, fork server and workers, including their start). Memory is the maximum of
the main process and of the largest worker, read from /proc, and therefore Linux only.
"""

import json
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import tyro
from helpers.amass import write_amass
from helpers.bodies import write_bodies

TICKS = os.sysconf("SC_CLK_TCK")


class Watch(threading.Thread):
    """CPU seconds and peak memory of this process and its descendants."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.cpu_s: dict[int, float] = {}
        self.peak_mb: dict[int, float] = {}
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            self.look()

    def look(self) -> None:
        parents, stats = {}, {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(") ")[2].split()
                status = (folder / "status").read_text()
            except OSError:
                continue
            pid = int(folder.name)
            parents[pid] = int(fields[1])
            peak = status.partition("VmHWM:")[2].split()
            stats[pid] = (int(fields[11]) + int(fields[12])) / TICKS, int((peak or ["0"])[0]) / 1024
        family = {os.getpid()}
        for _ in range(3):
            family |= {pid for pid, parent in parents.items() if parent in family}
        for pid in family & stats.keys():
            self.cpu_s[pid], self.peak_mb[pid] = stats[pid]


def run(folder: Path, texts: Path, workers: int, queue: Any) -> None:
    """Prepare in this process, and report wall and CPU seconds, frames and memory."""
    from actionpose.prepare.amass.build import prepare

    watch = Watch()
    watch.start()
    started = time.perf_counter()
    report = prepare(
        folder / "AMASS",
        texts,
        folder / "corpus",
        body_model=folder / "bodies" / "smplh",
        regressor=folder / "bodies" / "J_regressor_h36m_correct.npy",
        workers=workers,
    )
    seconds = time.perf_counter() - started
    watch.look()
    watch.over.set()
    own = watch.peak_mb.pop(os.getpid())
    frames = round(sum(report.seconds.values()) * 30)
    queue.put((seconds, sum(watch.cpu_s.values()), frames, own, max(watch.peak_mb.values())))


def part_of(folder: Path, number: int) -> Path:
    """Annotations of the first recordings only."""
    texts = folder / f"BABEL_{number}"
    texts.mkdir()
    for name in ("train.json", "val.json"):
        entries = json.loads((folder / "BABEL" / name).read_text())
        first = {sid: entry for sid, entry in entries.items() if int(sid) < number}
        (texts / name).write_text(json.dumps(first))
    return texts


def main(num_files: int = 2000, workers: int = 2, quick: bool = False) -> None:
    """Print a row for each number of files.

    Args:
        num_files: Number of files in the largest subset.
        workers: Number of processes.
        quick: Use 100 files.
    """
    num_files = 100 if quick else num_files
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_amass(folder, num_files, seconds=(1, 4))
        write_bodies(folder / "bodies", num_vertices=6890)
        size = sum(path.stat().st_size for path in (folder / "AMASS").rglob("*.npz"))
        print(
            f"{num_files:,} files, {size / 1e9:.2f} GB; {workers} processes, {os.cpu_count()} cores"
        )
        print(
            "\n| files | s | CPU s | files/s | files/CPU s | frames/CPU s | main, MB | worker, MB |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for number in (num_files // 8, num_files // 2, num_files):
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            texts = part_of(folder, number)
            process = context.Process(target=run, args=(folder, texts, workers, queue))
            process.start()
            seconds, cpu_s, frames, own, worker = queue.get()
            process.join()
            shutil.rmtree(folder / "corpus")
            rates = f"{number / seconds:.0f} | {number / cpu_s:.0f} | {frames / cpu_s:,.0f}"
            row = f"| {number:,} | {seconds:.1f} | {cpu_s:.1f} | {rates}"
            print(f"{row} | {own:.0f} | {worker:.0f} |", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
