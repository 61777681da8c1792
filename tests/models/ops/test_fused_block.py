"""The fused kernels compute what the encoder computes without them, or say why they cannot."""

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.compiler import needs_compiler

from actionpose.config import FinetuneConfig
from actionpose.models import PoseEncoder
from actionpose.models.ops import fused_block as fused
from actionpose.models.ops.fused_block import half_block
from actionpose.training.finetune import finetune
from actionpose.training.initialization import apply_fusion
from actionpose.utils.errors import UserError


@pytest.fixture
def forget() -> Iterator[None]:
    """The library is looked for anew, before and after."""
    fused.library.cache_clear()
    yield
    fused.library.cache_clear()


def encoder_of(
    dim: int = 64,
    num_heads: int = 2,
    mlp_ratio: float = 2.0,
    class_token: bool = True,
    std: float = 0.2,
) -> PoseEncoder:
    torch.manual_seed(0)
    encoder = PoseEncoder(
        dim=dim,
        depth=2,
        num_heads=num_heads,
        mlp_ratio=mlp_ratio,
        dim_rep=32,
        max_frames=81,
        middle_layer=1,
        embedding_dim=32,
        class_token=class_token,
    )
    for parameter in encoder.parameters():  # as drawn, every block does next to nothing
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=std)
    return encoder.eval()


def outputs_and_gradients(
    encoder: PoseEncoder, keypoints: torch.Tensor, valid: torch.Tensor | None, bf16: bool = False
) -> tuple[Any, ...]:
    encoder.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = encoder(keypoints, valid)
    parts = [output.pose] if output.embedding is None else [output.pose, output.embedding]
    sum(part.square().mean() for part in parts).backward()
    gradients = {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}
    return [part.detach() for part in parts], gradients


@needs_compiler
@pytest.mark.parametrize(
    ("model", "frames", "masked"),
    [
        ({}, 1, False),
        ({}, 81, False),
        ({"class_token": False}, 27, True),
        ({"dim": 32, "num_heads": 4}, 20, True),  # heads narrower than a vector
        ({"dim": 48, "num_heads": 1, "mlp_ratio": 1}, 19, False),
        ({"dim": 48, "num_heads": 4}, 19, True),  # heads of 12
        ({"dim": 128, "num_heads": 2, "mlp_ratio": 4}, 33, True),
    ],
)
def test_same_poses_embeddings_and_gradients(
    model: dict[str, Any], frames: int, masked: bool
) -> None:
    encoder = encoder_of(**model)
    keypoints = torch.randn(3, frames, 17, 3)
    valid = None
    if masked:
        valid = torch.rand(3, frames) > 0.4
        valid[:, 2] = True
    truth = outputs_and_gradients(deepcopy(encoder).double(), keypoints.double(), valid)
    plain = outputs_and_gradients(encoder, keypoints, valid)
    encoder.fuse()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            fast = outputs_and_gradients(encoder, keypoints, valid)
        finally:
            torch.set_num_threads(1)
        for i in range(2):  # outputs, gradients
            assert apart(fast[i], truth[i]) < 3 * apart(plain[i], truth[i]) + 2e-5  # of erf


@needs_compiler
@pytest.mark.parametrize(("dim", "frames"), [(48, 19), (64, 81), (128, 1), (128, 19)])
def test_bf16_is_no_rougher_than_that_of_torch(dim: int, frames: int) -> None:
    encoder = encoder_of(dim=dim, num_heads=dim // 16, std=0.05)
    keypoints = torch.randn(3, frames, 17, 3)
    truth = outputs_and_gradients(deepcopy(encoder).double(), keypoints.double(), None)
    plain = outputs_and_gradients(encoder, keypoints, None, bf16=True)
    encoder.fuse()
    exact = outputs_and_gradients(encoder, keypoints, None)
    fast = outputs_and_gradients(encoder, keypoints, None, bf16=True)
    for i in range(2):  # outputs, gradients
        assert apart_on_average(fast[i], truth[i]) < 1.5 * apart_on_average(plain[i], truth[i])
        assert not fused.has_bf16() or apart_on_average(fast[i], exact[i]) > 1e-4


@needs_compiler
@pytest.mark.parametrize("over_frames", [False, True])
@torch.no_grad()
def test_autocast_reaches_the_kernels(over_frames: bool) -> None:
    block = encoder_of().blocks_st[0]
    parameters = block._parameters_of("t" if over_frames else "s")
    x = torch.randn(2, 20, 17, 64)

    def output(**autocast: Any) -> torch.Tensor:
        with torch.autocast("cpu", **autocast):
            return half_block(x, parameters, 2, None, over_frames=over_frames)

    exact = output(enabled=False)
    rounded = apart_on_average([output(dtype=torch.bfloat16)], [exact])
    assert 1e-4 < rounded < 0.03 if fused.has_bf16() else rounded == 0
    assert torch.equal(output(dtype=torch.float16), exact)


def apart(some: dict[str, Any] | list[Any], others: dict[str, Any] | list[Any]) -> float:
    """Largest difference of two lists or dicts of tensors, over the largest number."""
    if isinstance(others, dict):
        assert some.keys() == others.keys()
        some, others = [some[name] for name in others], list(others.values())
    largest = max(float(b.abs().max()) for b in others)
    return max(float((a - b).abs().max()) for a, b in zip(some, others, strict=True)) / largest


def apart_on_average(some: dict[str, Any] | list[Any], others: dict[str, Any] | list[Any]) -> float:
    """Root mean square of the differences of two lists or dicts of tensors, over the others'."""
    if isinstance(others, dict):
        some, others = [some[name] for name in others], list(others.values())
    some, others = (torch.cat([x.flatten().double() for x in xs]) for xs in (some, others))
    return float((some - others).norm() / others.norm())


@needs_compiler
def test_the_input_may_lie_anywhere_in_memory() -> None:
    encoder = encoder_of()
    keypoints = torch.randn(17, 3, 9, 2).permute(3, 2, 0, 1)
    plain, _ = outputs_and_gradients(encoder, keypoints, None)
    encoder.fuse()
    fast, _ = outputs_and_gradients(encoder, keypoints, None)
    torch.testing.assert_close(fast[0], plain[0], rtol=1e-4, atol=1e-4)


@needs_compiler
def test_large_logits_stay_finite() -> None:
    encoder = encoder_of()
    with torch.no_grad():
        for block in (*encoder.blocks_st, *encoder.blocks_ts):
            block.attn_t.qkv.weight.mul_(100)
    encoder.fuse()
    poses, gradients = outputs_and_gradients(encoder, torch.randn(1, 9, 17, 3), None)
    assert torch.isfinite(poses[0]).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())


