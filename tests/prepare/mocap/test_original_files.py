"""Originals of the databases against the sets that others converted."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import call
from helpers.mocap_files import ASF_NAMES

from actionpose.datasets.corpus import verify_corpus
from actionpose.prepare.mocap import bandai, cmu, hdm05
from actionpose.prepare.mocap.common import SourceFolder
from actionpose.prepare.mocap.joint_map import load_joint_map
from actionpose.skeletons import H36M17

FREE = {"spine", "nose", "head"}  # whose place is a choice


def _expected(folder: Path, name: str, id: str) -> tuple[np.ndarray, dict[str, object]]:
    rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    row = next(row for row in rows if row["id"] == id)
    with np.load(folder / f"{name}.npz") as file:
        delta_mm = file["delta_mm"][:, row["start"] : row["stop"]]
    return np.cumsum(delta_mm.T.reshape(-1, 17, 3).astype(np.int64), axis=0) / 1000, row


ORIGINALS = {
    "cmu": ["cmu_01_14", "cmu_03_01", "cmu_06_01", "cmu_07_01"],
    "hdm05": ["hdm_bd_depositFloorR_001"],
    "bandai": ["bn1_bow_normal_001", "bn1_kick_normal_001"],
}


@pytest.mark.parametrize("name", ORIGINALS)
def test_prepare_equals_the_converted_sets(
    open_data: Path,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Within a millimeter, to which the sets are rounded, where a joint's place is no choice."""
    options = ("--index", open_data / "cmu_index.json") if name == "cmu" else ()
    out = tmp_path / name
    command = ("prepare", name, open_data / "raw" / name, out, *options)
    assert call(monkeypatch, *command) == 0
    corpus = verify_corpus(out)
    motions = corpus.motions()
    assert list(motions) == sorted(ORIGINALS[name])
    for id, segment in motions.items():
        expected, row = _expected(open_data, name, id)
        found = corpus.joints_m[segment.start : segment.stop]
        assert found.shape == expected.shape
        assert (segment.text, segment.split) == (row["text"], row["split"])
        assert segment.subject == row["subject"]
        away_mm = 1000 * np.linalg.norm(found - expected, axis=-1).max(axis=0)
        for joint, mm in zip(H36M17.joints, away_mm, strict=True):
            assert mm < (1.0 if joint not in FREE else 20.0), f"{id}: {joint} is {mm:.1f} mm away"
    capsys.readouterr()


def test_list_sequences_equals_texts_and_splits_of_the_sets(
    open_data: Path, tmp_path: Path
) -> None:
    """All names of the sets, as empty files: what is said of each, and where it goes."""
    rows = {
        name: [json.loads(line) for line in (open_data / f"{name}.jsonl").read_text().splitlines()]
        for name in ("bandai", "hdm05")
    }
    for row in rows["bandai"]:
        (tmp_path / f"{row['id'].replace('bn', 'dataset-', 1)}.bvh").touch()
    found = {each.id: each for each in bandai.list_sequences(SourceFolder(tmp_path))}
    assert found.keys() == {row["id"] for row in rows["bandai"]}
    for row in rows["bandai"]:
        sequence = found[row["id"]]
        assert (sequence.text, sequence.split) == (row["text"], row["split"]), row["id"]
    for row in rows["hdm05"]:
        (tmp_path / f"{row['id'].replace('hdm', 'HDM', 1)}_120.amc").touch()
    found = {each.id: each for each in hdm05.list_sequences(SourceFolder(tmp_path))}
    for row in rows["hdm05"]:
        one = found[row["id"]]
        assert (one.text, one.split, one.subject) == (row["text"], row["split"], row["subject"])
    index = cmu.read_index(open_data / "cmu_index.json")
    assert len(index) == 2435
    assert sum(entry.fps == 60 for entry in index.values()) == 326


def test_synthetic_asf_has_the_bones_of_the_joint_map() -> None:
    joint_map = load_joint_map("cmu_asf")
    assert {point.joint for points in joint_map.joints.values() for point in points} <= set(
        ASF_NAMES.values()
    )
