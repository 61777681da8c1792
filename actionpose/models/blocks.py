"""Common modules: attention, MLP, transformer blocks, and their application along an axis.

Letters in shapes: N sequences, L tokens per sequence, B clips, T frames, J joints, D channels, H
heads.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionpose.utils.errors import UserError


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, token_gate: Tensor | None = None
) -> Tensor:
    """Scaled dot-product attention of (..., H, L, D/H).

    With a gate (H, 1, 1), the first token attends to all tokens. The other tokens attend to each
    other, and the value of the first token times the gate is added. With a zero gate, they do not
    depend on the first token (zero-initialized attention, Zhang et al., LLaMA-Adapter, 2023).
    For training in bf16 on a CPU, attention is computed explicitly: the fused backward pass of
    PyTorch is ten times slower there, and took three quarters of a step.
    """
    if token_gate is not None:
        rest = None if mask is None else mask[..., 1:]
        token = attend(q[..., :1, :], k, v, mask)
        others = attend(q[..., 1:, :], k[..., 1:, :], v[..., 1:, :], rest)
        return torch.cat([token, others + token_gate * v[..., :1, :]], dim=-2)
    if not (q.dtype == torch.bfloat16 and q.device.type == "cpu" and torch.is_grad_enabled()):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf)
    return logits.softmax(dim=-1).to(v.dtype) @ v


def autocast_disabled(x: Tensor) -> torch.autocast:
    """Full precision: bf16 would round keypoints to 2 pixels of 1000, and poses to millimeters."""
    return torch.autocast(x.device.type, enabled=False)


def drop_path(x: Tensor, rate: float, training: bool) -> Tensor:
    """Stochastic depth: during training, entries of the first axis are dropped at random."""
    if not rate or not training:
        return x
    kept = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(1 - rate)
    return x * kept / (1 - rate)


class Attention(nn.Module):
    """Multi-head self-attention over the middle axis of (N, L, D)."""

    token_gate: nn.Parameter | None

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool = True):
        super().__init__()
        self.num_heads = num_heads
        self.proj = nn.Linear(dim, dim)  # before qkv, as in MotionBERT's state dict
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.register_parameter("token_gate", None)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (N, H, L, D/H)."""
        qkv = self.qkv(x).view(*x.shape[:2], 3, self.num_heads, -1)  # (N, L, 3, H, D/H)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask` is bool and broadcastable to (N, H, L, L), True for keys that are attended to."""
        mixed = attend(*self.heads(x), mask, self.token_gate)
        return self.proj(mixed.transpose(1, 2).flatten(-2))


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax of the scaled dot products (N, H, L, M), if the weights themselves are needed."""
    logits = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf)
    return logits.softmax(dim=-1)


class CrossAttention(nn.Module):
    """Attention of a sequence (N, L, D) to another (N, M, D); also returns the weights.

    With a gate (H, 1, 1), the last of the M entries is a token without a weight. Its value times
    the gate is added, as in `attend`.
    """

    token_gate: nn.Parameter | None

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.wq, self.wk, self.wv = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.proj = nn.Linear(dim, dim)
        self.register_parameter("token_gate", None)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        q, k, v = (
            layer(z).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer, z in ((self.wq, x), (self.wk, y), (self.wv, y))
        )
        token = 0.0
        if self.token_gate is not None:
            k, (v, token) = k[:, :, :-1], v.split([v.shape[2] - 1, 1], dim=2)
            token = self.token_gate * token
        weights = attention_weights(q, k, mask)
        return weights, self.proj((weights @ v + token).transpose(1, 2).flatten(-2))


class MLP(nn.Module):
    """Two linear layers with a GELU in between."""

    def __init__(self, dim: int, ratio: float, bias: bool = True, dropout: float = 0.0):
        super().__init__()
        self.fc1 = nn.Linear(dim, round(ratio * dim), bias=bias)
        self.fc2 = nn.Linear(round(ratio * dim), dim, bias=bias)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(F.gelu(self.fc1(x)), self.dropout, self.training)
        return F.dropout(self.fc2(x), self.dropout, self.training)


class Block(nn.Module):
    """Attention and MLP of (N, L, D), both with pre-LayerNorm and a residual connection.

    Args:
        dim: Number of channels (D).
        num_heads: Number of attention heads.
        mlp_ratio: Ratio of the hidden size of the MLP to `dim`.
        eps: Epsilon of both LayerNorms.
        drop_path: Probability that a sequence skips the attention or the MLP during training.
    """

    def __init__(
        self, dim: int, num_heads: int, mlp_ratio: float, eps: float, drop_path: float = 0.0
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = MLP(dim, mlp_ratio)
        self.drop_path = drop_path

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + drop_path(self.attn(self.norm1(x), mask), self.drop_path, self.training)
        return x + drop_path(self.mlp(self.norm2(x)), self.drop_path, self.training)


class StdNorm(nn.Module):
    """Normalization by the unbiased standard deviation of the channels plus epsilon."""

    def __init__(self, dim: int):
        super().__init__()
        self.a_2, self.b_2 = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(dim=-1, keepdim=True)
        return self.a_2 * x / (x.std(dim=-1, keepdim=True) + 1e-6) + self.b_2


class SeparateAttention(nn.Module):
    """`Attention` with separate linear layers for queries, keys, values and output."""

    token_gate: nn.Parameter | None

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.linears = nn.ModuleList(nn.Linear(dim, dim) for _ in range(4))
        self.register_parameter("token_gate", None)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        heads = (layer(x).view(*x.shape[:2], self.num_heads, -1) for layer in self.linears[:3])
        q, k, v = (part.transpose(1, 2) for part in heads)
        mixed = attend(q, k, v, mask, self.token_gate)
        return self.linears[3](mixed.transpose(1, 2).flatten(-2))


class StdNormBlock(nn.Module):
    """`SeparateAttention` and a feed-forward layer of (N, L, D), both with a preceding `StdNorm`.

    Args:
        dim: Number of channels (D).
        num_heads: Number of attention heads.
        feed_forward: Feed-forward layer.
        dropout: Dropout rate.
        stride: Stride of the feed-forward layer, which also applies to its residual.
    """

    def __init__(
        self, dim: int, num_heads: int, feed_forward: nn.Module, dropout: float, stride: int = 1
    ):
        super().__init__()
        self.self_attn = SeparateAttention(dim, num_heads)
        self.feed_forward = feed_forward
        norms = (nn.ModuleDict({"norm": StdNorm(dim)}) for _ in range(2))
        self.sublayer = nn.ModuleList(norms)
        self.dropout, self.stride = dropout, stride

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        norm1, norm2 = (part.get_submodule("norm") for part in self.sublayer)
        x = x + F.dropout(self.self_attn(norm1(x), mask), self.dropout, self.training)
        change = F.dropout(self.feed_forward(norm2(x)), self.dropout, self.training)
        return x[:, :: self.stride] + change


def over_joints(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a layer for (B * T, J, D) to (B, T, J, D)."""
    return layer(x.flatten(0, 1)).view(x.shape)


