"""Training losses, with the equation numbers of the paper; the prediction precedes the target.

The losses are means where the paper has sums, so that batch size and clip length do not change the
balance of Eq. 5. `valid` is True for real frames (B, T), or for the joints of frames with a target
(B, T, J), because targets of feet may be missing. Values elsewhere, including NaN, affect neither
losses nor gradients. A loss without any values (no real frames or pairs of them, or an empty batch)
is 0 with a gradient of 0. Half precision is converted to float32 first, also under autocast;
float64 is kept.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from actionpose.geometry.stature import STATURE_PER_CHAIN, chain_length
from actionpose.models.heads import ANKLES, BODY
from actionpose.utils.errors import UserError


def position_loss(pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean joint distance over the real frames (Eq. 3).

    Args:
        pred, target: (B, T, J, 3) Poses in the same unit.
        valid: (B, T) or (B, T, J) bool.
    """
    return _mean_distance(_difference(pred, target), valid)


def velocity_loss(pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """`position_loss` of the differences between frames, over pairs of real frames (Eq. 4)."""
    pairs = valid[:, 1:] & valid[:, :-1]
    return _mean_distance(_difference(pred, target).diff(dim=1), pairs)


def scale_loss(pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """`position_loss` after each frame of `pred` is multiplied by its least-squares scale.

    This loss is not in the paper; MotionBERT uses it with weight 0.5. The gradient includes the
    scale. A prediction of zeros is not changed.
    """
    pred, target = (_zero_padding(x, valid) for x in _widened(pred, target))
    extent = (pred * pred).sum(dim=(-2, -1), keepdim=True)  # (B, T, 1, 1)
    # the minimum is a pose a millionth of the image wide; below it the gradient would overflow
    scale = (pred * target).sum(dim=(-2, -1), keepdim=True) / extent.clamp(min=1e-12)
    return _mean_distance(_difference(scale * pred, target), valid)


def lifting_losses(pose: Tensor, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The three losses above by name.

    Args:
        pose: (B, T, J, 3) Predicted poses.
        batch: Contains the target `pose` (B, T, J, 3), `valid` (B, T) bool and, with feet,
            `present` (B, T, J), True for the joints that have a target.
    """
    arguments = (pose, batch["pose"], batch.get("present", batch["valid"]))
    return {
        "position": position_loss(*arguments),
        "velocity": velocity_loss(*arguments),
        "scale": scale_loss(*arguments),
    }


def heads_losses(pose: Tensor, log_error: Tensor, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The losses of `models.heads`: `lifting_losses` of feet relative to their ankles, and `error`.

    `error` is the negative log-likelihood of the joint errors under an exponential distribution.
    The errors are relative to the pelvis, after the clip is scaled to the body height of the
    target. `error` has no gradient with respect to the poses.

    Args:
        pose: (B, T, 21, 3) Predicted poses.
        log_error: (B, T, 21) Log of the expected errors relative to the body height.
        batch: As for `lifting_losses`; the body joints are always present.
    """
    pose, target, log_error = _widened(pose, batch["pose"], log_error)
    present = batch["present"] & batch["valid"][..., None]
    relative, true = (x[:, :, BODY:] - x[:, :, ANKLES] for x in (pose, target))
    feet = {"pose": true, "valid": batch["valid"], "present": present[:, :, BODY:]}
    losses = lifting_losses(relative, feet)
    scored = present & (torch.arange(present.shape[-1], device=present.device) > 0)
    with torch.no_grad():
        chains = _chain_length(pose, batch["valid"]), _chain_length(target, batch["valid"])
        scaled = (pose - pose[:, :, :1]) * (chains[1] / chains[0])[:, None, None, None]
        distance = (scaled - target).norm(dim=-1)
        distance = distance / (STATURE_PER_CHAIN * chains[1])[:, None, None]
        distance = torch.where(scored, distance, 0)  # here, not below, because 0 * NaN is NaN
    log_error = torch.where(scored, log_error, 0)
    log_likelihood = -log_error - distance * torch.exp(-log_error)
    return losses | {"error": -log_likelihood.sum() / scored.sum().clamp(min=1)}


def _chain_length(pose: Tensor, valid: Tensor) -> Tensor:
    """(B,) `geometry.stature.chain_length` of the real frames of each clip."""
    lengths = [
        chain_length(p[v].cpu().numpy()) if v.any() else 0.0
        for p, v in zip(pose, valid, strict=True)
    ]
    return pose.new_tensor(lengths).clamp(min=1e-6)


def alignment_loss(
    pose: Tensor,
    text: Tensor,
    target: Tensor,
    *,
    temperature: float = 0.1,
    focal_gamma: float = 2.0,
    allowed: Tensor | None = None,
) -> Tensor:
    """Focal KL divergence of text similarities from their ground truth (Eq. 1 and 2).

    Let s be the softmax of Eq. 1 over all candidates. The loss of a row is
    `miss ** focal_gamma * KL(y || s)`, where miss, the sum of max(s - y, 0), is the probability in
    s that exceeds y. For a one-hot y, these are 1 - s and log(1 / s) of the match, which is Eq. 2,
    and cross-entropy if focal_gamma is 0. For a soft y, the single term of Eq. 2 could be negative,
    whereas this loss has its minimum 0 at s = y.

    Args:
        pose: (B, E) Motion embeddings.
        text: (B, K + 1, E) Embeddings of the candidate texts. Both embeddings must be unit vectors,
            because the temperature is chosen for cosine similarities; encoders do not normalize.
        target: (B, K + 1) Ground-truth similarities; the sum of each row is 1. It has no gradient.
        temperature: tau of Eq. 1.
        focal_gamma: Focusing parameter, 0 or more. Larger values reduce the weight of texts that
            already match.
        allowed: (B, K + 1) bool, False for candidates that are excluded, such as further true
            labels; their target is 0.

    Returns:
        The mean over the batch.
    """
    pose, text, target = _widened(pose, text, target.detach())
    assert text.shape == (*target.shape, pose.shape[-1]) and len(pose) == len(text)
    with torch.autocast(pose.device.type, enabled=False):
        logits = torch.einsum("be,bke->bk", pose, text) / temperature
        if allowed is not None:  # finite, because 0 * inf is NaN; half, to avoid overflow
            logits = logits.masked_fill(~allowed, torch.finfo(logits.dtype).min / 2)
        log_s = logits.log_softmax(dim=-1)  # Eq. 1
        miss = (log_s.exp() - target).relu().sum(dim=-1)
        kl = (torch.xlogy(target, target) - target * log_s).sum(dim=-1)
        # for focal_gamma < 1 the slope at 0 is infinite, so that a perfect match would give 0 * inf
        focus = miss.clamp(min=torch.finfo(miss.dtype).tiny) ** focal_gamma
        return (focus * kl).sum() / max(len(pose), 1)  # Eq. 2


def soft_target(true: Tensor, temperature: float) -> Tensor:
    """Ground-truth similarities with several true candidates, as in ActionCLIP.

    Args:
        true: (B, C) bool, True for candidates that describe the motion.
        temperature: Divisor of `true` before the softmax. False candidates keep a small
            probability.
    """
    return (true.float() / temperature).softmax(dim=-1)


NO_WEIGHTS = {"position": 0.0, "velocity": 0.0, "scale": 0.0}  # losses of both stages


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The weighted sum of the losses (Eq. 5), with losses and weights matched by name.

    Raises:
        UserError: If a loss has no weight, or a nonzero weight has no loss.
    """
    lonely = sorted(losses.keys() - weights.keys())
    if lonely:
        raise UserError(f"no weight is given for the loss {lonely[0]!r}: add it (0 turns it off)")
    lonely = sorted(name for name in weights.keys() - losses.keys() if weights[name])
    if lonely:
        raise UserError(
            f"there is a weight for {lonely[0]!r}, but the losses are {', '.join(sorted(losses))}"
        )
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


def _widened(*tensors: Tensor) -> list[Tensor]:
    return [x.to(torch.promote_types(x.dtype, torch.float32)) for x in tensors]


def _difference(pred: Tensor, target: Tensor) -> Tensor:
    assert pred.shape == target.shape, (pred.shape, target.shape)
    pred, target = _widened(pred, target)
    return pred - target


def _zero_padding(x: Tensor, valid: Tensor) -> Tensor:
    """Set padding to 0. `where` is used, because 0 * NaN is NaN, in the gradient as well."""
    assert valid.dtype == torch.bool, valid.dtype
    assert valid.shape == x.shape[: valid.ndim], (valid.shape, x.shape)
    return torch.where(valid[..., None] if valid.ndim == 3 else valid[..., None, None], x, 0)


def _mean_distance(difference: Tensor, valid: Tensor) -> Tensor:
    """Mean norm of vectors (B, T, J, C) over the joints of the real frames."""
    distances: Tensor = _zero_padding(difference, valid).norm(dim=-1)  # its gradient at 0 is 0
    joints = 1 if valid.ndim == 3 else distances.shape[-1]
    count = (valid.sum() * joints).clamp(min=1)
    return distances.sum().div(count)
