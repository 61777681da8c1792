"""Official files of other authors: every container, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.parity_vectors import tiny, weights

from actionpose.checkpoint import load_peer
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
}


def content_of(name: str, **extra: Any) -> Any:
    """What the authors' code saves beside the weights."""
    state = weights(tiny(FAMILIES[name])[0])
    wrapped = {f"module.{key}": value for key, value in state.items()}
    random = np.random.RandomState(7)
    training = {"epoch": 3, "lr": 4e-5, "optimizer": {"state": {}, "param_groups": []}} | extra
    return {
        "mixste": {**training, "random_state": random, "model_pos": wrapped},
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


@pytest.mark.parametrize("name", FAMILIES)
def test_load_peer_reads_every_container(tmp_path: Path, name: str) -> None:
    network = load_peer(name, write(tmp_path, name), num_heads=heads(name))
    _, arrays = tiny(FAMILIES[name])
    assert not network.training
    with torch.no_grad():
        found = network.double().poses(arrays["x"].double())
    torch.testing.assert_close(found, arrays["y"], rtol=0, atol=1e-9)


CONTAINERS = {
    "mixste": "MixSTE_best_epoch.bin",
    "ktpformer": "KTPFormer_best_epoch.bin",
    "videopose3d": "VideoPose3D_pretrained.bin",
    "stcformer": "STCFormer_no_refine.pth",
    "motionagformer": "MotionAGFormer_best.pth.tr",
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_load_peer_reads_what_the_authors_code_wrote(parity_data: Path, name: str) -> None:
    path = parity_data / "zoo" / "containers" / CONTAINERS[name]
    network = load_peer(name, path, num_heads=heads(name))
    _, arrays = tiny(FAMILIES[name])
    with torch.no_grad():
        found = network.double().poses(arrays["x"].double())
    torch.testing.assert_close(found, arrays["y"], rtol=0, atol=1e-9)


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


def test_peers_are_all_read() -> None:
    assert {name.removesuffix("-3dhp") for name in PEERS} <= FAMILIES.keys()
