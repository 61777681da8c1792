"""Scores against plain loops written from the protocols' descriptions, and SciPy's Procrustes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.plain_protocols import (
    BLOCKED,
    SIZES,
    mean,
    plain_3dhp,
    plain_h36m,
    plain_mpjpe,
    rotation_p_mpjpe,
)
from helpers.synthetic_fixtures import save_npz
from safetensors.torch import save_file

from actionpose import checkpoint
from actionpose.datasets.paired import PairedDataset
from actionpose.datasets.paired_clips import input_of
from actionpose.evaluation.paired import Windows, evaluate, protocol_for, windows_of
from actionpose.evaluation.paired_models import Model, load_model, model_predict
from actionpose.evaluation.predictions import load_predictions
from actionpose.evaluation.protocols import ALL17, PAPER14
from actionpose.models import PoseEncoder, build_encoder
from actionpose.utils.errors import UserError

FRAMES = 27
EXACT_MM = 1e-6


def near_truth(
    pairs: PairedDataset, windows: Windows, rng: np.random.Generator, noise_mm: float = 60.0
) -> np.ndarray:
    """Predictions in millimeters with a person's shape, so that no reflection fits better."""
    truth = np.asarray(pairs.truth_mm, dtype=np.float64)[windows.rows]
    truth = truth - truth[:, :, :1]
    return 0.9 * truth + rng.normal(0, noise_mm, truth.shape)


def test_evaluate_h36m_equals_a_plain_loop(
    sh_tables: dict[str, Any], sh: PairedDataset, tmp_path: Path
) -> None:
    protocol = protocol_for(sh, frames=FRAMES)
    windows = windows_of(sh, protocol)
    poses = near_truth(sh, windows, np.random.default_rng(0))
    poses = poses / np.asarray(sh.mm_per_px, np.float64)[windows.rows][..., None, None] / 500
    predict, _ = load_predictions(save_npz(tmp_path / "p.npz", pose=poses), sh, windows)
    report = evaluate(predict, sh, protocol, batch_size=3).report
    plain = plain_h36m(sh_tables["test"], poses, FRAMES)
    names = ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm")
    for name, expected in zip(names, plain, strict=True):
        assert abs(report[name] - expected) < EXACT_MM, name
    assert report["mpjpe_mm"] > 20  # the noise is there, so the comparison is of something
    assert [v.split("_ca_")[0] for v in report["blocked"]] == [BLOCKED[0]] * 2
    assert report["per_joint"]["pelvis"] == 0
    mean_of_actions = mean([row["mpjpe_mm"] for row in report["per_action"].values()])
    assert report["mpjpe_mm"] == pytest.approx(mean_of_actions)


@pytest.fixture(scope="module")
def small() -> Model:
    """A network as drawn, in units of the image."""
    torch.manual_seed(0)
    encoder = PoseEncoder(
        dim=16, depth=1, num_heads=2, dim_rep=16, max_frames=FRAMES, class_token=False
    ).eval()
    torch.nn.init.normal_(encoder.head.weight, std=0.3)
    return Model(encoder, FRAMES, "image", None, {})


def test_model_predict_equals_a_plain_loop(
    sh_tables: dict[str, Any], sh: PairedDataset, small: Model
) -> None:
    """The whole way of a network: normalizing, mirroring, averaging, pelvis to zero."""
    model, encoder = small, small.encoder
    protocol = protocol_for(sh, frames=FRAMES)
    report = evaluate(model_predict(model, sh, protocol), sh, protocol, batch_size=1).report
    table = sh_tables["test"]
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


def converted(folder: Path, name: str, **meta: Any) -> Path:
    """A small backbone as a file of its authors would be converted."""
    torch.manual_seed(0)
    model = {"backbone": name, "dim": 16, "depth": 1, "num_heads": 2, "max_frames": FRAMES}
    encoder = build_encoder(**model)
    facts = {"format": 1, "model": model, "frames": FRAMES, "normalization": "image", "fps": 50.0}
    folder.mkdir()
    save_file(encoder.state_dict(), folder / "weights.safetensors")
    (folder / "meta.json").write_text(json.dumps(facts | meta))
    return folder


def test_model_predict_scales_meters_to_the_unit_of_the_data(
    dhp: PairedDataset, cpn: tuple[PairedDataset, Any, Any], tmp_path: Path
) -> None:
    """Poses in meters become millimeters, whatever the unit that the data set is trained in."""
    folder = converted(tmp_path / "m", "mixste", unit_mm=1000.0)
    for pairs, kind in ((dhp, "3dhp"), (cpn[0], "h36m-cpn")):
        model = load_model(str(folder), kind, "cpu")
        protocol = protocol_for(pairs, frames=FRAMES, flip=False)
        windows = windows_of(pairs, protocol)
        place = np.array([0])
        found = model_predict(model, pairs, protocol)(windows, place)[0]
        rows = windows.rows[0]
        video = pairs.videos[pairs.video_of_rows()[rows[0]]]
        clip = input_of(pairs, rows, video, "detected")
        with torch.inference_mode():
            pose = model.encoder(torch.from_numpy(clip[None])).pose[0].double().numpy()
        np.testing.assert_allclose(found[:, 1:], 1000 * pose[:, 1:], rtol=1e-6)


