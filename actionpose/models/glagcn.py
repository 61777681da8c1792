"""GLA-GCN (Yu et al., ICCV 2023): adaptive graph convolutions with strides over frames.

The parameter names are those of `S_AGCN`, so that official weights load by name.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionpose.models.backbone import Backbone, num_layers
from actionpose.models.blocks import odd_factors
from actionpose.skeletons import H36M17

GRAPHS = 3  # the joint itself, its children, its parent
SMALL = 1e-6  # initial value of the learned adjacency and scale


def bone_adjacency() -> Tensor:
    """(3, J, J) Self-loops, parent to child, child to parent; columns sum to 1 or 0."""
    adjacency = torch.zeros(GRAPHS, len(H36M17), len(H36M17))
    adjacency[0] = torch.eye(len(H36M17))
    for child, parent in H36M17.bones:
        adjacency[1, parent, child] = adjacency[2, child, parent] = 1
    return adjacency / adjacency.sum(dim=1, keepdim=True).clamp(min=1)


class AdaptiveGraph(nn.Module):
    """Graph convolution of (B, C, T, J) with bones, a learned graph, and clip similarities."""

    adjacency: Tensor

    def __init__(self, dim_in: int, dim_out: int, dropout: float):
        super().__init__()
        inner, self.dropout = dim_out // 4, dropout
        self.PA = nn.Parameter(torch.full((GRAPHS, len(H36M17), len(H36M17)), SMALL))
        self.conv_a, self.conv_b, self.conv_d = (
            nn.ModuleList(nn.Conv2d(dim_in, width, 1) for _ in range(GRAPHS))
            for width in (inner, inner, dim_out)
        )
        self.down = nn.Sequential()
        if dim_in != dim_out:
            self.down = nn.Sequential(nn.Conv2d(dim_in, dim_out, 1), nn.BatchNorm2d(dim_out))
        self.bn = nn.BatchNorm2d(dim_out)
        nn.init.constant_(self.bn.weight, SMALL)
        self.register_buffer("adjacency", bone_adjacency(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        graphs, frames = self.adjacency.to(x.dtype) + self.PA, x.shape[2]
        mixed = torch.zeros((), dtype=x.dtype, device=x.device)
        for i in range(GRAPHS):
            a, b = self.conv_a[i](x), self.conv_b[i](x)
            similar = torch.einsum("bctj,bctk->bjk", a, b) / (a.shape[1] * frames)
            graph = similar.softmax(dim=-2) + graphs[i]
            mixed = mixed + self.conv_d[i](torch.einsum("bctj,bjk->bctk", x, graph))
        mixed = F.dropout(self.bn(mixed), self.dropout, self.training)
        return F.relu(mixed + self.down(x))


class FrameConvolution(nn.Module):
    """Convolution over the frames of (B, C, T, J), and batch normalization."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int, stride: int = 1):
        super().__init__()
        padding = (kernel // 2, 0)
        self.conv = nn.Conv2d(dim_in, dim_out, (kernel, 1), (stride, 1), padding)
        self.bn = nn.BatchNorm2d(dim_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class Unit(nn.Module):
    """A graph convolution and a convolution over frames; without a residual if strided."""

    def __init__(self, dim_in: int, dim_out: int, stride: int, dropout: float):
        super().__init__()
        self.gcn1 = AdaptiveGraph(dim_in, dim_out, dropout)
        self.tcn1 = FrameConvolution(dim_out, dim_out, 9, stride)
        self.dropout, self.strided = dropout, stride > 1
        self.residual: nn.Module = nn.Sequential()
        if dim_in != dim_out:
            self.residual = FrameConvolution(dim_in, dim_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn1(self.gcn1(x))
        y = y if self.strided else y + self.residual(x)
        return F.dropout(F.relu(y), self.dropout, self.training)


class GLAGCN(Backbone):
    """(B, T, J, 2) keypoints to the pose (B, 1, J, 3) of the middle frame.

    Args:
        dim: Number of channels per token, divisible by 4.
        max_frames: Number of frames per clip (T), a product of odd numbers, which are the strides.
        num_joints: Number of joints (J).
        dropout: Dropout rate.

    Raises:
        UserError: If `max_frames` is even.
    """

    length = "fixed"
    channels = "xy"
    center_only = True
    masks_padding = False
    token = "read"

    def __init__(
        self,
        *,
        dim: int = 96,
        max_frames: int = 243,
        num_joints: int = 17,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.strides = odd_factors(max_frames)
        self.width, self.depth, self.frames = dim, len(self.strides), max_frames
        self.num_joints = num_joints
        self.data_bn = nn.BatchNorm1d(2 * num_joints)
        self.expand_gcn = Unit(2, dim, 1, dropout)
        units = [Unit(dim, dim, s, dropout) for stride in self.strides for s in (1, stride)]
        self.layers_tcngcn = nn.ModuleList(units)
        self.fc = nn.Conv1d(dim, 3, 1)

    def embed(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor:
        x = self.data_bn(keypoints[..., :2].flatten(2).transpose(-2, -1))  # (B, 2 J, T)
        x = x.unflatten(1, (self.num_joints, 2)).permute(0, 2, 3, 1)
        return self.expand_gcn(x).permute(0, 2, 3, 1)

    def stage(self, i: int, state: Tensor, valid: Tensor | None = None) -> Tensor:
        stride = self.strides[i]
        x = state.permute(0, 3, 1, 2)
        reduced = self.layers_tcngcn[2 * i + 1](self.layers_tcngcn[2 * i](x))
        # with stride 3, the convolution is centered one frame earlier, as in the official code
        return (x[:, :, stride // 2 :: stride] + reduced).permute(0, 2, 3, 1)

    def lift(self, state: Tensor) -> Tensor:
        return self.fc(state.mean(dim=1).transpose(-2, -1)).transpose(-2, -1)[:, None]

    @classmethod
    def sizes(cls, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        return {
            "dim": weights["fc.weight"].shape[1],
            "max_frames": 3 ** (num_layers(weights, "layers_tcngcn") // 2),
            "num_joints": len(weights["data_bn.weight"]) // 2,
        }
