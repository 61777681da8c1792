"""Scores against plain loops written from the protocols' descriptions, and SciPy's Procrustes."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.spatial
import scipy.spatial.transform
import torch
from helpers.synthetic_fixtures import h36m_sh, h36m_videopose3d, mpi_inf_3dhp, save_npz, to_3dhp

from actionpose.datasets.paired import Video, centered_rows, clip_rows, covering_rows, open_pairs
from actionpose.evaluation.error_analysis import self_occluded, tables_of, write_failures
from actionpose.evaluation.paired import (
    evaluate,
    load_model,
    model_predict,
    protocol_for,
    windows_of,
)
from actionpose.evaluation.predictions import load_predictions
from actionpose.evaluation.protocols import ALL17, PAPER14, frame_errors, h36m_indices
from actionpose.geometry.camera import mirror
from actionpose.models import PoseEncoder
from actionpose.prepare.paired.h36m import prepare_h36m
from actionpose.prepare.paired.mpi_inf_3dhp import prepare_3dhp
from actionpose.utils.errors import UserError

GOLDEN = np.load(Path(__file__).parents[1] / "reference_outputs" / "losses.npz")
FRAMES = 27
SIZES = {"54138969": (1000, 1002), "55011271": (1000, 1000)}
BLOCKED = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")
EXACT_MM = 1e-6


@pytest.fixture(scope="module")
def sh_content():
    return h36m_sh(frames=50, actions={2: "Directions", 5: "Greeting"})


@pytest.fixture(scope="module")
def sh(sh_content, tmp_path_factory):
    """Human3.6M's test split in MotionBERT's form."""
    folder = tmp_path_factory.mktemp("h36m")
    with (folder / "raw.pkl").open("wb") as file:
        pickle.dump(sh_content, file)
    return open_pairs(prepare_h36m(folder / "raw.pkl", folder / "sh"), "test")


@pytest.fixture(scope="module")
def cpn(tmp_path_factory):
    """And in VideoPose3D's."""
    import json

    folder = tmp_path_factory.mktemp("cpn")
    positions_m, positions_px, cameras = h36m_videopose3d(frames=40)
    save_npz(folder / "data_3d_h36m.npz", positions_3d=positions_m)
    save_npz(folder / "cpn.npz", positions_2d=positions_px)
    (folder / "cameras.json").write_text(json.dumps(cameras))
    prepared = prepare_h36m(
        folder / "data_3d_h36m.npz",
        folder / "cpn",
        keypoints=folder / "cpn.npz",
        cameras=folder / "cameras.json",
    )
    return open_pairs(prepared, "test"), positions_m, cameras


@pytest.fixture(scope="module")
def dhp_content():
    return mpi_inf_3dhp(frames=30, test_frames=50)[1]


@pytest.fixture(scope="module")
def dhp(dhp_content, tmp_path_factory):
    """MPI-INF-3DHP's test split."""
    folder = tmp_path_factory.mktemp("3dhp")
    save_npz(folder / "data_test_3dhp.npz", data=dhp_content)
    return open_pairs(prepare_3dhp(folder, folder / "out", splits=("test",)), "test")


# ---- plain loops


def plain_distance(a, b):
    return sum((a[i] - b[i]) ** 2 for i in range(3)) ** 0.5


def plain_mpjpe(pred, truth):
    return sum(plain_distance(p, t) for p, t in zip(pred, truth, strict=True)) / len(pred)


def scipy_p_mpjpe(pred, truth):
    """SciPy brings both to the origin and size 1; undo the truth's part of that."""
    size = np.linalg.norm(truth - truth.mean(axis=0))
    a, b, _ = scipy.spatial.procrustes(truth, pred)
    return np.linalg.norm(a - b, axis=-1).mean() * size


def rotation_p_mpjpe(pred, truth):
    """SciPy's Procrustes also reflects; its best rotation does not."""
    x, y = pred - pred.mean(axis=0), truth - truth.mean(axis=0)
    turned = scipy.spatial.transform.Rotation.align_vectors(y, x)[0].apply(x)
    return np.linalg.norm((turned * y).sum() / (x * x).sum() * turned - y, axis=-1).mean()


