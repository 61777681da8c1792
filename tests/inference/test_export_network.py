"""Exported networks: what they compute, what is in the file, and which networks can be exported."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from helpers.command_line import call
from helpers.compiler import needs_openvino

from actionpose import checkpoint, config
from actionpose.inference.engines import export
from actionpose.inference.engines.export import export_network
from actionpose.inference.engines.onnx_model import ExportedNetwork, to_onnx
from actionpose.inference.engines.runtimes import onnx_session, openvino_core
from actionpose.models import Encoder, build_encoder
from actionpose.utils.errors import UserError

pytest.importorskip("onnx")
FRAMES = 9
SIZES = {"dim": 16, "depth": 2, "num_heads": 2, "dim_rep": 16, "max_frames": FRAMES}
LABELS = torch.nn.functional.normalize(torch.arange(24.0).view(3, 8).sin(), dim=-1)


def build(name: str = "dstformer", **sizes: Any) -> Encoder:
    torch.manual_seed(0)
    encoder = build_encoder(name, **SIZES | sizes)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    return encoder.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with three labels."""
    sizes = {"mlp_ratio": 2, "middle_layer": 1, "embedding_depth": 1, "embedding_dim": 8}
    sizes |= {"directional_embedding": True}
    meta = {
        "model": SIZES | sizes,
        "frames": FRAMES,
        "fps": 25.0,
        "normalization": "box",
        "skeleton": "h36m17",
        "license": "CC0",
    }
    return checkpoint.save(
        tmp_path_factory.mktemp("run"),
        1,
        build(**sizes),
        meta,
        {},
        write_extras=lambda folder: checkpoint.save_labels(folder, ["a", "b", "c"], LABELS),
    )


@pytest.fixture(scope="module")
def onnx_file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export_network(folder, path)
    return path


def clips(count: int, frames: int) -> np.ndarray:
    points = np.random.default_rng(frames).normal(0, 0.4, (count, frames, 17, 3))
    return points.astype(np.float32)


def expected(folder: Path, keypoints: np.ndarray) -> list[np.ndarray]:
    encoder, _ = checkpoint.load_encoder(folder)
    with torch.no_grad():
        pose, embedding, _ = encoder(torch.from_numpy(keypoints))
    unit = torch.nn.functional.normalize(embedding, dim=-1)
    return [(pose - pose[:, :, :1]).numpy(), unit.numpy(), (unit @ LABELS.T).numpy()]


def assert_as_torch(found: list[np.ndarray], folder: Path, keypoints: np.ndarray) -> None:
    for y, z in zip(found, expected(folder, keypoints), strict=True):
        np.testing.assert_allclose(y, z, atol=2e-5)


def test_onnx_file_takes_any_clips_and_knows_its_use(folder: Path, onnx_file: Path) -> None:
    session = onnx_session(onnx_file.read_bytes())
    for keypoints in (clips(1, 1), clips(3, 5), clips(2, FRAMES)):
        assert_as_torch(session.run(None, {"keypoints": keypoints}), folder, keypoints)
    assert [output.name for output in session.get_outputs()] == list(export.OUTPUTS)
    facts = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    assert facts["labels"] == ["a", "b", "c"] and facts["skeleton"][:2] == ["pelvis", "right_hip"]
    assert (facts["fps"], facts["normalization"], facts["license"]) == (25, "box", "CC0")
    assert facts["frames"] == [1, FRAMES] and "relative to the pelvis" in facts["units"]


@needs_openvino
def test_openvino_files_compute_what_torch_does(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    export_network(folder, tmp_path / "model.xml")
    core = openvino_core()
    network = core.read_model(tmp_path / "model.xml")
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled, keypoints = core.compile_model(network, "CPU", settings), clips(3, 5)
    assert_as_torch(list(compiled(keypoints).values()), folder, keypoints)
    assert json.loads(network.get_rt_info(["actionpose", "labels"]).value) == ["a", "b", "c"]


def test_files_that_differ_from_torch_are_not_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(UserError, match="another pose than torch's"):
        export_network(folder, tmp_path / "model.onnx")
    (tmp_path / "there.onnx").touch()
    with pytest.raises(UserError, match="exists already"):
        export_network(folder, tmp_path / "there.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["there.onnx"]


def test_export_command_names_formats_by_suffix(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert call(monkeypatch, "models", "export", folder, "-o", tmp_path / "model.pt") == 2
    assert "must be one of .onnx, .xml, .bin" in capsys.readouterr().err
    assert call(monkeypatch, "models", "export", folder, "-o", tmp_path / "mine.bin") == 0
    assert checkpoint.load_motionbert(tmp_path / "mine.bin").max_frames == FRAMES


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in sorted({*get_args(config.Backbone)} - {"tcpformer"})),
        ("dstformer", {"bone_features": True}),
    ],
)
def test_backbones_but_tcpformer_are_exported(name: str, options: dict[str, bool]) -> None:
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    encoder = build_encoder(name, **SIZES, **options, class_token=False).eval()
    network = ExportedNetwork(encoder, ("pose",))
    session, keypoints = onnx_session(to_onnx(network, FRAMES)), clips(3, FRAMES)
    with torch.no_grad():
        (pose,) = network(torch.from_numpy(keypoints))
    assert np.ptp(pose.numpy()) > 0
    np.testing.assert_allclose(
        session.run(None, {"keypoints": keypoints})[0], pose.numpy(), atol=1e-4
    )


SCRIPT = """
const ort = require("onnxruntime-web");
const [model, frames, ...numbers] = process.argv.slice(2);
(async () => {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(model);
  const data = Float32Array.from(numbers.map(Number));
  const keypoints = new ort.Tensor("float32", data, [1, Number(frames), 17, 3]);
  const { pose, label_scores } = await session.run({ keypoints });
  console.log(JSON.stringify([[...pose.data], [...label_scores.data]]));
  process.exit(0);
})();
"""


def test_onnx_file_runs_in_javascript(folder: Path, onnx_file: Path, tmp_path: Path) -> None:
    """With onnxruntime-web, if NODE_PATH has it."""
    node, folders = shutil.which("node"), os.environ.get("NODE_PATH", "").split(os.pathsep)
    if node is None or not any((Path(each) / "onnxruntime-web").is_dir() for each in folders):
        pytest.skip("set NODE_PATH to the node_modules that have onnxruntime-web")
    keypoints = clips(1, 3)
    (tmp_path / "run.cjs").write_text(SCRIPT, encoding="utf-8")
    numbers = map(repr, keypoints.ravel().tolist())
    command = [node, tmp_path / "run.cjs", onnx_file, "3", *numbers]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    pose, scores = json.loads(output.stdout)
    poses, _, label_scores = expected(folder, keypoints)
    np.testing.assert_allclose(pose, poses.ravel(), atol=2e-5)
    np.testing.assert_allclose(scores, label_scores.ravel(), atol=2e-5)
