"""Corpora of the databases' mocap files: what is read, what is left out and named."""

import json
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.mocap_files import body_amc, body_asf, body_bvh

from actionpose.datasets.corpus import open_corpus, verify_corpus
from actionpose.prepare.mocap import cmu, hdm05
from actionpose.prepare.mocap.common import SourceFolder
from actionpose.utils.errors import UserError

# CMU


@pytest.fixture
def cmu_folder(tmp_path: Path) -> Path:
    """Trials of subjects of all splits, in the folders of the database's own archive."""
    source = tmp_path / "all_asfamc"
    for subject, trial in (("01", "01"), ("02", "01"), ("13", "04"), ("33", "01")):
        folder = source / "subjects" / subject
        body_asf(folder / f"{subject}.asf")
        body_amc(folder / f"{subject}_{trial}.amc", frames=41, seed=int(subject))
    body_bvh("cmu_bvh", source / "bvh" / "34_02.bvh", unit_m=0.0564444, frames=41)
    text = (source / "bvh" / "34_02.bvh").read_text().replace("0333333", "0083333")
    (source / "bvh" / "34_02.bvh").write_text(text)
    (source / "bvh" / "01_01.bvh").write_text(text)
    return source


ROWS = {
    "01_01": ["playground - climb", 120],
    "02_01": ["walk", 120],
    "13_04": ["jump, 2 times", 120],
    "33_01": ["", 60],
    "34_02": ["throw", 60],
}


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "index.json"
    path.write_text(json.dumps(ROWS))
    return path


