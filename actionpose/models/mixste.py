"""MixSTE (Zhang et al., CVPR 2022): alternating attention over joints and over frames.

The parameter names are those of `MixSTE2`, so that official weights load by name.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from actionpose.models.backbone import Backbone, num_layers
from actionpose.models.blocks import Block, over_frames, over_joints

EPS = 1e-6  # of all LayerNorms except that of the head


class MixSTE(Backbone):
    """(B, T, J, 2) keypoints to (B, T, J, 3) poses.

    The two norms after the blocks are shared by all stages; they normalize the residual stream.

    Args:
        dim: Number of channels per token.
        depth: Number of pairs of blocks.
        num_heads: Number of attention heads, a divisor of `dim`.
        mlp_ratio: Ratio of the hidden size of the MLPs to `dim`.
        max_frames: Number of frames per clip (T), the length of the temporal embedding.
        num_joints: Number of joints.
        drop_path: Stochastic depth rate at the last stage, increasing linearly from 0.
    """

    length = "fixed"
    channels = "xy"
    prefixes = ("", "")  # prefixes of the spatial and the temporal embedding

    def __init__(
        self,
        *,
        dim: int = 512,
        depth: int = 8,
        num_heads: int = 8,
        mlp_ratio: float = 2,
        max_frames: int = 243,
        num_joints: int = 17,
        drop_path: float = 0.1,
    ):
        super().__init__()
        self.width, self.depth, self.frames, self.num_joints = dim, depth, max_frames, num_joints
        rates = self._add_embedding(num_heads, mlp_ratio, drop_path)

        def blocks() -> nn.ModuleList:
            return nn.ModuleList(Block(dim, num_heads, mlp_ratio, EPS, rate) for rate in rates)

        self.STEblocks = blocks()
        self.TTEblocks = blocks()
        self.Spatial_norm = nn.LayerNorm(dim, eps=EPS)
        self.Temporal_norm = nn.LayerNorm(dim, eps=EPS)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 3))

    def _add_embedding(self, num_heads: int, mlp_ratio: float, drop_path: float) -> list[float]:
        """Add the modules before the blocks, and return the stochastic depth rates."""
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, self.num_joints, self.width))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, self.frames, self.width))
        self.Spatial_patch_to_embedding = nn.Linear(2, self.width)
        return np.linspace(0, drop_path, self.depth).tolist()

    def embed(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor:
        return self.Spatial_patch_to_embedding(keypoints[..., :2]) + self.Spatial_pos_embed

    def stage(self, i: int, state: Tensor, valid: Tensor | None = None) -> Tensor:
        x = self.Spatial_norm(over_joints(self.STEblocks[i], state))
        if i == 0:
            x = self._with_time(x)
        return self.Temporal_norm(over_frames(self.TTEblocks[i], x, valid))

    def token_readers(self) -> list[nn.Module]:
        return [block.get_submodule("attn") for block in self.TTEblocks]

    def _with_time(self, x: Tensor) -> Tensor:
        first = int(self.carries_token)  # the token has no temporal embedding
        time = self.Temporal_pos_embed[0, : x.shape[1] - first, None]
        return x + nn.functional.pad(time, (0, 0, 0, 0, first, 0))

    def lift(self, state: Tensor) -> Tensor:
        return self.head(state)

    @classmethod
    def sizes(cls, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        _, max_frames, dim = weights[cls.prefixes[1] + "Temporal_pos_embed"].shape
        return {
            "dim": dim,
            "depth": num_layers(weights, "STEblocks"),
            "mlp_ratio": weights["STEblocks.0.mlp.fc1.weight"].shape[0] / dim,
            "max_frames": max_frames,
            "num_joints": weights[cls.prefixes[0] + "Spatial_pos_embed"].shape[1],
        }
