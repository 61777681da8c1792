"""Export of checkpoints to ONNX or OpenVINO."""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from actionpose import checkpoint
from actionpose.inference.engines.onnx_model import OUTPUTS, ExportedNetwork, to_onnx
from actionpose.inference.engines.runtimes import TOLERANCE, onnx_session, openvino_core
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.utils.typing import Array

SUFFIXES = (".onnx", ".xml")
Run = Callable[[Array], Sequence[Array]]  # from clips to all outputs


def export_network(folder: Path, out: Path) -> dict[str, Any]:
    """Export the network of a checkpoint to ONNX or OpenVINO.

    Input, outputs and metadata are described in docs/export.md. The file is run and compared with
    torch before it is renamed to `out`.

    Args:
        folder: Folder of a checkpoint, or an official MotionBERT file.
        out: Output file, whose suffix, one of `SUFFIXES`, determines the format. The weights of an
            `.xml` file are written to a `.bin` file of the same name.

    Returns:
        The metadata in the file.

    Raises:
        UserError: If a package is missing, the network cannot be exported, or a file exists or
            cannot be written.
    """
    is_onnx = out.suffix.lower() == ".onnx"
    files = [out] if is_onnx else [out, out.with_suffix(".bin")]
    for path in files:
        if path.exists():
            raise UserError(f"{path} exists already: remove it, or choose another name")
    write = _write_onnx if is_onnx else _write_openvino
    encoder, meta = checkpoint.load_encoder(folder)
    labels = checkpoint.load_labels(folder) if encoder.class_token else None
    outputs = OUTPUTS[: 1 + encoder.class_token + (labels is not None)]
    network = ExportedNetwork(encoder, outputs, labels[1] if labels else None)
    frames = min(meta["frames"], encoder.max_frames)
    licenses = {f"{corpus['name']}: {corpus['license']}" for corpus in meta.get("data", [])}
    facts: dict[str, Any] = {
        "normalization": meta["normalization"],
        "fps": meta["fps"],
        "skeleton": H36M17.joints,
        "units": "of the keypoints x and y; z away from the camera; relative to the pelvis",
        "license": meta.get("license") or f"data: {'; '.join(sorted(licenses)) or 'not stated'}",
        "labels": labels[0] if labels else [],
    }
    with ExitStack() as stack:
        unfinished = [stack.enter_context(atomic_write(path)) for path in files]
        for lengths in ((frames, max(1, frames // 2)), (frames,)):
            facts["frames"] = [1, frames] if len(lengths) > 1 else [frames, frames]
            model = to_onnx(network, frames, any_length=len(lengths) > 1)
            try:
                _check(write(model, facts, unfinished), network, lengths)
                break
            except UserError:
                if len(lengths) == 1:
                    raise
    return facts


def _write_onnx(model: bytes, facts: dict[str, Any], files: Sequence[Path]) -> Run:
    import onnx

    content = onnx.load_model_from_string(model)
    onnx.helper.set_model_props(content, {key: json.dumps(v) for key, v in facts.items()})
    onnx.save_model(content, files[0])
    session = onnx_session(files[0].read_bytes())
    return lambda clips: session.run(None, {"keypoints": clips})


def _write_openvino(model: bytes, facts: dict[str, Any], files: Sequence[Path]) -> Run:
    core = openvino_core()
    import openvino

    content = core.read_model(model)
    for key, value in facts.items():
        content.set_rt_info(json.dumps(value), ["actionpose", key])
    openvino.serialize(content, *files)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(*files), "CPU", settings)
    return lambda clips: list(compiled(clips).values())


def _check(run: Run, network: ExportedNetwork, lengths: Sequence[int]) -> None:
    """Compare the outputs with those of torch.

    Raises:
        UserError: If the outputs differ.
    """
    for clips, frames in enumerate(lengths, start=1):
        shape = (clips, frames, len(H36M17), 3)
        keypoints = np.random.default_rng(0).normal(0, 0.4, shape).astype(np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(keypoints))
        try:
            found = run(keypoints)
        except Exception as error:  # C++ code raises exceptions of many types
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UserError(f"the exported network does not run: {reason}") from error
        for name, y, z in zip(network.outputs, found, expected, strict=True):
            if y.shape != z.shape or not np.abs(y - z.numpy()).max() <= TOLERANCE * z.abs().max():
                raise UserError(f"the exported network has another {name} than torch's")