def test_model_predict_overwrites_xy_only_if_asked(sh: PairedDataset, small: Model) -> None:
    model, protocol = small, protocol_for(sh, frames=FRAMES)
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


def test_model_predict_overwrites_no_xy_of_millimeters(
    cpn: tuple[PairedDataset, Any, Any], small: Model
) -> None:
    model, protocol = replace(small, unit_mm=1000.0), protocol_for(cpn[0], frames=FRAMES)
    with pytest.raises(UserError, match="overwrite_xy=True takes x and y from pixels"):
        model_predict(model, cpn[0], protocol, overwrite_xy=True)


def test_ground_truth_2d_of_videopose3d_is_marked(cpn: tuple[PairedDataset, Any, Any]) -> None:
    detected = cpn[0]
    name = "data_2d_h36m_gt.npz"
    true = replace(detected, info=detected.info | {"keypoints": name})
    assert protocol_for(detected).title.endswith("prepared with cpn.npz")
    assert protocol_for(true).title.endswith(f"prepared with {name}: GROUND-TRUTH 2D")
    rows, video = np.arange(5), true.videos[0]
    np.testing.assert_array_equal(
        input_of(true, rows, video, "truth"), input_of(true, rows, video, "detected")
    )
    with pytest.raises(UserError, match="prepare it with the ground-truth 2D file"):
        input_of(detected, rows, video, "truth")


def test_model_with_heads_is_scored_on_its_body(sh: PairedDataset, tmp_path: Path) -> None:
    """The data have no feet: none are lifted or scored."""
    torch.manual_seed(0)
    sizes = {"dim": 16, "depth": 1, "num_heads": 2, "dim_rep": 16, "max_frames": FRAMES}
    encoder = PoseEncoder(**sizes, class_token=False, heads=True)
    meta = {
        "model": sizes | {"class_token": False, "heads": True}, "skeleton": "h36m17_feet",
        "frames": FRAMES, "normalization": "image",
    }  # fmt: skip
    folder = checkpoint.save(tmp_path, 1, encoder, meta, {})
    model, protocol = load_model(str(folder), "h36m-sh", "cpu"), protocol_for(sh, frames=FRAMES)
    windows = windows_of(sh, protocol)
    pose = model_predict(model, sh, protocol)(windows, np.array([0]))
    assert pose.shape == (1, FRAMES, 17, 3) and np.isfinite(pose).all()
    assert evaluate(model_predict(model, sh, protocol), sh, protocol).report["mpjpe_mm"] > 0


@pytest.mark.parametrize(("joints", "count"), [(PAPER14, 14), (ALL17, 17)])
@pytest.mark.parametrize("average", ["frames", "sequences"])
def test_evaluate_3dhp_equals_a_plain_loop(
    dhp_tables: dict[str, Any],
    dhp: PairedDataset,
    tmp_path: Path,
    joints: tuple[str, ...],
    count: int,
    average: str,
) -> None:
    rng = np.random.default_rng(2)
    poses = {}
    for name, sequence in dhp_tables.items():
        truth = sequence["data_3d"][sequence["valid"].astype(bool)]
        poses[name] = truth + rng.normal(0, 60, truth.shape)
    protocol = protocol_for(dhp, frames=9, joints=joints, average=average)
    windows = windows_of(dhp, protocol)
    path = save_npz(tmp_path / "p.npz", pose_absolute_mm=np.concatenate(list(poses.values())))
    predict, _ = load_predictions(path, dhp, windows)
    report = evaluate(predict, dhp, protocol).report
    plain = plain_3dhp(dhp_tables, poses, count)[average == "sequences"]
    for name, expected in zip(("pck", "auc", "mpjpe_mm", "p_mpjpe_mm"), plain, strict=True):
        assert abs(report[name] - expected) < EXACT_MM, name
    assert 40 < report["pck"] < 99
    assert list(report["per_joint"])[:2] == ["head_top", "neck"]
    assert report["frames"] == sum(int(s["valid"].sum()) for s in dhp_tables.values())
    assert f"{count} joints" in report["protocol"] and average in report["protocol"]


def test_windows_of_3dhp_score_their_middle_frame(dhp: PairedDataset) -> None:
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


def test_evaluate_cpn_scores_every_frame_once_in_millimeters(
    cpn: tuple[PairedDataset, Any, Any], tmp_path: Path
) -> None:
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
    path = save_npz(tmp_path / "p.npz", pose_absolute_mm=poses)
    predict, _ = load_predictions(path, pairs, windows)
    report = evaluate(predict, pairs, protocol).report
    plain = mean([mean(of) for of in errors.values()])
    # the file is float32 meters, so its millimeters have seven digits
    assert report["mpjpe_mm"] == pytest.approx(plain, abs=1e-3)