def test_cmu(
    cmu_folder: Path,
    index: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "cmu"
    assert call(monkeypatch, "prepare", "cmu", cmu_folder, out, "--index", index) == 0
    corpus = verify_corpus(out)
    motions = corpus.motions()
    assert {id: segment.split for id, segment in motions.items()} == {
        **{"cmu_01_01": "train", "cmu_02_01": "test", "cmu_13_04": "val"},
        **{"cmu_33_01": "train", "cmu_34_02": "train"},
    }
    # 41 frames: 1/3 s at 120 Hz, 2/3 s at 60 Hz; the BVH claims 120 Hz, and the index knows better
    assert [len(segment) for segment in motions.values()] == [11, 11, 11, 21, 21]
    actions = {s.motion: s.text for s in corpus.segments if s.kind == "action"}
    assert actions == {
        **{"cmu_01_01": "playground - climb", "cmu_02_01": "walk", "cmu_13_04": "jump, 2 times"},
        "cmu_34_02": "throw",
    }
    assert {segment.subject for segment in corpus.segments} >= {"cmu_01", "cmu_34"}
    twin = "subjects/01/01_01.amc is the same sequence and was read"
    assert corpus.info["skipped"] == {"bvh/01_01.bvh": twin}
    assert "NSF EIA-0196217" in corpus.info["source"]
    assert str(tmp_path) not in (out / "corpus.json").read_text()
    shown = capsys.readouterr()
    assert "read    5 of 6 files: 3 train, 1 test, 1 val" in shown.out
    assert twin in shown.err
    again = tmp_path / "again"
    assert call(monkeypatch, "prepare", "cmu", cmu_folder, again, "--index", index, "-q") == 0
    for file in out.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes()


def test_cmu_names_what_fails(
    cmu_folder: Path,
    index: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    subjects = cmu_folder / "subjects"
    (subjects / "02" / "02.asf").unlink()
    amc = (subjects / "13" / "13_04.amc").read_bytes()
    (subjects / "13" / "13_04.amc").write_bytes(amc[: len(amc) // 2])
    (subjects / "13" / "13_05.amc").write_bytes(amc)
    (subjects / "13" / "notes.amc").write_bytes(amc)
    (subjects / "13" / ".13_04.amc").write_bytes(amc)  # what file managers leave
    out = tmp_path / "cmu"
    assert call(monkeypatch, "prepare", "cmu", cmu_folder, out, "--index", index) == 3
    skipped = open_corpus(out).info["skipped"]
    assert skipped["subjects/13/13_05.amc"] == "13_05 is not in the index index.json"
    assert "not SUBJECT_TRIAL" in skipped["subjects/13/notes.amc"]
    assert skipped["subjects/02/02_01.amc"].startswith("cannot read subjects/02/02.asf: No such")
    assert skipped["subjects/13/13_04.amc"].startswith("line ")
    assert len(skipped) == 5 and len(open_corpus(out).motions()) == 3
    shown = capsys.readouterr().err
    assert "failed  2" in shown and "subjects/02/02_01.amc" in shown


def test_cmu_without_usable_files(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("prepare", "cmu", tmp_path / "none", tmp_path / "x", "--index")
    assert call(monkeypatch, *command, index) == 2
    assert "is not a folder" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    assert call(monkeypatch, *command, index) == 2
    assert "there is no .amc or .bvh file in" in capsys.readouterr().err
    (tmp_path / "none" / "01_01.amc").write_text("1\n")
    assert call(monkeypatch, *command, index) == 2
    assert "none of the 1 files of" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    assert call(monkeypatch, *command, tmp_path / "no.csv") == 2
    assert "cannot read the index" in capsys.readouterr().err
    assert call(monkeypatch, *command, index, "--fps", 0) == 2
    assert "--fps is frames a second" in capsys.readouterr().err


CSV = """trial,description,fps
01_01,playground - climb,120
13_04,"jump, 2 times",120
33_1,,60
"""
TXT = """Listing of motions, v1

Subject #1 (climb, swing)

01_01\tplayground - climb


Subject #13 (various behaviors)
13_04\tjump, 2 times
Subject #33 (throw and catch)
33_01\tUnknown
"""
HTML = """<html><body><table><tr><td>Subject #1 (climb, swing)</td></tr>
<TR><TD>Subject #33 (throw and catch)</TD></TR>
<TR><TD></TD><TD>1</TD><TD>playground -
 climb</TD><TD><A HREF="http://x:80/subjects/01/01_01.tvd">tvd</A></TD>
<TD><A HREF="http://x:80/subjects/01/01_01.amc">amc</A></TD><TD></TD><TD>120</TD>
<TD><A HREF="bad.php?subjectnumber=1&motion=1">Feedback</A></TD></TR>
<TR><TD></TD><TD>4</TD><TD>jump, 2 times</TD><TD></TD>
<TD><A HREF="subjects/13/13_04.c3d">c3d</A></TD><TD>120</TD>
<TD><A HREF="bad.php?motion=4">Feedback</A></TD></TR>
<TR><TD></TD><TD>1</TD><TD></TD><TD><A HREF="subjects/33/33_01.tvd">tvd</A></TD><TD>60</TD></TR>
<TR><TD COLSPAN=3><BR></TD></TR></table>"""


def test_index_in_all_its_forms(tmp_path: Path) -> None:
    def read(suffix: str, text: str) -> dict[tuple[int, int], cmu.Entry]:
        path = tmp_path / f"index{suffix}"
        path.write_text(text, encoding="utf-8-sig", newline="")
        return cmu.read_index(path)

    known = {key: ROWS[key] for key in ("01_01", "13_04", "33_01")}
    expected = {
        (1, 1): cmu.Entry("playground - climb", 120),
        (13, 4): cmu.Entry("jump, 2 times", 120),
        (33, 1): cmu.Entry("", 60),
    }
    assert read(".json", json.dumps(known)) == expected
    assert read(".csv", CSV) == expected
    expected[33, 1] = cmu.Entry("throw and catch", 60)  # of the subject
    assert read(".html", HTML) == expected
    text = read(".txt", TXT)
    assert {key: entry.text for key, entry in text.items()} == {
        key: entry.text for key, entry in expected.items()
    }
    assert {entry.fps for entry in text.values()} == {None}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("i.json", "{", "cannot read the index .*i.json"),
        ("i.json", "[]", "is not a mapping from trials"),
        ("i.json", '{"walk": ["x", 60]}', "'walk' is no trial such as 01_02"),
        ("i.json", '{"01_01": ["x", "fast"]}', "could not convert string to float: 'fast'"),
        ("i.json", '{"01_01": ["x", 0]}', "0 is no rate in Hz"),
        ("i.json", "{}", "has no trial, such as 01_02, in it"),
        ("i.csv", "trial;description\n01_01;x\n", "it has no column description, trial"),
        ("i.txt", "nothing", "has no trial"),
        ("i.html", "<table><tr><td>1</td></tr></table>", "has no trial"),
        ("i.xls", "x", "an index is one of .html"),
    ],
)
def test_bad_index(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        cmu.read_index(tmp_path / name)


def test_index_without_rates(cmu_folder: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.txt"
    index.write_text(TXT)
    source = SourceFolder(cmu_folder)
    assert not cmu.list_sequences(source, index)
    assert "does not give its rate, nor does fps" in source.excluded["subjects/01/01_01.amc"]
    found = cmu.list_sequences(SourceFolder(cmu_folder), index, 60.0)
    assert [sequence.id for sequence in found] == ["cmu_01_01", "cmu_13_04", "cmu_33_01"]
    assert len(found[0].read()) == 21


def test_bvh_of_cmu_with_a_rate_of_its_own(cmu_folder: Path, index: Path) -> None:
    """Who resampled a conversion wrote the rate in: then the file is right, and not the index."""
    path = cmu_folder / "bvh" / "34_02.bvh"
    path.write_text(path.read_text().replace("0083333", "0333333"))
    found = cmu.list_sequences(SourceFolder(cmu_folder), index)
    assert len(next(each for each in found if each.id == "cmu_34_02").read()) == 41


# HDM05 and Bandai-Namco


def test_hdm05(
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


def test_hdm05_texts() -> None:
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


def test_bandai(
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
