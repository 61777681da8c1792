"""P-STMO (Shan et al., ECCV 2022): a frame is a token; strided layers leave the middle frame.

Parameter names are those of its `Model`, `Model_MAE` and `refine`, so that official weights load by
name. Letters in shapes: B clips, T frames, J joints, D channels.
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
STRIDES = {351: [3, 9, 13]}  # where they are not the odd factors of the frames


class FrameEncoder(nn.Module):
    """Keypoints of each frame (B, 2 J, T) to a token (B, D, T)."""

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
    """Two linear layers with a ReLU between; with a stride, a convolution of three tokens."""

    def __init__(self, dim: int, hidden: int, stride: int | None = None):
        super().__init__()
        self.strided = stride is not None
        self.w_1: nn.Module = nn.Linear(dim, hidden)
        self.w_2: nn.Module = nn.Linear(hidden, dim)
        if stride is not None:
            self.w_1 = nn.Conv1d(dim, hidden, 1)
            self.w_2 = nn.Conv1d(hidden, dim, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.w_1(x.mT if self.strided else x).relu()
        return self.w_2(x).mT if self.strided else self.w_2(x)


class Layers(nn.Module):
    """A list of blocks, and a norm that is in the weights and not used."""

    def __init__(self, dim: int, blocks: Sequence[nn.Module]):
        super().__init__()
        self.layers, self.norm = nn.ModuleList(blocks), StdNorm(dim)


class FrameTransformer(nn.Module):
    """Self-attention of frames; `frames` 0 leaves out the embedding of their positions."""

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

    The state is the tokens (B, T', 1, D), and those of all frames before the strided layers.

    Args:
        dim: channels of a token; divisible by 8.
        depth: layers without stride; those with one are further stages.
        mlp_ratio: hidden size of the layers over `dim`.
        max_frames: T, the product of the strides.
        strides: of the strided layers; by default the odd factors of T.
        dropout: while training.

    Raises:
        UserError: `dim` or `max_frames` do not fit.
    """

    length = "fixed"
    channels = "xy"
    joints_as_tokens = False
    centre_only = True
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
        self.fcn, self.fcn_1 = (
            nn.Sequential(nn.BatchNorm1d(dim), nn.Conv1d(dim, 3 * num_joints, 1)) for _ in range(2)
        )

    def embed(self, keypoints: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = self.encoder(keypoints[..., :2].flatten(2).mT).mT
        x = (x + self.Transformer.pos_embedding)[:, :, None]
        return x, x

    def stage(
        self, i: int, state: tuple[Tensor, Tensor], valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        x = state[0][:, :, 0]
        if i < self.num_plain:
            mask = None if valid is None else frame_mask(valid, 1)
            x = self.Transformer.model.layers[i](x, mask)[:, :, None]
            return x, x
        reduce, i = self.Transformer_reduce.get_submodule("model"), i - self.num_plain
        if i < 3:
            x = x + reduce.get_parameter(f"pos_embedding_{i + 1}")[:, : x.shape[1]]
        return reduce.get_submodule(f"layers.{i}")(x)[:, :, None], state[1]

    def lift(self, state: tuple[Tensor, Tensor]) -> Tensor:
        return self._head(self.fcn, state[0])

    def lift_all(self, state: tuple[Tensor, Tensor]) -> Tensor:
        """The auxiliary poses of all frames (B, T, J, 3), which only training needs."""
        return self._head(self.fcn_1, state[1])

    def _head(self, head: nn.Module, tokens: Tensor) -> Tensor:
        return head(tokens[:, :, 0].mT).mT.unflatten(-1, (self.num_joints, 3))

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


class PSTMOPretraining(nn.Module):
    """The masked pretraining of `PSTMO`: 2D restored from visible frames and joints.

    `encoder` and `Transformer` are those of `PSTMO`, which start from these by name.

    Args:
        as for `PSTMO`.
    """

    def __init__(
        self,
        *,
        dim: int = 256,
        depth: int = 3,
        mlp_ratio: float = 2,
        max_frames: int = 243,
        num_joints: int = 17,
        dropout: float = 0.1,
    ):
        super().__init__()
        half, hidden = dim // 2, round(mlp_ratio * dim)
        self.num_joints = num_joints
        self.dec_pos_embedding = nn.Parameter(torch.randn(1, max_frames, half))
        self.mask_token = nn.Parameter(torch.randn(1, 1, half))
        self.spatial_mask_token = nn.Parameter(torch.randn(1, 1, 2))
        self.encoder = FrameEncoder(2 * num_joints, dim, dropout)
        self.Transformer = FrameTransformer(dim, depth, hidden, max_frames, dropout)
        self.Transformer_dec = FrameTransformer(half, depth - 1, hidden // 2, 0, dropout)
        self.encoder_to_decoder = nn.Linear(dim, half, bias=False)
        self.encoder_LN = StdNorm(dim)
        self.fcn_dec = nn.Sequential(nn.BatchNorm1d(half), nn.Conv1d(half, 2 * num_joints, 1))

    def forward(self, keypoints: Tensor, hidden_frames: Tensor, hidden_joints: Tensor) -> Tensor:
        """Restored keypoints (B, T, J, 2), the visible frames first, then the hidden ones.

        Args:
            keypoints: (B, T, J, 2).
            hidden_frames: (T,) bool.
            hidden_joints: (T, J) bool.
        """
        shown = torch.where(hidden_joints[..., None], self.spatial_mask_token, keypoints)
        x = self.encoder(shown.flatten(2).mT).mT + self.Transformer.pos_embedding
        x = x[:, ~hidden_frames]
        for layer in self.Transformer.model.layers:
            x = layer(x)
        x = self.encoder_to_decoder(self.encoder_LN(x))
        visible, hidden = (self.dec_pos_embedding[:, m] for m in (~hidden_frames, hidden_frames))
        masked = (self.mask_token + hidden).expand(len(x), -1, -1)
        x = torch.cat([x + visible, masked], dim=1)
        for layer in self.Transformer_dec.model.layers:
            x = layer(x)
        return self.fcn_dec(x.mT).mT.unflatten(-1, (self.num_joints, 2))

    def loss(self, keypoints: Tensor, hidden_frames: Tensor, hidden_joints: Tensor) -> Tensor:
        """Mean distance of the restored keypoints of hidden frames and hidden joints."""
        order = torch.cat([(~hidden_frames).nonzero()[:, 0], hidden_frames.nonzero()[:, 0]])
        restored = self(keypoints, hidden_frames, hidden_joints)
        hidden = (hidden_joints | hidden_frames[:, None])[order]
        return (restored - keypoints[:, order]).norm(dim=-1)[:, hidden].mean()


class PSTMORefinement(nn.Module):
    """Mixes x and y of two poses of a frame: that of the network, and its depth on the 2D rays.

    The second needs the true root and camera, so that this only serves to repeat published tables.
    """

    def __init__(self, num_joints: int = 17, hidden: int = 1024):
        super().__init__()
        self.post_refine = nn.Sequential(
            *(nn.Linear(6 * num_joints, hidden), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Linear(hidden, 2 * num_joints), nn.Sigmoid()),
        )

    def forward(self, pose: Tensor, projected: Tensor) -> Tensor:
        """Two poses (B, T, J, 3) to one."""
        score = self.post_refine(torch.cat([pose, projected], dim=-1).flatten(2))
        score = score.unflatten(-1, (-1, 2))
        mixed = score * pose[..., :2] + (1 - score) * projected[..., :2]
        return torch.cat([mixed, pose[..., 2:]], dim=-1)
