"""Turn the converted open motion sets (CMU, HDM05, Bandai-Namco, SIE) into corpora.

    ACTIONPOSE_OPEN_DATA=FOLDER python benchmarks/open_corpora.py OUT

FOLDER holds NAME.npz (int16 differences in millimeters) and NAME.jsonl (a line per sequence).
OUT/NAME becomes a corpus each; existing ones are kept. docs/datasets.md has sources and licenses.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tyro
from tyro.conf import Positional

from actionpose.datasets.corpus import Motion, write_corpus
from actionpose.utils.errors import UserError, exit_codes

SOURCES = {
    "cmu": (
        "CMU Graphics Lab Motion Capture Database, mocap.cs.cmu.edu. The database was created "
        "with funding from NSF EIA-0196217.",
        "free for all uses; the data itself may not be resold",
    ),
    "hdm05": ("HDM05, M. Mueller et al., Universitaet Bonn, 2007", "CC BY-SA 3.0"),
    "bandai": ("Bandai-Namco-Research-Motiondataset", "CC BY-NC 4.0"),
    "sie": ("DeepMimic / SIE motions", "CC BY-NC 4.0 (Sony Interactive Entertainment 2021), MIT"),
}


def source_folder() -> Path:
    """Where the environment says that the converted sets are."""
    if "ACTIONPOSE_OPEN_DATA" not in os.environ:
        raise UserError("set ACTIONPOSE_OPEN_DATA to the folder with cmu.npz, cmu.jsonl and so on")
    return Path(os.environ["ACTIONPOSE_OPEN_DATA"])


def read(folder: Path, name: str) -> Iterator[Motion]:
    """The sequences of one set."""
    for suffix in (".npz", ".jsonl"):
        if not (folder / f"{name}{suffix}").exists():
            raise UserError(f"ACTIONPOSE_OPEN_DATA={folder} has no {name}{suffix}")
    with np.load(folder / f"{name}.npz") as file:
        delta_mm = file["delta_mm"].T.reshape(-1, 17, 3)
    for line in (folder / f"{name}.jsonl").read_text().splitlines():
        row = json.loads(line)
        span = delta_mm[row["start"] : row["stop"]].astype(np.int32)
        joints_m = (np.cumsum(span, axis=0) / 1000).astype(np.float32)
        whole = (0, len(joints_m), row["text"], "action")
        yield Motion(row["id"], row["subject"], row["split"], joints_m, row["text"], [whole])


def main(out: Positional[Path]) -> None:
    """Write the corpora.

    Args:
        out: Folder for them, such as data/open.
    """
    folder = source_folder()
    for name, (source, license) in SOURCES.items():
        if not (out / name).exists():
            write_corpus(out / name, read(folder, name), source=source, license=license)
            print(out / name)


if __name__ == "__main__":
    with exit_codes("open_corpora.py"):
        tyro.cli(main)
