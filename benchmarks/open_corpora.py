"""Convert the converted open motion datasets to corpora.

    ACTIONPOSE_OPEN_DATA=FOLDER python benchmarks/open_corpora.py OUT

FOLDER contains NAME.npz (int16 differences in millimeters) and NAME.jsonl (a line per sequence).
NAME_feet.npz and NAME_feet.jsonl with the joints of the feet are optional. Toes that are missing
next to a toe base are computed from it and marked as derived.
Each OUT/NAME is a corpus; existing ones are kept. docs/datasets.md lists sources and licenses.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray
from tyro.conf import Positional

from actionpose.datasets.corpus import FEET, Motion, write_corpus
from actionpose.datasets.feet import toes_from_bases
from actionpose.prepare.mocap import cmu
from actionpose.utils.errors import UserError, exit_codes

SOURCES = {
    "cmu": (cmu.SOURCE, cmu.LICENSE),
    "hdm05": ("HDM05, M. Mueller et al., Universitaet Bonn, 2007", "CC BY-SA 3.0"),
    "bandai": ("Bandai-Namco-Research-Motiondataset", "CC BY-NC 4.0"),
    "sie": ("DeepMimic / SIE motions", "CC BY-NC 4.0 (Sony Interactive Entertainment 2021), MIT"),
    "cmu_extra": (cmu.SOURCE, cmu.LICENSE),
    "cc0anim": ("Mesh2Motion and Quaternius, keyframed", "CC0 1.0"),
    "cc0kaykit": ("KayKit, Kay Lousberg, keyframed", "CC0 1.0"),
    "slanim": ("Second Life's default animations (Linden Lab), through OpenSimulator", "CC BY 3.0"),
    "opencap": ("OpenCap's laboratory validation, through AddBiomechanics", "GPL-3.0, data shared"),
    "ase": ("Reallusion's sword and shield motions, through ASE", "non-commercial research only"),
    "kard": ("KARD, Kinect skeletons, Mendeley data k28dtm7tr6", "not stated"),
    "utd": ("UTD-MHAD, Kinect skeletons", "public domain, by its paper"),
}
# From these datasets, sequences without a clear permission of commercial use are omitted.
COMMERCIAL = ("cmu_extra", "cc0anim", "cc0kaykit")


def source_folder() -> Path:
    """The folder of the converted datasets, from the environment variable."""
    if "ACTIONPOSE_OPEN_DATA" not in os.environ:
        raise UserError("set ACTIONPOSE_OPEN_DATA to the folder with cmu.npz, cmu.jsonl and so on")
    return Path(os.environ["ACTIONPOSE_OPEN_DATA"])


def read(folder: Path, name: str) -> Iterator[Motion]:
    """The sequences of a dataset."""
    for suffix in (".npz", ".jsonl"):
        if not (folder / f"{name}{suffix}").exists():
            raise UserError(f"ACTIONPOSE_OPEN_DATA={folder} has no {name}{suffix}")
    delta_mm = _differences(folder / f"{name}.npz", 17)
    feet_mm, feet_rows = None, []
    if (folder / f"{name}_feet.npz").exists():
        feet_mm = _differences(folder / f"{name}_feet.npz", len(FEET))
        feet_rows = _rows(folder / f"{name}_feet.jsonl")
    for number, row in enumerate(_rows(folder / f"{name}.jsonl")):
        if name in COMMERCIAL and row["commercial"] != "yes":
            continue
        subject = row["subject"].removeprefix("cmu_")
        split = cmu.SPLITS.get(int(subject), "train") if subject.isdigit() else row["split"]
        span = np.s_[row["start"] : row["stop"]]
        joints_m = _positions_m(delta_mm[span])
        whole = (0, len(joints_m), row["text"], "action")
        motion = Motion(row["id"], row["subject"], split, joints_m, row["text"], [whole])
        if feet_mm is not None:
            about = feet_rows[number]
            if about["id"] != motion.id:
                raise UserError(f"{name}_feet.jsonl has {about['id']} in place of {motion.id}")
            motion = _with_feet(motion, _positions_m(feet_mm[span]), about)
        yield motion


def _differences(path: Path, joints: int) -> NDArray[np.int16]:
    """(F, J, 3) Differences in millimeters."""
    with np.load(path) as file:
        delta_mm: NDArray[np.int16] = file["delta_mm"].T.reshape(-1, joints, 3)
    return delta_mm


def _positions_m(delta_mm: NDArray[np.int16]) -> NDArray[np.float32]:
    return (np.cumsum(delta_mm.astype(np.int32), axis=0) / 1000).astype(np.float32)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _with_feet(motion: Motion, feet_m: NDArray[np.float32], about: dict[str, Any]) -> Motion:
    is_there = [about["feet"][joint] for joint in FEET]
    feet_m = np.where(np.array(is_there)[:, None], feet_m, np.nan)
    with_toes = toes_from_bases(motion.joints_m, feet_m).astype(np.float32)
    added = [
        joint
        for number, joint in enumerate(FEET)
        if (about.get("derived") or not is_there[number]) and np.isfinite(with_toes[0, number, 0])
    ]
    return replace(motion, feet_m=with_toes, derived=tuple(added))


def main(out: Positional[Path]) -> None:
    """Write the corpora.

    Args:
        out: Folder of the corpora, such as data/open.
    """
    folder = source_folder()
    for name, (source, license) in SOURCES.items():
        if not (out / name).exists():
            write_corpus(out / name, read(folder, name), source=source, license=license)
            print(out / name)


if __name__ == "__main__":
    with exit_codes("open_corpora.py"):
        tyro.cli(main)
