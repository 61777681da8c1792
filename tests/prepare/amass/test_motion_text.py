"""Annotations of HumanML3D and AMASS-Annotation-Unifier."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.amass import AmassFixture, Made

from actionpose.datasets.corpus import verify_corpus
from actionpose.prepare.amass.build import read_annotations
from actionpose.utils.errors import UserError


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> AmassFixture:
    """Twelve recordings without a defect."""
    return AmassFixture(tmp_path_factory.mktemp("small"), 12, defects=())


def write_humanml3d(folder: Path, one: Made, other: Made) -> Path:
    """Clips of one recording, in two splits and in none; of another source; without texts."""
    (folder / "HumanML3D" / "texts").mkdir(parents=True)
    source = f"./pose_data/{one.babel}.npy"
    cut = f"./pose_data/{other.babel}.npy"
    (folder / "index.csv").write_text(
        "source_path,start_frame,end_frame,new_name\n"
        f"{source},0,10,000000.npy\n{source},4,12,000001.npy\n"
        "./pose_data/humanact12/humanact12/P01.npy,0,-1,000002.npy\n"
        f"{source},0,3,000003.npy\n{cut},2,9,000004.npy\n{source},1,5,000005.npy\n"
    )
    for name, lines in {
        "000000": "a man walks.#a/DET man/NOUN walk/VERB#0.0#0.0\nhe Turns#he/PRON#0.1#0.3\n",
        "000001": "stops#stop/VERB#nan#nan\n\n",
        "000002": "x#x#0#0",
        "000004": "late#late#0.0#0.0",
        "000005": "of no split#of#0.0#0.0",
    }.items():
        (folder / "HumanML3D" / "texts" / f"{name}.txt").write_text(lines)
    (folder / "HumanML3D" / "train.txt").write_text("000000\n000002\n000004\n")
    (folder / "HumanML3D" / "val.txt").write_text("000001\n")
    return folder


def test_read_humanml3d_frames_and_splits(small: AmassFixture, tmp_path: Path) -> None:
    """Its frames are those of files thinned to 20 Hz, by whole numbers."""
    one, eyes = small.made[0], small.made[5]
    folder = write_humanml3d(tmp_path, one, eyes)
    report = small.prepare(tmp_path / "out", annotations=folder)
    corpus = verify_corpus(tmp_path / "out")
    assert {name: motion.split for name, motion in corpus.motions().items()} == {
        "000000": "train",
        "000001": "val",
    }
    first = corpus.motions()["000001"]
    at = np.arange(len(first)) * 4 + 4 * 6.0  # 120 Hz: every sixth frame; from the fourth on
    joints_m = corpus.joints_m[first.start : first.stop]
    np.testing.assert_allclose(joints_m, small.expected_joints(one, at), rtol=0, atol=1e-6)
    labels = {(s.start, s.stop, s.text) for s in corpus.segments if s.kind == "action"}
    assert labels == {(0, 15, "a man walks"), (3, 9, "he turns"), (15, 27, "stops")}
    assert report.texts == "HumanML3D"
    # the third clip has no texts; three seconds before the fourth are more than there is
    assert "its cut lies after the end" in corpus.info["skipped"]["000004"]
    assert report.left_out["recordings: without a file of texts"] == 1
    assert report.left_out["recordings: of HumanAct12, not in AMASS"] == 1
    assert report.left_out["recordings: in no split file"] == 1
    for name in ("train", "val"):
        (folder / "HumanML3D" / f"{name}.txt").unlink()
    with pytest.raises(UserError, match="put the split files of the annotations there"):
        read_annotations(folder)


def test_read_unified_labels(small: AmassFixture, tmp_path: Path) -> None:
    one = small.made[2]
    content = {
        "00001": {
            "path": one.babel,
            "duration": one.seconds,
            "annotations": [{"seg_id": "0", "text": "Steps aside.", "start": 0.0, "end": 0.3}],
        },
        small.made[3].babel: {
            "duration": small.made[3].seconds,
            "annotations": [{"seg_id": "1", "text": "lifts", "start": 0.0, "end": 9.0}],
        },
    }
    content["00007"] = content["00001"]
    (tmp_path / "kitml.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"there is no train\.txt, val\.txt or test\.txt"):
        read_annotations(tmp_path / "kitml.json")
    (tmp_path / "test.txt").write_text("00001\n")
    (tmp_path / "train.txt").write_text(f"{small.made[3].babel}\n")
    report = small.prepare(tmp_path / "out", annotations=tmp_path / "kitml.json")
    corpus = verify_corpus(tmp_path / "out")
    texts = [segment.text for segment in corpus.segments if segment.kind == "action"]
    assert texts == ["steps aside", "lifts"]
    assert [motion.split for motion in corpus.motions().values()] == ["test", "train"]
    assert report.left_out["recordings: in no split file"] == 1


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "[]", '{"a": {"annotations": [1]}}'])
def test_read_unified_refuses_other_json(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    (tmp_path / "train.txt").write_text("")
    with pytest.raises(UserError, match="not a json of AMASS-Annotation-Unifier"):
        read_annotations(tmp_path / "x.json")


@pytest.mark.parametrize(
    "index", ["a,b\n1,2\n", "source_path,start_frame,end_frame,new_name\n,x,,\n"]
)
def test_read_humanml3d_refuses_other_indices(tmp_path: Path, index: str) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / ".txt").write_text("a#b#0#0")
    (tmp_path / "train.txt").write_text("")
    (tmp_path / "index.csv").write_text(index)
    with pytest.raises(UserError, match="not an index of HumanML3D"):
        read_annotations(tmp_path)


def test_read_humanml3d_needs_texts(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("")
    with pytest.raises(UserError, match="unpack texts.zip"):
        read_annotations(tmp_path)
