"""AMASS and BABEL into a corpus: 200 files with every defect."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.amass import UNUSABLE, AmassFixture, Made
from helpers.bodies import write_bodies
from helpers.training_runs import changed

from actionpose.cli import main as cli
from actionpose.config import FinetuneConfig
from actionpose.datasets.corpus import Corpus, Segment, open_corpus, verify_corpus
from actionpose.prepare.amass.babel import FILES
from actionpose.prepare.amass.build import Report, read_annotations
from actionpose.prepare.amass.labels import clean_text
from actionpose.skeletons import H36M17
from actionpose.training.finetune import finetune
from actionpose.utils.errors import UserError


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> AmassFixture:
    return AmassFixture(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def prepared(tree: AmassFixture) -> tuple[Corpus, Report]:
    """The corpus of the whole tree, and the report."""
    out = tree.folder / "corpus"
    report = tree.prepare(out)
    return verify_corpus(out), report


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> AmassFixture:
    """Twelve recordings without a defect."""
    return AmassFixture(tmp_path_factory.mktemp("small"), 12, defects=())


def test_prepare_corrects_or_names_every_defect(
    tree: AmassFixture, prepared: tuple[Corpus, Report]
) -> None:
    corpus, _ = prepared
    motions, skipped = corpus.motions(), corpus.info["skipped"]
    unusable = {one.babel for one in tree.made if one.defect in UNUSABLE}
    assert unusable == skipped.keys()
    assert motions.keys() == {one.babel for one in tree.made} - unusable
    because = {one.defect: skipped.get(one.babel) for one in tree.made if one.defect}
    for defect, words in {
        "nan": "not finite at frame 3",
        "no poses": "has no poses",
        "pickled": "a pickle of Python objects, which could run code: not loaded",
        "short trans": "are not (N, 156)",
        "unknown gender": "gender is 'other'",
        "neutral": "no body model for its gender (neutral)",
        "other length": "30 frames at 120.0 Hz, and the annotations say",
        "cut": "cannot be read as an npz archive",
        "empty": "cannot be read as an npz archive",
        "flipped": "Bad CRC-32",
        "bomb": "its size is not the one in its header",
        "missing": "no file of it in AMASS",
        "smplx": "of another release than the body model (SMPL-X",
    }.items():
        assert words in because[defect], defect
    assert not any(str(tree.folder) in reason for reason in skipped.values())


def test_report_counts_everything_once(tree: AmassFixture, prepared: tuple[Corpus, Report]) -> None:
    corpus, report = prepared
    kinds = Counter(segment.kind for segment in corpus.segments)
    assert report.labels == {kind: kinds[kind] for kind in ("action", "transition")}
    written = sum(n for name, n in report.recordings.items() if name.startswith("written"))
    lost = [name for name in report.left_out if name.startswith("recordings: ")]
    told = sum(report.left_out[name] for name in lost)
    # three in the test file have no label; one in two splits is not lost
    assert written + told == len(tree.made) + 3 + 1
    assert report.left_out["recordings: in several splits, kept in val"] == 1
    assert sum(report.seconds.values()) == pytest.approx(len(corpus.joints_m) / 30)
    lost = [one.seconds for one in tree.made if one.babel in corpus.info["skipped"]]
    assert report.lost_s == pytest.approx(sum(lost))
    assert report.notes == {
        "recordings: no rate in the file, taken from the duration": 2,
        "recordings: wrong rate in the file, put right by the duration": 2,
        "recordings: shape coefficients cut to the model's 16": 1,
    }
    assert corpus.info["report"] == report.as_dict()


def test_report_accounts_for_every_label(
    tree: AmassFixture, prepared: tuple[Corpus, Report]
) -> None:
    corpus, report = prepared
    texts, left_out = read_annotations(tree.folder / "BABEL"), report.left_out
    # what BABEL says of parts, in all files and of all annotators
    said = 0
    for name in FILES:
        for entry in json.loads((tree.folder / "BABEL" / name).read_text()).values():
            several = [entry.get("frame_ann"), *(entry.get("frame_anns") or [])]
            said += sum(len(parts["labels"]) for parts in several if parts)
    read = [label for recording in texts.sequences for label in recording.labels]
    of_parts = [label for label in read if label.stop_s < math.inf]
    told = {name: n for name, n in left_out.items() if name.startswith("transitions")}
    hidden = 3  # of wholes, in the test file
    without = left_out["labels: without text (hidden in the test set)"] - hidden
    assert said == len(of_parts) + sum(told.values()) + without
    # and of what was read, in the corpus
    gone = left_out["labels: of recordings left out"]
    lost = corpus.info["skipped"]
    assert gone == sum(len(each.labels) for each in texts.sequences if each.id in lost) > 0
    in_frames = [name for name in left_out if name.startswith("labels")]
    dropped = sum(left_out[name] for name in in_frames) - without - hidden - gone
    assert len(read) == sum(report.labels.values()) + dropped + gone


# one of each data set; and those whose rate the file has wrong, or not at all
EXACT = [*range(40, 50), 2, 3, 4, 5]


@pytest.mark.parametrize("number", EXACT)
def test_joints_equal_the_mesh_at_30_hz(
    tree: AmassFixture, prepared: tuple[Corpus, Report], number: int
) -> None:
    corpus, _ = prepared
    one = tree.made[number]
    motion = corpus.motions()[one.babel]
    with np.load(one.file) as file:
        count = len(file["poses"])
    step = round(one.fps, 3) / 30  # 59.99999 and 120.00005 take whole frames
    assert len(motion) == int((count - 1) / step + 1e-9) + 1
    rows = np.unique(np.linspace(0, len(motion) - 1, 4).astype(int))
    at = np.minimum(rows * step, count - 1)
    joints_m = corpus.joints_m[motion.start : motion.stop][rows]
    np.testing.assert_allclose(joints_m, tree.expected_joints(one, at), rtol=0, atol=1e-6)


def test_joints_are_upright(prepared: tuple[Corpus, Report]) -> None:
    corpus, _ = prepared
    pelvis, head = corpus.joints_m[:, 0], corpus.joints_m[:, H36M17.joints.index("head")]
    up = head[:, 2] - pelvis[:, 2]
    assert np.median(up) > 0.5 and 0.5 < np.median(pelvis[:, 2]) < 1.4


def labels_of(corpus: Corpus, one: Made) -> tuple[list[tuple[int, int, str, str]], Segment]:
    motion = corpus.motions()[one.babel]
    return [
        (segment.start - motion.start, segment.stop - motion.start, segment.text, segment.kind)
        for segment in corpus.segments
        if segment.motion == one.babel and segment.kind != "sequence"
    ], motion


def entry_of(tree: AmassFixture, one: Made) -> dict[str, Any]:
    name = "train" if one.split == "train" else "val"
    return json.loads((tree.folder / "BABEL" / f"{name}.json").read_text())[str(one.number)]


def test_labels_of_the_whole_without_parts(
    tree: AmassFixture, prepared: tuple[Corpus, Report]
) -> None:
    labels, motion = labels_of(prepared[0], tree.made[60])
    whole = clean_text(entry_of(tree, tree.made[60])["seq_ann"]["labels"][0]["proc_label"])
    assert labels == [(0, len(motion), whole, "action")] and motion.text == whole
    assert motion.subject == "CMU/01" and motion.split == "train"


def test_labels_unsorted_with_a_transition(
    tree: AmassFixture, prepared: tuple[Corpus, Report]
) -> None:
    one = tree.made[61]
    labels, motion = labels_of(prepared[0], one)
    last, between, first = entry_of(tree, one)["frame_ann"]["labels"]
    a, b = clean_text(first["proc_label"]), clean_text(last["proc_label"])
    times = between["start_t"], between["end_t"], last["end_t"]
    start, stop, end = (int(30 * (seconds + 1e-4)) for seconds in times)
    assert labels == [
        (0, start, a, "action"),
        (0, min(end, len(motion)), f"transit from {a} to {b}", "transition"),
        (stop, min(end, len(motion)), b, "action"),
    ]


def test_labels_overlapping_are_kept(tree: AmassFixture, prepared: tuple[Corpus, Report]) -> None:
    labels, motion = labels_of(prepared[0], tree.made[62])
    (_, stop, *_), (start, end, *_) = labels
    assert start < stop and len(motion) - 1 <= end <= len(motion)


def test_labels_of_several_annotators_are_merged(
    tree: AmassFixture, prepared: tuple[Corpus, Report]
) -> None:
    corpus, _ = prepared
    extra = json.loads((tree.folder / "BABEL" / "extra_train.json").read_text())
    for number in map(int, extra):
        labels, motion = labels_of(corpus, tree.made[number])
        texts = [text for _, _, text, _ in labels]
        assert "dance" in texts and "spin" in texts
        assert motion.text != "dance"  # the first annotator's


def test_sequence_in_two_splits_is_not_trained_on(
    tree: AmassFixture, prepared: tuple[Corpus, Report]
) -> None:
    train = json.loads((tree.folder / "BABEL" / "train.json").read_text())
    leaked = [one for one in tree.made if one.split == "val" and str(one.number) in train]
    assert len(leaked) == 1
    assert prepared[0].motions()[leaked[0].babel].split == "val"


def test_corpus_trains(
    prepared: tuple[Corpus, Report], tiny_config: FinetuneConfig, tmp_path: Path
) -> None:
    data = replace(tiny_config.data, corpora={str(prepared[0].folder): 1.0}, stride=400)
    config = changed(replace(tiny_config, data=data), epochs=0.1)
    outcome = finetune(config, tmp_path / "run", quiet=True)
    assert outcome.status == "finished" and outcome.step > 2


def test_prepare_smplx_release(tmp_path: Path) -> None:
    own = AmassFixture(tmp_path / "tree", 3, defects=("smplx", "smplx", "smplx"))
    bodies, matrix = write_bodies(tmp_path / "newer", "smplx")
    own.prepare(tmp_path / "out", body_model=bodies / "smplx", regressor=matrix)
    assert len(verify_corpus(tmp_path / "out").motions()) == 3


def test_prepare_names_what_is_there_without_a_match(small: AmassFixture, tmp_path: Path) -> None:
    folder = small.folder / "AMASS" / "CMU"
    with pytest.raises(UserError) as caught:
        small.prepare(tmp_path / "out", amass=folder)
    # a folder too deep: CMU's own are found by their last parts only if these are there
    message = str(caught.value)
    assert "none of the 12 recordings of BABEL is in" in message
    assert message.count("_poses") == 6 and "01/01_00_poses.npz" in message


def test_prepare_refuses_an_empty_amass(small: AmassFixture, tmp_path: Path) -> None:
    (tmp_path / "AMASS").mkdir()
    with pytest.raises(UserError, match="there is no motion file"):
        small.prepare(tmp_path / "out", amass=tmp_path / "AMASS")
    with pytest.raises(UserError, match="there is no folder .*nowhere"):
        small.prepare(tmp_path / "out", amass=tmp_path / "nowhere")


def test_prepare_refuses_when_nothing_is_usable(tmp_path: Path) -> None:
    own = AmassFixture(tmp_path / "tree", 2, defects=("nan", "cut"))
    with pytest.raises(UserError, match="no recording could be used; the first, CMU/01"):
        own.prepare(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_prepare_without_regressor_needs_approximate(small: AmassFixture, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"give regressor=FILE.*Pose2Mesh.*approximate=True"):
        small.prepare(tmp_path / "out", regressor=None)
    report = small.prepare(tmp_path / "out", regressor=None, approximate=True)
    assert report.keypoints.startswith("APPROXIMATE")
    assert open_corpus(tmp_path / "out").info["report"]["keypoints"].startswith("APPROXIMATE")


def test_prepare_does_not_overwrite(small: AmassFixture, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="exists already"):
        small.prepare(tmp_path / "out")


def test_command_prints_the_report(
    small: AmassFixture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run(small.command(tmp_path / "out", "--workers", "1", "-q"))
    printed = capsys.readouterr().out
    assert "9  written, train" in printed and f"wrote       {tmp_path / 'out'}" in printed
    verify_corpus(tmp_path / "out")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "name the folder of the new corpus"),
        (("x", "--workers", "0"), "--workers must be 1 or more"),
        (("x", "--approximate"), "not both"),
    ],
)
def test_command_refuses_wrong_options(
    small: AmassFixture, more: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        cli.run(small.command(*more))
