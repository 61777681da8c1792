"""Poses averaged over each clip and its mirror image: here and nowhere else."""

from collections.abc import Callable

import torch

from actionpose.models.dstformer import PoseOutput
from actionpose.skeletons import skeleton_of

_MIRROR = torch.tensor([-1.0, 1.0, 1.0])  # x, y, confidence or depth


@torch.inference_mode()
def predict(
    encoder: Callable[..., PoseOutput],
    keypoints: torch.Tensor,
    *,
    flip: bool = True,
    root: str = "subtract",
) -> torch.Tensor:
    """Root-relative poses of normalized clips.

    Args:
        keypoints: (N, T, J, 3) on the encoder's device, of H36M17, or of H36M17_FEET if the encoder
            has feet.
        flip: whether to average with the mirrored clip's pose.
        root: "subtract" the predicted pelvis from all joints, set it to "zero" and leave the
            others, as MotionBERT does, or "keep" it where it was predicted.

    Returns:
        (N, T, J, 3) in the same units; the pelvis is at the origin, unless it was kept.
    """
    sign, mirror = _MIRROR.to(keypoints), skeleton_of(keypoints.shape[2]).mirror
    if flip:
        both = torch.cat([keypoints, keypoints[:, :, mirror] * sign])
        pose, mirrored = encoder(both, embed=False).pose.float().chunk(2)
        pose = (pose + mirrored[:, :, mirror] * sign) / 2
    else:
        pose = encoder(keypoints, embed=False).pose.float()
    if root == "subtract":
        return pose - pose[:, :, :1]
    if root == "keep":
        return pose
    pose = pose.clone()
    pose[:, :, 0] = 0
    return pose