def plain_n_mpjpe(pred, truth):
    scale = sum(float(p @ t) for p, t in zip(pred, truth, strict=True)) / sum(
        float(p @ p) for p in pred
    )
    return plain_mpjpe(scale * pred, truth)


def mean(values):
    return sum(values) / len(values)


def plain_h36m(table, poses, frames, p_mpjpe=scipy_p_mpjpe):
    """Facts of MotionBERT's evaluation, one frame after the other.

    Args:
        poses: (C, frames, 17, 3) predictions in units of half the image's width.
    """
    starts, first = [], 0
    for i in range(1, len(table["source"]) + 1):
        if i == len(table["source"]) or table["source"][i] != table["source"][first]:
            start = first
            while start + frames <= i:
                starts.append(start)
                start += frames
            first = i
    by_action, velocities = {}, {}
    clip = 0
    before = None
    for start in starts:
        if table["source"][start].startswith(BLOCKED):
            continue
        for t in range(frames):
            row = start + t
            width, height = SIZES[table["camera_name"][row]]
            pred = np.array(poses[clip, t], dtype=np.float64)
            pred[0] = 0
            pred[:, 0] = (pred[:, 0] + 1) * width / 2
            pred[:, 1] = (pred[:, 1] + height / width) * width / 2
            pred[:, 2] = pred[:, 2] * width / 2
            pred = pred * float(table["2.5d_factor"][row])
            truth = table["joints_2.5d_image"][row].astype(np.float64)
            pred, truth = pred - pred[0], truth - truth[0]
            errors = (
                plain_mpjpe(pred, truth),
                p_mpjpe(pred, truth),
                plain_n_mpjpe(pred, truth),
            )
            by_action.setdefault(table["action"][row], []).append(errors)
            if before is not None and before[0] == (row - 1, table["source"][row]):
                step = (pred - before[1]) - (truth - before[2])
                velocities.setdefault(table["action"][row], []).append(
                    plain_mpjpe(step, np.zeros((17, 3)))
                )
            before = ((row, table["source"][row]), pred, truth)
        clip += 1
    assert clip == len(poses)
    actions = sorted(by_action)
    result = [mean([mean([e[k] for e in by_action[a]]) for a in actions]) for k in range(3)]
    return [*result, mean([mean(velocities[a]) for a in actions])]


def near_truth(pairs, windows, rng, noise_mm=60.0):
    """Predictions in millimeters with a person's shape, so that no reflection fits better."""
    truth = np.asarray(pairs.truth_mm, dtype=np.float64)[windows.rows]
    truth = truth - truth[:, :, :1]
    return 0.9 * truth + rng.normal(0, noise_mm, truth.shape)


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_h36m_is_the_plain_loop(sh_content, sh, tmp_path):
    protocol = protocol_for(sh, frames=FRAMES)
    windows = windows_of(sh, protocol)
    poses = near_truth(sh, windows, np.random.default_rng(0))
    poses = poses / np.asarray(sh.mm_per_px, np.float64)[windows.rows][..., None, None] / 500
    predict, _ = load_predictions(save(tmp_path / "p.npz", pose=poses), sh, protocol, windows)
    report = evaluate(predict, sh, protocol, batch_size=3).report
    plain = plain_h36m(sh_content["test"], poses, FRAMES)
    names = ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm")
    for name, expected in zip(names, plain, strict=True):
        assert abs(report[name] - expected) < EXACT_MM, name
    assert report["mpjpe_mm"] > 20  # the noise is there, so the comparison is of something
    assert [v.split("_ca_")[0] for v in report["blocked"]] == [BLOCKED[0]] * 2
    assert report["per_joint"]["pelvis"] == 0
    mean_of_actions = mean([row["mpjpe_mm"] for row in report["per_action"].values()])
    assert report["mpjpe_mm"] == pytest.approx(mean_of_actions)


