"""Engines compute a network in float32: torch, its fused kernels, OpenVINO or ONNX Runtime."""

from collections.abc import Sequence

from actionpose.inference.engines.base import Engine, FusedEngine
from actionpose.inference.engines.runtimes import OnnxEngine, OpenVINOEngine
from actionpose.models import Encoder
from actionpose.utils.errors import UserError

ENGINES = ("auto", "torch", "fused", "openvino", "onnx")
# ONNX Runtime is not always faster than torch, and wide networks are slower with fused kernels
_FASTEST = ("fused", "openvino")
_WIDEST_FUSED = 128
# of motion, from which "auto" leaves torch: preparing another engine takes seconds
MANY_FRAMES = 3000


class EngineChoice:
    """The engine of a model.

    Args:
        name: of `ENGINES`; "auto" is torch for few frames and on a GPU, and else the fastest engine
            that can compute this network here.
        encoder: in eval mode, on `device`.
        lengths: frames of the clips that are lifted, and of those that are embedded.

    Raises:
        UserError: no such engine, or it cannot be used: its package or a C++ compiler is missing,
            it runs on another device, or the network cannot be converted.
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
        """The engine for so many frames of motion."""
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
            except UserError:  # torch remains
                continue
        return self._torch

    def _make(self, name: str) -> Engine:
        encoder = self._torch.encoder
        if name == "fused":
            return FusedEngine(encoder)
        cls = OpenVINOEngine if name == "openvino" else OnnxEngine
        return cls(encoder, self._lengths)
