"""Corpora of mocap files: what is read, what is left out and named, and the originals."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mocap_files import ASF_NAMES, SMALL, body_amc, body_asf, body_bvh

from actionpose import cli
from actionpose.config import FinetuneConfig
from actionpose.corpus import Corpus, open_corpus, verify_corpus
from actionpose.errors import UserError
from actionpose.finetune import finetune
from actionpose.prepare import bandai, cmu, hdm05
from actionpose.prepare import folder as any_folder
from actionpose.prepare.mocap import Left
from actionpose.prepare.rig import load_rig
from actionpose.prepare.tree import Recording
from actionpose.skeletons import H36M17

FREE = {"spine", "nose", "head"}  # whose place is a choice


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command line in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["actionpose", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


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
    assert call(monkeypatch, "prepare", "cmu", cmu_folder, "-o", out, "--index", index) == 0
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
    twin = "subjects/01/01_01.amc is the same take and was read"
    assert corpus.info["skipped"] == {"bvh/01_01.bvh": twin}
    assert "NSF EIA-0196217" in corpus.info["source"]
    assert str(tmp_path) not in (out / "corpus.json").read_text()
    shown = capsys.readouterr()
    assert "read    5 of 6 files: 3 train, 1 test, 1 val" in shown.out
    assert twin in shown.err
    again = tmp_path / "again"
    assert call(monkeypatch, "prepare", "cmu", cmu_folder, "-o", again, "--index", index, "-q") == 0
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
    assert call(monkeypatch, "prepare", "cmu", cmu_folder, "-o", out, "--index", index) == 3
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
    command = ("prepare", "cmu", tmp_path / "none", "-o", tmp_path / "x", "--index")
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
    assert call(monkeypatch, *command, index, "--rate-hz", 0) == 2
    assert "--rate-hz is frames a second" in capsys.readouterr().err


CSV = """trial,description,rate_hz
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
    assert {entry.rate_hz for entry in text.values()} == {None}


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
    left = Left()
    assert not cmu.takes(cmu_folder, index, None, left)
    assert "does not give its rate (see --rate-hz)" in left.out["subjects/01/01_01.amc"]
    found = cmu.takes(cmu_folder, index, 60.0, Left())
    assert [take.id for take in found] == ["cmu_01_01", "cmu_13_04", "cmu_33_01"]
    assert len(found[0].read()) == 21


def test_bvh_of_cmu_with_a_rate_of_its_own(cmu_folder: Path, index: Path) -> None:
    """Who resampled a conversion wrote the rate in: then the file is right, and not the index."""
    path = cmu_folder / "bvh" / "34_02.bvh"
    path.write_text(path.read_text().replace("0083333", "0333333"))
    take = next(t for t in cmu.takes(cmu_folder, index, None, Left()) if t.id == "cmu_34_02")
    assert len(take.read()) == 41


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
    assert call(monkeypatch, "prepare", "hdm05", source, "-o", out) == 3
    corpus = verify_corpus(out)
    assert {id: (s.split, s.subject, len(s)) for id, s in corpus.motions().items()} == {
        "hdm_bd_squat1Reps_007": ("val", "hdm_bd", 11),
        "hdm_mm_squat1Reps_007": ("train", "hdm_mm", 11),
        "hdm_tr_squat1Reps_007": ("test", "hdm_tr", 11),
    }
    assert {s.text for s in corpus.segments} == {"squat"}
    assert corpus.info["licence"] == "CC BY-SA 3.0"
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
    assert call(monkeypatch, "prepare", "bandai", source, "-o", out) == 0
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