def test_every_form_of_a_file_scores_the_same(sh, tmp_path):
    protocol = protocol_for(sh, frames=FRAMES)
    windows = windows_of(sh, protocol)
    rng = np.random.default_rng(1)
    whole = np.asarray(sh.truth_mm, np.float64) + rng.normal(0, 40, sh.truth_mm.shape)
    scored = np.unique(windows.rows)
    forms = {"all": whole, "scored": whole[scored], "windows": whole[windows.rows]}
    scores = []
    for name, poses in forms.items():
        path = save(tmp_path / f"{name}.npz", pose_mm=poses)
        predict, _ = load_predictions(path, sh, protocol, windows)
        scores.append(evaluate(predict, sh, protocol).report["mpjpe_mm"])
    assert scores[0] == scores[1] == scores[2]


def test_h36m_of_a_model_is_the_plain_loop(sh_content, sh):
    """The whole way of a network: normalizing, mirroring, averaging, pelvis to zero."""
    torch.manual_seed(0)
    encoder = PoseEncoder(
        dim=16, depth=1, num_heads=2, dim_rep=16, max_frames=FRAMES, class_token=False
    ).eval()
    torch.nn.init.normal_(encoder.head.weight, std=0.3)
    model = load_model("tiny", "h36m-sh", "cpu")
    model = replace(model, encoder=encoder, normalization="image", frames=FRAMES)
    protocol = protocol_for(sh, frames=FRAMES)
    report = evaluate(model_predict(model, sh, protocol), sh, protocol, batch_size=1).report
    table = sh_content["test"]
    left, right = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]

    def mirrored(points):
        result = points.copy()
        result[:, left], result[:, right] = points[:, right], points[:, left]
        result[..., 0] *= -1
        return result

    poses = []
    for rows in windows_of(sh, protocol).rows:
        width, height = SIZES[table["camera_name"][rows[0]]]
        x = np.concatenate(
            [
                table["joint_2d"][rows] / width * 2 - np.array([1, height / width]),
                table["confidence"][rows][..., None],
            ],
            axis=-1,
        ).astype(np.float32)
        with torch.inference_mode():
            both = [encoder(torch.from_numpy(v[None])).pose[0].numpy() for v in (x, mirrored(x))]
        poses.append((both[0] + mirrored(both[1])) / 2)
    plain = plain_h36m(table, np.array(poses), FRAMES, rotation_p_mpjpe)
    assert report["mpjpe_mm"] == pytest.approx(plain[0], rel=1e-5)  # float32 network
    assert report["p_mpjpe_mm"] == pytest.approx(plain[1], rel=1e-4)


def test_true_2d_overwrites_only_when_asked(sh):
    model = replace(load_model("tiny", "h36m-sh", "cpu"), normalization="image", frames=FRAMES)
    protocol = protocol_for(sh, frames=FRAMES)
    scores, errors = {}, {}
    for overwrite in (False, True):
        predict = model_predict(model, sh, protocol, keypoints="truth", overwrite_xy=overwrite)
        windows = windows_of(sh, protocol)
        pose = predict(windows, np.array([0]))[0]
        truth = np.asarray(sh.truth_mm[windows.rows[0]], np.float64)
        offset = (pose - pose[:, :1]) - (truth - truth[:, :1])
        errors[overwrite] = np.abs(offset[..., :2]).max()
        scores[overwrite] = evaluate(predict, sh, protocol).report["mpjpe_mm"]
    assert errors[True] < 0.01 < 1 < errors[False]  # mm in x and y; the input is float32
    assert scores[True] < scores[False]


def plain_3dhp(data, poses, joints):
    """Facts of MPI-INF-3DHP's evaluation. `poses` is a dict of (valid frames, 17, 3), its order."""
    frames, by_sequence = [], {}
    for name, sequence in data.items():
        number = 0
        for t in range(len(sequence["data_3d"])):
            if not sequence["valid"][t]:
                continue
            pred, truth = poses[name][number], sequence["data_3d"][t].astype(np.float64)
            pred, truth = pred - pred[14], truth - truth[14]
            errors = [plain_distance(pred[j], truth[j]) for j in range(17)]
            counted = errors[:14] if joints == 14 else errors
            pck = mean([error < 150 for error in counted])
            auc = mean([mean([error < limit for error in counted]) for limit in range(0, 151, 5)])
            row = (100 * pck, 100 * auc, mean(errors), scipy_p_mpjpe(pred, truth))
            frames.append(row)
            by_sequence.setdefault(name, []).append(row)
            number += 1
    over_frames = [mean([row[k] for row in frames]) for k in range(4)]
    sequences = [
        [mean([row[k] for row in rows]) for k in range(4)] for rows in by_sequence.values()
    ]
    return over_frames, [mean([row[k] for row in sequences]) for k in range(4)]