@needs_compiler
def test_training_learns_the_same(tiny_config: FinetuneConfig, tmp_path: Path) -> None:
    def losses(run: str, **training: Any) -> list[float]:
        config = replace(
            tiny_config,
            model=replace(tiny_config.model, dim=16, num_heads=2),
            training=replace(tiny_config.training, **training),
        )
        finetune(config, tmp_path / run, quiet=True)
        lines = (tmp_path / run / "log.jsonl").read_text().splitlines()
        return [row["total"] for row in map(json.loads, lines) if "total" in row]

    plain = losses("plain")
    assert len(plain) > 5
    np.testing.assert_allclose(losses("fused", device="cpu_fused"), plain, rtol=1e-4)
    with contextlib.nullcontext() if fused.has_bf16() else pytest.warns(match="avx512_bf16"):
        half = losses("half", device="cpu_fused", precision="bf16")
    np.testing.assert_allclose(half, plain, rtol=0.02)


@needs_compiler
@pytest.mark.filterwarnings("error")
def test_a_processor_without_bf16_is_named(
    tiny_config: FinetuneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actionpose.training.initialization.has_bf16", lambda: False)
    config = replace(tiny_config.training, device="cpu_fused", precision="bf16")
    with pytest.warns(UserWarning, match="the encoder's blocks are computed in float32"):
        apply_fusion(encoder_of(), config)


@needs_compiler
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"dim": 20, "num_heads": 2}, "multiples of"),
        ({"dim": 32, "mlp_ratio": 0.7}, "multiples of"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    tiny_config: FinetuneConfig, model: dict[str, Any], message: str
) -> None:
    config = replace(tiny_config.training, device="cpu_fused")
    with pytest.raises(UserError, match=message):
        apply_fusion(encoder_of(**model), config)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch, forget: None) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="need a C\\+\\+ compiler"):
        encoder_of().fuse()


@pytest.mark.parametrize("compiler", ["false", "no-such-compiler"])
def test_a_compiler_that_fails_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, forget: None, compiler: str
) -> None:
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match="compile"):
        encoder_of().fuse()
    assert list((tmp_path / "actionpose").iterdir()) == []


@needs_compiler
def test_a_cache_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, forget: None
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set XDG_CACHE_HOME"):
        encoder_of().fuse()


@needs_compiler
def test_compiled_once_for_each_cxxflags(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, forget: None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    flags = f"{os.environ.get('CXXFLAGS', '')} -O0"  # appended, so that this takes less long
    monkeypatch.setenv("CXXFLAGS", flags)
    encoder_of().fuse()
    (library,) = (tmp_path / "actionpose").iterdir()
    made = library.stat().st_mtime_ns
    fused.library.cache_clear()
    encoder_of().fuse()
    assert library.stat().st_mtime_ns == made
    fused.library.cache_clear()
    monkeypatch.setenv("CXXFLAGS", f"{flags} -DUNUSED")
    encoder_of().fuse()
    assert len(list((tmp_path / "actionpose").iterdir())) == 2
    fused.library.cache_clear()
    monkeypatch.setenv("CXXFLAGS", "-no-such-flag")
    with pytest.raises(UserError, match="cannot compile the fused kernels.*no-such-flag"):
        encoder_of().fuse()


@needs_compiler
def test_cxxflags_turn_bf16_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, forget: None
) -> None:
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("flags of x86")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXXFLAGS", "-O0 -mno-avx512bf16")
    assert not fused.has_bf16()
    fused.library.cache_clear()
    monkeypatch.setenv("CXXFLAGS", "-O0 -march=x86-64-v3")
    assert fused.simd_width() == 8 and not fused.has_bf16()
