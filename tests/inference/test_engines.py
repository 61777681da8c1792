"""Engines: all compute what torch computes; which one "auto" takes; what is kept in the cache."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.compiler import needs_compiler, needs_openvino

from actionpose import ActionPose, Keypoints
from actionpose.inference import engines
from actionpose.inference.engines import EngineChoice, onnx_model, runtimes
from actionpose.inference.engines.base import Engine
from actionpose.models import PoseEncoder
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.files import cache_folder

FRAMES = 27


@pytest.fixture(scope="module")
def encoder() -> PoseEncoder:
    """Random weights, larger than at the start of a training, so that inputs matter."""
    torch.manual_seed(0)
    sizes = {"dim": 16, "depth": 1, "num_heads": 2, "dim_rep": 16, "embedding_dim": 8}
    encoder = PoseEncoder(**sizes, max_frames=FRAMES, middle_layer=1, embedding_depth=1)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    return encoder.eval()


def model_with(encoder: PoseEncoder, engine: str) -> ActionPose:
    config = {"data": {"temporal_crop": 0.5}}  # timelines see windows of a third
    meta = {"frames": FRAMES, "normalization": "box", "fps": 30.0, "config": config}
    return ActionPose(encoder, meta, name="random", engine=engine)


@pytest.fixture(scope="module")
def keypoints() -> Keypoints:
    """Two windows and a half, and a second person for less than one."""
    steps = np.random.default_rng(0).normal(0, 2, (2, 70, 17, 3))
    points = 500 + np.random.default_rng(1).normal(0, 80, (2, 1, 17, 3)) + steps.cumsum(axis=1)
    points[..., 2] = 1
    points[1, 20:] = 0
    return Keypoints.from_array(points, skeleton=H36M17, fps=30.0)


@pytest.mark.parametrize(
    ("engine", "package"),
    [
        pytest.param("fused", "torch", marks=needs_compiler),
        pytest.param("openvino", "openvino", marks=needs_openvino),
        ("onnx", "onnxruntime"),
    ],
)
def test_engines_compute_what_torch_does(
    encoder: PoseEncoder, keypoints: Keypoints, engine: str, package: str
) -> None:
    for needed in (package, *(["onnx"] if engine != "fused" else [])):
        pytest.importorskip(needed)
    torchs, others = model_with(encoder, "torch"), model_with(encoder, engine)
    expected, found = torchs.lift(keypoints), others.lift(keypoints)
    assert found.header["engine"] == engine and expected.header["engine"] == "torch"
    np.testing.assert_allclose(found.pose_m, expected.pose_m, atol=1e-5, rtol=0)
    (windows, _), (other, _) = torchs.embed_windows(keypoints), others.embed_windows(keypoints)
    assert np.linalg.norm(windows, axis=-1).max() > 0.99
    np.testing.assert_allclose(other, windows, atol=1e-5)
    if engine != "fused":  # neither is torch under another name
        clips = torch.randn(3, FRAMES, 17, 3)
        choice = others.engine(1)
        assert not torch.equal(choice(clips).pose, torchs.engine(1)(clips).pose)
        short = torch.randn(3, FRAMES // 3, 17, 3)  # embeddings see no feet
        with_feet = torch.cat([short, torch.randn(3, FRAMES // 3, 4, 3)], dim=2)
        torch.testing.assert_close(choice.embeddings(with_feet), choice.embeddings(short))


def test_auto_leaves_torch_for_much_work(
    encoder: PoseEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    class Refuses:
        def __init__(self, *arguments: object) -> None:
            tried.append(self)
            raise UserError("not here")

    class Fast(Engine):
        name = "openvino"

        def __init__(self, encoder: PoseEncoder, lengths: tuple[int, int]):
            super().__init__(encoder)

    monkeypatch.setattr(engines, "FusedEngine", Refuses)
    monkeypatch.setattr(engines, "OpenVINOEngine", Fast)
    choice = EngineChoice("auto", encoder, "cpu", (FRAMES, FRAMES))
    assert choice.engine(engines.MANY_FRAMES - 1).name == "torch" and not tried
    assert choice.engine(engines.MANY_FRAMES).name == "openvino"
    assert choice.engine(engines.MANY_FRAMES) is choice.engine(10**9) and len(tried) == 1
    assert choice.engine(1).name == "torch"  # a result depends on its input alone
    monkeypatch.setattr(engines, "OpenVINOEngine", Refuses)
    choice = EngineChoice("auto", encoder, "cpu", (FRAMES, FRAMES))
    assert choice.engine(engines.MANY_FRAMES).name == "torch"
    with pytest.raises(UserError, match="not here"):
        EngineChoice("openvino", encoder, "cpu", (FRAMES, FRAMES))


def test_engines_that_cannot_be_used_say_why(
    encoder: PoseEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="engine is auto, torch, fused, openvino, onnx, not 'tpu'"):
        model_with(encoder, "tpu")
    with pytest.raises(UserError, match="openvino runs on the CPU: set device to cpu"):
        EngineChoice("openvino", encoder, "cuda", (FRAMES, FRAMES))
    monkeypatch.setattr(runtimes, "cached_onnx", lambda *arguments: b"")
    monkeypatch.setattr(runtimes, "openvino_core", runtimes.openvino_core.__wrapped__)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    with pytest.raises(UserError, match="crashes with ONEDNN_MAX_CPU_ISA=AVX2"):
        model_with(encoder, "openvino")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    for name, package, extra in (("openvino", "openvino", "fast"), ("onnx", "onnxruntime", "onnx")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(UserError, match=rf"pip install 'actionpose\[{extra}\]'"):
            model_with(encoder, name)


def test_onnx_models_are_kept_in_the_cache(
    encoder: PoseEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exported = []

    def to_onnx(network: onnx_model.ExportedNetwork, frames: int, joints: int) -> bytes:
        exported.append(frames)
        return b"model"

    monkeypatch.setattr(onnx_model, "to_onnx", to_onnx)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = (encoder, FRAMES, 17, ["pose"])
    assert [onnx_model.cached_onnx(*arguments) for _ in range(2)] == [b"model"] * 2
    assert exported == [FRAMES]
    (file,) = (cache_folder() / "onnx").iterdir()
    file.write_bytes(file.read_bytes()[:-1])  # cut off
    assert onnx_model.cached_onnx(*arguments) == b"model" and len(exported) == 2
    other = deepcopy(encoder)
    assert onnx_model.fingerprint(other) == onnx_model.fingerprint(encoder)
    other.blocks_st[0].attn_s.num_heads = 4  # which is in no shape
    assert onnx_model.fingerprint(other) != onnx_model.fingerprint(encoder)
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    assert onnx_model.cached_onnx(*arguments) == b"model" and len(exported) == 3


@needs_openvino
def test_openvino_computes_in_several_threads(encoder: PoseEncoder) -> None:
    """As when a live view and a lifting share a model."""
    pytest.importorskip("openvino")
    pytest.importorskip("onnx")
    engine = runtimes.OpenVINOEngine(encoder, (FRAMES, FRAMES))
    clips = torch.rand(8, 16, FRAMES, 17, 3, generator=torch.Generator().manual_seed(0))
    expected = [engine(part).pose for part in clips]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            for found, pose in zip(threads.map(engine, clips), expected, strict=True):
                assert torch.equal(found.pose, pose)


def test_openvino_cannot_send_anything() -> None:
    """Importing it sends an event to Google, unless the import of its telemetry fails."""
    with pytest.raises(ImportError):
        import openvino_telemetry  # noqa: F401