def over_frames(layer: Callable[..., Tensor], x: Tensor, valid: Tensor | None = None) -> Tensor:
    """Apply a layer for (B * J, T, D) to (B, T, J, D).

    Args:
        layer: Layer to apply.
        x: (B, T, J, D) Tokens.
        valid: (B, T) bool, False for frames that are not attended to. If given, the layer must
            accept a mask.
    """
    clips, frames, joints, dim = x.shape
    sequences = x.transpose(1, 2).flatten(0, 1)
    if valid is None:
        y = layer(sequences)
    else:
        y = layer(sequences, frame_mask(valid, joints))
    return y.view(clips, joints, frames, dim).transpose(1, 2)


def frame_mask(valid: Tensor, joints: int) -> Tensor:
    """The mask (B * J, 1, 1, T) for `Attention` over (B * J, T, D) from valid frames (B, T)."""
    return valid.repeat_interleave(joints, dim=0)[:, None, None, :]


def odd_factors(frames: int) -> list[int]:
    """Odd prime factors in ascending order: kernel widths for a receptive field of `frames`.

    Raises:
        UserError: If the number is even or below 3.
    """
    rest, found = frames, []
    for factor in range(3, frames + 1, 2):
        while rest % factor == 0:
            rest //= factor
            found.append(factor)
    if rest != 1 or not found:
        raise UserError(f"max_frames ({frames}) must be a product of odd numbers, such as 27 or 81")
    return found
