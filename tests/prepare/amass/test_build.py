"""AMASS and BABEL into a corpus: 200 files with every defect, other texts."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from helpers.amass import UNUSABLE
from helpers.bodies import mesh, regressor, write_bodies
from helpers.tree import Tree
from scipy.spatial.transform import Rotation, Slerp

from actionpose.cli import main as cli
from actionpose.datasets.corpus import open_corpus, verify_corpus
from actionpose.prepare.amass.build import prepare, read_annotations
from actionpose.prepare.amass.labels import clean_text
from actionpose.skeletons import H36M17
from actionpose.training.finetune import finetune
from actionpose.utils.errors import UserError


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return Tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def prepared(tree):
    """The corpus of the whole tree, and the report."""
    out = tree.folder / "corpus"
    report = tree.prepare(out)
    return verify_corpus(out), report


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Twelve recordings without a defect."""
    return Tree(tmp_path_factory.mktemp("small"), 12, defects=())


# The whole tree


def test_every_defect_is_put_right_or_named(tree, prepared):
    corpus, _ = prepared
    motions, skipped = corpus.motions(), corpus.info["skipped"]
    unusable = {one.babel for one in tree.made if one.defect in UNUSABLE}
    assert unusable == skipped.keys()
    assert motions.keys() == {one.babel for one in tree.made} - unusable
    because = {one.defect: skipped.get(one.babel) for one in tree.made if one.defect}
    for defect, words in {
        "nan": "not finite at frame 3",
        "no poses": "has no poses",
        "pickled": "a pickle of Python objects, which is not loaded",
        "short trans": "are not (N, 156)",
        "unknown gender": "gender is 'other'",
        "neutral": "no body model for its gender (neutral)",
        "other length": "30 frames at 120.0 Hz, and the annotations say",
        "cut": "cannot be read as an npz archive",
        "empty": "cannot be read as an npz archive",
        "flipped": "Bad CRC-32",
        "bomb": "would unpack to 68,7",
        "missing": "no file of it in AMASS",
        "smplx": "of another release than the body model (SMPL-X",
    }.items():
        assert words in because[defect], defect
    assert not any(str(tree.folder) in reason for reason in skipped.values())


def test_the_report_counts_everything_once(tree, prepared):
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


def test_every_label_is_used_or_told_of(tree, prepared):
    corpus, report = prepared
    texts, left_out = read_annotations(tree.folder / "BABEL"), report.left_out
    # what BABEL says of parts, in all files and of all annotators
    said = 0
    for name in texts.read:
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


def expected_joints(tree, one, at):
    """By the oracle: frames of the file, given as whole numbers or times between them."""
    with np.load(one.file) as file:
        poses, trans_m, betas = file["poses"], file["trans"], file["betas"][:16]
        gender = str(file["gender"].ravel()[0].astype(str))
    frames = np.arange(len(poses))
    turns = Rotation.from_rotvec(poses.reshape(-1, 3)).as_quat().reshape(len(poses), -1, 4)
    posed = np.stack(
        [Slerp(frames, Rotation.from_quat(turns[:, j]))(at).as_rotvec() for j in range(52)], axis=1
    )
    path = np.stack([np.interp(at, frames, trans_m[:, axis]) for axis in range(3)], axis=1)
    arrays = dict(np.load(tree.bodies / "smplh" / gender / "model.npz"))
    female = np.load(tree.bodies / "smplh" / "female" / "model.npz")["v_template"]
    vertices, _ = mesh(arrays, posed.reshape(len(at), -1), betas, path)
    return np.einsum("jv,tvc->tjc", regressor(female), vertices)


# one of each data set; and those whose rate the file has wrong, or not at all
EXACT = [*range(40, 50), 2, 3, 4, 5]


@pytest.mark.parametrize("number", EXACT)
def test_joints_equal_the_mesh_at_thirty_hertz(tree, prepared, number):
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
    np.testing.assert_allclose(joints_m, expected_joints(tree, one, at), rtol=0, atol=1e-6)


def test_people_stand_upright(prepared):
    corpus, _ = prepared
    pelvis, head = corpus.joints_m[:, 0], corpus.joints_m[:, H36M17.joints.index("head")]
    up = head[:, 2] - pelvis[:, 2]
    assert np.median(up) > 0.5 and 0.5 < np.median(pelvis[:, 2]) < 1.4


def labels_of(corpus, one):
    motion = corpus.motions()[one.babel]
    return [
        (segment.start - motion.start, segment.stop - motion.start, segment.text, segment.kind)
        for segment in corpus.segments
        if segment.motion == one.babel and segment.kind != "sequence"
    ], motion


def entry_of(tree, one):
    name = "train" if one.split == "train" else "val"
    return json.loads((tree.folder / "BABEL" / f"{name}.json").read_text())[str(one.number)]


def test_no_parts_take_the_label_of_the_whole(tree, prepared):
    labels, motion = labels_of(prepared[0], tree.made[60])
    whole = clean_text(entry_of(tree, tree.made[60])["seq_ann"]["labels"][0]["proc_label"])
    assert labels == [(0, len(motion), whole, "action")] and motion.text == whole
    assert motion.subject == "CMU/01" and motion.split == "train"


