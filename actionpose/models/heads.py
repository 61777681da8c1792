"""Heads on the motion representation of a trained encoder: joints of the feet, and error bars.

The heads are trained with a frozen encoder, so that its poses of the body are bitwise identical.
Letters in shapes: B clips, T frames, J joints (17, or 21 with feet), R representation channels, C
hidden channels.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor, nn

from actionpose.skeletons import H36M17, H36M17_FEET
from actionpose.utils.json_files import Checked

BODY = len(H36M17)
NUM_FEET = len(H36M17_FEET) - BODY
ANKLES = H36M17.indices(*(f"{j.partition('_')[0]}_ankle" for j in H36M17_FEET.joints[BODY:]))
_SHINS = H36M17.indices("right_knee", "right_ankle", "left_knee", "left_ankle")
_LEGS = H36M17.indices("pelvis", "right_hip", "left_hip") + _SHINS
_INITIAL_ERROR = 0.025  # relative to the body height: 44 mm for an adult
_WIDEST = 20.0  # bounds of the log error, so that its exponential is finite


@dataclass(frozen=True)
class ErrorBars(Checked):
    """Factors by which the expected error of a joint is multiplied to give an error radius.

    The defaults are those of an exponential distribution.

    Args:
        factor_68: Factor of the radius that contains 68 % of the true joints.
        factor_95: Factor of the radius that contains 95 % of the true joints.
        calibrated_on: Calibration data; empty if the factors are not calibrated.
    """

    factor_68: Annotated[float, Interval(gt=0, le=1e6)] = 1.139
    factor_95: Annotated[float, Interval(gt=0, le=1e6)] = 2.996
    calibrated_on: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """The entries in headers of results."""
        more = {"calibrated_on": self.calibrated_on} if self.calibrated_on else {}
        return {"coverage": 0.68, "factor_to_95": round(self.factor_95 / self.factor_68, 3)} | more


class FeetHead(nn.Module):
    """Joints of the feet relative to the ankles, from features of the legs and 2D positions.

    Args:
        dim_rep: Number of channels of the representation (R).
        hidden: Number of hidden channels (C).
        kernel: Width of the temporal convolution in frames.
    """

    def __init__(self, dim_rep: int, hidden: int = 128, kernel: int = 9):
        super().__init__()
        self.embed = nn.Linear(len(_LEGS) * dim_rep + 3 * (NUM_FEET + len(_SHINS)), hidden)
        self.over_frames = nn.Conv1d(
            hidden, hidden, kernel, groups=hidden, padding=kernel // 2, padding_mode="replicate"
        )
        self.fc = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, 3 * NUM_FEET)
        nn.init.trunc_normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, representation: Tensor, keypoints: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Predict the offsets (B, T, 4, 3) in the units of the keypoints.

        Args:
            representation: (B, T, 17, R) Motion representation.
            keypoints: (B, T, 21, 3) Keypoints of H36M17_FEET, as for the encoder.
            valid: (B, T) bool, False for padding at the end of a clip.
        """
        ankles, feet = keypoints[:, :, ANKLES], keypoints[:, :, BODY:]
        seen = (ankles[..., 2:] > 0) & (feet[..., 2:] > 0)
        offsets = torch.where(seen, feet[..., :2] - ankles[..., :2], 0)
        parts = (
            representation[:, :, _LEGS],
            torch.cat([5 * offsets, feet[..., 2:] * seen], dim=-1),  # feet are 0.2 units long
            keypoints[:, :, _SHINS],
        )
        x = F.gelu(self.embed(torch.cat([part.flatten(2) for part in parts], dim=-1)))
        if valid is not None:  # pad with the last frame, as at the end of a clip
            frames = torch.arange(x.shape[1], device=x.device)
            rows = torch.minimum(frames, valid.sum(dim=1, keepdim=True) - 1)
            x = x.gather(1, rows[..., None].expand_as(x))
        x = x + F.gelu(self.over_frames(x.transpose(-2, -1)).transpose(-2, -1))
        x = x + F.gelu(self.fc(x))
        # the 2D offset is added, so that only a small correction is learned
        return self.out(x).unflatten(-1, (NUM_FEET, 3)) + F.pad(offsets, (0, 1))


class ErrorHead(nn.Module):
    """The log of the expected error of each joint.

    Args:
        dim_rep: Number of channels of the representation (R).
        hidden: Number of hidden channels (C).
    """

    def __init__(self, dim_rep: int, hidden: int = 48):
        super().__init__()
        self.joint_embed = nn.Parameter(torch.empty(len(H36M17_FEET), hidden))
        self.own = nn.Linear(dim_rep, hidden)
        self.mean = nn.Linear(dim_rep, hidden, bias=False)
        self.confidence = nn.Linear(3, hidden, bias=False)
        self.fc = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, 1)
        nn.init.trunc_normal_(self.joint_embed, std=0.02)
        nn.init.zeros_(self.out.weight)
        nn.init.constant_(self.out.bias, math.log(_INITIAL_ERROR))

    def forward(self, representation: Tensor, keypoints: Tensor) -> Tensor:
        """(B, T, J) Log of the error relative to the pelvis, in units of the body height.

        Args:
            representation: (B, T, 17, R) Motion representation.
            keypoints: (B, T, J, 3) Keypoints with or without feet, as for the encoder.
        """
        joints = keypoints.shape[2]
        confidence = keypoints[..., 2:]
        of_frame = confidence[:, :, :BODY].mean(dim=2, keepdim=True).expand_as(confidence)
        seen = torch.cat([confidence, (confidence > 0).to(confidence), of_frame], dim=-1)
        own = representation
        if joints > BODY:  # feet use the features of their ankles and their own confidence
            own = torch.cat([own, own[:, :, ANKLES]], dim=2)
        x = self.own(own) + self.mean(representation.mean(dim=2, keepdim=True))
        x = F.gelu(x + self.confidence(seen) + self.joint_embed[:joints])
        x = x + F.gelu(self.fc(x))
        log_error: Tensor = self.out(x).squeeze(-1)
        return log_error.clamp(-_WIDEST, _WIDEST)


class Heads(nn.Module):
    """Both heads; their weights have the prefix `heads.` in a checkpoint.

    Args:
        dim_rep: Number of channels of the representation (R).
    """

    def __init__(self, dim_rep: int):
        super().__init__()
        self.feet, self.error = FeetHead(dim_rep), ErrorHead(dim_rep)

    def forward(
        self, representation: Tensor, pose: Tensor, keypoints: Tensor, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Poses (B, T, J, 3), with feet if the keypoints have them, and log errors (B, T, J).

        Args:
            representation: (B, T, 17, R) Motion representation.
            pose: (B, T, 17, 3) Pose of the body, which is returned unchanged.
            keypoints: (B, T, J, 3) Keypoints with or without feet.
            valid: (B, T) bool, False for padding at the end of a clip.
        """
        log_error = self.error(representation, keypoints)
        if keypoints.shape[2] > BODY:
            feet = pose[:, :, ANKLES] + self.feet(representation, keypoints, valid)
            pose = torch.cat([pose, feet], dim=2)
        return pose, log_error
