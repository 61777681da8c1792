"""Human3.6M's files, made key by key, with what can be wrong with them."""

import copy
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.synthetic_fixtures import OF_32, h36m_sh, h36m_videopose3d, save_npz

from actionpose import checkpoint, model_hub
from actionpose.config import FinetuneConfig, FinetuneDataConfig, ModelConfig, TrainingConfig
from actionpose.datasets.paired import normalize, open_paired, verify_paired
from actionpose.datasets.paired_clips import PairedBatches, input_of, target_of
from actionpose.evaluation.paired import evaluate, protocol_for
from actionpose.evaluation.paired_models import load_model, model_predict
from actionpose.prepare.paired.h36m import prepare_h36m
from actionpose.training.finetune import finetune
from actionpose.utils.errors import UserError

Content = dict[str, Any]
Spoil = Callable[[Content], object]
SWAP = [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]


@pytest.fixture(scope="module")
def content() -> Content:
    return h36m_sh(frames=40, actions={2: "Directions", 5: "Greeting"})


def dump(path: Path, content: Any) -> Path:
    with path.open("wb") as file:
        pickle.dump(content, file)
    return path


@pytest.fixture(scope="module")
def prepared(content: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("h36m")
    return prepare_h36m(dump(folder / "raw.pkl", content), folder / "out")


def test_prepare_h36m_keeps_every_number(content: Content, prepared: Path) -> None:
    info = verify_paired(prepared)
    assert (info["kind"], info["synthetic"]) == ("h36m-sh", True)
    assert info["factor_residual_mm"] < 1e-3
    for split in ("train", "test"):
        pairs, table = open_paired(prepared, split), content[split]
        np.testing.assert_array_equal(pairs.keypoints_px[..., :2], table["joint_2d"])
        np.testing.assert_array_equal(pairs.keypoints_px[..., 2], table["confidence"])
        np.testing.assert_array_equal(pairs.pose, table["joint3d_image"])
        for video in pairs.videos:
            assert set(table["source"][video.start : video.stop]) == {video.name}
            assert set(table["camera_name"][video.start : video.stop]) == {video.camera}
            assert set(table["action"][video.start : video.stop]) == {video.action}
            assert video.fps == 50
            assert video.height == {"54138969": 1002, "55011271": 1000}[video.camera]
        assert sum(map(len, pairs.videos)) == len(pairs.pose) == len(table["source"])
    np.testing.assert_array_equal(pairs.truth_mm, content["test"]["joints_2.5d_image"])
    np.testing.assert_array_equal(pairs.mm_per_px, content["test"]["2.5d_factor"])
    assert {video.subject for video in open_paired(prepared, "train").videos} == {
        *("S1", "S5", "S6", "S7", "S8")
    }
    assert {video.subject for video in pairs.videos} == {"S9", "S11"}


def test_prepare_h36m_same_bytes(content: Content, prepared: Path, tmp_path: Path) -> None:
    again = prepare_h36m(dump(tmp_path / "raw.pkl", content), tmp_path / "out")
    for path in sorted(prepared.rglob("*.*")):
        assert path.read_bytes() == (again / path.relative_to(prepared)).read_bytes()


def test_inputs_and_targets_in_units_of_the_model(content: Content, prepared: Path) -> None:
    """xy / w * 2 - (1, h / w), z / w * 2, root-relative."""
    pairs = open_paired(prepared, "test")
    video = pairs.videos[0]
    rows = np.arange(video.start, video.stop)
    seen = input_of(pairs, rows, video, "detected")
    expected = content["test"]["joint_2d"][rows] / 1000 * 2 - np.array([1, 1002 / 1000])
    np.testing.assert_allclose(seen[..., :2], expected, atol=1e-6)
    truth = input_of(pairs, rows, video, "truth")
    pose = target_of(pairs, rows, video)
    image = content["test"]["joint3d_image"][rows]
    np.testing.assert_allclose(truth[..., 1], image[..., 1] / 500 - 1.002, atol=1e-6)
    assert (truth[..., 2] == 1).all()
    np.testing.assert_allclose(pose, (image - image[:, :1]) / 500, atol=1e-6)
    # a keypoint without confidence keeps its place: the peers' networks know it so
    assert normalize(np.array([[750.0, 501.0, 0.0]]), video).tolist() == [[0.5, 0.0, 0.0]]


def test_batches_have_every_clip_once_and_repeat(prepared: Path) -> None:
    pairs = open_paired(prepared, "train")
    config = FinetuneDataConfig(frames=20, stride=10)
    batches = PairedBatches(pairs, config, batch_size=4, seed=3)
    steps = batches.windows // 4
    names = [name for step in range(steps) for name in batches.batch(step)["name"]]
    assert len(set(names)) == len(names) == steps * 4
    later = PairedBatches(pairs, config, batch_size=4, seed=3, first_step=2)
    first = next(iter(later))
    for key, value in batches.batch(2).items():
        assert (first[key] == value) if key == "name" else torch.equal(first[key], value)
    halves = [
        PairedBatches(pairs, config, batch_size=4, seed=3, rank=rank, world_size=2).batch(1)
        for rank in range(2)
    ]
    assert torch.equal(torch.cat([h["pose"] for h in halves]), batches.batch(1)["pose"])
    assert batches.batch(0)["name"] != batches.batch(steps)["name"]  # another epoch


def test_batches_mirror_2d_and_3d_alike(prepared: Path) -> None:
    """Mirroring moves 2D and 3D alike: the same joints stay above each other."""
    pairs = open_paired(prepared, "train")
    points = np.array(pairs.pose, dtype=np.float32)
    points[..., 2] = 1  # of a detector without errors
    exact = replace(pairs, keypoints_px=points)
    always, never = (
        PairedBatches(
            exact, FinetuneDataConfig(frames=20, stride=10, mirror=mirror), batch_size=4, seed=3
        )
        for mirror in (1.0, 0.0)
    )
    a, b = always.batch(0), never.batch(0)
    for batch in (a, b):
        xy = batch["keypoints"][..., :2]
        torch.testing.assert_close(xy - xy[:, :, :1], batch["pose"][..., :2], atol=1e-5, rtol=0)
    torch.testing.assert_close(a["pose"][:, :, 1, 0], -b["pose"][:, :, 4, 0])


def test_finetune_on_paired_data_learns_and_resumes(prepared: Path, tmp_path: Path) -> None:
    def config(minutes: float | None) -> FinetuneConfig:
        return FinetuneConfig(
            model=ModelConfig(
                dim=16, depth=1, num_heads=2, dim_rep=16, max_frames=9, class_token=False
            ),
            data=FinetuneDataConfig(paired=prepared, frames=9, stride=9),
            training=TrainingConfig(
                epochs=1, batch_size=8, learning_rate=8e-3, device="cpu",
                max_minutes=minutes,
            ),
        )  # fmt: skip

    whole = finetune(config(None), tmp_path / "whole", quiet=True)
    for minutes in (0.0, None):  # one step, the rest
        outcome = finetune(config(minutes), tmp_path / "parts", quiet=True)
    assert outcome.step == whole.step
    ends = [o.checkpoint / "weights.safetensors" for o in (whole, outcome)]
    assert ends[0].read_bytes() == ends[1].read_bytes()
    meta = json.loads((whole.checkpoint / "meta.json").read_text())
    assert meta["data"][0]["kind"] == "h36m-sh" and meta["unit_mm"] is None
    assert meta["fps"] == 50 and meta["frames"] == 9
    rows = [json.loads(r) for r in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    losses = [row["total"] for row in rows if "total" in row]
    assert np.mean(losses[-4:]) < 0.8 * losses[0]


def test_finetune_on_paired_data_keeps_the_best_on_test(prepared: Path, tmp_path: Path) -> None:
    """The scores are those of the protocol; after a step of huge rate the last is not the best."""
    sizes = dict(dim=16, depth=1, num_heads=2, dim_rep=16, max_frames=9, class_token=False)
    config = FinetuneConfig(
        model=ModelConfig(**sizes),
        data=FinetuneDataConfig(paired=prepared, frames=9, stride=9),
        training=TrainingConfig(epochs=0.2, batch_size=8, device="cpu", save_every=1),
    )
    run = tmp_path / "run"
    outcome = finetune(config, run, quiet=True)
    rows = [json.loads(r) for r in (run / "log.jsonl").read_text().splitlines()]
    scores = {row["step"]: row["test_mpjpe_mm"] for row in rows if "test_mpjpe_mm" in row}
    assert list(scores) == list(range(1, outcome.step + 1))
    report = json.loads((run / "report.json").read_text())
    best = min(scores, key=lambda step: scores[step])
    assert report["best"] == {"step": best, "test_mpjpe_mm": scores[best]}
    assert report["scores"]["test_mpjpe_mm"] == scores[outcome.step]
    _, meta = checkpoint.load(model_hub.find(run / "best"))
    assert meta["step"] == best and not (run / "best" / "training.pt").exists()
    dataset = open_paired(prepared, "test")
    model = load_model(str(run / "best"), dataset.kind, "cpu")
    protocol = protocol_for(dataset, frames=9)
    found = evaluate(model_predict(model, dataset, protocol), dataset, protocol).report
    assert found["mpjpe_mm"] == pytest.approx(scores[best], rel=1e-6)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"corpora": {"x": 1.0}}, "not both"),
        ({"normalization": "box"}, "image"),
        ({"stride": 1000, "frames": 81}, "fewer than a batch"),
    ],
)
def test_finetune_refuses_settings_that_do_not_fit(
    prepared: Path, tmp_path: Path, data: dict[str, Any], message: str
) -> None:
    config = FinetuneConfig(
        data=FinetuneDataConfig(**{"paired": prepared, "frames": 9, **data}),
        training=TrainingConfig(batch_size=32, device="cpu"),
    )
    with pytest.raises(UserError, match=message):
        finetune(config, tmp_path / "run", quiet=True)


