"""MotionAGFormer (Mehraban et al., WACV 2024): parallel attention and graph convolutions.

The parameter names are those of `MotionAGFormer`, so that official weights load by name. TCPFormer
also uses `Mixing` and `TwoStreams`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from actionpose.models.backbone import Backbone, Length, Token, num_layers
from actionpose.models.blocks import MLP, Attention, autocast_disabled, over_frames, over_joints
from actionpose.skeletons import H36M17

NEIGHBORS = 2  # of a frame in the temporal graph, including itself
SCALE = 1e-5  # initial scale of each half of a block
UNSEEN = H36M17.indices("left_hip", "left_shoulder", "right_shoulder")  # not visible to parents


class Mixing(nn.Module):
    """A token mixer of (N, L, D) and an MLP, both with pre-LayerNorm and a scale per channel."""

    def __init__(self, dim: int, mixer: nn.Module, mlp_ratio: float):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mixer = mixer
        self.mlp = MLP(dim, mlp_ratio)
        self.layer_scale_1 = nn.Parameter(torch.full((dim,), SCALE))
        self.layer_scale_2 = nn.Parameter(torch.full((dim,), SCALE))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        mixed = self.norm1(x)
        mixed = self.mixer(mixed) if mask is None else self.mixer(mixed, mask)
        x = x + self.layer_scale_1 * mixed
        return x + self.layer_scale_2 * self.mlp(self.norm2(x))


class GraphMixer(nn.Module):
    """Graph convolution of (N, L, D) with batch normalization per node.

    Args:
        dim: Number of channels (D).
        nodes: Number of nodes (L).
        adjacency: (L, L) Adjacency of 0 and 1. With None, each frame is connected to its nearest
            neighbors by dot product; these are discontinuous in the input, so that rounding may
            change them.
    """

    adjacency: Tensor | None

    def __init__(self, dim: int, nodes: int, adjacency: Tensor | None = None):
        super().__init__()
        self.U, self.V = nn.Linear(dim, dim), nn.Linear(dim, dim)
        for layer in (self.U, self.V):
            nn.init.normal_(layer.weight, 0, (2 / dim) ** 0.5)
        self.batch_norm = nn.BatchNorm1d(nodes)
        self.register_buffer("adjacency", adjacency, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.adjacency is None:
            with torch.no_grad():
                similarity = x @ x.transpose(-2, -1)
                last = similarity.topk(NEIGHBORS, dim=-1).values[..., -1:]
                adjacency = (similarity >= last).to(x.dtype)
        else:
            adjacency = self.adjacency.to(x.dtype)
        degree = adjacency.sum(dim=-1, keepdim=True) ** -0.5
        mixed = degree * adjacency * degree.transpose(-2, -1) @ self.V(x) + self.U(x)
        return torch.relu(x + self.batch_norm(mixed))


class TwoStreams(nn.Module):
    """Two parallel streams of two blocks on tokens (B, T, J, D), weighted by a softmax.

    Args:
        dim: Number of channels (D).
        num_heads: Number of attention heads.
        mlp_ratio: Ratio of the hidden size of the MLPs to `dim`.
        graph_spatial: First mixer of the second stream.
        graph_temporal: Second mixer of the second stream.
        frames_first: Whether the second stream mixes frames before joints.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float,
        graph_spatial: nn.Module,
        graph_temporal: nn.Module,
        frames_first: bool = False,
    ):
        super().__init__()
        attention = (Attention(dim, num_heads, qkv_bias=False) for _ in range(2))
        self.att_spatial, self.att_temporal = (Mixing(dim, a, mlp_ratio) for a in attention)
        self.graph_spatial = Mixing(dim, graph_spatial, mlp_ratio)
        self.graph_temporal = Mixing(dim, graph_temporal, mlp_ratio)
        self.frames_first = frames_first
        self.fusion = nn.Linear(2 * dim, 2)
        nn.init.zeros_(self.fusion.weight)
        nn.init.constant_(self.fusion.bias, 0.5)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        attended = over_joints(self.att_spatial, x)
        attended = over_frames(self.att_temporal, attended, valid)
        if self.frames_first:
            graph = over_joints(self.graph_temporal, over_frames(self.graph_spatial, x, valid))
        else:
            graph = over_frames(self.graph_temporal, over_joints(self.graph_spatial, x))
        weight = self.fusion(torch.cat([attended, graph], dim=-1)).softmax(dim=-1)
        return weight[..., :1] * attended + weight[..., 1:] * graph


def limited_adjacency() -> Tensor:
    """(17, 17) Adjacency of bones without self-loops; pelvis and thorax lack three children."""
    adjacency = torch.zeros(len(H36M17), len(H36M17))
    for child, parent in H36M17.bones:
        adjacency[child, parent] = 1
        adjacency[parent, child] = float(child not in UNSEEN)
    return adjacency


class MotionAGFormer(Backbone):
    """(B, T, J, 3) keypoints with confidence to (B, T, J, 3) poses.

    Args:
        dim: Number of channels per token.
        depth: Number of layers with two streams.
        num_heads: Number of attention heads, a divisor of `dim`.
        mlp_ratio: Ratio of the hidden size of the MLPs to `dim`.
        dim_rep: Number of channels before the head.
        max_frames: Number of frames per clip (T), the channels of the temporal batch normalization.
        num_joints: Number of joints.
    """

    length: ClassVar[Length] = "fixed"
    masks_padding = False
    token: ClassVar[Token] = "read"

    def __init__(
        self,
        *,
        dim: int = 128,
        depth: int = 16,
        num_heads: int = 8,
        mlp_ratio: float = 4,
        dim_rep: int = 512,
        max_frames: int = 243,
        num_joints: int = 17,
    ):
        super().__init__()
        self.width, self.depth, self.frames, self.num_joints = dim, depth, max_frames, num_joints
        self.joints_embed = nn.Linear(3, dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, num_joints, dim))
        self.norm = nn.LayerNorm(dim)
        self._add_layers(num_heads, mlp_ratio)
        self.rep_logit = nn.ModuleDict({"fc": nn.Linear(dim, dim_rep)})
        self.head = nn.Linear(dim_rep, 3)

    def _add_layers(self, num_heads: int, mlp_ratio: float) -> None:
        def layer() -> TwoStreams:
            spatial = GraphMixer(self.width, self.num_joints, limited_adjacency())
            temporal = GraphMixer(self.width, self.frames)
            return TwoStreams(self.width, num_heads, mlp_ratio, spatial, temporal)

        self.layers = nn.ModuleList(layer() for _ in range(self.depth))

    def embed(self, keypoints: Tensor, valid: Tensor | None = None) -> Any:
        with autocast_disabled(keypoints):
            return self.joints_embed(keypoints) + self.pos_embed

    def stage(self, i: int, state: Any, valid: Tensor | None = None) -> Any:
        return self.layers[i](state)

    def lift(self, state: Any) -> Tensor:
        with autocast_disabled(state):
            return self.head(torch.tanh(self.rep_logit["fc"](self.norm(state))))

    @classmethod
    def sizes(cls, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        return {
            **layer_sizes(weights),
            "max_frames": len(weights["layers.0.graph_temporal.mixer.batch_norm.weight"]),
        }


def layer_sizes(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The `sizes` of networks with these layers, except the number of frames."""
    _, num_joints, dim = weights["pos_embed"].shape
    return {
        "dim": dim,
        "depth": num_layers(weights, "layers"),
        "mlp_ratio": weights["layers.0.att_spatial.mlp.fc1.weight"].shape[0] / dim,
        "dim_rep": weights["head.weight"].shape[1],
        "num_joints": num_joints,
    }
