"""Inference engines based on torch, with and without fused kernels.

Letters in shapes: N clips, T frames, J joints, E embedding dimension.
"""

import copy
from typing import ClassVar

import torch
from torch import Tensor

from actionpose.models import Encoder
from actionpose.models.dstformer import PoseOutput


class Engine:
    """The network in float32 with torch.

    Args:
        encoder: Encoder in eval mode, on `device`.
        device: Device of the encoder.
    """

    name: ClassVar[str] = "torch"

    def __init__(self, encoder: Encoder, device: str | torch.device = "cpu"):
        self.encoder, self.device = encoder, device

    def __call__(self, clips: Tensor, *, embed: bool = False) -> PoseOutput:
        """The output of the encoder for normalized clips (N, T, J, 3), without an embedding."""
        assert not embed
        with torch.inference_mode():
            output: PoseOutput = self.encoder(clips.to(self.device), embed=False)
        return output

    @torch.inference_mode()
    def embeddings(self, clips: Tensor) -> Tensor:
        """Unit vectors (N, E) of normalized clips. The network must have motion embeddings."""
        embedding = self.encoder.embed_motion(clips.to(self.device))
        assert embedding is not None
        return torch.nn.functional.normalize(embedding.float(), dim=-1)


class FusedEngine(Engine):
    """torch with the kernels of `models.ops.fused_block`, which are compiled on first use.

    Raises:
        UserError: If the kernels do not support the backbone or width, or there is no C++ compiler.
    """

    name = "fused"

    def __init__(self, encoder: Encoder):
        super().__init__(copy.deepcopy(encoder))
        self.encoder.fuse()
