"""The training losses, numbered as in the paper. The prediction comes first, the target second.

All are means where the paper prints sums, so that neither the batch nor the length of its clips
changes the balance of Eq. 5. `valid` is True on real frames (B, T), or on the joints of frames that
have a target (B, T, J), as feet may have none; what stands elsewhere, NaN included, changes neither
a loss nor a gradient. A loss over nothing (no real frame, no pair of them, an empty batch) is 0 and
still has a gradient, 0. Half precision is widened to float32 first, under autocast too; float64
stays.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from actionpose.geometry.stature import STATURE_PER_CHAIN, chain_length
from actionpose.models.heads import ANKLES, BODY
from actionpose.utils.errors import UserError


def position_loss(pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean distance of the joints over real frames (Eq. 3).

    Args:
        pred, target: (B, T, J, 3), in one unit.
        valid: (B, T) or (B, T, J) bool.
    """
    return _mean_distance(_difference(pred, target), valid)


def velocity_loss(pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """`position_loss` of the frame-to-frame differences, over pairs of real frames (Eq. 4)."""
    pairs = valid[:, 1:] & valid[:, :-1]
    return _mean_distance(_difference(pred, target).diff(dim=1), pairs)


def scale_loss(pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """`position_loss` after each frame of `pred` is scaled by its least-squares factor.

    Not in the paper: MotionBERT adds it with weight 0.5. The gradient runs through the factor; a
    prediction of all zeros stays zeros.
    """
    pred, target = (_zero_padding(x, valid) for x in _widened(pred, target))
    extent = (pred * pred).sum(dim=(-2, -1), keepdim=True)  # (B, T, 1, 1)
    # the floor is a pose a millionth of the image wide; below it the gradient would overflow
    scale = (pred * target).sum(dim=(-2, -1), keepdim=True) / extent.clamp(min=1e-12)
    return _mean_distance(_difference(scale * pred, target), valid)


def lifting_losses(pose: Tensor, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The three losses above, by name.

    Args:
        pose: (B, T, J, 3), predicted.
        batch: has `pose` (B, T, J, 3), the target, and `valid` (B, T) bool; with feet `present`
            (B, T, J) too, which joints have a target.
    """
    arguments = (pose, batch["pose"], batch.get("present", batch["valid"]))
    return {
        "position": position_loss(*arguments),
        "velocity": velocity_loss(*arguments),
        "scale": scale_loss(*arguments),
    }


def heads_losses(pose: Tensor, log_error: Tensor, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The losses of `models.heads`: those of `lifting_losses` for feet from their ankles, and the
    negative log-likelihood of the errors, `error`.

    The likelihood is that of an exponential distribution of distances from the target, relative to
    the pelvis, after the clip is scaled to the height of the target. No gradient flows from it into
    poses.

    Args:
        pose: (B, T, 21, 3), predicted.
        log_error: (B, T, 21), the logarithm of the expected distance in fractions of the stature.
        batch: as for `lifting_losses`; all bodies are present.
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
        distance = torch.where(scored, distance, 0)  # here, not below: 0 times NaN is NaN
    log_error = torch.where(scored, log_error, 0)
    log_likelihood = -log_error - distance * torch.exp(-log_error)
    return losses | {"error": -log_likelihood.sum() / scored.sum().clamp(min=1)}


def _chain_length(pose: Tensor, valid: Tensor) -> Tensor:
    """(B,) `geometry.stature.chain_length` of the real frames of clips."""
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
    """Focal KL divergence of a pose's text similarities from their ground truth (Eq. 1 and 2).

    With s the softmax of Eq. 1 over all candidates, a row's loss is
    `miss ** focal_gamma * KL(y || s)`, where miss, the sum of max(s - y, 0), is the probability
    that s puts where y has none. For a one-hot y these are 1 - s and log(1 / s) of the match: Eq. 2
    to the letter, and cross-entropy if focal_gamma is 0. For a soft y, Eq. 2's single term would
    fall below zero; this is least, 0, where s is y.

    Args:
        pose: (B, E) global motion embeddings.
        text: (B, K + 1, E) embeddings of each pose's candidate texts. Both must be unit vectors:
            the temperature is meant for cosines. Encoders do not normalize; the caller does.
        target: (B, K + 1) ground-truth similarities; a row sums to 1. No gradient flows into it.
        temperature: tau of Eq. 1.
        focal_gamma: 0 or more; the larger, the less a text that already fits counts.
        allowed: (B, K + 1) bool, False where a candidate is left out of its row, as one that is
            true too; its target is 0.

    Returns:
        The mean over the batch.
    """
    pose, text, target = _widened(pose, text, target.detach())
    assert text.shape == (*target.shape, pose.shape[-1]) and len(pose) == len(text)
    with torch.autocast(pose.device.type, enabled=False):
        logits = torch.einsum("be,bke->bk", pose, text) / temperature
        if allowed is not None:  # finite, so that 0 times it is 0; half, so that none is exceeded
            logits = logits.masked_fill(~allowed, torch.finfo(logits.dtype).min / 2)
        log_s = logits.log_softmax(dim=-1)  # Eq. 1
        miss = (log_s.exp() - target).relu().sum(dim=-1)
        kl = (torch.xlogy(target, target) - target * log_s).sum(dim=-1)
        # below focal_gamma 1 the slope at 0 is infinite: a perfect match would make 0 * inf of it
        focus = miss.clamp(min=torch.finfo(miss.dtype).tiny) ** focal_gamma
        return (focus * kl).sum() / max(len(pose), 1)  # Eq. 2


def soft_target(true: Tensor, temperature: float) -> Tensor:
    """Ground-truth similarities that let every true candidate count, as ActionCLIP does it.

    Args:
        true: (B, C) bool, whether a candidate is true of the motion.
        temperature: divides `true` before the softmax; false candidates keep a small probability.
    """
    return (true.float() / temperature).softmax(dim=-1)


NO_WEIGHTS = {"position": 0.0, "velocity": 0.0, "scale": 0.0}  # of the losses of both stages


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The total that is trained on (Eq. 5): the sum of weight times loss, paired by name.

    Raises:
        UserError: a loss has no weight, or a weight other than 0 has no loss.
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
    """0 on padding. Selected, not multiplied: 0 times NaN is NaN, in the gradient as well."""
    assert valid.dtype == torch.bool, valid.dtype
    assert valid.shape == x.shape[: valid.ndim], (valid.shape, x.shape)
    return torch.where(valid[..., None] if valid.ndim == 3 else valid[..., None, None], x, 0)


def _mean_distance(difference: Tensor, valid: Tensor) -> Tensor:
    """Mean norm of (B, T, J, C) over the joints of the real frames."""
    distances: Tensor = _zero_padding(difference, valid).norm(dim=-1)  # its gradient at 0 is 0
    joints = 1 if valid.ndim == 3 else distances.shape[-1]
    count = (valid.sum() * joints).clamp(min=1)
    return distances.sum().div(count)