@pytest.mark.parametrize(("joints", "count"), [(PAPER14, 14), (ALL17, 17)])
@pytest.mark.parametrize("average", ["frames", "sequences"])
def test_3dhp_is_the_plain_loop(dhp_content, dhp, tmp_path, joints, count, average):
    rng = np.random.default_rng(2)
    poses = {}
    for name, sequence in dhp_content.items():
        truth = sequence["data_3d"][sequence["valid"].astype(bool)]
        poses[name] = truth + rng.normal(0, 60, truth.shape)
    protocol = protocol_for(dhp, frames=9, joints=joints, average=average)
    windows = windows_of(dhp, protocol)
    path = save(tmp_path / "p.npz", pose_mm=np.concatenate(list(poses.values())))
    predict, _ = load_predictions(path, dhp, protocol, windows)
    report = evaluate(predict, dhp, protocol).report
    plain = plain_3dhp(dhp_content, poses, count)[average == "sequences"]
    for name, expected in zip(("pck", "auc", "mpjpe_mm", "p_mpjpe_mm"), plain, strict=True):
        assert abs(report[name] - expected) < EXACT_MM, name
    assert 40 < report["pck"] < 99
    assert list(report["per_joint"])[:2] == ["head_top", "neck"]
    assert report["frames"] == sum(int(s["valid"].sum()) for s in dhp_content.values())
    assert f"{count} joints" in report["protocol"] and average in report["protocol"]


def test_14_joints_are_the_first_14_of_the_data_set():
    numbers = to_3dhp(np.eye(17)[None])[0]  # row k: the 3DHP joint k, as its place in H36M17
    assert [int(row.argmax()) for row in numbers[:14]] == h36m_indices(PAPER14)


def test_center_frames_come_from_their_own_windows(dhp):
    """A model that returns its input shows which frame of which window is scored."""
    protocol = protocol_for(dhp, frames=9)
    windows = windows_of(dhp, protocol)
    video_of_rows = dhp.video_of_rows()
    for rows, scored in zip(windows.rows, windows.scored, strict=True):
        assert list(np.flatnonzero(scored)) == [4]
        assert dhp.scored[rows[4]]
        video = dhp.videos[video_of_rows[rows[4]]]
        expected = [min(max(rows[4] + k, video.start), video.stop - 1) for k in range(-4, 5)]
        assert rows.tolist() == expected
    assert len(windows.rows) == dhp.scored.sum()


def test_cpn_scores_every_frame_once_in_perspective_millimeters(cpn, tmp_path):
    pairs, positions_m, cameras = cpn
    protocol = protocol_for(pairs, frames=FRAMES)  # 40 frames: a pushed-back window each
    windows = windows_of(pairs, protocol)
    rows = windows.rows[windows.scored]
    assert len(rows) == len(set(rows.tolist()))
    left_out = [v for v in pairs.videos if v.name.startswith("S11 Directions/")]
    assert len(left_out) == 4  # and not those of "Directions 1"
    assert len(rows) == len(pairs.pose) - sum(map(len, left_out))
    rng = np.random.default_rng(3)
    errors = {}
    poses = np.full(pairs.pose.shape, np.nan)
    for video in pairs.videos:
        subject, rest = video.name.split(" ", 1)
        action, camera = rest.split("/")
        entry = cameras["extrinsics"][subject][camera]
        for t in range(len(video)):
            world = positions_m[subject][action][t].astype(np.float64)
            joints = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
            truth = np.array(
                [np.array(entry["R"]) @ (1000 * world[j]) + np.ravel(entry["t"]) for j in joints]
            )
            pred = truth + rng.normal(0, 50, (17, 3))
            poses[video.start + t] = pred
            if video.name.startswith("S11 Directions/"):
                continue
            error = plain_mpjpe(pred - pred[0], truth - truth[0])
            errors.setdefault(action.split()[0], []).append(error)
    path = save(tmp_path / "p.npz", pose_mm=poses)
    predict, _ = load_predictions(path, pairs, protocol, windows)
    report = evaluate(predict, pairs, protocol).report
    plain = mean([mean(of) for of in errors.values()])
    # the file is float32 meters, so its millimeters have seven digits
    assert report["mpjpe_mm"] == pytest.approx(plain, abs=1e-3)


