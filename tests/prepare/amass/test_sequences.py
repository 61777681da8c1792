"""The readers of AMASS and of BABEL, each by itself."""

import json
import math
from collections import Counter

import numpy as np
import pytest
from helpers.amass import annotation, label
from scipy.spatial.transform import Rotation

from actionpose.prepare.amass.babel import read_babel
from actionpose.prepare.amass.build import read_annotations
from actionpose.prepare.amass.labels import Label, clean_text, frame_spans, sequence_key
from actionpose.prepare.amass.sequences import (
    AmassSequence,
    poses_for,
    read_sequence,
    resample,
    scan_folder,
    true_fps,
)
from actionpose.utils.errors import UserError

# AMASS


@pytest.mark.parametrize(
    ("babel", "local"),
    [
        ("CMU/CMU/01/01_01_poses.npz", "CMU/01/01_01_poses.npz"),
        ("CMU/CMU/01/01_01_poses.npz", "CMU/01/01_01_stageii.npz"),
        ("CMU/CMU/01/01_01_poses.npz", "deep/CMU/CMU/01/01_01_poses.npz"),
        ("BMLrub/BioMotionLab_NTroje/rub1/00_a_poses.npz", "BMLrub/rub1/00_a_stageii.npz"),
        ("DFaust67/DFaust_67/50002/j_poses.npz", "DFaust/50002/j_poses.npz"),
        ("EyesJapanDataset/Eyes_Japan_Dataset/a/b-1-c d-e_poses.npz",
         "EyesJapanDataset/a/b-1-c_d-e_stageii.npz"),
        ("MPIHDM05/MPI_HDM05/bk/HDM_bk_poses.npz", "HDM05/bk/HDM_bk_stageii.npz"),
        ("MPILimits/MPI_Limits/03100/uar3_poses.npz", "PosePrior/03100/uar3_stageii.npz"),
        ("MPImosh/MPI_mosh/50022/stretch_poses_poses.npz", "MoSh/50022/stretch_poses_poses.npz"),
        ("SSMsynced/SSM_synced/2016/sync_poses.npz", "SSM/2016/sync_poses.npz"),
        ("TCDhandMocap/TCD_handMocap/E/w_poses.npz", "TCDHands/E/w_poses.npz"),
        ("Transitionsmocap/Transitions_mocap/mazen_c3d/x_poses.npz", "Transitions/mazen_c3d/x.npz"),
        ("ACCAD/ACCAD/Male2/B14 -  Walk turn_poses.npz", "ACCAD/Male2/B14_-__Walk_turn_poses.npz"),
    ],
)  # fmt: skip
def test_a_path_under_all_its_names(babel, local):
    assert sequence_key(babel) == sequence_key(local)
    assert sequence_key(babel) != sequence_key(babel.replace("_poses.npz", "2_poses.npz"))


def test_links_that_lead_back(tmp_path):
    (tmp_path / "elsewhere" / "01").mkdir(parents=True)
    (tmp_path / "elsewhere" / "01" / "a_poses.npz").touch()
    (tmp_path / "AMASS").mkdir()
    (tmp_path / "AMASS" / "CMU").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "01" / "up").symlink_to(tmp_path / "AMASS")
    tree = scan_folder(tmp_path / "AMASS")
    assert tree.files == {("cmu", "01", "a"): [tmp_path / "AMASS" / "CMU" / "01" / "a_poses.npz"]}


def mocap(fps, frames, width=156):
    rng = np.random.default_rng(0)
    poses, trans_m = rng.normal(0, 1, (frames, width)), rng.normal(0, 1, (frames, 3))
    return AmassSequence(poses, trans_m, np.zeros(16), "male", fps)


@pytest.mark.parametrize(
    ("header", "frames", "duration", "expected"),
    [
        (120, 1200, 10.0, 120),
        (120, 1200, 10.004, 120),
        (120, 600, 10.0, 60),  # SSM
        (60, 1200, 10.0, 120),
        (59.99999, 600, 10.0, 59.99999),
        (250, 2500, None, 250),
        (None, 1000, 10.0, 100),
        (120, 2400, 10.0, 240),
        (120, 60, 1.0, 60),
        (120, 1003, 10.0, 100),
    ],
)
def test_the_duration_decides_about_the_rate(header, frames, duration, expected):
    assert true_fps(mocap(header, frames), duration) == expected


@pytest.mark.parametrize(("header", "frames", "duration"), [(120, 300, 10.0), (None, 9, None)])
def test_no_rate_fits(header, frames, duration):
    with pytest.raises(UserError, match="annotations"):
        true_fps(mocap(header, frames), duration)


@pytest.mark.parametrize("fps", [60, 120, 150, 240, 59.99999, 120.00005, 30])
def test_multiples_of_thirty_take_whole_frames(fps):
    made = mocap(fps, 3001)
    poses, trans_m = resample(made, fps)
    step = round(fps / 30)
    np.testing.assert_array_equal(poses, made.poses[::step])
    np.testing.assert_array_equal(trans_m, made.trans_m[::step])


@pytest.mark.parametrize("fps", [100, 250, 25])
def test_other_rates_turn_evenly(fps):
    """A steady turn stays steady, through the half turn where the axis flips."""
    frames = np.arange(fps * 2)
    turn = Rotation.from_euler("z", 2.5 * frames[:, None] / fps, degrees=False).as_rotvec()
    path = frames[:, None] * [0.01, 0.02, 0]
    poses, trans_m = resample(AmassSequence(turn, path, np.zeros(1), "male", fps), fps)
    assert len(poses) == int((len(frames) - 1) * 30 / fps + 1e-9) + 1
    at = np.arange(len(poses)) / 30
    expected = Rotation.from_euler("z", 2.5 * at[:, None])
    off = (expected.inv() * Rotation.from_rotvec(poses)).magnitude()
    assert off.max() < 1e-9
    np.testing.assert_allclose(trans_m, (at * fps)[:, None] * [0.01, 0.02, 0], atol=1e-12)