def test_unsorted_labels_and_a_transition(tree, prepared):
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


def test_overlapping_labels_both_stay(tree, prepared):
    labels, motion = labels_of(prepared[0], tree.made[62])
    (_, stop, *_), (start, end, *_) = labels
    assert start < stop and len(motion) - 1 <= end <= len(motion)


def test_several_annotators_are_merged(tree, prepared):
    corpus, _ = prepared
    extra = json.loads((tree.folder / "BABEL" / "extra_train.json").read_text())
    for number in map(int, extra):
        labels, motion = labels_of(corpus, tree.made[number])
        texts = [text for _, _, text, _ in labels]
        assert "dance" in texts and "spin" in texts
        assert motion.text != "dance"  # the first annotator's


def test_a_recording_in_two_splits_is_not_trained_on(tree, prepared):
    train = json.loads((tree.folder / "BABEL" / "train.json").read_text())
    leaked = [one for one in tree.made if one.split == "val" and str(one.number) in train]
    assert len(leaked) == 1
    assert prepared[0].motions()[leaked[0].babel].split == "val"


def test_a_corpus_made_here_trains(prepared, tiny_config, tmp_path):
    data = replace(tiny_config.data, corpora={str(prepared[0].folder): 1.0}, stride=400)
    outcome = finetune(replace(tiny_config, data=data), tmp_path / "run", quiet=True)
    assert outcome.status == "finished" and outcome.step > 2


def test_the_newer_release_with_its_own_body(tmp_path):
    own = Tree(tmp_path / "tree", 3, defects=("smplx", "smplx", "smplx"))
    bodies, matrix = write_bodies(tmp_path / "newer", "smplx")
    own.prepare(tmp_path / "out", body_model=bodies / "smplx", regressor=matrix)
    assert len(verify_corpus(tmp_path / "out").motions()) == 3


# What the user gives


def test_nothing_in_common(small, tmp_path):
    folder = small.folder / "AMASS" / "CMU"
    with pytest.raises(UserError) as caught:
        prepare(folder, small.folder / "BABEL", tmp_path / "out",
                body_model=small.bodies / "smplh", regressor=small.regressor)  # fmt: skip
    # a folder too deep: CMU's own are found by their last parts only if these are there
    message = str(caught.value)
    assert "none of the 12 recordings of BABEL is in" in message
    assert message.count("_poses") == 6 and "01/01_00_poses.npz" in message


def test_an_empty_amass(small, tmp_path):
    (tmp_path / "AMASS").mkdir()
    with pytest.raises(UserError, match="there is no motion file"):
        prepare(tmp_path / "AMASS", small.folder / "BABEL", tmp_path / "out",
                body_model=small.bodies / "smplh", regressor=small.regressor)  # fmt: skip
    with pytest.raises(UserError, match="there is no folder .*nowhere"):
        prepare(tmp_path / "nowhere", small.folder / "BABEL", tmp_path / "out",
                body_model=small.bodies / "smplh", regressor=small.regressor)  # fmt: skip


def test_no_recording_can_be_used(tmp_path):
    own = Tree(tmp_path / "tree", 2, defects=("nan", "cut"))
    with pytest.raises(UserError, match="no recording could be used; the first, CMU/01"):
        own.prepare(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_regressor(small, tmp_path):
    with pytest.raises(UserError, match=r"give regressor=FILE.*Pose2Mesh.*approximate=True"):
        small.prepare(tmp_path / "out", regressor=None)
    report = small.prepare(tmp_path / "out", regressor=None, approximate=True)
    assert report.keypoints.startswith("APPROXIMATE")
    assert open_corpus(tmp_path / "out").info["report"]["keypoints"].startswith("APPROXIMATE")


def test_what_exists_is_not_written_over(small, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="exists already"):
        small.prepare(tmp_path / "out")


def test_the_command(small, tmp_path, capsys):
    cli.run(small.command(tmp_path / "out", "--workers", "1", "-q"))
    printed = capsys.readouterr().out
    assert "9  written, train" in printed and f"wrote       {tmp_path / 'out'}" in printed
    verify_corpus(tmp_path / "out")


def test_the_command_checks_first(tree, capsys):
    """Single damaged files are no reason to stop: `prepare` names them."""
    cli.run(tree.command("--check"))
    printed = capsys.readouterr().out
    assert "ok     body model         SMPL-H, female, male" in printed
    assert "annotations        BABEL: train.json 151" in printed
    assert "ok     CMU                40 of 40 recordings with a text\n" in printed
    assert "note   SSM_synced         19 of 20 recordings with a text; " in printed
    assert "squat_00_sync_poses.npz needs a body model for neutral" in printed


def test_the_check_sees_the_other_release(tmp_path, capsys):
    own = Tree(tmp_path, 4, defects=("smplx", "cut", "missing"))
    with pytest.raises(UserError, match="1 of 6 checks failed"):
        cli.run(own.command("--check"))
    printed = capsys.readouterr().out
    assert "is of SMPL-X, and the body model is SMPL-H: download the SMPL-H release" in printed
    assert "note   KIT                0 of 1 recordings with a text: download its arch" in printed
    assert "WRONG  CMU" in printed and "WRONG  BioMotion" not in printed


def test_the_check_finds_everything_at_once(small, tmp_path, capsys):
    nothing = tmp_path / "nothing"
    with pytest.raises(UserError, match="3 of 3 checks"):
        cli.run(["prepare", "amass-babel", str(nothing), str(nothing), "--body-model",
                 str(nothing), "--check"])  # fmt: skip
    printed = capsys.readouterr().out
    for words in ("MANO web site", "give a folder of BABEL", "holds the data sets of AMASS"):
        assert words in printed
    cli.run(small.command("--check"))
    assert "WRONG" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "name the folder of the new corpus"),
        (("x", "--workers", "0"), "--workers must be 1 or more"),
        (("x", "--approximate"), "not both"),
    ],
)
def test_wrong_options(small, more, message):
    with pytest.raises(UserError, match=message):
        cli.run(small.command(*more))