def video(start, stop):
    return Video("v", "S1", "a", "c", 1000, 1000, 50.0, start, stop)


def test_procrustes_and_mirror_are_motionberts():
    pred, truth = GOLDEN["pred"], GOLDEN["gt"]
    errors = frame_errors([(np.arange(9), pred[0])], truth[0], np.zeros(9, int))
    np.testing.assert_allclose(errors.p_mpjpe_mm, GOLDEN["p_mpjpe_per_frame"], rtol=1e-6)
    np.testing.assert_array_equal(mirror(pred), GOLDEN["flip"])


def test_shared_vectors_are_the_bundled_ones(parity_data):
    shared = np.load(parity_data / "losses.npz")
    assert set(shared.files) == set(GOLDEN.files)
    for name in GOLDEN.files:
        np.testing.assert_array_equal(shared[name], GOLDEN[name])


def test_windows_are_motionberts():
    given = GOLDEN
    names = given["split_vid"]
    borders = [0, *(np.flatnonzero(np.diff(names)) + 1).tolist(), len(names)]
    videos = [video(a, b) for a, b in zip(borders, borders[1:], strict=False)]
    rows = clip_rows(videos, 243, 81)
    assert rows[:, [0, -1]].tolist() == given["split_243_81"].tolist()
    assert (np.diff(rows, axis=1) == 1).all()


def test_short_videos_are_stretched_by_a_seed():
    videos = [video(0, 100), video(100, 130)]
    rows = clip_rows(videos, 50, 50, seed=1)
    assert len(rows) == 3
    assert set(rows[2].tolist()) <= set(range(100, 130)) and rows[2][0] == 100
    assert (np.diff(rows[2]) >= 0).all()
    assert np.array_equal(rows, clip_rows(videos, 50, 50, seed=1))
    assert not np.array_equal(rows, clip_rows(videos, 50, 50, seed=2))


def test_covering_windows_of_short_and_long_videos():
    rows, scored = covering_rows([video(0, 7), video(7, 10)], 5)
    assert rows.tolist() == [[0, 1, 2, 3, 4], [2, 3, 4, 5, 6], [7, 8, 9, 9, 9]]
    assert rows[scored].tolist() == list(range(10))
    assert centered_rows([video(0, 3)], np.array([0, 2]), 3).tolist() == [[0, 0, 1], [1, 2, 2]]


def test_frames_seen_twice_have_their_mean_error_and_no_velocity_crosses_videos():
    truth = np.zeros((4, 17, 3))
    pred = np.zeros((2, 17, 3))
    pred[0, 1:, 0], pred[1, 1:, 0] = 17, 34  # mm: 16 of 17 joints
    rows = np.array([1, 2])
    errors = frame_errors([(rows, pred), (rows, 3 * pred)], truth, np.array([0, 0, 1, 1]))
    assert errors.rows.tolist() == [1, 2]
    np.testing.assert_allclose(errors.mpjpe_mm, [32, 64])
    assert np.isnan(errors.mpjve_mm).all()
    same = frame_errors([(rows, pred)], truth, np.zeros(4, int))
    np.testing.assert_allclose(same.mpjve_mm, [np.nan, 16])


def test_chunks_do_not_change_the_score():
    rng = np.random.default_rng(4)
    truth = rng.normal(0, 300, (9000, 17, 3))
    pred = truth + rng.normal(0, 50, truth.shape)
    rows, one = np.arange(9000), np.zeros(9000, int)
    whole = frame_errors([(rows, pred)], truth, one)
    parts = frame_errors(
        [(rows[i : i + 7], pred[i : i + 7]) for i in range(0, 9000, 7)], truth, one
    )
    np.testing.assert_array_equal(whole.mpjpe_mm, parts.mpjpe_mm)
    np.testing.assert_allclose(whole.mpjve_mm, parts.mpjve_mm, rtol=1e-12)
    np.testing.assert_allclose(whole.p_mpjpe_mm, parts.p_mpjpe_mm, rtol=1e-9)


