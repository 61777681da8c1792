"""The CMU database: trials, their index, what is left out and named."""

import json
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.mocap_files import body_amc, body_asf, body_bvh

from actionpose.datasets.corpus import open_corpus, verify_corpus
from actionpose.prepare.mocap import cmu
from actionpose.prepare.mocap.common import SourceFolder
from actionpose.utils.errors import UserError


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


def test_command_cmu(
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


def test_command_cmu_names_what_fails(
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


def test_command_cmu_without_usable_files(
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


def test_read_index_in_all_forms(tmp_path: Path) -> None:
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
    assert read(".csv", CSV) == read(".csv", CSV.replace("fps", "rate_hz")) == expected
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
def test_read_index_names_what_is_wrong(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        cmu.read_index(tmp_path / name)


def test_list_sequences_needs_rates(cmu_folder: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.txt"
    index.write_text(TXT)
    source = SourceFolder(cmu_folder)
    assert not cmu.list_sequences(source, index)
    assert "does not give its rate, nor does fps" in source.excluded["subjects/01/01_01.amc"]
    found = cmu.list_sequences(SourceFolder(cmu_folder), index, 60.0)
    assert [sequence.id for sequence in found] == ["cmu_01_01", "cmu_13_04", "cmu_33_01"]
    assert len(found[0].read()) == 21


def test_list_sequences_bvh_with_its_own_rate(cmu_folder: Path, index: Path) -> None:
    """Who resampled a conversion wrote the rate in: then the file is right, and not the index."""
    path = cmu_folder / "bvh" / "34_02.bvh"
    path.write_text(path.read_text().replace("0083333", "0333333"))
    found = cmu.list_sequences(SourceFolder(cmu_folder), index)
    assert len(next(each for each in found if each.id == "cmu_34_02").read()) == 41
