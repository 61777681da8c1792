"""HDM05: cut sequences, their texts and splits."""

from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.mocap_files import body_amc, body_asf

from actionpose.datasets.corpus import verify_corpus
from actionpose.prepare.mocap import hdm05


def test_command_hdm05(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "hdm", tmp_path / "hdm05"
    cuts = source / "HDM05_cut_amc"
    for subject in ("bd", "mm", "tr"):
        body_asf(source / "asf" / f"HDM_{subject}.asf")
        body_amc(cuts / "squat1Reps" / f"HDM_{subject}_squat1Reps_007_120.amc", frames=41)
    body_amc(cuts / "HDM_dg_kickLFront1Reps_001_120.amc")
    body_amc(source / "HDM_bd_01-01_01_120.amc")
    assert call(monkeypatch, "prepare", "hdm05", source, out) == 3
    corpus = verify_corpus(out)
    assert {id: (s.split, s.subject, len(s)) for id, s in corpus.motions().items()} == {
        "hdm_bd_squat1Reps_007": ("val", "hdm_bd", 11),
        "hdm_mm_squat1Reps_007": ("train", "hdm_mm", 11),
        "hdm_tr_squat1Reps_007": ("test", "hdm_tr", 11),
    }
    assert {s.text for s in corpus.segments} == {"squat"}
    assert corpus.info["license"] == "CC BY-SA 3.0"
    assert corpus.info["skipped"] == {
        "HDM_bd_01-01_01_120.amc": "a whole scene, which has no single text",
        "HDM05_cut_amc/HDM_dg_kickLFront1Reps_001_120.amc": (
            "its skeleton HDM_dg.asf is not there"
        ),
    }
    capsys.readouterr()


def test_text_of_classes() -> None:
    """Counts and the side that begins are cut; the side that acts stays."""
    assert hdm05.text_of("cartwheelLHandStart1Reps") == "cartwheel"
    assert hdm05.text_of("elbowToKnee3RepsRelbowStart").startswith("touch elbow")
    assert hdm05.text_of("jogOnPlaceStartAir2StepsLStart") == "jog on the spot"
    assert hdm05.text_of("staircaseDown3Rstart") == "walk down stairs"
    assert hdm05.text_of("kickRSide2Reps") == "kick to the side with the right leg"
    assert hdm05.text_of("swingArmsBoth2Reps") == "swing arms both"  # not in the table
    sides = {"L": "left", "R": "right", "Left": "left", "Right": "right"}
    for name, text in hdm05.TEXTS.items():
        for key, side in sides.items():
            if name.endswith(key) or f"{key}Leg" in name or f"Arms{key}B" in name:
                assert side in text, name
