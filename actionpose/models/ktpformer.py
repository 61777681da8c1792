"""KTPFormer (Peng et al., CVPR 2024): MixSTE after two blocks with learned graphs.

The parameter names are those of `KTPFormer`, so that official weights load by name.
"""

import numpy as np
import torch
from torch import Tensor, nn

from actionpose.models.blocks import MLP, Attention, over_frames
from actionpose.models.mixste import EPS, MixSTE
from actionpose.skeletons import H36M17


class GraphConvolution(nn.Module):
    """Graph convolution of (N, L, D) with learned edges, and separate weights for self-loops.

    Args:
        dim_in: Number of input channels.
        dim_out: Number of output channels.
        adjacency: (L, L) Fixed adjacency, to which the learned one is added.
    """

    adjacency: Tensor

    def __init__(self, dim_in: int, dim_out: int, adjacency: Tensor):
        super().__init__()
        nodes = len(adjacency)
        self.W = nn.Parameter(torch.empty(2, dim_in, dim_out))
        self.M = nn.Parameter(torch.ones(nodes, dim_out))
        self.adj2 = nn.Parameter(torch.full((nodes, nodes), 1e-6))
        bound = dim_out**-0.5
        self.bias = nn.Parameter(torch.empty(dim_out).uniform_(-bound, bound))
        nn.init.xavier_uniform_(self.W, gain=1.414)
        self.register_buffer("adjacency", adjacency, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        edges = self.adj2 + self.adjacency.to(x.dtype)
        edges = (edges + edges.T) / 2
        own = edges.diagonal()[:, None] * (self.M * (x @ self.W[0]))
        between = edges * (1 - torch.eye(len(edges), dtype=x.dtype, device=x.device))
        others = between @ (self.M * (x @ self.W[1]))
        return own + others + self.bias


class Prior(nn.Module):
    """A graph convolution, batch normalization over channels, and ReLU."""

    def __init__(self, dim_in: int, dim_out: int, adjacency: Tensor):
        super().__init__()
        self.gconv = GraphConvolution(dim_in, dim_out, adjacency)
        self.bn = nn.BatchNorm1d(dim_out)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.gconv(x).transpose(-2, -1)).transpose(-2, -1))


class PriorAttention(Attention):
    """Self-attention of (N, L, D) after the prior and an embedding of the nodes.

    The residual connection starts after both.
    """

    def __init__(self, dim: int, num_heads: int, adjacency: Tensor, frames: bool):
        super().__init__(dim, num_heads)
        self.frames = frames
        embedding = nn.Parameter(torch.zeros(1, len(adjacency), dim))
        if frames:
            priors = {f"gconv{i}": Prior(dim, dim, adjacency) for i in (1, 2)}
            self.Temporal_pos_embed, self.tpa = embedding, nn.ModuleDict(priors)
        else:
            self.Spatial_pos_embed, self.kpa = embedding, Prior(2, dim, adjacency)
        self.norm1 = nn.LayerNorm(dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.frames:
            x = x + self.tpa["gconv2"](self.tpa["gconv1"](x)) + self.Temporal_pos_embed
        else:
            x = self.kpa(x) + self.Spatial_pos_embed
        return x + super().forward(self.norm1(x), mask)


class PriorBlock(nn.Module):
    def __init__(self, attention: PriorAttention, dim: int, mlp_ratio: float):
        super().__init__()
        self.attn = attention
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp = MLP(dim, mlp_ratio)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.attn(x, mask)
        return x + self.mlp(self.norm2(x))


def chain_adjacency(edges: list[tuple[int, int]], nodes: int) -> Tensor:
    """(L, L) Adjacency of a graph: neighbors sum to 1 per row, and the diagonal is 1."""
    adjacency = torch.zeros(nodes, nodes)
    for a, b in edges:
        adjacency[a, b] = adjacency[b, a] = 1
    return (adjacency / adjacency.sum(dim=1, keepdim=True)).fill_diagonal_(1)


class KTPFormer(MixSTE):
    """(B, T, J, 2) keypoints to (B, T, J, 3) poses; arguments as for `MixSTE`.

    The state before the first stage is that after the two blocks with priors. Their graph over
    frames does not mask padding.
    """

    masks_padding = False
    prefixes = ("kpattention.attn.", "tpattention.attn.")

    def _add_embedding(self, num_heads: int, mlp_ratio: float, drop_path: float) -> list[float]:
        width = self.width
        joints = chain_adjacency(H36M17.bones, self.num_joints)
        frames = chain_adjacency([(t, t + 1) for t in range(self.frames - 1)], self.frames)
        spatial = PriorAttention(width, num_heads, joints, frames=False)
        temporal = PriorAttention(width, num_heads, frames, frames=True)
        self.kpattention = PriorBlock(spatial, width, mlp_ratio)
        self.tpattention = PriorBlock(temporal, width, mlp_ratio)
        return np.linspace(0, drop_path, self.depth + 1)[1:].tolist()

    def embed(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor:
        clips, frames, joints, _ = keypoints.shape
        x = self.kpattention(keypoints[..., :2].flatten(0, 1))
        x = self.Spatial_norm(x.view(clips, frames, joints, -1))
        return self.Temporal_norm(over_frames(self.tpattention, x, valid))

    def _with_time(self, x: Tensor) -> Tensor:
        return x
