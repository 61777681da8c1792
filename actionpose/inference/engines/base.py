"""The network of a model as a function of clips: torch's own, and torch with fused kernels.

Letters in shapes: N clips, T frames, J joints, E embedding.
"""

import copy
from typing import ClassVar

import torch
from torch import Tensor

from actionpose.models import Encoder
from actionpose.models.dstformer import PoseOutput


class Engine:
    """The network in float32, computed by torch.

    Args:
        encoder: in eval mode, on `device`.
    """

    name: ClassVar[str] = "torch"

    def __init__(self, encoder: Encoder, device: str | torch.device = "cpu"):
        self.encoder, self.device = encoder, device

    def __call__(self, clips: Tensor, *, embed: bool = False) -> PoseOutput:
        """What the encoder returns for normalized clips (N, T, J, 3), without an embedding."""
        assert not embed
        with torch.inference_mode():
            output: PoseOutput = self.encoder(clips.to(self.device), embed=False)
        return output

    @torch.inference_mode()
    def embeddings(self, clips: Tensor) -> Tensor:
        """Unit vectors (N, E) of normalized clips; the network has to have such embeddings."""
        embedding = self.encoder.embed_motion(clips.to(self.device))
        assert embedding is not None
        return torch.nn.functional.normalize(embedding.float(), dim=-1)


class FusedEngine(Engine):
    """torch with the kernels of `models.ops.fused_block`, which are compiled at the first use.

    Raises:
        UserError: another backbone or width than the kernels are for, or no C++ compiler.
    """

    name = "fused"

    def __init__(self, encoder: Encoder):
        super().__init__(copy.deepcopy(encoder))
        self.encoder.fuse()