def test_a_part_of_a_recording():
    made = mocap(120, 100)
    poses, _ = resample(made, 120, 20, 61)
    np.testing.assert_array_equal(poses, made.poses[20:61:4])
    assert len(resample(made, 120, 200)[0]) == 0
    assert len(resample(made, 120, 50, 50)[0]) == 0


def test_poses_of_one_model_for_another():
    given = mocap(120, 3).poses
    assert poses_for("smplh", given) is given
    assert np.all(poses_for("smpl", given)[:, :66] == given[:, :66])
    assert poses_for("smpl", given).shape == (3, 72)
    with pytest.raises(UserError, match="SMPL-X, and the body model is SMPL-H: download"):
        poses_for("smplh", mocap(120, 3, 165).poses)


@pytest.mark.parametrize(
    "gender",
    ["male", b"male", np.array("male"), np.array([b"Male"]), np.array("b'male'"), np.array(["m"])],
)
def test_genders_as_they_come(tmp_path, gender):
    arrays = {"poses": np.zeros((2, 156)), "trans": np.zeros((2, 3)), "betas": np.zeros((1, 16))}
    np.savez(tmp_path / "x.npz", gender=gender, mocap_frame_rate=np.array([120]), **arrays)
    read = read_sequence(tmp_path / "x.npz")
    assert (read.gender, read.fps, read.betas.shape) == ("male", 120.0, (16,))


# BABEL and other texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Walk\tforward_slowly. ", "walk forward slowly"),
        ("T-pose", "t-pose"),
        ("“sit”", "“sit”"),
        ("it's done!", "it's done"),
        ("ﬁx\u200b", "fix"),
        ("", ""),
        (None, ""),
        (3, ""),
        ("--", ""),
    ],
)
def test_clean_text(text, expected):
    assert clean_text(text) == expected


def test_frames_of_labels():
    left_out = Counter()
    labels = [Label(2.3, 3.0, "b"), Label(0.1, 1.2, "a"), Label(0, math.inf, "all"),
              Label(2, 1, "turned"), Label(9, 10, "late"), Label(1, 1.01, "short"),
              Label(0.1, 1.2, "a"), Label(-1, 1, "early"), Label(1, 3.04, "over")]  # fmt: skip
    spans = frame_spans(labels, 90, 30.0, left_out)
    assert spans == [
        (0, 90, "all", "action"),
        (3, 36, "a", "action"),
        (30, 90, "over", "action"),
        (69, 90, "b", "action"),
    ]
    assert sum(left_out.values()) == 5 and len(left_out) == 4


def write_babel(folder, **entries):
    made = {"babel_sid": 1, "url": "", "feat_p": "CMU/CMU/01/01_01_poses.npz", "dur": 5.0,
            "seq_ann": None, "frame_ann": None}  # fmt: skip
    content = {str(i): made | entry for i, entry in enumerate(entries.values())}
    (folder / "train.json").write_text(json.dumps(content))
    return folder


def test_transitions_of_different_annotators_do_not_mix(tmp_path):
    one = annotation(label("walk", 0, 1), label("transition", 1, 2))
    two = annotation(label("sit", 2, 3))
    texts = read_babel(write_babel(tmp_path, a={"frame_anns": [one, two]}))
    assert [each.text for each in texts.sequences[0].labels] == ["walk", "sit"]
    assert texts.left_out["transitions: no action before or after"] == 1


@pytest.mark.parametrize(
    ("a", "between", "b", "span"),
    [
        ((0, 4), (4, 5), (5, 8), (0, 8)),
        ((0, 20), (20, 21), (21, 40), (16.45, 24.55)),
        ((0, 20), (20, 21), (21, 22), (13.9, 22)),
        ((19, 20), (20, 21), (21, 40), (19, 27.1)),
        ((0, 10), (10, 30), (30, 40), (10, 30)),
    ],
)
def test_a_long_transition_is_a_clip_around_the_change(tmp_path, a, between, b, span):
    labels = annotation(label("walk", *a), label("transition", *between), label("sit", *b))
    texts = read_babel(write_babel(tmp_path, a={"frame_ann": labels}))
    made = texts.sequences[0].labels[-1]
    assert (made.start_s, made.stop_s) == pytest.approx(span)
    assert (made.text, made.kind) == ("transit from walk to sit", "transition")


def test_as_typed(tmp_path):
    folder = write_babel(tmp_path, a={"frame_ann": annotation(label("walk", 0, 1))})
    assert read_babel(folder, "raw_label").sequences[0].labels[0].text == "walk (as typed)"


@pytest.mark.parametrize("entry", [{"seq_ann": []}, {"frame_ann": {"labels": [3]}}])
def test_annotations_of_another_form(tmp_path, entry):
    with pytest.raises(UserError, match=r"train\.json: sequence 0 is not as BABEL writes it"):
        read_babel(write_babel(tmp_path, a=entry))


@pytest.mark.parametrize("content", ["{", "[]", '{"1": {}}', '{"1": 2}', "[" * 100_000, "\xff"])
def test_other_files_called_train(tmp_path, content):
    (tmp_path / "train.json").write_bytes(content.encode("latin1"))
    with pytest.raises(UserError, match=r"train\.json"):
        read_babel(tmp_path)


def test_no_annotations(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(UserError, match="BABEL"):
            read_annotations(path)
