"""A folder of any BVH files to a corpus, by joint maps."""

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.mocap_files import SMALL, body_bvh

from actionpose.config import FinetuneConfig
from actionpose.datasets.corpus import Corpus, verify_corpus
from actionpose.prepare.mocap import folder as any_folder
from actionpose.prepare.mocap.common import SourceFolder
from actionpose.prepare.mocap.joint_map import load_joint_map
from actionpose.prepare.mocap.tree import MocapFile
from actionpose.training.finetune import finetune
from actionpose.utils.errors import UserError


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Files of two joint maps, a broken one, and one of neither."""
    source = tmp_path / "mixed"
    body_bvh("mixamo", source / "ann" / "walk.bvh", frames=31)
    body_bvh("bandai", source / "bow.BVH", positions=True, frames=31)
    body_bvh("mixamo", source / "cut.bvh")
    (source / "cut.bvh").write_text((source / "cut.bvh").read_text()[:-400])
    (source / "snake.bvh").write_text(SMALL)
    return source


def test_command_bvh(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "out"
    labels.write_text(
        "file,text,subject,split,start_s,stop_s\n"
        'ann/walk.bvh,"walk, then wave",ann,val,,\n'
        "ann/walk.bvh,walk,ann,val,0,0.5\n"
        "ann/walk.bvh,walk,ann,val,0,0.5\n"
        'ann/walk.bvh,"walk, then wave",ann,val,0,2\n'
        "ann\\walk.bvh,wave,ann,val,0.5,9\n"
        "ann/walk.bvh,late,ann,val,8,9\n"
        "bow,bow,,,,\n"
        "gone.bvh,x,,,,\n"
    )
    joint_maps = ("--joint-map", "bandai", "--joint-map", "mixamo")
    command = ("prepare", "bvh", mixed, out, "--labels", labels, "--license", "mine")
    assert call(monkeypatch, *command, *joint_maps) == 3
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
    assert "fits no given joint map; nearest is" in skipped["snake.bvh"]
    assert corpus.info["license"] == "mine"
    capsys.readouterr()


def test_command_bvh_interrupted(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C after the first file leaves nothing; the next try is as if nothing had been."""
    out = tmp_path / "out"
    command = ("prepare", "bvh", mixed, out, "--joint-map", "mixamo", "--joint-map", "bandai")
    with monkeypatch.context() as patch:
        read, calls = any_folder.read_bvh, []

        def stop(path: Path) -> MocapFile:
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


def test_list_sequences_names_the_nearest_joint_map(mixed: Path) -> None:
    source = SourceFolder(mixed)
    found = {each.id: each for each in any_folder.list_sequences(source, ["bandai"])}
    assert found.keys() == {"ann/walk", "bow", "cut", "snake"} and not source.failed
    assert len(found["bow"].read()) == 31
    with pytest.raises(
        UserError, match="nearest is bandai, which needs .*; it fits the joint map mixamo"
    ):
        found["ann/walk"].read()


BAD_LABELS = {
    "its columns are missing; it needs file and text": "",
    "its columns are file, label; it needs file and text": "file,label\n",
    "line 3 has too many values: put a text with commas": "file,text\na,b\na,b,c\n",
    "line 2 names no file": "file,text\n,b\n",
    "a split is train, val, test, not 'dev'": "file,text,split\na,b,dev\n",
    "line 3: a has a text for the whole file in a row above": "file,text\na,b\na,c\n",
    "line 3: a has another subject or split": "file,text,subject\na,b,s\na,c,t\n",
    "line 2: 'start_s' and 'stop_s' are seconds": "file,text,start_s,stop_s\na,b,1,\n",
    "a span has a text, and 0 <= 'start_s' < 'stop_s'": "file,text,start_s,stop_s\na,b,3,2\n",
}


@pytest.mark.parametrize("message", BAD_LABELS)
def test_read_labels_names_the_line(tmp_path: Path, message: str) -> None:
    (tmp_path / "x.csv").write_text(BAD_LABELS[message])
    with pytest.raises(UserError, match=message):
        any_folder.read_labels(tmp_path / "x.csv")


def test_read_labels_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read .*x.csv"):
        any_folder.read_labels(tmp_path / "x.csv")


def test_command_joint_maps(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "prepare", "joint-maps") == 0
    assert "mixamo     Mixamo characters, BVH" in capsys.readouterr().out
    assert call(monkeypatch, "prepare", "joint-maps", "example") == 0
    (tmp_path / "mine.yaml").write_text(capsys.readouterr().out)
    assert load_joint_map(tmp_path / "mine.yaml").joints == load_joint_map("example").joints
    assert call(monkeypatch, "prepare", "joint-maps", "nobody") == 2
    assert "the package has no joint map nobody; it has bandai" in capsys.readouterr().err
    assert call(monkeypatch, "prepare", "bvh", mixed, tmp_path / "x") == 2
    assert "joint_map is missing: give bandai |" in capsys.readouterr().err


def test_corpus_trains(
    tmp_path: Path,
    tiny_config: FinetuneConfig,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was prepared trains as it is."""
    for number in range(3):
        body_bvh("mixamo", tmp_path / "src" / f"{number}.bvh", frames=40, seed=number)
    out = tmp_path / "out"
    command = ("prepare", "bvh", tmp_path / "src", out, "--joint-map", "mixamo")
    assert call(monkeypatch, *command) == 0
    capsys.readouterr()
    data = replace(tiny_config.data, corpora={str(out): 1.0})
    outcome = finetune(replace(tiny_config, data=data), tmp_path / "run", quiet=True)
    assert outcome.status == "finished" and outcome.step > 0
