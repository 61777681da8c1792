"""VideoPose3D (Pavllo et al., CVPR 2019): dilated convolutions over frames, without padding.

The parameter names are those of `TemporalModel`, so that official weights load by name.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from actionpose.models.backbone import Backbone, num_layers
from actionpose.models.blocks import odd_factors


class VideoPose3D(Backbone):
    """(B, T, J, 2) keypoints to (B, T - frames + 1, J, 3) poses.

    A token is a frame: the state is (B, T', 1, D).

    Args:
        dim: Number of channels.
        max_frames: Receptive field, a product of odd numbers, which are the widths of the
            convolutions.
        num_joints: Number of joints (J).
        widths: Widths of the convolutions, if their order differs.
        causal: Whether a pose is that of the last frame of the receptive field, instead of the
            middle frame.
        strided: For clips of one receptive field: compute the same pose with fewer operations.
        dropout: Dropout rate.

    Raises:
        UserError: If `max_frames` is even.
    """

    length = "at_least"
    channels = "xy"
    joints_as_tokens = False
    masks_padding = False
    token = "read"

    def __init__(
        self,
        *,
        dim: int = 1024,
        max_frames: int = 243,
        num_joints: int = 17,
        widths: Sequence[int] | None = None,
        causal: bool = False,
        strided: bool = False,
        dropout: float = 0.25,
    ):
        super().__init__()
        self.widths = list(widths or odd_factors(max_frames))
        self.width, self.depth, self.num_joints = dim, len(self.widths) - 1, num_joints
        self.frames = prod(self.widths)
        self.causal, self.strided, self.dropout = causal, strided, dropout
        kernels = [k for width in self.widths[1:] for k in (width, 1)]
        self.expand_conv = nn.Conv1d(2 * num_joints, dim, self.widths[0], bias=False)
        self.expand_bn = nn.BatchNorm1d(dim)
        self.layers_conv = nn.ModuleList(nn.Conv1d(dim, dim, k, bias=False) for k in kernels)
        self.layers_bn = nn.ModuleList(nn.BatchNorm1d(dim) for _ in kernels)
        self.shrink = nn.Conv1d(dim, 3 * num_joints, 1)

    def embed(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor:
        x = keypoints[..., :2].flatten(2).transpose(-2, -1)  # (B, 2 J, T)
        x = F.conv1d(x, self.expand_conv.weight, stride=self.widths[0] if self.strided else 1)
        return self._activate(self.expand_bn, x).transpose(-2, -1)[:, :, None]

    def stage(self, i: int, state: Tensor, valid: Tensor | None = None) -> Tensor:
        x, width = state[:, :, 0].transpose(-2, -1), self.widths[i + 1]
        kernel = self.layers_conv[2 * i].get_parameter("weight")
        if self.strided:
            residual = x[..., width - 1 if self.causal else width // 2 :: width]
            x = F.conv1d(x, kernel, stride=width)
        else:
            step = prod(self.widths[: i + 1])
            x, full = F.conv1d(x, kernel, dilation=step), x
            first = (width - 1 if self.causal else width // 2) * step
            residual = full[..., first : first + x.shape[-1]]
        x = self._activate(self.layers_bn[2 * i], x)
        x = self._activate(self.layers_bn[2 * i + 1], self.layers_conv[2 * i + 1](x))
        return (residual + x).transpose(-2, -1)[:, :, None]

    def lift(self, state: Tensor) -> Tensor:
        return (
            self.shrink(state[:, :, 0].transpose(-2, -1))
            .transpose(-2, -1)
            .unflatten(-1, (self.num_joints, 3))
        )

    def _activate(self, norm: nn.Module, x: Tensor) -> Tensor:
        return F.dropout(F.relu(norm(x)), self.dropout, self.training)

    @classmethod
    def sizes(cls, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        dim, channels, first = weights["expand_conv.weight"].shape
        kernels = range(0, num_layers(weights, "layers_conv"), 2)
        rest = [weights[f"layers_conv.{i}.weight"].shape[-1] for i in kernels]
        return {"dim": dim, "num_joints": channels // 2, "widths": [first, *rest]}
