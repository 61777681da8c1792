"""Averaging of the poses of clips and their mirror images (flip averaging)."""

from collections.abc import Callable

import torch

from actionpose.models.dstformer import PoseOutput
from actionpose.skeletons import skeleton_of

_MIRROR = torch.tensor([-1.0, 1.0, 1.0])  # x, y, and confidence or depth


def predict(
    encoder: Callable[..., PoseOutput],
    keypoints: torch.Tensor,
    *,
    flip: bool = True,
    root: str = "subtract",
) -> torch.Tensor:
    """Predict root-relative poses of normalized clips.

    Args:
        encoder: Encoder, or an engine that computes it.
        keypoints: (N, T, J, 3) Clips on the device of the encoder, of H36M17, or of H36M17_FEET if
            the encoder has heads.
        flip: Whether to average with the pose of the mirrored clip.
        root: "subtract" the predicted pelvis from all joints, set it to "zero" without changing
            other joints, as in MotionBERT, or "keep" the predicted position.

    Returns:
        (N, T, J, 3) poses in the same unit. The pelvis is at the origin unless `root` is "keep".
    """
    return predict_with_error(encoder, keypoints, flip=flip, root=root)[0]


def mirrored(clips: torch.Tensor) -> torch.Tensor:
    """Mirror keypoints or poses (N, T, J, 3) of H36M17 or H36M17_FEET."""
    return clips[:, :, skeleton_of(clips.shape[2]).mirror] * _MIRROR.to(clips)


@torch.inference_mode()
def predict_with_error(
    encoder: Callable[..., PoseOutput],
    keypoints: torch.Tensor,
    *,
    flip: bool | torch.Tensor = True,
    root: str = "subtract",
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Predict poses and the log of the expected errors; see `predict`.

    Args:
        flip: See `predict`; or (N,) bool, True for clips of which only the mirrored one is lifted.

    Returns:
        (N, T, J, 3) poses, and (N, T, J) log errors as in `PoseOutput.log_error`, averaged over
        both clips, or None if the encoder has no heads.
    """
    mirror = skeleton_of(keypoints.shape[2]).mirror
    if isinstance(flip, torch.Tensor):
        sides = flip.to(keypoints.device)[:, None, None, None]
        output = encoder(torch.where(sides, mirrored(keypoints), keypoints), embed=False)
        pose, log_error = output.pose.float(), output.log_error
        pose = torch.where(sides, mirrored(pose), pose)
        if log_error is not None:
            log_error = torch.where(sides[..., 0], log_error[:, :, mirror], log_error)
    elif flip:
        output = encoder(torch.cat([keypoints, mirrored(keypoints)]), embed=False)
        pose, other = output.pose.float().chunk(2)
        pose, log_error = (pose + mirrored(other)) / 2, output.log_error
        if log_error is not None:
            log_error = (log_error[: len(keypoints)] + log_error[len(keypoints) :, :, mirror]) / 2
    else:
        output = encoder(keypoints, embed=False)
        pose, log_error = output.pose.float(), output.log_error
    if root == "subtract":
        return pose - pose[:, :, :1], log_error
    if root == "zero":
        pose = pose.clone()
        pose[:, :, 0] = 0
    return pose, log_error
