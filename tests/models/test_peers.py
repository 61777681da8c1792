"""Official files of other authors: every container, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.arm_motions import arms, one_person
from helpers.command_line import call
from helpers.parity_vectors import tiny, weights

from actionpose import ActionPose, Keypoints
from actionpose.checkpoint import convert_peer, load_encoder, load_peer
from actionpose.config import ModelConfig
from actionpose.models.backbone import Backbone
from actionpose.models.peers import PEERS
from actionpose.utils.errors import UserError

FAMILIES = {  # name of the reference output
    "mixste": "MixSTE",
    "ktpformer": "KTPFormer",
    "videopose3d": "VideoPose3D",
    "stcformer": "STCFormer",
    "stcformer-3dhp": "STCFormer3DHP",
    "motionagformer": "MotionAGFormer",
    "tcpformer": "TCPFormer",
    "pstmo": "PSTMO",
    "glagcn": "GLAGCN",
    "diffpose": "DiffPose_gcnpose",
    "diffpose-refiner": "DiffPose_gcndiff",
}


@pytest.fixture
def clip() -> Keypoints:
    return one_person(arms(True, 20, np.random.default_rng(0)))


def content_of(name: str, **extra: Any) -> Any:
    """What the authors' code saves beside the weights."""
    state = weights(tiny(FAMILIES[name])[0])
    wrapped = {f"module.{key}": value for key, value in state.items()}
    random = np.random.RandomState(7)
    if name.startswith("diffpose"):
        averages = {key: value + 1 for key, value in state.items()}
        return [wrapped, extra, 12, 3400, averages]
    training = {"epoch": 3, "lr": 4e-5, "optimizer": {"state": {}, "param_groups": []}} | extra
    return {
        "mixste": {**training, "random_state": random, "model_pos": wrapped},
        "glagcn": {**training, "random_state": random, "model_pos": wrapped},
        "pstmo": wrapped,
        "ktpformer": {**training, "random_state": random, "model_pos": wrapped},
        "videopose3d": {**training, "random_state": random, "model_pos": state},
        "stcformer": state | extra,
        "stcformer-3dhp": wrapped,
    }.get(name, {**training, "min_mpjpe": np.float64(38.4), "wandb_id": None, "model": wrapped})


def write(folder: Path, name: str, **extra: Any) -> Path:
    path = folder / f"{name}.bin"
    legacy = name == "videopose3d"
    torch.save(content_of(name, **extra), path, _use_new_zipfile_serialization=not legacy)
    return path


def heads(name: str) -> int | None:
    return tiny(FAMILIES[name])[0]["args"].get("num_heads")


