"""Bandai-Namco: texts and splits."""

from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.mocap_files import body_bvh

from actionpose.datasets.corpus import verify_corpus


def test_command_bandai(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "src", tmp_path / "bandai"
    for number in range(1, 7):
        name = f"dataset-2_raise-up-left-hand_exhausted_{number:03d}.bvh"
        body_bvh("bandai", source / "dataset-2" / "data" / name, positions=True, seed=number)
    body_bvh("bandai", source / "dataset-1_bow_normal_001.bvh", positions=True)
    body_bvh("bandai", source / "readme.bvh", positions=True)
    assert call(monkeypatch, "prepare", "bandai", source, out) == 0
    corpus = verify_corpus(out)
    motions = corpus.motions()
    assert [id for id, s in motions.items() if s.split == "val"] == [
        "bn2_raise-up-left-hand_exhausted_006"
    ]
    assert motions["bn1_bow_normal_001"].text == "bow" and len(motions) == 7
    assert motions["bn2_raise-up-left-hand_exhausted_001"].text == (
        "raise the left hand, exhausted style"
    )
    assert corpus.info["skipped"] == {
        "readme.bvh": "its name is not dataset-N_CONTENT_STYLE_NUMBER"
    }
    assert all(len(segment) == 9 for segment in motions.values())
    capsys.readouterr()
