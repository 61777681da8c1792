"""P-STMO (Shan et al., ECCV 2022): one token per frame; strided layers reduce to the middle frame.

The parameter names are those of `Model`, so that official weights load by name. The pretraining is
in `models.pstmo_pretraining`. Letters in shapes: B clips, T frames, J joints, D channels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionpose.models.backbone import Backbone, num_layers
from actionpose.models.blocks import StdNorm, StdNormBlock, frame_mask, odd_factors
from actionpose.utils.errors import UserError

NUM_HEADS = 8
STRIDES = {351: [3, 9, 13]}  # if they are not the odd factors of the number of frames


class FrameEncoder(nn.Module):
    """Encode the keypoints of each frame (B, 2 J, T) as a token (B, D, T)."""

    def __init__(self, channels: int, dim: int, dropout: float):
        super().__init__()
        wide = 2 * dim
        self.dropout = dropout
        self.fc_1, self.bn_1 = nn.Conv1d(channels, wide, 1), nn.BatchNorm1d(wide)
        unit = {"w1": nn.Conv1d(wide, wide, 1), "batch_norm1": nn.BatchNorm1d(wide)}
        unit |= {"w2": nn.Conv1d(wide, wide, 1), "batch_norm2": nn.BatchNorm1d(wide)}
        self.layers = nn.ModuleList([nn.ModuleDict(unit)])
        self.fc_2 = nn.Conv1d(wide, dim, 1)

    def _activate(self, x: Tensor) -> Tensor:
        return F.dropout(F.leaky_relu(x, 0.2), self.dropout, self.training)

    def forward(self, x: Tensor) -> Tensor:
        x = self._activate(self.bn_1(self.fc_1(x)))
        for unit in self.layers:
            part = unit.get_submodule
            y = self._activate(part("batch_norm1")(part("w1")(x)))
            x = x + self._activate(part("batch_norm2")(part("w2")(y)))
        return self.fc_2(x)


class FeedForward(nn.Module):
    """Two linear layers with a ReLU in between; with a stride, a convolution over three tokens."""

    def __init__(self, dim: int, hidden: int, stride: int | None = None):
        super().__init__()
        self.strided = stride is not None
        self.w_1: nn.Module = nn.Linear(dim, hidden)
        self.w_2: nn.Module = nn.Linear(hidden, dim)
        if stride is not None:
            self.w_1 = nn.Conv1d(dim, hidden, 1)
            self.w_2 = nn.Conv1d(hidden, dim, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.w_1(x.transpose(-2, -1) if self.strided else x).relu()
        return self.w_2(x).transpose(-2, -1) if self.strided else self.w_2(x)


class Layers(nn.Module):
    """A list of blocks, and a norm that exists in the weights but is not used."""

    def __init__(self, dim: int, blocks: Sequence[nn.Module]):
        super().__init__()
        self.layers, self.norm = nn.ModuleList(blocks), StdNorm(dim)


class FrameTransformer(nn.Module):
    """Self-attention over frames; with `frames` 0, there is no position embedding."""

    def __init__(self, dim: int, depth: int, hidden: int, frames: int, dropout: float):
        super().__init__()
        if frames:
            self.pos_embedding = nn.Parameter(torch.randn(1, frames, dim))
        blocks = (
            StdNormBlock(dim, NUM_HEADS, FeedForward(dim, hidden), dropout) for _ in range(depth)
        )
        self.model = Layers(dim, list(blocks))


class PSTMO(Backbone):
    """(B, T, J, 2) keypoints to the pose (B, 1, J, 3) of the middle frame.

    The state contains the tokens (B, T', 1, D), and those of all frames before the strided layers.

    Args:
        dim: Number of channels per token, divisible by 8.
        depth: Number of layers without stride; strided layers are further stages.
        mlp_ratio: Ratio of the hidden size of the layers to `dim`.
        max_frames: Number of frames per clip (T), the product of the strides.
        num_joints: Number of joints (J).
        strides: Strides of the strided layers; by default the odd factors of T.
        dropout: Dropout rate.

    Raises:
        UserError: If `dim` or `max_frames` is invalid.
    """

    length = "fixed"
    channels = "xy"
    joints_as_tokens = False
    center_only = True
    masks_padding = False

    def __init__(
        self,
        *,
        dim: int = 256,
        depth: int = 3,
        mlp_ratio: float = 2,
        max_frames: int = 243,
        num_joints: int = 17,
        strides: Sequence[int] | None = None,
        dropout: float = 0.1,
    ):
        super().__init__()
        if dim % NUM_HEADS:
            raise UserError(f"dim ({dim}) must be divisible by the {NUM_HEADS} heads of P-STMO")
        strides = strides or STRIDES.get(max_frames) or odd_factors(max_frames)
        self.num_plain, hidden = depth, round(mlp_ratio * dim)
        self.width, self.depth, self.frames = dim, depth + len(strides), max_frames
        self.num_joints = num_joints
        self.encoder = FrameEncoder(2 * num_joints, dim, dropout)
        self.Transformer = FrameTransformer(dim, depth, hidden, max_frames, dropout)
        reduce = Layers(
            dim,
            [
                StdNormBlock(dim, NUM_HEADS, FeedForward(dim, hidden, s), dropout, s)
                for s in strides
            ],
        )
        for i in (1, 2, 3):
            position = nn.Parameter(torch.randn(1, max_frames, dim))
            reduce.register_parameter(f"pos_embedding_{i}", position)
        self.Transformer_reduce = nn.ModuleDict({"model": reduce})
        missing = (f"pos_embedding_{i}" for i in range(len(strides) + 1, 4))
        self.unused = (".model.norm", "fcn_1.", *missing)
        self.fcn, self.fcn_1 = (
            nn.Sequential(nn.BatchNorm1d(dim), nn.Conv1d(dim, 3 * num_joints, 1)) for _ in range(2)
        )

    def embed(self, keypoints: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = self.encoder(keypoints[..., :2].flatten(2).transpose(-2, -1)).transpose(-2, -1)
        x = (x + self.Transformer.pos_embedding)[:, :, None]
        return x, x

    def stage(
        self, i: int, state: tuple[Tensor, Tensor], valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        x = state[0][:, :, 0]
        if i < self.num_plain:
            mask = None if valid is None else frame_mask(valid, 1)
            x = self.Transformer.model.layers[i](x, mask)[:, :, None]
            return x, x[:, int(self.carries_token) :]
        if i == self.num_plain:
            x = x[:, int(self.carries_token) :]
        reduce, i = self.Transformer_reduce.get_submodule("model"), i - self.num_plain
        if i < 3:
            x = x + reduce.get_parameter(f"pos_embedding_{i + 1}")[:, : x.shape[1]]
        return reduce.get_submodule(f"layers.{i}")(x)[:, :, None], state[1]

    def token_readers(self) -> list[nn.Module]:
        return [layer.get_submodule("self_attn") for layer in self.Transformer.model.layers]

    def without_token(self, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return state  # the strided layers have no token

    def lift(self, state: tuple[Tensor, Tensor]) -> Tensor:
        return self._head(self.fcn, state[0])

    def lift_all(self, state: tuple[Tensor, Tensor]) -> Tensor:
        """The auxiliary poses (B, T, J, 3) of all frames, which only training requires."""
        return self._head(self.fcn_1, state[1])

    def _head(self, head: nn.Module, tokens: Tensor) -> Tensor:
        return (
            head(tokens[:, :, 0].transpose(-2, -1))
            .transpose(-2, -1)
            .unflatten(-1, (self.num_joints, 3))
        )

    @classmethod
    def sizes(cls, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        _, frames, dim = weights["Transformer.pos_embedding"].shape
        number = num_layers(weights, "Transformer_reduce.model.layers")
        strides = STRIDES.get(frames) or odd_factors(frames)
        hidden = weights["Transformer.model.layers.0.feed_forward.w_1.weight"].shape[0]
        return {
            "dim": dim,
            "depth": num_layers(weights, "Transformer.model.layers"),
            "mlp_ratio": hidden / dim,
            "max_frames": frames,
            "num_joints": weights["encoder.fc_1.weight"].shape[1] // 2,
            "strides": [1] * (number - len(strides)) + strides,
        }
