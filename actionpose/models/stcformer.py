"""STCFormer (Tang et al., CVPR 2023): half of the channels attend over joints, half over frames.

The parameter names are those of `Model` for Human3.6M and of the model for MPI-INF-3DHP, which has
other names and constants, so that official weights load by name.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionpose.models.backbone import Backbone, num_layers
from actionpose.models.blocks import MLP, attend, drop_path
from actionpose.skeletons import H36M17, MPI_INF_3DHP17, Skeleton


class Variant(NamedTuple):
    """The differences between the models for the two datasets."""

    blocks: str  # name of the list of blocks
    attention: str
    norm: str
    mlp: str
    convolutions: tuple[str, str]  # of the temporal and the spatial channels
    head: str
    num_heads: int
    scale_width: float  # logits are divided by the root of this * dim / head width
    part_weights: tuple[float, float]  # of the body parts in the spatial and temporal channels
    parts: tuple[int, ...]  # part of each joint
    num_parts: int


LEG, ARM = ("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")


def _parts(skeleton: Skeleton, *limbs: tuple[str, tuple[str, ...]]) -> tuple[int, ...]:
    """The limb of each joint, counted from 1; 0 is the trunk."""
    names = [[f"{side}_{joint}" for joint in joints] for side, joints in limbs]
    return tuple(
        next((i for i, limb in enumerate(names, 1) if joint in limb), 0)
        for joint in skeleton.joints
    )


H36M = Variant(
    blocks="stcformer.stc_block",
    attention="stc_att",
    norm="layer_norm",
    mlp="mlp",
    convolutions=("sep2_t", "sep2_s"),
    head="regress_head",
    num_heads=8,
    scale_width=0.5,
    part_weights=(1e-4, 1e-9),
    parts=_parts(H36M17, ("right", LEG), ("left", LEG), ("left", ARM), ("right", ARM)),
    num_parts=5,
)
MPI3DHP = Variant(
    blocks="mlpmixer.mixerblocks",
    attention="cross_att",
    norm="layer_norm1",
    mlp="mlp1",
    convolutions=("gate_t", "gate_s"),
    head="pose_lift",
    num_heads=4,
    scale_width=1.0,
    part_weights=(1e-4, 0.0),
    parts=_parts(MPI_INF_3DHP17, ("right", ARM), ("left", ARM), ("right", LEG), ("left", LEG)),
    num_parts=20,
)
PART_DROPOUT = 0.5


class CrissCrossAttention(nn.Module):
    """Attention of (B, T, J, D): half of the channels over joints, the other half over frames.

    A convolution of the values over neighboring frames and joints is added, and an embedding of the
    body part of the joint.
    """

    token_gate: nn.Parameter | None

    def __init__(self, dim: int, variant: Variant):
        super().__init__()
        self.variant, self.num_heads = variant, variant.num_heads
        self.layer_norm = nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        half, self.head_width = dim // 2, dim // 2 // variant.num_heads
        self.emb = nn.Embedding(variant.num_parts, self.head_width)
        for name in variant.convolutions:
            self.add_module(name, nn.Conv2d(half, half, 3, padding=1, groups=half))
        self.scale = (variant.scale_width * dim / self.head_width) ** -0.5
        self.register_parameter("token_gate", None)
        self.register_buffer("parts", torch.tensor(variant.parts), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.layer_norm(x)).view(*x.shape, 3).permute(4, 0, 1, 2, 3)
        spatial, temporal = qkv.chunk(2, dim=-1)  # each (3, B, T, J, D/2)
        over_time, over_space = self.variant.convolutions
        s = self._mix(spatial, over_space)
        t = self._mix(temporal.transpose(2, 3), over_time).transpose(1, 2)
        s_part, t_part = self._parts(0), self._parts(1)
        return x + self.proj(torch.cat([s + s_part, t + t_part], dim=-1).flatten(-2))

    def _mix(self, qkv: Tensor, convolution: str) -> Tensor:
        """Mix (3, B, *, L, D/2) over L by attention and convolution to (B, *, L, H, D/2/H)."""
        q, k, v = qkv.view(*qkv.shape[:-1], -1, self.head_width).transpose(-2, -3)
        over_time = convolution == self.variant.convolutions[0]
        gate = self.token_gate if over_time else None
        mixed = attend(q * self.scale, k, v, None, gate).transpose(-2, -3)
        plane = qkv[2].permute(0, 3, 1, 2)  # (B, D/2, *, L)
        near = (
            self._near(plane.transpose(-2, -1), convolution).transpose(-2, -1)
            if over_time
            else self._near(plane, convolution)
        )
        return mixed + near.permute(0, 2, 3, 1).view(mixed.shape)

    def _near(self, plane: Tensor, convolution: str) -> Tensor:
        """The convolution of (B, D/2, T, J) over (frames, joints); 0 for the token."""
        near = self.get_submodule(convolution)
        if self.token_gate is None:
            return near(plane)
        return F.pad(near(plane[:, :, 1:]), (0, 0, 1, 0))

    def _parts(self, group: int) -> Tensor:
        """The embedding (1, J, 1, D/2/H) of the part of each joint, dropped for whole batches."""
        part = drop_path(self.emb(self.parts)[None], PART_DROPOUT, self.training)
        return self.variant.part_weights[group] * part[:, :, None]


class CrissCrossBlock(nn.Module):
    def __init__(self, dim: int, variant: Variant, dropout: float):
        super().__init__()
        self.variant = variant
        self.add_module(variant.attention, CrissCrossAttention(dim, variant))
        self.add_module(variant.norm, nn.LayerNorm(dim))
        if variant is MPI3DHP:
            self.layer_norm2 = nn.LayerNorm(dim)  # in the weights, but not used
        self.add_module(variant.mlp, MLP(dim, 4, bias=False, dropout=dropout))

    def forward(self, x: Tensor) -> Tensor:
        attention, norm, mlp = (self.get_submodule(name) for name in self.variant[1:4])
        x = attention(x)
        return x + mlp(norm(x))


class STCFormer(Backbone):
    """(B, T, J, 2) keypoints to (B, T, J, 3) poses, for any T: there is no temporal embedding.

    Args:
        dim: Number of channels per token, divisible by 16.
        depth: Number of blocks.
        max_frames: Number of frames per clip; any number can be lifted.
        num_joints: Number of joints.
        dropout: Dropout rate of the MLPs.
    """

    length = "any"
    channels = "xy"
    masks_padding = False
    variant = H36M

    def __init__(
        self,
        *,
        dim: int = 256,
        depth: int = 6,
        max_frames: int = 81,
        num_joints: int = 17,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.width, self.depth, self.frames, self.num_joints = dim, depth, max_frames, num_joints
        blocks = nn.ModuleList(CrissCrossBlock(dim, self.variant, dropout) for _ in range(depth))
        outer, inner = self.variant.blocks.split(".")
        self.pose_emb = nn.Linear(2, dim, bias=False)
        self.add_module(outer, nn.ModuleDict({inner: blocks}))
        self.add_module(self.variant.head, nn.Linear(dim, 3, bias=False))

    def embed(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor:
        return F.gelu(self.pose_emb(keypoints[..., :2]))

    def stage(self, i: int, state: Tensor, valid: Tensor | None = None) -> Tensor:
        return self.get_submodule(f"{self.variant.blocks}.{i}")(state)

    def token_readers(self) -> list[nn.Module]:
        blocks = (self.get_submodule(f"{self.variant.blocks}.{i}") for i in range(self.depth))
        return [block.get_submodule(self.variant.attention) for block in blocks]

    def lift(self, state: Tensor) -> Tensor:
        return self.get_submodule(self.variant.head)(state)

    @classmethod
    def sizes(cls, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        depth = num_layers(weights, cls.variant.blocks)
        return {"dim": weights["pose_emb.weight"].shape[0], "depth": depth}


class STCFormer3DHP(STCFormer):
    """The variant for the joints of MPI-INF-3DHP."""

    variant = MPI3DHP
    unused = ("layer_norm2",)
