"""Poses averaged over each clip and its mirror image: here and nowhere else."""

import torch

from actionpose.models import PoseEncoder
from actionpose.skeletons import H36M17

_MIRROR = torch.tensor([-1.0, 1.0, 1.0])  # x, y, confidence or depth


@torch.inference_mode()
def predict(
    encoder: PoseEncoder, keypoints: torch.Tensor, *, flip: bool = True, root: str = "subtract"
) -> torch.Tensor:
    """Root-relative poses of normalized clips.

    Args:
        keypoints: (N, T, 17, 3) on the encoder's device.
        flip: whether to average with the mirrored clip's pose.
        root: "subtract" the predicted pelvis from all joints, or set it to "zero" and leave the
            others, as MotionBERT does.

    Returns:
        (N, T, 17, 3) in the same units; the pelvis is at the origin.
    """
    sign = _MIRROR.to(keypoints)
    if flip:
        both = torch.cat([keypoints, keypoints[:, :, H36M17.mirror] * sign])
        pose, mirrored = encoder(both, embed=False).pose.float().chunk(2)
        pose = (pose + mirrored[:, :, H36M17.mirror] * sign) / 2
    else:
        pose = encoder(keypoints, embed=False).pose.float()
    if root == "subtract":
        return pose - pose[:, :, :1]
    pose = pose.clone()
    pose[:, :, 0] = 0
    return pose
