"""Prepare original files of open datasets, and compare them with the converted datasets by joint.

    ACTIONPOSE_OPEN_DATA=FOLDER python benchmarks/open_originals.py

FOLDER is that of `open_corpora.py`, with a folder `raw/NAME` of original files and the index of
CMU, `cmu_index.json`. The preparation is that of `actionpose prepare NAME`. The exit code is 1 if a
joint with a unique definition differs by more than LIMIT_MM.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from open_corpora import read, source_folder

from actionpose.datasets.corpus import open_corpus
from actionpose.prepare.mocap import bandai, cmu, hdm05
from actionpose.prepare.mocap.common import SourceFolder, SourceSequence, write_sequences
from actionpose.skeletons import H36M17
from actionpose.utils.errors import exit_codes

LIMIT_MM = 3.0
FREE = ("spine", "nose", "head")  # joints whose definition depends on the converter


def list_sequences(folder: Path, name: str, source: SourceFolder) -> list[SourceSequence]:
    """The original files of a dataset."""
    if name == "cmu":
        return cmu.list_sequences(source, folder / "cmu_index.json")
    return {"hdm05": hdm05, "bandai": bandai}[name].list_sequences(source)


def differences_mm(folder: Path, name: str, out: Path) -> dict[str, np.ndarray]:
    """(T, 17) Distance of each joint from that of the converted dataset, for each motion."""
    source = SourceFolder(folder / "raw" / name)
    sequences = list_sequences(folder, name, source)
    write_sequences(sequences, source, out / name, title="originals", license="theirs")
    for file, reason in (source.failed | source.excluded).items():
        print(f"{name}: {file} was not read: {reason}")
    corpus = open_corpus(out / name)
    found = corpus.motions()
    differences = {}
    for expected in read(folder, name):
        if (segment := found.get(expected.id)) is None:
            continue
        ours, theirs = corpus.joints_m[segment.start : segment.stop], expected.joints_m
        if len(ours) != len(theirs):
            raise SystemExit(f"{expected.id} has {len(ours)} frames, not {len(theirs)}")
        if (segment.text, segment.split) != (expected.text, expected.split):
            raise SystemExit(f"{expected.id} has another text or split: {segment}")
        differences[expected.id] = 1000 * np.linalg.norm(ours - theirs, axis=-1)
    return differences


def main() -> None:
    folder = source_folder()
    fixed = [i for i, joint in enumerate(H36M17.joints) if joint not in FREE]
    worst = 0.0
    with tempfile.TemporaryDirectory() as out:
        print(
            "set     motions frames   14 fixed joints: mean max   spine: max  nose: max  head: max"
        )
        for name in ("cmu", "hdm05", "bandai"):
            start = time.perf_counter()
            by_motion = differences_mm(folder, name, Path(out))
            away = np.concatenate(list(by_motion.values()))
            seconds = time.perf_counter() - start
            worst = max(worst, float(away[:, fixed].max()))
            free = [away[:, H36M17.joints.index(joint)].max() for joint in FREE]
            print(
                f"{name:8}{len(by_motion):7}{len(away):7}"
                f"{away[:, fixed].mean():24.2f}{away[:, fixed].max():5.2f}"
                f"{free[0]:13.1f}{free[1]:11.1f}{free[2]:11.1f}   mm ({seconds:.1f} s)"
            )
    if worst > LIMIT_MM:
        sys.exit(1)


if __name__ == "__main__":
    with exit_codes("open_originals.py"):
        main()
