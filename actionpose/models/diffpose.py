"""DiffPose (Gong et al., CVPR 2023): a graph network per frame, and one that refines its poses.

The parameter names are those of `GCNpose` and `GCNdiff`, so that official weights load by name.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionpose.models.backbone import Backbone, num_layers
from actionpose.models.blocks import StdNormBlock
from actionpose.skeletons import H36M17

NUM_HEADS = 4
BETAS = (1e-4, 1e-3, 51)  # first and last value and number of steps of the diffusion
VIDEO_STEPS = (0,)  # of the official evaluations with detected keypoints
FRAME_STEPS = (12, 0)


def bone_adjacency() -> Tensor:
    """(J, J) Adjacency of bones with self-loops, normalized by row."""
    adjacency = torch.eye(len(H36M17))
    for child, parent in H36M17.bones:
        adjacency[child, parent] = adjacency[parent, child] = 1
    return adjacency / adjacency.sum(dim=1, keepdim=True)


class ChebConv(nn.Module):
    """Chebyshev graph convolution of order 2 over the joints of (N, J, D)."""

    adjacency: Tensor

    def __init__(self, dim_in: int, dim_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3, 1, dim_in, dim_out))
        self.bias = nn.Parameter(torch.zeros(1, 1, dim_out))
        nn.init.xavier_normal_(self.weight)
        self.register_buffer("adjacency", bone_adjacency(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        adjacency = self.adjacency.to(x.dtype)
        degree = adjacency.sum(dim=1) ** -0.5
        near = x - degree[:, None] * (adjacency @ (degree[:, None] * x))  # the Laplacian times x
        far = 2 * (near - degree[:, None] * (adjacency @ (degree[:, None] * near))) - x
        terms = (term @ weight[0] for term, weight in zip((x, near, far), self.weight, strict=True))
        return sum(terms, self.bias)


class LearnedGraph(nn.Module):
    """Two linear layers, each preceded by a learned adjacency over joints."""

    def __init__(self, dim: int):
        super().__init__()
        self.A_hat = nn.Parameter(torch.eye(len(H36M17)))
        self.gconv1 = nn.ModuleDict({"fc": nn.Linear(dim, 2 * dim)})
        self.gconv2 = nn.ModuleDict({"fc": nn.Linear(2 * dim, dim)})

    def forward(self, x: Tensor) -> Tensor:
        degree = (self.A_hat.sum(dim=0) + 1e-5) ** -0.5
        graph = degree[:, None] * self.A_hat * degree
        return self.gconv2["fc"](graph @ self.gconv1["fc"](graph @ x).relu())


class GraphLayer(nn.Module):
    """Two graph convolutions of (N, J, D) with a residual; the refiner adds a time embedding."""

    def __init__(self, dim: int, timed: bool, dropout: float):
        super().__init__()
        self.dropout = dropout
        self.gconv1, self.gconv2 = (nn.ModuleDict({"gconv": ChebConv(dim, dim)}) for _ in range(2))
        if timed:
            self.temb_proj = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        y = F.dropout(self.gconv1["gconv"](x).relu(), self.dropout, self.training)
        if time is not None:
            y = y + self.temb_proj(F.silu(time))[:, None]
        y = F.dropout(self.gconv2["gconv"](y).relu(), self.dropout, self.training)
        return x + y


class DiffPose(Backbone):
    """(B, T, J, 2) keypoints to (B, T, J, 3) poses, frame by frame.

    Args:
        dim: Number of channels per joint, divisible by 4.
        depth: Number of pairs of attention and graph layer.
        max_frames: Number of frames; any number can be lifted.
        num_joints: Number of joints.
        dropout: Dropout rate.
    """

    length = "any"
    channels = "xy"
    token = "read"
    unused: tuple[str, ...] = ("temb.",)
    coordinates: ClassVar[tuple[int, int]] = (2, 3)  # input and output

    def __init__(
        self,
        *,
        dim: int = 96,
        depth: int = 5,
        max_frames: int = 1,
        num_joints: int = 17,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.width, self.depth, self.frames, self.num_joints = dim, depth, max_frames, num_joints
        timed = isinstance(self, DiffPoseRefiner)
        self.gconv_input = ChebConv(self.coordinates[0], dim)
        self.gconv_layers = nn.ModuleList(GraphLayer(dim, timed, dropout) for _ in range(depth))
        self.atten_layers = nn.ModuleList(
            StdNormBlock(dim, NUM_HEADS, LearnedGraph(dim), dropout) for _ in range(depth)
        )
        self.gconv_output = ChebConv(dim, self.coordinates[1])
        dense = [nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, 4 * dim)]
        self.temb = nn.ModuleDict({"dense": nn.ModuleList(dense)})  # used by the refiner only

    def embed(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor:
        joints = keypoints[..., : self.coordinates[0]]
        return self.gconv_input(joints.flatten(0, 1)).view(*joints.shape[:3], -1)

    def stage(
        self, i: int, state: Tensor, valid: Tensor | None = None, time: Tensor | None = None
    ) -> Tensor:
        x = self.atten_layers[i](state.flatten(0, 1))
        return self.gconv_layers[i](x, time).view(state.shape)

    def lift(self, state: Tensor) -> Tensor:
        return self.gconv_output(state.flatten(0, 1)).view(*state.shape[:3], -1)

    @classmethod
    def sizes(cls, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        _, _, coordinates, dim = weights["gconv_input.weight"].shape
        if coordinates != cls.coordinates[0]:
            raise ValueError(f"{coordinates} coordinates")
        return {"dim": dim, "depth": num_layers(weights, "gconv_layers")}


class DiffPoseRefiner(DiffPose):
    """Refinement of the poses of another network by a diffusion without noise.

    The keypoint and pose of a joint are a vector of u, v, x, y, z, where x, y and z are relative to
    the pelvis in meters.
    """

    coordinates = (5, 5)
    unused = ()
    steps: Sequence[int] = VIDEO_STEPS

    def noise(self, x: Tensor, t: Tensor) -> Tensor:
        """Predict the noise of joints (B, T, J, 5) at diffusion steps t (B * T,)."""
        half = self.width // 2
        rates = torch.arange(half, dtype=x.dtype, device=x.device) / (half - 1)
        angles = t.to(x.dtype)[:, None] * torch.exp(-math.log(10000) * rates)
        first, second = self.temb["dense"].children()
        time = second(F.silu(first(torch.cat([angles.sin(), angles.cos()], dim=-1))))
        state = self.embed(x)
        for i in range(self.depth):
            state = self.stage(i, state, None, time)
        return self.lift(state)

    def denoised(self, x: Tensor, steps: Sequence[int]) -> Tensor:
        """Denoise joints (B, T, J, 5) by the given steps, in descending order to 0."""
        betas = torch.from_numpy(np.linspace(*BETAS)).float()  # rounded as in the official code
        kept = (1 - betas.to(x)).cumprod(dim=0)
        for t, following in zip(steps, [*steps[1:], -1], strict=True):
            noise = self.noise(x, torch.full((x.shape[0] * x.shape[1],), t, device=x.device))
            clean = (x - noise * (1 - kept[t]).sqrt()) / kept[t].sqrt()
            rest = kept[following] if following >= 0 else torch.ones_like(kept[0])
            x = rest.sqrt() * clean + (1 - rest).sqrt() * noise
        return x

    def poses(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor:
        """Refined poses (B, T, J, 3) from keypoints and poses (B, T, J, 5)."""
        pose = self.denoised(keypoints, self.steps)[..., 2:]
        return pose - pose[:, :, :1]