# any folder


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two rigs, a broken file and one of neither rig."""
    source = tmp_path / "mixed"
    body_bvh("mixamo", source / "ann" / "walk.bvh", frames=31)
    body_bvh("bandai", source / "bow.BVH", positions=True, frames=31)
    body_bvh("mixamo", source / "cut.bvh")
    (source / "cut.bvh").write_text((source / "cut.bvh").read_text()[:-400])
    (source / "snake.bvh").write_text(SMALL)
    return source


def test_any_folder(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "out"
    labels.write_text(
        "file,text,subject,split,start_s,stop_s\n"
        'ann/walk.bvh,"walk, then wave",ann,val,,\n'
        "ann/walk.bvh,walk,ann,val,0,0.5\n"
        "ann\\walk.bvh,wave,ann,val,0.5,9\n"
        "ann/walk.bvh,late,ann,val,8,9\n"
        "bow,bow,,,,\n"
        "gone.bvh,x,,,,\n"
    )
    rigs = ("--rig", "bandai", "--rig", "mixamo")
    command = ("prepare", "bvh", mixed, "-o", out, "--labels", labels, "--licence", "mine")
    assert call(monkeypatch, *command, *rigs) == 3
    corpus: Corpus = verify_corpus(out)
    rows = [(s.motion, s.subject, s.split, s.text, s.kind, len(s)) for s in corpus.segments]
    assert rows == [
        ("ann/walk", "ann", "val", "walk, then wave", "sequence", 31),
        ("ann/walk", "ann", "val", "walk, then wave", "action", 31),
        ("ann/walk", "ann", "val", "walk", "action", 15),
        ("ann/walk", "ann", "val", "wave", "action", 16),
        ("bow", "bow", "train", "bow", "sequence", 31),
        ("bow", "bow", "train", "bow", "action", 31),
    ]
    skipped = corpus.info["skipped"]
    assert skipped.keys() == {"ann/walk.bvh, 8 to 9 s", "cut.bvh", "gone.bvh", "snake.bvh"}
    assert "lies outside the motion" in skipped["ann/walk.bvh, 8 to 9 s"]
    assert skipped["cut.bvh"].startswith("line ") or "cut.bvh has" in skipped["cut.bvh"]
    assert "fits no given rig; nearest is" in skipped["snake.bvh"]
    assert corpus.info["licence"] == "mine"
    capsys.readouterr()


def test_interrupted(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C after the first file leaves nothing; the next try is as if nothing had been."""
    out = tmp_path / "out"
    command = ("prepare", "bvh", mixed, "-o", out, "--rig", "mixamo", "--rig", "bandai")
    with monkeypatch.context() as patch:
        read, calls = any_folder.read_bvh, []

        def stop(path: Path) -> Recording:
            calls.append(path)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return read(path)

        patch.setattr(any_folder, "read_bvh", stop)
        assert call(patch, *command) == 130
    assert len(calls) == 2 and [path.name for path in tmp_path.iterdir()] == ["mixed"]
    assert call(monkeypatch, *command) == 3
    assert list(verify_corpus(out).motions()) == ["ann/walk", "bow"]
    assert call(monkeypatch, *command) == 2
    assert "exists already: remove it, or choose another name" in capsys.readouterr().err


def test_mixed_rigs_are_named(mixed: Path) -> None:
    left = Left()
    takes = {take.id: take for take in any_folder.takes(mixed, ["bandai"], None, left)}
    assert takes.keys() == {"ann/walk", "bow", "cut", "snake"} and not left.failed
    assert len(takes["bow"].read()) == 31
    with pytest.raises(
        UserError, match="nearest is bandai, which needs .*; it fits the rig mixamo"
    ):
        takes["ann/walk"].read()


BAD_LABELS = {
    "its columns are missing; it needs file and text": "",
    "its columns are file, label; it needs file and text": "file,label\n",
    "line 3 has too many values: put a text with commas": "file,text\na,b\na,b,c\n",
    "line 2 names no file": "file,text\n,b\n",
    "a split is train, val, test, not 'dev'": "file,text,split\na,b,dev\n",
    "line 3: a has a text for the whole file in a row above": "file,text\na,b\na,c\n",
    "line 3: a has another subject or split": "file,text,subject\na,b,s\na,c,t\n",
    "line 2: start_s and stop_s are seconds": "file,text,start_s,stop_s\na,b,1,\n",
    "a span has a text, and 0 <= start_s < stop_s": "file,text,start_s,stop_s\na,b,3,2\n",
}


@pytest.mark.parametrize("message", BAD_LABELS)
def test_bad_labels(tmp_path: Path, message: str) -> None:
    (tmp_path / "x.csv").write_text(BAD_LABELS[message])
    with pytest.raises(UserError, match=message):
        any_folder.read_labels(tmp_path / "x.csv")


def test_labels_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read .*x.csv"):
        any_folder.read_labels(tmp_path / "x.csv")