def without(split: str, key: str) -> Spoil:
    def spoil(content: Content) -> None:
        del content[split][key]

    return spoil


def changed(split: str, key: str, change: Callable[[Any], Any]) -> Spoil:
    def spoil(content: Content) -> None:
        content[split][key] = change(content[split][key])

    return spoil


def nan_at_7(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[7, 3] = np.nan
    return array


def swap_everything(content: Content) -> None:
    for table in (content["train"], content["test"]):
        for key in ("joint_2d", "confidence", "joint3d_image", "joints_2.5d_image"):
            if key in table:
                table[key] = table[key][:, SWAP]


def mirror_3d_only(content: Content) -> None:
    content["train"]["joint3d_image"] = content["train"]["joint3d_image"][:, SWAP]


DEFECTS = {
    "no test": (lambda c: c.pop("test"), "train and test"),
    "no factor": (without("test", "2.5d_factor"), "lacks 2.5d_factor"),
    "no confidence": (without("train", "confidence"), "lacks confidence"),
    "16 joints": (changed("train", "joint_2d", lambda a: a[:, :16]), r"\(N, 17, 2\)"),
    "other length": (changed("test", "joint3d_image", lambda a: a[:-1]), "shape"),
    "short source": (changed("test", "source", lambda a: a[:-1]), "entries"),
    "normalized": (changed("train", "joint_2d", lambda a: a / 500 - 1), "pixels are expected"),
    "NaN truth": (changed("test", "joints_2.5d_image", nan_at_7), "3D pose is not finite"),
    "NaN pose": (changed("train", "joint3d_image", nan_at_7), "not finite at frame 7"),
    "swapped sides": (swap_everything, "knees would bend backwards"),
    "swapped 2D": (
        mirror_3d_only,
        "swapped against the 3D; actionpose prepare takes it with force=True",
    ),
    "other camera": (changed("train", "camera_name", lambda a: ["1", *a[1:]]), "unknown camera"),
    "camera changes": (
        changed("train", "camera_name", lambda a: ["55011271", *a[1:]]),
        "changes its camera",
    ),
    "other source": (changed("train", "source", lambda a: ["x", *a[1:]]), "not like s_09"),
    "test subject in train": (
        changed("train", "source", lambda a: [s.replace("s_01", "s_09") for s in a]),
        "S9, but train has",
    ),
    "factor of other units": (changed("test", "2.5d_factor", lambda a: a / 4), "other units"),
    "words": (changed("train", "confidence", lambda a: a.astype(str).tolist()), None),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_prepare_h36m_names_defects(content: Content, tmp_path: Path, name: str) -> None:
    spoil, message = DEFECTS[name]
    spoilt = copy.deepcopy(content)
    spoil(spoilt)
    path = dump(tmp_path / "raw.pkl", spoilt)
    if message is None:  # numbers written as text are still numbers
        prepare_h36m(path, tmp_path / "out")
        return
    with pytest.raises(UserError, match=message) as caught:
        prepare_h36m(path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["raw.pkl"]


def test_prepare_h36m_confidence_with_another_axis(
    content: Content, prepared: Path, tmp_path: Path
) -> None:
    wider = copy.deepcopy(content)
    for table in (wider["train"], wider["test"]):
        table["confidence"] = table["confidence"][..., None]
    out = prepare_h36m(dump(tmp_path / "raw.pkl", wider), tmp_path / "out")
    assert verify_paired(out)["sha256"] == verify_paired(prepared)["sha256"]


def test_open_paired_reads_the_keys_of_version_0_1(content: Content, tmp_path: Path) -> None:
    old = {"imitated" if key == "synthetic" else key: value for key, value in content.items()}
    out = prepare_h36m(dump(tmp_path / "raw.pkl", old), tmp_path / "out")
    info = json.loads((out / "data.json").read_text())
    assert info["synthetic"]
    info["imitated"] = info.pop("synthetic")
    (out / "data.json").write_text(json.dumps(info))
    assert open_paired(out, "test").info["synthetic"]


def test_verify_paired_notices_changed_files(content: Content, tmp_path: Path) -> None:
    out = prepare_h36m(dump(tmp_path / "raw.pkl", content), tmp_path / "out")
    with (out / "test" / "pose.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    with pytest.raises(UserError, match=r"pose\.npy was changed"):
        verify_paired(out)
    info = json.loads((out / "data.json").read_text())
    (out / "data.json").write_text(json.dumps({**info, "format": 99}))
    with pytest.raises(UserError, match="format 99"):
        open_paired(out, "test")
    with pytest.raises(UserError, match="not a prepared dataset"):
        open_paired(tmp_path, "test")


@pytest.fixture(scope="module")
def videopose3d(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    folder = tmp_path_factory.mktemp("videopose3d")
    positions_m, positions_px, cameras = h36m_videopose3d(frames=40)
    save_npz(folder / "data_3d_h36m.npz", positions_3d=positions_m)
    save_npz(folder / "cpn.npz", positions_2d=positions_px)
    (folder / "cameras.json").write_text(json.dumps(cameras))
    return folder, positions_m, positions_px


def prepare(
    folder: Path,
    out: Path,
    poses: str = "data_3d_h36m.npz",
    keypoints: str = "cpn.npz",
    cameras: str = "cameras.json",
) -> Path:
    return prepare_h36m(folder / poses, out, keypoints=folder / keypoints, cameras=folder / cameras)


def test_prepare_videopose3d_world_to_camera(
    videopose3d: tuple[Path, Any, Any], tmp_path: Path
) -> None:
    folder, positions_m, positions_px = videopose3d
    pairs = open_paired(prepare(folder, tmp_path / "out"), "test")
    assert (pairs.kind, pairs.unit_mm, len(pairs.videos)) == ("h36m-cpn", 1000, 24)
    video = next(v for v in pairs.videos if v.name == "S9 Walking/58860488")
    assert (video.action, len(video)) == ("Walking", 40)
    entry = json.loads((folder / "cameras.json").read_text())["extrinsics"]["S9"]["58860488"]
    world_mm = 1000 * positions_m["S9"]["Walking"][:, OF_32].astype(float)
    expected = world_mm @ np.array(entry["R"]).T + np.ravel(entry["t"])
    np.testing.assert_allclose(pairs.pose[video.start : video.stop], expected, atol=1e-3)
    seen = positions_px["S9"]["Walking"][2][:40]
    np.testing.assert_allclose(pairs.keypoints_px[video.start : video.stop, :, :2], seen, atol=1e-3)


def test_prepare_videopose3d_names_defects(
    videopose3d: tuple[Path, Any, Any], tmp_path: Path
) -> None:
    folder, positions_m, positions_px = videopose3d
    with pytest.raises(UserError, match="give keypoints=FILE"):
        prepare_h36m(folder / "data_3d_h36m.npz", tmp_path / "out")
    with pytest.raises(UserError, match="no positions_2d"):
        prepare(folder, tmp_path / "out", keypoints="data_3d_h36m.npz")
    (folder / "broken.json").write_text("{}")
    with pytest.raises(UserError, match="not a JSON of cameras"):
        prepare(folder, tmp_path / "out", cameras="broken.json")
    fewer = {**positions_px, "S1": {"Walking": positions_px["S1"]["Walking"]}}
    save_npz(folder / "fewer.npz", positions_2d=fewer)
    with pytest.raises(UserError, match="2D file lacks"):
        prepare(folder, tmp_path / "out", keypoints="fewer.npz")
    save_npz(
        folder / "17.npz",
        positions_3d={s: {a: p[:, :17] for a, p in of.items()} for s, of in positions_m.items()},
    )
    with pytest.raises(UserError, match=r"\(N, 32, 3\)"):
        prepare(folder, tmp_path / "out", poses="17.npz")
    assert not (tmp_path / "out").exists()
