"""One of the two blocks of a DSTformer pair: over joints and over frames, in either order.

Letters in shapes: B clips, T frames, J joints, D channels.
"""

from torch import Tensor, nn

from actionpose.models.blocks import MLP, Attention
from actionpose.models.ops.fused_block import half_block

NORM_EPS = 1e-6  # of all LayerNorms in MotionBERT's models; the default of PyTorch is 1e-5


class Block(nn.Module):
    """Attention and MLP over joints (`_s`), attention and MLP over frames (`_t`)."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float):
        super().__init__()
        self.norm1_s = nn.LayerNorm(dim, eps=NORM_EPS)
        self.norm1_t = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn_s = Attention(dim, num_heads)
        self.attn_t = Attention(dim, num_heads)
        self.norm2_s = nn.LayerNorm(dim, eps=NORM_EPS)
        self.norm2_t = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp_s = MLP(dim, mlp_ratio)
        self.mlp_t = MLP(dim, mlp_ratio)

        self.fused = False

    def over_joints(self, x: Tensor) -> Tensor:  # (B, T, J, D)
        if self.fused:
            heads = self.attn_s.num_heads
            return half_block(x, self._parameters_of("s"), heads, None, over_frames=False)
        shape = x.shape
        x = x.flatten(0, 1)
        x = x + self.attn_s(self.norm1_s(x))
        x = x + self.mlp_s(self.norm2_s(x))
        return x.view(shape)

    def over_frames(self, x: Tensor, mask: Tensor | None) -> Tensor:  # (B, T, J, D)
        clips, frames, joints, dim = x.shape
        if self.fused:
            valid = None if mask is None else mask[::joints, 0, 0]
            heads = self.attn_t.num_heads
            return half_block(x, self._parameters_of("t"), heads, valid, over_frames=True)
        x = x.transpose(1, 2).flatten(0, 1)  # (B * J, T, D), one copy
        x = x + self.attn_t(self.norm1_t(x), mask)
        x = x + self.mlp_t(self.norm2_t(x))
        return x.view(clips, joints, frames, dim).transpose(1, 2)

    def _parameters_of(self, half: str) -> list[Tensor]:
        """The parameters in the order of `half_block`."""
        layers = [f"norm1_{half}", f"attn_{half}.qkv", f"attn_{half}.proj"]
        layers += [f"norm2_{half}", f"mlp_{half}.fc1", f"mlp_{half}.fc2"]
        return [self.get_parameter(f"{at}.{name}") for at in layers for name in ("weight", "bias")]
