"""Inference engines that run a network in ONNX format on the CPU: OpenVINO and ONNX Runtime."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actionpose.inference.engines.base import Engine
from actionpose.inference.engines.onnx_model import ExportedNetwork, cached_onnx
from actionpose.models import Encoder
from actionpose.models.dstformer import PoseOutput
from actionpose.skeletons import H36M17, H36M17_FEET
from actionpose.utils.errors import UserError
from actionpose.utils.files import cache_folder, make_folder

Network = Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]  # from clips to outputs
TOLERANCE = 1e-5  # tolerance to torch, relative to the largest value of an output


@cache
def openvino_core() -> Any:
    """The only `openvino.Core` of this process, which is never destroyed.

    Each instance has its own signal stack and restores the previous one when it is destroyed. If
    that belongs to another instance that was destroyed, the next signal crashes the process.

    Raises:
        UserError: If the package is missing, or the environment variable ONEDNN_MAX_CPU_ISA is set,
            with which OpenVINO crashes.
    """
    if limit := os.environ.get("ONEDNN_MAX_CPU_ISA"):
        raise UserError(f"OpenVINO crashes with ONEDNN_MAX_CPU_ISA={limit}: unset it")
    try:
        import openvino  # its telemetry is disabled by `utils.telemetry`
    except ImportError:
        raise UserError("OpenVINO is missing: pip install 'actionpose[fast]'") from None
    return openvino.Core()


def onnx_session(model: bytes) -> Any:
    """A session of ONNX Runtime on the CPU, with the number of threads of torch.

    Raises:
        UserError: If the package is missing.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError("ONNX Runtime is missing: pip install 'actionpose[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class RuntimeEngine(Engine, ABC):
    """The network in another runtime. Clips of other lengths than prepared are processed by torch.

    Args:
        encoder: Encoder in eval mode, on the CPU.
        lengths: Number of frames of clips that are lifted and of clips that are embedded.

    Raises:
        UserError: If a package is missing, or the network cannot be converted.
    """

    def __init__(self, encoder: Encoder, lengths: Sequence[int]):
        super().__init__(encoder)
        self._networks: dict[tuple[str, int, int], Network] = {}
        self._add("pose", lengths[0], len(H36M17))
        if encoder.heads is not None:
            self._add("pose", lengths[0], len(H36M17_FEET))
        if encoder.class_token:
            self._add("embedding", lengths[-1], len(H36M17))

    def _add(self, kind: str, frames: int, joints: int) -> None:
        """Prepare a network, and check that its outputs agree with those of torch."""
        outputs = [kind, "log_error"] if kind == "pose" and self.encoder.heads else [kind]
        shape = (1, frames, joints, 3)
        clips = np.random.default_rng(0).normal(0, 0.4, shape).astype(np.float32)
        try:
            model = cached_onnx(self.encoder, frames, joints, outputs)
            network = self._compiled(model, shape)
            found = network(clips)
        except UserError:
            raise
        except Exception as error:  # C++ code raises exceptions of many types
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UserError(f"the engine {self.name} cannot run this network: {reason}") from error
        with torch.inference_mode():
            expected = ExportedNetwork(self.encoder, outputs)(torch.from_numpy(clips))
        for x, y in zip(found, expected, strict=True):
            if not np.abs(x - y.numpy()).max() <= TOLERANCE * y.abs().max():
                raise UserError(
                    f"the engine {self.name} does not compute this network as torch does: choose "
                    "another engine=NAME"
                )
        self._networks[kind, frames, joints] = network

    @abstractmethod
    def _compiled(self, model: bytes, shape: tuple[int, ...]) -> Network:
        """Compile an ONNX model for clips of `shape`, with any number of clips.

        Raises:
            UserError: If the package of the runtime is missing.
        """

    def __call__(self, clips: Tensor, *, embed: bool = False) -> PoseOutput:
        network = self._networks.get(("pose", *clips.shape[1:3]))
        if network is None:
            return super().__call__(clips, embed=embed)
        pose, *errors = map(torch.from_numpy, network(clips.numpy()))
        return PoseOutput(pose, None, errors[0] if errors else None)

    def embeddings(self, clips: Tensor) -> Tensor:
        clips = clips[:, :, : len(H36M17)]  # embeddings do not use feet
        network = self._networks.get(("embedding", *clips.shape[1:3]))
        return torch.from_numpy(network(clips.numpy())[0]) if network else super().embeddings(clips)


class OpenVINOEngine(RuntimeEngine):
    """OpenVINO, with one clip of fixed length at a time, which is fastest."""

    name = "openvino"

    def _compiled(self, model: bytes, shape: tuple[int, ...]) -> Network:
        core = openvino_core()
        network = core.read_model(model)
        network.reshape(shape)
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # the default is bf16 if the processor supports it
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        with suppress(UserError):  # without a home folder, the network is compiled at every start
            folder = cache_folder() / "openvino"
            make_folder(folder)
            if os.access(folder, os.W_OK):
                settings["CACHE_DIR"] = os.fspath(folder)
        request = core.compile_model(network, "CPU", settings).create_infer_request()
        lock = threading.Lock()  # all threads share the input of a request

        def run(clips: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            with lock:
                found = [
                    [output.copy() for output in request.infer([clips[i : i + 1]]).values()]
                    for i in range(len(clips))
                ]
            return [np.concatenate(rows) for rows in zip(*found, strict=True)]

        return run


class OnnxEngine(RuntimeEngine):
    """ONNX Runtime."""

    name = "onnx"

    def _compiled(self, model: bytes, shape: tuple[int, ...]) -> Network:
        session = onnx_session(model)

        def run(clips: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            found: list[NDArray[np.float32]] = session.run(None, {"keypoints": clips})
            return found

        return run