def write_humanml3d(folder, one, other):
    """Two clips of one recording, in two splits; one of another source; one without texts."""
    (folder / "HumanML3D" / "texts").mkdir(parents=True)
    source = f"./pose_data/{one.babel}.npy"
    cut = f"./pose_data/{other.babel}.npy"
    (folder / "index.csv").write_text(
        "source_path,start_frame,end_frame,new_name\n"
        f"{source},0,10,000000.npy\n{source},4,12,000001.npy\n"
        "./pose_data/humanact12/humanact12/P01.npy,0,-1,000002.npy\n"
        f"{source},0,3,000003.npy\n{cut},2,9,000004.npy\n"
    )
    for name, lines in {
        "000000": "a man walks.#a/DET man/NOUN walk/VERB#0.0#0.0\nhe Turns#he/PRON#0.1#0.3\n",
        "000001": "stops#stop/VERB#nan#nan\n\n",
        "000002": "x#x#0#0",
        "000004": "late#late#0.0#0.0",
    }.items():
        (folder / "HumanML3D" / "texts" / f"{name}.txt").write_text(lines)
    (folder / "HumanML3D" / "val.txt").write_text("000001\n")
    return folder


def test_humanml3d(small, tmp_path):
    """Its frames are those of files thinned to 20 Hz, by whole numbers."""
    one, eyes = small.made[0], small.made[5]
    folder = write_humanml3d(tmp_path, one, eyes)
    report = prepare(small.folder / "AMASS", folder, tmp_path / "out",
                     body_model=small.bodies / "smplh", regressor=small.regressor)  # fmt: skip
    corpus = verify_corpus(tmp_path / "out")
    assert {name: motion.split for name, motion in corpus.motions().items()} == {
        "000000": "train",
        "000001": "val",
    }
    first = corpus.motions()["000001"]
    at = np.arange(len(first)) * 4 + 4 * 6.0  # 120 Hz: every sixth frame; from the fourth on
    joints_m = corpus.joints_m[first.start : first.stop]
    np.testing.assert_allclose(joints_m, expected_joints(small, one, at), rtol=0, atol=1e-6)
    labels = {(s.start, s.stop, s.text) for s in corpus.segments if s.kind == "action"}
    assert labels == {(0, 15, "a man walks"), (3, 9, "he turns"), (15, 27, "stops")}
    assert report.texts == "HumanML3D"
    # the third clip has no texts; three seconds before the fourth are more than there is
    assert "its cut lies after the end" in corpus.info["skipped"]["000004"]
    assert report.left_out["recordings: without a file of texts"] == 1
    assert report.left_out["recordings: of HumanAct12, not in AMASS"] == 1


def test_unified_annotations(small, tmp_path):
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
    (tmp_path / "kitml.json").write_text(json.dumps(content))
    prepare(small.folder / "AMASS", tmp_path / "kitml.json", tmp_path / "out",
            body_model=small.bodies / "smplh", regressor=small.regressor)  # fmt: skip
    corpus = verify_corpus(tmp_path / "out")
    texts = [segment.text for segment in corpus.segments if segment.kind == "action"]
    assert texts == ["steps aside", "lifts"]


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "[]", '{"a": {"annotations": [1]}}'])
def test_other_json(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(UserError, match="not a json of AMASS-Annotation-Unifier"):
        read_annotations(tmp_path / "x.json")


@pytest.mark.parametrize(
    "index", ["a,b\n1,2\n", "source_path,start_frame,end_frame,new_name\n,x,,\n"]
)
def test_other_indices(tmp_path, index):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / ".txt").write_text("a#b#0#0")
    (tmp_path / "index.csv").write_text(index)
    with pytest.raises(UserError, match="not an index of HumanML3D"):
        read_annotations(tmp_path)


def test_an_index_without_texts(tmp_path):
    (tmp_path / "index.csv").write_text("")
    with pytest.raises(UserError, match="unpack texts.zip"):
        read_annotations(tmp_path)