def test_rigs_command(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "prepare", "rigs") == 0
    assert "mixamo     Mixamo characters, BVH" in capsys.readouterr().out
    assert call(monkeypatch, "prepare", "rigs", "example") == 0
    (tmp_path / "mine.yaml").write_text(capsys.readouterr().out)
    assert load_rig(tmp_path / "mine.yaml").joints == load_rig("example").joints
    assert call(monkeypatch, "prepare", "rigs", "nobody") == 2
    assert "the package has no rig nobody; it has bandai" in capsys.readouterr().err
    assert call(monkeypatch, "prepare", "bvh", mixed, "-o", tmp_path / "x") == 2
    assert "say which rig the files have: --rig bandai |" in capsys.readouterr().err


def test_training_reads_it(
    tmp_path: Path,
    tiny_config: FinetuneConfig,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was prepared trains as it is."""
    for number in range(3):
        body_bvh("mixamo", tmp_path / "src" / f"{number}.bvh", frames=40, seed=number)
    out = tmp_path / "out"
    command = ("prepare", "bvh", tmp_path / "src", "-o", out, "--rig", "mixamo")
    assert call(monkeypatch, *command) == 0
    capsys.readouterr()
    data = replace(tiny_config.data, corpora={str(out): 1.0})
    outcome = finetune(replace(tiny_config, data=data), tmp_path / "run", quiet=True)
    assert outcome.status == "finished" and outcome.step > 0


# the originals


def _answer(folder: Path, name: str, id: str) -> tuple[np.ndarray, dict[str, object]]:
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
def test_originals_equal_the_converted_sets(
    open_data: Path,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Within a millimetre, to which the sets are rounded, where a joint's place is no choice."""
    options = ("--index", open_data / "cmu_index.json") if name == "cmu" else ()
    out = tmp_path / name
    command = ("prepare", name, open_data / "raw" / name, "-o", out, *options)
    assert call(monkeypatch, *command) == 0
    corpus = verify_corpus(out)
    motions = corpus.motions()
    assert list(motions) == sorted(ORIGINALS[name])
    for id, segment in motions.items():
        expected, row = _answer(open_data, name, id)
        found = corpus.joints_m[segment.start : segment.stop]
        assert found.shape == expected.shape
        assert (segment.text, segment.split) == (row["text"], row["split"])
        assert segment.subject == row["subject"]
        away_mm = 1000 * np.linalg.norm(found - expected, axis=-1).max(axis=0)
        for joint, mm in zip(H36M17.joints, away_mm, strict=True):
            assert mm < (1.0 if joint not in FREE else 20.0), f"{id}: {joint} is {mm:.1f} mm away"
    capsys.readouterr()


def test_texts_and_splits_equal_the_converted_sets(open_data: Path, tmp_path: Path) -> None:
    """All names of the sets, as empty files: what is said of each, and where it goes."""
    rows = {
        name: [json.loads(line) for line in (open_data / f"{name}.jsonl").read_text().splitlines()]
        for name in ("bandai", "hdm05")
    }
    for row in rows["bandai"]:
        (tmp_path / f"{row['id'].replace('bn', 'dataset-', 1)}.bvh").touch()
    found = {take.id: take for take in bandai.takes(tmp_path, Left())}
    assert found.keys() == {row["id"] for row in rows["bandai"]}
    for row in rows["bandai"]:
        take = found[row["id"]]
        assert (take.text, take.split) == (row["text"], row["split"]), row["id"]
    for row in rows["hdm05"]:
        (tmp_path / f"{row['id'].replace('hdm', 'HDM', 1)}_120.amc").touch()
    left = Left()
    found = {take.id: take for take in hdm05.takes(tmp_path, left)}
    for row in rows["hdm05"]:
        take = found[row["id"]]
        assert (take.text, take.split, take.subject) == (row["text"], row["split"], row["subject"])
    index = cmu.read_index(open_data / "cmu_index.json")
    assert len(index) == 2435
    assert sum(entry.rate_hz == 60 for entry in index.values()) == 326


def test_asf_names_of_the_imitation_are_the_rigs() -> None:
    """The imitation stands for CMU's files: it has every bone that the rig asks for."""
    rig = load_rig("cmu_asf")
    assert {spot.joint for spots in rig.joints.values() for spot in spots} <= set(
        ASF_NAMES.values()
    )
