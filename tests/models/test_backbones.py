"""The backbones against the code of their authors: tiny, and at official size if found."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.parity_vectors import (
    Spec,
    buffer_sums,
    gradient_sums,
    official,
    on_meta,
    tiny,
    weights,
    without_dropout,
)
from torch import Tensor

from actionpose.models import PoseEncoder
from actionpose.models.backbone import Backbone
from actionpose.models.diffpose import FRAME_STEPS, VIDEO_STEPS, DiffPose, DiffPoseRefiner
from actionpose.models.glagcn import GLAGCN
from actionpose.models.ktpformer import KTPFormer
from actionpose.models.mixste import MixSTE
from actionpose.models.motionagformer import MotionAGFormer
from actionpose.models.pstmo import PSTMO
from actionpose.models.pstmo_pretraining import PSTMOPretraining, PSTMORefinement
from actionpose.models.stcformer import STCFormer, STCFormer3DHP
from actionpose.models.tcpformer import TCPFormer
from actionpose.models.videopose3d import VideoPose3D
from actionpose.utils.errors import UserError

LIMIT = 1e-9


def poses(network: Backbone, x: Tensor) -> dict[str, Tensor]:
    return {"y": network.poses(x)}


def causal_and_strided(network: VideoPose3D, x: Tensor) -> dict[str, Tensor]:
    network.causal = True
    causal = network.poses(x)
    network.causal, network.strided = False, True
    return {"y_causal": causal, "y_optimized1f": network.poses(x[:, : network.frames])}


def middle_and_all(network: PSTMO, x: Tensor) -> dict[str, Tensor]:
    state = network.embed(x)
    for i in range(network.depth):
        state = network.stage(i, state)
    return {"y": network.lift(state), "y_all": network.lift_all(state)}


def of_frames(network: DiffPose, x: Tensor) -> dict[str, Tensor]:
    return {"y": network.poses(x[:, None])[:, 0]}


def noise_and_refined(network: DiffPoseRefiner, x: Tensor) -> dict[str, Tensor]:
    x = x[:, None]
    outputs = {"y": network.noise(x, 3 * torch.arange(len(x)))}
    outputs["y_frame"] = network.denoised(x, FRAME_STEPS)
    outputs["y_video"] = network.denoised(x, VIDEO_STEPS)
    return {key: value[:, 0] for key, value in outputs.items()}


@dataclass
class Case:
    """A network of a peer and how its outputs are computed.

    Args:
        more: further outputs, of other modes.
        sizes: variants of official size; True where the vector takes under a second.
        used: how many outputs the gradients are of.
    """

    cls: type[Any]
    run: Callable[[Any, Tensor], dict[str, Tensor]] = poses
    more: Callable[[Any, Tensor], dict[str, Tensor]] = lambda network, x: {}
    sizes: dict[str, bool] = field(default_factory=dict)
    used: int = 1


CASES = {
    "MixSTE": Case(MixSTE, sizes={"h36m_243": False, "h36m_81": False}),
    "MotionAGFormer": Case(
        MotionAGFormer,
        sizes={"xs_27": True, "s_81": False, "b_243": False, "l_81": False},
    ),
    "VideoPose3D": Case(VideoPose3D, more=causal_and_strided, sizes={"h36m_243": True}),
    "STCFormer": Case(
        STCFormer,
        sizes={"h36m_27": True, "h36m_81": False, "h36m_243": False, "h36m_243_large": False},
    ),
    "KTPFormer": Case(KTPFormer, sizes={"h36m_243": False, "h36m_81": False}),
    "TCPFormer": Case(TCPFormer, sizes={"h36m_81": False, "h36m_243": False}),
    "PSTMO": Case(
        PSTMO,
        middle_and_all,
        sizes={"s_243": True, "s_81": True, "full_243": False},
        used=2,
    ),
    "GLAGCN": Case(GLAGCN, sizes={"h36m_243": True}),
    "DiffPose_gcnpose": Case(DiffPose, of_frames, sizes={"official": True}),
    "DiffPose_gcndiff": Case(DiffPoseRefiner, noise_and_refined, sizes={"official": True}),
    "STCFormer3DHP": Case(STCFormer3DHP, sizes={"width256_T9": True, "mpi_81": False}),
}
LARGE = pytest.mark.skipif(
    not os.environ.get("ACTIONPOSE_LARGE"), reason="takes long: set ACTIONPOSE_LARGE to 1"
)
EVERY = pytest.mark.parametrize("name", CASES)
OFFICIAL = pytest.mark.parametrize(
    ("name", "variant"), [(name, variant) for name, case in CASES.items() for variant in case.sizes]
)


def arguments(name: str, spec: Spec) -> dict[str, Any]:
    """Sizes from the weights; heads, which shapes do not tell, from the spec."""
    found = CASES[name].cls.sizes(
        {key: torch.empty(s, device="meta") for key, s, *_ in spec["tensors"]}
    )
    heads = spec["args"].get("num_heads")  # which all have in the specs whose code takes them
    return found | ({"num_heads": heads} if heads else {})


def build(name: str, spec: Spec) -> Any:
    network = CASES[name].cls(**arguments(name, spec)).double()
    network.load_state_dict(weights(spec))
    return network.eval()


def assert_close(found: Tensor, expected: Tensor, limit: float = LIMIT) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=limit, equal_nan=True)


@EVERY
def test_backbone_outputs_are_the_peers(name: str) -> None:
    spec, arrays = tiny(name)
    network, x = build(name, spec), arrays["x"].double()
    with torch.no_grad():
        outputs = CASES[name].run(network, x) | CASES[name].more(network, x)
    for key, value in outputs.items():
        assert_close(value[: len(arrays[key])], arrays[key])
    missing = {key for key in arrays if key.startswith("y") and "train" not in key} - outputs.keys()
    assert not missing


@EVERY
def test_backbone_outputs_hold_in_float32(name: str) -> None:
    """Nine of ten values: the nearest neighbors of MotionAGFormer change with rounding."""
    spec, arrays = tiny(name)
    with torch.no_grad():
        found = CASES[name].run(build(name, spec).float(), arrays["x"])["y"].double()
    error = (found - arrays["y"]).abs() / arrays["y"].abs().max()
    assert error.quantile(0.9) < 2e-5


@EVERY
def test_backbone_gradients_are_the_peers(name: str) -> None:
    spec, arrays = tiny(name)
    if "grad" not in arrays:
        pytest.skip("the peer's gradients are not known at this size")
    network = build(name, spec)
    outputs = CASES[name].run(network, arrays["x"].double())
    found = gradient_sums(
        network, spec, [outputs[key] for key in spec["outputs"]], CASES[name].used
    )
    scale = arrays["grad"].nan_to_num().abs().clamp(min=1)
    assert_close(found / scale, arrays["grad"] / scale)


def test_pretraining_of_pstmo_restores_as_its_authors_code() -> None:
    spec, arrays = tiny("PSTMO_MAE")
    network = PSTMOPretraining(dim=16, depth=2, max_frames=27).double().eval()
    network.load_state_dict(weights(spec))
    x, hidden = (
        arrays["x"].double(),
        (arrays["const/mask"].bool(), arrays["const/spatial_mask"].bool()),
    )
    found = network(x, *hidden)
    assert_close(found.detach(), arrays["y"])
    sums = gradient_sums(network, spec, [found], 1)
    scale = arrays["grad"].nan_to_num().abs().clamp(min=1)
    assert_close(sums / scale, arrays["grad"] / scale)
    frames, joints = hidden
    order = [*(~frames).nonzero()[:, 0], *frames.nonzero()[:, 0]]
    distances = [
        (found[b, i, j] - x[b, t, j]).norm()
        for b in range(2)
        for i, t in enumerate(order)
        for j in range(17)
        if frames[t] or joints[t, j]
    ]
    assert_close(network.loss(x, *hidden), torch.stack(distances).mean())


def test_pretraining_of_pstmo_starts_its_lifting() -> None:
    shared = PSTMO(dim=16, depth=2, max_frames=27).state_dict()
    start = PSTMOPretraining(dim=16, depth=2, max_frames=27).state_dict()
    common = {key for key in start if key.startswith(("encoder.", "Transformer."))}
    assert {key: start[key].shape for key in common} == {key: shared[key].shape for key in common}


def test_refinement_of_pstmo_is_its_authors() -> None:
    spec, arrays = tiny("PSTMO_refine")
    network = PSTMORefinement().double().eval()
    network.load_state_dict(weights(spec))
    x = arrays["x"].double()
    found = network(x[:, :1], x[:, 1:])
    assert_close(found.detach(), arrays["y"])
    sums = gradient_sums(network, spec, [found], 1)
    scale = arrays["grad"].abs().clamp(min=1)
    assert_close(sums / scale, arrays["grad"] / scale)


@EVERY
def test_backbone_batch_statistics_are_the_peers(name: str) -> None:
    spec, arrays = tiny(name)
    if "y_train" not in arrays:
        pytest.skip("it has no batch statistics")
    network = without_dropout(build(name, spec))
    with torch.no_grad():
        found = CASES[name].run(network, arrays["x"].double())["y"]
    assert_close(found, arrays["y_train"])
    assert_close(buffer_sums(network, spec), arrays["buffers_after_train"])


@OFFICIAL
def test_official_weights_fit(parity_data: Path, name: str, variant: str) -> None:
    """Names and shapes, all of them."""
    spec, _ = official(parity_data, name, variant)
    network = on_meta(CASES[name].cls, **arguments(name, spec))
    expected = {key: tuple(shape) for key, shape, *_ in spec["tensors"]}
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == expected


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        pytest.param(name, variant, marks=() if fast else LARGE)
        for name, case in CASES.items()
        for variant, fast in case.sizes.items()
    ],
)
def test_official_sizes_are_the_peers(parity_data: Path, name: str, variant: str) -> None:
    spec, arrays = official(parity_data, name, variant)
    if not arrays:
        pytest.skip("there is no output of the peer at this size")
    with torch.no_grad():
        outputs = CASES[name].run(build(name, spec), arrays["x"].double())
    for key in outputs.keys() & arrays.keys():
        assert_close(outputs[key], arrays[key])


def test_stages_of_dstformer_are_its_forward_pass() -> None:
    torch.manual_seed(0)
    sizes = {"dim": 16, "depth": 2, "num_heads": 2, "dim_rep": 16, "max_frames": 9}
    x, valid = torch.randn(2, 9, 17, 3), torch.ones(2, 9, dtype=torch.bool)
    valid[1, 6:] = False
    for token in (False, True):
        encoder = PoseEncoder(**sizes, middle_layer=1, class_token=token).eval()
        assert torch.equal(encoder.poses(x, valid), encoder(x, valid).pose)


@pytest.mark.parametrize(
    ("cls", "shape", "problem"),
    [
        (MixSTE, (1, 8, 17, 2), "clips have 8 frames, but this MixSTE takes exactly 9"),
        (MixSTE, (1, 9, 15, 2), "clips have 15 joints, but this MixSTE takes 17"),
        (MotionAGFormer, (1, 9, 17, 2), "2 channels, but this MotionAGFormer needs .* confidence"),
    ],
)
def test_backbone_refuses_other_clips(
    cls: type[Backbone], shape: tuple[int, ...], problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        cls(dim=8, depth=1, num_heads=1, max_frames=9).poses(torch.zeros(shape))