# ---- what must be refused


WRONG_PREDICTIONS = {
    "length": (lambda p: {"pose_mm": p[:-1]}, "expected are"),
    "windows": (lambda p: {"pose_mm": p[None, :5]}, "windows"),
    "pixels": (lambda p: {"pose": p / 4}, "half the image's width"),
    "meters": (lambda p: {"pose_mm": p / 1000}, "not millimeters"),
    "joints": (lambda p: {"pose_mm": p[:, :16]}, "16"),
    "no pose": (lambda p: {"poses": p}, "neither pose_mm nor pose"),
    "nothing": (lambda p: {"pose_mm": p * np.nan}, "finite"),
    "skeleton": (lambda p: {"pose_mm": p, "skeleton": "smpl"}, "unknown skeleton"),
    "sides": (
        lambda p: {"pose_mm": p[:, [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]]},
        "swapped",
    ),
}


@pytest.mark.parametrize("what", WRONG_PREDICTIONS)
def test_wrong_predictions(sh, tmp_path, what):
    spoil, message = WRONG_PREDICTIONS[what]
    protocol = protocol_for(sh, frames=FRAMES)
    truth = np.asarray(sh.truth_mm, np.float64)
    path = save(tmp_path / "p.npz", **spoil(truth - truth[:, :1]))
    with pytest.raises(UserError, match=message):
        load_predictions(path, sh, protocol, windows_of(sh, protocol))


def test_a_gap_in_the_predictions_is_named(sh, tmp_path):
    protocol = protocol_for(sh, frames=FRAMES)
    windows = windows_of(sh, protocol)
    poses = np.array(sh.truth_mm, np.float64)
    poses[windows.rows[1, 3]] = np.nan
    predict, _ = load_predictions(save(tmp_path / "p.npz", pose_mm=poses), sh, protocol, windows)
    with pytest.raises(UserError, match=f"frame {windows.rows[1, 3]} is not finite"):
        evaluate(predict, sh, protocol)


def test_objects_in_predictions_are_not_unpickled(sh, tmp_path):
    path = save(tmp_path / "p.npz", pose_mm=np.array([{"a": 1}], dtype=object))
    protocol = protocol_for(sh, frames=FRAMES)
    with pytest.raises(UserError, match="plain arrays"):
        load_predictions(path, sh, protocol, windows_of(sh, protocol))


def test_failure_analysis(sh, tmp_path):
    protocol = protocol_for(sh, frames=FRAMES)
    windows = windows_of(sh, protocol)
    poses = np.array(sh.truth_mm, np.float64)
    poses[:, 13, 2] += 100  # the left wrist, everywhere
    bad = windows.rows[2]
    poses[bad, 16] += 3000  # and one clip's right wrist
    predict, _ = load_predictions(save(tmp_path / "p.npz", pose_mm=poses), sh, protocol, windows)
    evaluation = evaluate(predict, sh, protocol)
    tables = tables_of(evaluation, sh)
    assert [row["joint"] for row in tables["by_joint"][:2]] == ["right_wrist", "left_wrist"]
    worst = tables["worst_clips"][0]
    own = next(v for v in sh.videos if v.name == worst["video"])
    assert own.start + worst["first_frame"] == bad[0]
    assert worst["last_frame"] - worst["first_frame"] == FRAMES - 1
    assert worst["worst_joint"] == "right_wrist"
    assert sum(row["joints"] for row in tables["by_occlusion"][:2]) == 16 * len(evaluation.errors)
    folder = write_failures(tmp_path / "failures", evaluation, predict, sh)
    assert {path.name for path in Path(folder).iterdir()} == {
        *(f"{name}.csv" for name in tables),
        "failures.png",
    }


def test_a_hand_behind_the_trunk_is_occluded(sh):
    pose = np.array(sh.truth_mm[:1], np.float64)
    spine, thorax, wrist = 7, 8, 13
    pose[0, wrist] = (pose[0, spine] + pose[0, thorax]) / 2 + [0, 0, 300]
    assert self_occluded(pose)[0, wrist]
    pose[0, wrist, 2] -= 600
    assert not self_occluded(pose)[0, wrist]