def assert_computes_reference(network: Backbone, name: str) -> None:
    _, arrays = tiny(FAMILIES[name])
    x, expected = arrays["x"].double(), arrays["y"]
    if name.startswith("diffpose"):  # frame by frame
        x, expected = x[:, None], expected[:, None]
    if name == "diffpose-refiner":
        expected = arrays["y_video"][:, None, :, 2:]
        expected = expected - expected[:, :, :1]
    with torch.no_grad():
        found = network.double().poses(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
def test_load_peer_reads_every_container(tmp_path: Path, name: str) -> None:
    network = load_peer(name, write(tmp_path, name), num_heads=heads(name))
    assert not network.training
    assert_computes_reference(network, name)


CONTAINERS = {
    "mixste": "MixSTE_best_epoch.bin",
    "ktpformer": "KTPFormer_best_epoch.bin",
    "videopose3d": "VideoPose3D_pretrained.bin",
    "stcformer": "STCFormer_no_refine.pth",
    "motionagformer": "MotionAGFormer_best.pth.tr",
    "pstmo": "PSTMO_no_refine.pth",
    "glagcn": "GLAGCN_supervised.bin",
    "diffpose": "DiffPose_gcn_xyz.pth",
    "diffpose-refiner": "DiffPose_uvxyz.pth",
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_load_peer_reads_what_the_authors_code_wrote(parity_data: Path, name: str) -> None:
    path = parity_data / "zoo" / "containers" / CONTAINERS[name]
    network = load_peer(name, path, num_heads=heads(name))
    assert_computes_reference(network, name)


class Payload:
    """What a pickle runs when it is read, in earnest."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this must never run",)


@pytest.mark.parametrize("name", ["mixste", "videopose3d", "stcformer", "motionagformer"])
def test_load_peer_refuses_code_by_name(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=rf"{name}\.bin .*print, which could run code"):
        load_peer(name, write(tmp_path, name, extra=Payload()))
    assert "never" not in capsys.readouterr().out


def test_load_peer_names_the_right_network(tmp_path: Path) -> None:
    path = write(tmp_path, "ktpformer")
    with pytest.raises(UserError, match=r"has no weights of mixste: they are ktpformer's"):
        load_peer("mixste", path)
    with pytest.raises(UserError, match=r"no network mixst: choose from mixste, "):
        load_peer("mixst", path)
    with pytest.raises(UserError, match="no such file"):
        load_peer("mixste", tmp_path / "nothing")


def test_load_peer_lists_what_does_not_fit(tmp_path: Path) -> None:
    state = weights(tiny("MixSTE")[0])
    state["head.1.weight"] = torch.zeros(4, 16)
    state["extra"] = state.pop("head.0.bias")
    torch.save(state, tmp_path / "x.bin")
    with pytest.raises(UserError) as caught:
        load_peer("mixste", tmp_path / "x.bin", num_heads=4)
    for problem in (
        "head.1.weight has shape (4, 16), not (3, 16)",
        "extra is not in the model",
        "head.0.bias is not in the file",
    ):
        assert problem in str(caught.value)


def test_load_peer_refuses_other_joints_frames_and_averages(tmp_path: Path) -> None:
    state = weights(tiny("VideoPose3D")[0])
    state["expand_conv.weight"] = state["expand_conv.weight"][:, :30]
    torch.save({"model_pos": state}, tmp_path / "humaneva.bin")
    with pytest.raises(UserError, match="15 joints, as HumanEva has: only 17 are lifted"):
        load_peer("videopose3d", tmp_path / "humaneva.bin")
    path = write(tmp_path, "mixste")
    with pytest.raises(UserError, match="weights for clips of 9 frames, not 27"):
        load_peer("mixste", path, frames=27)
    with pytest.raises(UserError, match="no averaged weights: leave ema out"):
        load_peer("mixste", path, ema=True)


def test_converted_weights_lift_and_keep_their_facts(tmp_path: Path, clip: Keypoints) -> None:
    file = write(tmp_path, "mixste")
    folder = convert_peer("mixste", file, tmp_path / "converted", num_heads=4)
    encoder, meta = load_encoder(folder)
    _, arrays = tiny("MixSTE")
    with torch.no_grad():
        found = encoder.double()(arrays["x"].double()).pose
    torch.testing.assert_close(found, arrays["y"], rtol=0, atol=1e-9)
    assert (meta["frames"], meta["fps"], meta["unit_mm"]) == (9, 50.0, 1000.0)
    assert ModelConfig(**meta["model"]).backbone == "mixste"  # so that a training takes it
    result = ActionPose.from_pretrained(folder, "cpu").lift(clip)
    assert result.pose_m.shape[2:] == (17, 3) and np.isfinite(result.pose_m).all()
    assert "research only" in result.header["checkpoint"]["license"]
    with pytest.raises(UserError, match="exists"):
        convert_peer("mixste", file, folder, num_heads=4)


@pytest.mark.parametrize(
    ("name", "fps", "unit_mm"),
    [("stcformer", 50 / 3, 1000.0), ("motionagformer", 50.0, None), ("videopose3d", 50.0, 1000.0)],
)
def test_converted_weights_state_spacing_and_units(
    tmp_path: Path, name: str, fps: float, unit_mm: float | None
) -> None:
    folder = convert_peer(name, write(tmp_path, name), tmp_path / "out", num_heads=heads(name))
    _, meta = load_encoder(folder)
    assert (meta["fps"], meta["unit_mm"], meta["skeleton"]) == (fps, unit_mm, "h36m17")


def test_models_convert_and_info_take_official_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, "videopose3d")
    assert call(monkeypatch, "models", "info", file, "--network", "videopose3d") == 0
    assert '"frames": 27' in capsys.readouterr().out
    out = tmp_path / "out"
    assert call(monkeypatch, "models", "convert", file, out, "--network", "videopose3d") == 0
    assert call(monkeypatch, "models", "info", out) == 0
    assert '"backbone": "videopose3d"' in capsys.readouterr().out
    assert call(monkeypatch, "models", "convert", file, tmp_path / "no", "--network", "mixste") == 2
    assert not (tmp_path / "no").exists()


def test_lift_refuses_weights_of_other_joints(tmp_path: Path) -> None:
    file = write(tmp_path, "motionagformer")
    folder = convert_peer("motionagformer-3dhp", file, tmp_path / "out", num_heads=4)
    with pytest.raises(UserError, match="lifts joints of mpi_inf_3dhp17"):
        ActionPose.from_pretrained(folder, "cpu")


def test_load_peer_takes_averages_only_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path, "diffpose")
    plain, averaged = (load_peer("diffpose", path, ema=ema) for ema in (False, True))
    for (name, first), second in zip(plain.named_parameters(), averaged.parameters(), strict=True):
        assert torch.equal(first + 1, second), name


def test_convert_peer_refuses_other_keypoints(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes keypoints of coco17"):
        convert_peer("videopose3d-coco", write(tmp_path, "videopose3d"), tmp_path / "out")


def test_peers_are_all_read() -> None:
    families = {name.removesuffix("-3dhp").removesuffix("-coco") for name in PEERS}
    assert families <= FAMILIES.keys()
