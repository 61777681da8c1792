"""The losses against MotionBERT's numbers, float64 transcriptions, and at their extremes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from torch import Tensor
from torch.nn import functional

from actionpose.training.losses import (
    alignment_loss,
    heads_losses,
    position_loss,
    scale_loss,
    velocity_loss,
    weighted_sum,
)
from actionpose.utils.errors import UserError

Array = NDArray[np.float64]
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
MOTION = (position_loss, velocity_loss, scale_loss)
FOLDER = Path(__file__).parents[1] / "reference_outputs"
REFERENCE, PEERS = (
    {key: torch.from_numpy(array) for key, array in np.load(FOLDER / f"{name}.npz").items()}
    for name in ("losses", "motionbert_losses")
)


def motion(
    batch: int = 2, frames: int = 6, seed: int = 0, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pair = torch.randn(2, batch, frames, 17, 3, generator=generator, dtype=torch.float64)
    return pair[0].to(dtype).requires_grad_(), pair[1].to(dtype)


def all_valid(pose: Tensor) -> Tensor:
    return torch.ones(pose.shape[:2], dtype=torch.bool)


def embeddings(
    batch: int = 4,
    candidates: int = 17,
    width: int = 32,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(batch, width, generator=generator, dtype=torch.float64)
    text = torch.randn(batch, candidates, width, generator=generator, dtype=torch.float64)
    pose, text = (functional.normalize(x, dim=-1).to(dtype) for x in (pose, text))
    return pose.requires_grad_(), text.requires_grad_()


def one_hot(text: Tensor) -> Tensor:
    first = torch.zeros(text.shape[:2])
    first[:, 0] = 1
    return first


# ---- position, velocity, scale


def test_losses_equal_motionberts() -> None:
    pred, target = REFERENCE["pred"], REFERENCE["gt"]
    valid = all_valid(pred)
    close = {"rtol": 1e-6, "atol": 0}
    torch.testing.assert_close(position_loss(pred, target, valid), REFERENCE["loss_mpjpe"], **close)
    torch.testing.assert_close(
        velocity_loss(pred, target, valid), REFERENCE["loss_velocity"], **close
    )
    torch.testing.assert_close(scale_loss(pred, target, valid), REFERENCE["n_mpjpe"], **close)


@pytest.mark.parametrize(
    ("loss", "name"),
    [(position_loss, "loss_mpjpe"), (velocity_loss, "loss_velocity"), (scale_loss, "n_mpjpe")],
)
def test_losses_have_the_gradients_of_motionberts(loss: Loss, name: str) -> None:
    pred = PEERS["prediction"].clone().requires_grad_()
    found = loss(pred, PEERS["target"], all_valid(pred))
    found.backward()
    torch.testing.assert_close(found.detach(), PEERS[name], rtol=1e-10, atol=0)
    torch.testing.assert_close(pred.grad, PEERS[f"{name}_grad"], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("loss", MOTION)
@pytest.mark.parametrize("padding", [0.0, 1e6, float("nan"), float("inf")])
def test_losses_ignore_padding(loss: Loss, padding: float) -> None:
    pred, target = motion(batch=2, frames=6)
    valid = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    value = loss(pred, target, valid)
    (gradient,) = torch.autograd.grad(value, pred)
    assert (gradient[~valid] == 0).all() and (gradient[valid] != 0).any()

    filled = [torch.where(valid[..., None, None], x, padding) for x in (pred, target)]
    torch.testing.assert_close(loss(*filled, valid), value)
    torch.testing.assert_close(torch.autograd.grad(loss(*filled, valid), pred)[0], gradient)

    # every real frame (or pair of frames) weighs the same, in a long clip and a short one
    count = (valid[:, 1:] & valid[:, :-1] if loss is velocity_loss else valid).sum(dim=1)
    clips = [(slice(i, i + 1), slice(0, length)) for i, length in enumerate((6, 4))]
    parts = [loss(pred[clip], target[clip], valid[clip]) for clip in clips]
    torch.testing.assert_close(value, (torch.stack(parts) * count).sum() / count.sum())


def test_velocity_loss_skips_pairs_with_a_missing_frame() -> None:
    pred, target = motion(batch=1, frames=4)
    valid = torch.tensor([[True, False, True, True]])
    expected = (pred.diff(dim=1) - target.diff(dim=1))[0, 2].norm(dim=-1).mean()
    torch.testing.assert_close(velocity_loss(pred, target, valid), expected)


@pytest.mark.parametrize("loss", MOTION)
def test_losses_of_no_valid_frame_are_zero_with_a_gradient(loss: Loss) -> None:
    pred, target = motion(frames=1)
    value = loss(pred, target * float("nan"), torch.zeros(2, 1, dtype=torch.bool))
    value.backward()
    assert value == 0 and (pred.grad == 0).all()


def test_velocity_loss_of_a_single_frame_is_zero() -> None:
    pred, target = motion(frames=1)
    value = velocity_loss(pred, target, all_valid(pred))
    value.backward()
    assert value == 0 and (pred.grad == 0).all()


@pytest.mark.parametrize("loss", MOTION)
def test_losses_have_right_gradients_finite_at_the_kinks(loss: Loss) -> None:
    pred, target = motion(batch=1, frames=3, dtype=torch.float64)
    valid = torch.tensor([[True, True, False]])
    assert torch.autograd.gradcheck(lambda x: loss(x, target, valid), pred)
    for start in (target, torch.zeros_like(target), 1e-12 * target):  # perfect, nothing, nearly so
        start = start.float().requires_grad_()
        value = loss(start, target.float(), valid)
        value.backward()
        assert value.isfinite() and start.grad.isfinite().all()


def test_scale_loss_ignores_each_frames_scale() -> None:
    pred, target = motion()
    valid = all_valid(pred)
    scales = torch.tensor([1e-4, 0.1, 1.0, 3.0, 100.0, 2.0])[:, None, None]
    torch.testing.assert_close(
        scale_loss(pred * scales, target, valid), scale_loss(pred, target, valid)
    )
    assert scale_loss(3 * target, target, valid) < 1e-6
    zeros = scale_loss(torch.zeros_like(target), target, valid)
    torch.testing.assert_close(zeros, position_loss(torch.zeros_like(target), target, valid))


def test_losses_widen_half_precision() -> None:
    pred, target = motion()
    valid = all_valid(pred)
    rounded = pred.bfloat16(), target.bfloat16()
    for loss in MOTION:
        value = loss(*rounded, valid)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, loss(*(x.float() for x in rounded), valid))


# ---- alignment


def equation_2(
    pose: Array, text: Array, target: Array, temperature: float, focal_gamma: float
) -> float:
    """Loops in float64, for a y that may be soft."""
    total = 0.0
    for p, candidates, y in zip(pose, text, target, strict=True):
        logits = np.array([p @ w for w in candidates]) / temperature
        s, log_s = softmax(logits), log_softmax(logits)
        kl = sum(yi * (np.log(yi) - li) for yi, li in zip(y, log_s, strict=True) if yi > 0)
        miss = sum(si - yi for si, yi in zip(s, y, strict=True) if si > yi)
        total += miss**focal_gamma * kl
    return total / len(pose)


@pytest.mark.parametrize("focal_gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("temperature", [0.07, 0.1, 1.0])
@pytest.mark.parametrize("soft", [False, True])
def test_alignment_loss_is_equation_2(focal_gamma: float, temperature: float, soft: bool) -> None:
    pose, text = embeddings()
    target = one_hot(text).double()
    if soft:
        target = 0.7 * target + 0.3 * torch.rand(4, 17, dtype=torch.float64).softmax(dim=-1)
    value = alignment_loss(pose, text, target, temperature=temperature, focal_gamma=focal_gamma)
    arrays = (x.detach().numpy() for x in (pose, text, target))
    expected = equation_2(*arrays, temperature, focal_gamma)
    np.testing.assert_allclose(value.item(), expected, rtol=1e-10)
    single = alignment_loss(
        pose.float(), text.float(), target.float(), temperature=temperature, focal_gamma=focal_gamma
    )
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.item(), expected, rtol=2e-4)


def test_alignment_loss_of_one_hot_is_the_printed_formula() -> None:
    pose, text = embeddings()
    similarity = torch.einsum("be,bke->bk", pose, text) / 0.1
    s = similarity.softmax(dim=-1)[:, 0]
    printed = ((1 - s) ** 2 * torch.log(1 / s)).mean()
    torch.testing.assert_close(alignment_loss(pose, text, one_hot(text)), printed)


def test_alignment_loss_without_focus_is_cross_entropy() -> None:
    pose, text = embeddings(dtype=torch.float32)
    ours = alignment_loss(pose, text, one_hot(text), focal_gamma=0.0)
    logits = torch.einsum("be,bke->bk", pose, text) / 0.1
    theirs = functional.cross_entropy(logits, torch.zeros(4, dtype=torch.long))
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(
        torch.autograd.grad(ours, (pose, text)),
        torch.autograd.grad(theirs, (pose, text)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("focal_gamma", [0.0, 0.5, 2.0])
def test_alignment_loss_is_least_at_a_soft_target(focal_gamma: float) -> None:
    """The search is over logits: with one dimension and a pose of 1, a text is a logit."""
    target = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    pose = torch.ones(1, 1, dtype=torch.float64)

    def loss(logits: Array) -> float:
        text = torch.from_numpy(logits).reshape(1, 3, 1)
        return alignment_loss(pose, text, target, temperature=1.0, focal_gamma=focal_gamma).item()

    found = minimize(loss, np.array([2.0, -1.0, 0.0]), method="Nelder-Mead", options={"fatol": 0})
    np.testing.assert_allclose(softmax(found.x), target[0], atol=1e-3)
    assert loss(np.log(target[0].numpy())) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("focal_gamma", [0.0, 0.3, 1.0, 2.0])
def test_alignment_loss_has_right_gradients(focal_gamma: float) -> None:
    pose, text = embeddings(batch=2, candidates=3, width=4)
    target = one_hot(text).double()
    assert torch.autograd.gradcheck(
        lambda p, t: alignment_loss(p, t, target, focal_gamma=focal_gamma), (pose, text)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("focal_gamma", [0.0, 0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("temperature", [0.1, 0.02, 1e-3])  # s elsewhere: small, subnormal, 0
def test_alignment_loss_is_finite_at_the_extremes(
    dtype: torch.dtype, focal_gamma: float, temperature: float
) -> None:
    same = torch.nn.functional.normalize(torch.ones(1, 1, 8), dim=-1)
    match = torch.cat([same, -same, -same], dim=1)  # s of the match is 1 to the last bit
    miss = -match
    tied = torch.cat([same, same, same], dim=1)
    for case, text in {"match": match, "miss": miss, "tied": tied}.items():
        pose = same[:, 0].to(dtype).clone().requires_grad_()
        text = text.to(dtype).clone().requires_grad_()
        value = alignment_loss(
            pose, text, one_hot(text), temperature=temperature, focal_gamma=focal_gamma
        )
        value.backward()
        assert value.isfinite() and value >= 0, case
        assert pose.grad.isfinite().all() and text.grad.isfinite().all(), case
        if case == "match":
            assert value < 1e-6
        if case == "miss":
            assert value > 1  # and it learns
            assert text.grad.abs().sum() > 0
        if case == "tied":
            expected = (2 / 3) ** focal_gamma * np.log(3)
            np.testing.assert_allclose(value.item(), expected, rtol=1e-5)


def test_alignment_loss_is_exact_under_autocast() -> None:
    pose, text = embeddings(dtype=torch.float32)
    expected = alignment_loss(pose, text, one_hot(text))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = alignment_loss(pose, text, one_hot(text))
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected, rtol=0, atol=0)


def test_alignment_loss_of_no_clip_is_zero_with_a_gradient() -> None:
    pose, text = embeddings()
    value = alignment_loss(pose[:0], text[:0], one_hot(text)[:0])
    value.backward()
    assert value == 0 and (pose.grad == 0).all()


def test_alignment_loss_descends_to_the_match() -> None:
    pose, text = embeddings(dtype=torch.float32)
    for _ in range(60):
        loss = alignment_loss(functional.normalize(pose, dim=-1), text.detach(), one_hot(text))
        pose = (pose - 0.5 * torch.autograd.grad(loss, pose)[0]).detach().requires_grad_()
    assert (torch.einsum("be,bke->bk", pose, text).argmax(dim=-1) == 0).all()


# ---- the total


def test_weighted_sum_is_equation_5() -> None:
    losses = {"alignment": torch.tensor(2.0), "position": torch.tensor(3.0, requires_grad=True)}
    total = weighted_sum(losses, {"position": 10, "alignment": 0.5, "scale": 0})
    assert total == 31
    total.backward()
    assert losses["position"].grad == 10


def test_weighted_sum_refuses_names_without_a_partner() -> None:
    losses = {"position": torch.tensor(1.0)}
    with pytest.raises(UserError, match="no weight is given for the loss 'position'"):
        weighted_sum(losses, {"postion": 1.0})
    with pytest.raises(UserError, match="weight for 'velocity', but the losses are position"):
        weighted_sum(losses, {"position": 1.0, "velocity": 20.0})


@pytest.mark.parametrize("loss", MOTION)
def test_joints_without_a_target_change_nothing(loss: Loss) -> None:
    """Of two joints that have no target one is NaN: as if the pose had only the others."""
    pred, target = motion(dtype=torch.float64)
    present = torch.ones(*pred.shape[:3], dtype=torch.bool)
    present[:, :, [3, 9]] = False
    others = [joint for joint in range(17) if joint not in (3, 9)]
    expected = loss(pred[:, :, others], target[:, :, others], all_valid(pred))
    target[:, :, 3] = torch.nan
    found = loss(pred, target, present)
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found, pred)
    assert (gradient[:, :, [3, 9]] == 0).all() and gradient[:, :, others].abs().min() > 0


@pytest.mark.parametrize("loss", MOTION)
def test_a_mask_of_whole_frames_is_that_of_their_joints(loss: Loss) -> None:
    pred, target = motion()
    valid = all_valid(pred)
    valid[0, 3:] = False
    by_joint = valid[:, :, None].expand(*pred.shape[:3])
    torch.testing.assert_close(loss(pred, target, by_joint), loss(pred, target, valid))


# ---- heads


def test_heads_losses_ignore_what_has_no_target() -> None:
    """NaN in a joint without a target, in padding, and in a clip of which nothing is real."""
    generator = torch.Generator().manual_seed(0)
    pose, target = torch.randn(2, 3, 6, 21, 3, generator=generator)
    target = target - target[:, :, :1]
    log_error = torch.randn(3, 6, 21, generator=generator)
    present, valid = torch.ones(3, 6, 21, dtype=torch.bool), torch.ones(3, 6, dtype=torch.bool)
    present[:, :, 18], valid[1, 4:], valid[2] = False, False, False
    scored = present & valid[..., None]
    values, gradients = [], []
    for filling in (0.0, torch.nan):
        filled = [x.masked_fill(~scored[..., None], filling) for x in (pose, target)]
        errors = log_error.masked_fill(~scored, filling)
        given = filled[0].requires_grad_(), errors.requires_grad_()
        batch = {"pose": filled[1], "valid": valid, "present": present}
        losses = heads_losses(*given, batch)
        values.append(torch.stack(list(losses.values())))
        gradients.append(torch.autograd.grad(values[-1].sum(), given))
    torch.testing.assert_close(values[0], values[1])
    for plain, found in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, found)
    assert (gradients[1][1][~scored] == 0).all() and gradients[1][1][scored].any()


def test_heads_losses_widen_half_precision() -> None:
    generator = torch.Generator().manual_seed(0)
    pose, target = torch.randn(2, 2, 6, 21, 3, generator=generator).bfloat16()
    log_error = torch.randn(2, 6, 21, generator=generator).bfloat16()
    whole = {"valid": torch.ones(2, 6) > 0, "present": torch.ones(2, 6, 21) > 0}
    found = heads_losses(pose, log_error, {"pose": target, **whole})
    wide = heads_losses(pose.float(), log_error.float(), {"pose": target.float(), **whole})
    for name, value in wide.items():
        torch.testing.assert_close(found[name], value)
