"""TCPFormer (Liu et al., AAAI 2025): learned temporal proxies, which exchange data with frames.

The parameter names are those of `MemoryInducedTransformer`, so that official weights load by name.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from actionpose.models.blocks import MLP, Attention, CrossAttention, attention_weights, frame_mask
from actionpose.models.motionagformer import SCALE, MotionAGFormer, TwoStreams, layer_sizes

THIRDS = 3  # segments of a clip with local attention
LOCAL_SCALE = float(torch.tensor(1e-5))  # of the local attention; not trained
State = tuple[Tensor, Tensor]  # frames (B, T, J, D), proxies (B, P, J, D)


class SummedAttention(Attention):
    """Self-attention whose weights are averaged with others (N, H, L, L)."""

    def forward(  # type: ignore[override]
        self, x: Tensor, others: Tensor, gate: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        q, k, v = self.heads(x)
        weights = gate * attention_weights(q, k, mask) + (1 - gate) * others
        return self.proj((weights @ v).transpose(1, 2).flatten(-2))


class ProxyAttention(nn.Module):
    """Attention of proxies to frames, of frames to proxies, and of frames to frames via both."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float):
        super().__init__()
        for i in range(1, 9):
            self.register_parameter(f"layer_scale_{i}", nn.Parameter(torch.full((dim,), SCALE)))
        self.att_weight = nn.Parameter(torch.full((1,), 0.5))
        norms = [nn.LayerNorm(dim) for _ in range(8)]
        self.norm_full, self.norm_center, self.norm_1, self.norm_2, *norms = norms
        self.norm_sa_self, self.norm_mlp_self, self.norm_sa_1, self.norm_sa_2 = norms
        mlps = [MLP(dim, mlp_ratio) for _ in range(4)]
        self.mlp_1, self.mlp_2, self.mlp_sa_self, self.mlp_sa = mlps
        self.full_center = CrossAttention(dim, num_heads)
        self.center_full = CrossAttention(dim, num_heads)
        self.map_sa_self = Attention(dim, num_heads, qkv_bias=False)
        self.map_sum = SummedAttention(dim, num_heads, qkv_bias=False)

    def _half(self, i: int, x: Tensor, change: Tensor) -> Tensor:
        return x + self.get_parameter(f"layer_scale_{i}") * change

    def forward(self, x: Tensor, q: Tensor, mask: Tensor | None) -> State:
        """Update frames (N, T, D) and proxies (N, P, D)."""
        to_frames, change = self.center_full(self.norm_center(q), self.norm_full(x), mask)
        q = self._half(1, q, change)
        q = self._half(2, q, self.mlp_1(self.norm_1(q)))
        to_proxies, change = self.full_center(self.norm_full(x), self.norm_center(q))
        x = self._half(3, x, change)
        x = self._half(4, x, self.mlp_2(self.norm_2(x)))
        x = self._half(7, x, self.map_sa_self(self.norm_sa_self(x), mask))
        x = self._half(8, x, self.mlp_sa_self(self.norm_mlp_self(x)))
        if self.full_center.token_gate is not None:
            to_frames = to_frames[:, :, :-1]
        others, gate = to_proxies @ to_frames, self.att_weight.sigmoid()
        x = self._half(5, x, self.map_sum(self.norm_sa_1(x), others, gate, mask))
        return self._half(6, x, self.mlp_sa(self.norm_sa_2(x))), q


class ProxyLayer(nn.Module):
    def __init__(self, dim: int, num_heads: int, mlp_ratio: float):
        super().__init__()
        attention = (Attention(dim, num_heads, qkv_bias=False) for _ in range(THIRDS))
        self.local_attention_list = nn.ModuleList(attention)
        self.loacl_mlps = nn.ModuleList(MLP(dim, mlp_ratio) for _ in range(THIRDS))  # official name
        self.local_norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2 * THIRDS))
        self.cross_temporal = ProxyAttention(dim, num_heads, mlp_ratio)

    def forward(self, x: Tensor, q: Tensor, mask: Tensor | None) -> State:
        """Update frames (N, T, D) and proxies (N, P, D)."""
        pieces = list(x.chunk(THIRDS, dim=1))
        masks = [None] * THIRDS if mask is None else mask.chunk(THIRDS, dim=-1)
        for j, (piece, own) in enumerate(zip(pieces, masks, strict=False)):
            if own is not None:  # a segment without valid frames attends to all of its frames
                own = own | ~own.any(dim=-1, keepdim=True)
            change = self.local_attention_list[j](self.local_norms[j](piece), own)
            piece = piece + LOCAL_SCALE * change
            change = self.loacl_mlps[j](self.local_norms[j + THIRDS](piece))
            pieces[j] = piece + LOCAL_SCALE * change
        return self.cross_temporal(torch.cat(pieces, dim=1), q, mask)


class TCPFormer(MotionAGFormer):
    """(B, T, J, 3) keypoints with confidence to (B, T, J, 3) poses.

    The arguments are those of `MotionAGFormer`; there are `max_frames` // 3 proxies. Clips may have
    any number of frames. Clips of 1, 2 and 4 frames, which the official code does not support, have
    fewer than three segments.
    """

    length = "any"
    masks_padding = True
    token = "proxy"

    def _add_layers(self, num_heads: int, mlp_ratio: float) -> None:
        dim, joints = self.width, self.num_joints
        self.center_pose = nn.Parameter(torch.zeros(self.frames // THIRDS, joints, dim))
        self.center_pos_embed = nn.Parameter(torch.zeros(1, joints, dim))

        def layer() -> TwoStreams:
            first, second = (Attention(dim, num_heads, qkv_bias=False) for _ in range(2))
            return TwoStreams(dim, num_heads, mlp_ratio, first, second, frames_first=True)

        self.layers = nn.ModuleList(layer() for _ in range(self.depth))
        proxy_layers = (ProxyLayer(dim, num_heads, mlp_ratio) for _ in range(self.depth))
        self.temporal_layers = nn.ModuleList(proxy_layers)

    def embed(self, keypoints: Tensor, valid: Tensor | None = None) -> State:
        proxies = self.center_pose + self.center_pos_embed
        return super().embed(keypoints), proxies.expand(keypoints.shape[0], -1, -1, -1)

    def stage(self, i: int, state: State, valid: Tensor | None = None) -> State:
        x, q = self.layers[i](state[0], valid), state[1]
        clips, _, joints, _ = x.shape
        mask = None if valid is None else frame_mask(valid, joints)
        sequences = (z.transpose(1, 2).flatten(0, 1) for z in (x, q))  # (B * J, ., D)
        x, q = self.temporal_layers[i](*sequences, mask)
        x, q = (z.unflatten(0, (clips, joints)).transpose(1, 2) for z in (x, q))
        return x, q

    def token_readers(self) -> list[nn.Module]:
        return [layer.get_submodule("cross_temporal.full_center") for layer in self.temporal_layers]

    def with_token(self, state: State, token: Tensor) -> State:
        last = token.to(state[1].dtype).expand(state[1].shape[0], 1, -1, -1)
        return state[0], torch.cat([state[1], last], dim=1)

    def token_of(self, state: State) -> Tensor:
        return state[1][:, -1]

    def without_token(self, state: State) -> State:
        return state  # `lift` uses only the frames

    def lift(self, state: State) -> Tensor:
        return super().lift(state[0])

    @classmethod
    def sizes(cls, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        return {**layer_sizes(weights), "max_frames": THIRDS * len(weights["center_pose"])}
