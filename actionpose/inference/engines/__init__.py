"""Inference engines in float32: torch, torch with fused kernels, OpenVINO and ONNX Runtime."""

from collections.abc import Sequence

from actionpose.inference.engines.base import Engine, FusedEngine
from actionpose.inference.engines.runtimes import OnnxEngine, OpenVINOEngine
from actionpose.models import Encoder
from actionpose.utils.errors import UserError

ENGINES = ("auto", "torch", "fused", "openvino", "onnx")
# ONNX Runtime is not always faster than torch, and fused kernels are slower for wide networks
_FASTEST = ("fused", "openvino")
_WIDEST_FUSED = 128
# minimum number of frames for which "auto" uses another engine, whose preparation takes seconds
MANY_FRAMES = 3000


class EngineChoice:
    """Selection of the inference engine of a model.

    Args:
        name: One of `ENGINES`. "auto" selects torch for few frames and on a GPU, and otherwise the
            fastest available engine that supports the network.
        encoder: Encoder in eval mode, on `device`.
        device: Device of the encoder.
        lengths: Number of frames of clips that are lifted and of clips that are embedded.

    Raises:
        UserError: If the engine is unknown or not available: its package or a C++ compiler is
            missing, it does not support the device, or the network cannot be converted.
    """

    def __init__(self, name: str, encoder: Encoder, device: str, lengths: Sequence[int]):
        if name not in ENGINES:
            raise UserError(f"engine is {', '.join(ENGINES)}, not {name!r}")
        if name not in ("auto", "torch") and device != "cpu":
            raise UserError(f"the engine {name} runs on the CPU: set device to cpu")
        self._torch, self._lengths = Engine(encoder, device), lengths
        self._few = MANY_FRAMES if name == "auto" else 0
        self._chosen: Engine | None = None
        if name != "auto" or device != "cpu":
            self._chosen = self._torch if name in ("auto", "torch") else self._make(name)

    def engine(self, frames: int) -> Engine:
        """The engine for a motion with this number of frames."""
        if frames < self._few:
            return self._torch
        if self._chosen is None:
            self._chosen = self._fastest()
        return self._chosen

    def _fastest(self) -> Engine:
        for name in _FASTEST:
            if name == "fused" and getattr(self._torch.encoder, "width", 0) > _WIDEST_FUSED:
                continue
            try:
                return self._make(name)
            except UserError:  # fall back to torch
                continue
        return self._torch

    def _make(self, name: str) -> Engine:
        encoder = self._torch.encoder
        if name == "fused":
            return FusedEngine(encoder)
        cls = OpenVINOEngine if name == "openvino" else OnnxEngine
        return cls(encoder, self._lengths)
