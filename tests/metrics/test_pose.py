"""The metrics against plain transcriptions, an SVD, and what MotionBERT's own functions gave."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from actionpose.metrics import auc, mpjpe, mpjve, n_mpjpe, p_mpjpe, pck
from actionpose.metrics import pose as metrics
from actionpose.utils.errors import UserError

Metric = Callable[..., Any]

ALL = (mpjpe, p_mpjpe, n_mpjpe, mpjve, pck, auc)
GOLDEN = np.load(Path(__file__).parents[1] / "reference_outputs" / "losses.npz")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def pair_mm(
    rng: np.random.Generator, *frames: int, joints: int = 17, noise_mm: float = 40.0
) -> tuple[np.ndarray, np.ndarray]:
    """A person-sized target and a prediction that is turned, shrunk, moved and noisy."""
    target = rng.normal(size=(*frames, joints, 3)) * [150, 80, 450]
    turn = Rotation.random(rng=rng).as_matrix()
    return 0.8 * (target + noise_mm * rng.normal(size=target.shape)) @ turn + 3000, target


def procrustes_error(x: np.ndarray, y: np.ndarray) -> float:
    """One frame by SVD, with determinants in place of case distinctions."""
    x0, y0 = x - x.mean(axis=0), y - y.mean(axis=0)
    u, s, vt = np.linalg.svd(x0.T @ y0)
    mend = np.array([1, 1, np.linalg.det(u @ vt)])
    scale = (s * mend).sum() / (x0**2).sum()
    return np.linalg.norm(scale * x0 @ (u * mend) @ vt - y0, axis=-1).mean()


# ---- against MotionBERT and plain loops


def test_metrics_equal_those_of_motionbert() -> None:
    pred, target = GOLDEN["pred"], GOLDEN["gt"]
    np.testing.assert_allclose(mpjpe(pred, target).mean(), 0.4980212, rtol=1e-6)
    np.testing.assert_allclose(n_mpjpe(pred, target).mean(), 0.4218529, rtol=1e-6)
    np.testing.assert_allclose(mpjve(pred, target).mean(), 0.7102138, rtol=1e-6)
    np.testing.assert_allclose(p_mpjpe(pred, target)[0, 0], 0.3879744, rtol=1e-6)
    np.testing.assert_allclose(mpjpe(pred, target)[0], GOLDEN["mpjpe_per_frame"], rtol=1e-6)
    np.testing.assert_allclose(p_mpjpe(pred, target)[0], GOLDEN["p_mpjpe_per_frame"], rtol=1e-6)


def test_metrics_equal_plain_loops(rng: np.random.Generator) -> None:
    pred, target = pair_mm(rng, 2, 5)
    pred = pred - pred[..., :1, :] + target[..., :1, :]
    for clip in range(2):
        for t in range(5):
            x, y = pred[clip, t], target[clip, t]
            distances = [np.sqrt(sum((x[j] - y[j]) ** 2)) for j in range(17)]
            assert np.isclose(mpjpe(pred, target)[clip, t], sum(distances) / 17, rtol=1e-12)
            near = sum(distance < 150 for distance in distances) / 17
            assert pck(pred, target)[clip, t] == near
            parts = [sum(d < limit for d in distances) / 17 for limit in range(0, 155, 5)]
            assert np.isclose(auc(pred, target)[clip, t], sum(parts) / 31, rtol=1e-12)
            scale = (x * y).sum() / (x * x).sum()
            scaled = np.linalg.norm(scale * x - y, axis=-1).mean()
            assert np.isclose(n_mpjpe(pred, target)[clip, t], scaled, rtol=1e-12)
        for t in range(4):
            step = pred[clip, t + 1] - pred[clip, t]
            true_step = target[clip, t + 1] - target[clip, t]
            velocity_error = np.linalg.norm(step - true_step, axis=-1).mean()
            assert np.isclose(mpjve(pred, target)[clip, t], velocity_error, rtol=1e-12)


def test_pck_counts_a_joint_at_the_threshold_as_wrong() -> None:
    target = np.zeros((1, 4, 3))
    pred = target.copy()
    pred[0, :, 1] = [0, np.nextafter(5, 0), 5, 150]
    assert pck(pred, target, threshold=5) == 0.5
    assert pck(pred, target) == 0.75
    # 0 is below 30 limits of 31, 4.99.. too, 5 below 29 and 150 below none
    assert auc(pred, target) == (30 + 30 + 29 + 0) / (31 * 4)
    assert auc(target, target) == 30 / 31


# ---- Procrustes


@pytest.mark.parametrize("noise_mm", [1, 40, 1000])
@pytest.mark.parametrize("shape", ["body", "planar", "thin", "mirrored", "isotropic", "two joints"])
def test_p_mpjpe_equals_procrustes_by_svd(
    rng: np.random.Generator, shape: str, noise_mm: float
) -> None:
    pred, target = pair_mm(rng, 400, joints=2 if shape == "two joints" else 17, noise_mm=noise_mm)
    squeeze = {"planar": [1, 1, 1e-6], "thin": [1, 0.02, 1e-3], "mirrored": [-1, 1, 1]}
    if shape == "isotropic":
        target = target / [150, 80, 450] * 100
        pred = target + noise_mm * rng.normal(size=target.shape)
    pred = pred * squeeze.get(shape, 1)
    oracle = [procrustes_error(x, y) for x, y in zip(pred, target, strict=True)]
    # against the size of the pose, where two joints fit exactly
    np.testing.assert_allclose(p_mpjpe(pred, target), oracle, rtol=1e-9, atol=1e-9)


def test_rotation_is_the_exact_one(rng: np.random.Generator) -> None:
    """Moments of chosen condition: c runs through -b, where the best rotation becomes ambiguous."""
    a, b, scale = rng.uniform(0.05, 1, size=(3, 20_000))
    a, b = np.maximum(a, b), np.minimum(a, b)
    c = rng.uniform(-1, 1, size=20_000) * b
    c[::2] = (10 ** rng.uniform(-6, 0, 10_000) - 1) * b[::2]  # b + c down to a millionth of b
    left, right = (Rotation.random(20_000, rng=rng).as_matrix() for _ in range(2))
    moments = scale[:, None, None] * (left * np.stack([a, b, c], axis=-1)[:, None]) @ right
    rotation, gain = metrics._rotation(moments)
    np.testing.assert_allclose(gain, scale * (a + b + c), rtol=1e-11)
    well_conditioned = (a + b) * (b + c) * (c + a) / (a * a + b * b + c * c) ** 1.5 > 1e-2
    assert 0.1 < well_conditioned.mean() < 0.9
    exact = (left @ right)[well_conditioned]
    np.testing.assert_allclose(rotation[well_conditioned], exact, rtol=0, atol=2e-12)


@pytest.mark.parametrize("extents", [(1, 0, 0), (1, 1, -1), (1, 0.5, -0.5), (1, 1, 1), (0, 0, 0)])
def test_rotation_reaches_its_gain_where_it_is_ambiguous(
    rng: np.random.Generator, extents: tuple[float, float, float]
) -> None:
    left, right = (Rotation.random(1000, rng=rng).as_matrix() for _ in range(2))
    left[0] = right[0] = np.eye(3)
    moments = left @ np.diag(extents) @ right
    rotation, gain = metrics._rotation(moments)
    np.testing.assert_allclose(gain, sum(extents), rtol=1e-12, atol=4e-15)
    np.testing.assert_allclose(np.linalg.det(rotation), 1, rtol=1e-12)
    reached = np.einsum("fab,fab->f", rotation, moments)
    np.testing.assert_allclose(reached, gain, rtol=1e-12, atol=4e-15)


def test_p_mpjpe_ignores_turn_scale_and_place_but_not_a_mirror(rng: np.random.Generator) -> None:
    pred, target = pair_mm(rng, 50)
    turns = Rotation.random(50, rng=rng).as_matrix()
    moved = rng.uniform(0.01, 100, size=(50, 1, 1)) * pred @ turns + 1e4 * rng.normal(
        size=(50, 1, 3)
    )
    np.testing.assert_allclose(p_mpjpe(moved, target), p_mpjpe(pred, target), rtol=1e-9)
    np.testing.assert_allclose(p_mpjpe(2 * target @ turns + 7, target), 0, atol=1e-9)
    assert (p_mpjpe(target * [-1, 1, 1], target) > 10).all()
    assert (p_mpjpe(pred, target) <= mpjpe(pred, target)).all()


def test_p_mpjpe_of_poses_without_volume_is_exact() -> None:
    rng = np.random.default_rng(1)
    target = rng.normal(size=(300, 17, 3))
    spread = np.linalg.norm(target - target.mean(axis=1, keepdims=True), axis=-1).mean(axis=-1)
    size = np.linalg.norm(target, axis=-1).mean(axis=-1)
    point = rng.normal(size=(300, 1, 3)) + np.zeros((17, 1))  # whose mean is not exactly it
    zero = np.zeros_like(target)
    np.testing.assert_allclose(p_mpjpe(point, target), spread, rtol=1e-12)
    np.testing.assert_allclose(p_mpjpe(zero, target), spread, rtol=1e-12)
    np.testing.assert_allclose(n_mpjpe(zero, target), size, rtol=1e-12)
    np.testing.assert_allclose(p_mpjpe(target, point), 0, atol=1e-14)
    np.testing.assert_allclose(p_mpjpe(point, point), 0, atol=1e-14)
    # on a line, only the places along it count: a plain regression
    along, also = rng.normal(size=(2, 17))
    line = along[:, None] * np.array([0.6, 0.0, 0.8])
    other = also[:, None] * np.array([0.0, -1.0, 0.0])
    a, b = along - along.mean(), also - also.mean()
    fitted = np.abs(a * (a @ b) / (a @ a) - b).mean()
    np.testing.assert_allclose(p_mpjpe(line[None], other[None]), fitted, rtol=1e-12)
    np.testing.assert_allclose(p_mpjpe(line[None], line[None] @ np.eye(3)[::-1]), 0, atol=1e-14)


# ---- what goes in and what comes out


@pytest.mark.parametrize("metric", ALL)
def test_metric_of_a_broken_frame_is_nan_alone(rng: np.random.Generator, metric: Metric) -> None:
    pred, target = pair_mm(rng, 12)
    clean = metric(pred, target)
    pred[2, 3, 1], pred[5, 0, 0], target[8, 16, 2] = np.nan, np.inf, -np.inf
    broken = {2, 5, 8}
    if metric is mpjve:
        broken |= {frame - 1 for frame in broken}  # each frame ends one step and begins another
    result = metric(pred, target)
    assert set(np.isnan(result).nonzero()[0]) == broken
    rest = [t for t in range(len(clean)) if t not in broken]
    np.testing.assert_allclose(result[rest], clean[rest], rtol=1e-12)


@pytest.mark.parametrize("metric", ALL)
def test_metric_keeps_type_and_precision(rng: np.random.Generator, metric: Metric) -> None:
    pred, target = pair_mm(rng, 2, 3, 4)
    expected = metric(pred, target)
    assert expected.shape == ((2, 3, 3) if metric is mpjve else (2, 3, 4))
    assert expected.dtype == np.float64
    single = metric(pred.astype(np.float32), target.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-5)
    assert metric(pred.astype(np.float32), target).dtype == np.float64
    assert metric(pred.astype(int), target.astype(int)).dtype == np.float64

    tensors = torch.from_numpy(pred).requires_grad_(), torch.from_numpy(target)
    result = metric(*tensors)
    assert not result.requires_grad
    np.testing.assert_array_equal(result.numpy(), expected)
    half = metric(*(tensor.bfloat16() for tensor in tensors))
    assert half.dtype == torch.bfloat16
    assert metric(tensors[0].float(), tensors[1]).dtype == torch.float64


@pytest.mark.parametrize("metric", ALL)
def test_metric_leaves_its_input_and_ignores_layout(
    rng: np.random.Generator, metric: Metric
) -> None:
    pred, target = pair_mm(rng, 6, 4)
    before = pred.copy(), target.copy()
    expected = metric(pred, target)
    np.testing.assert_array_equal(pred, before[0])
    np.testing.assert_array_equal(target, before[1])
    columns = np.asfortranarray(pred), np.asfortranarray(target)
    np.testing.assert_allclose(metric(*columns), expected, rtol=1e-12)
    backwards = pred[:, ::-1], target[:, ::-1]
    np.testing.assert_allclose(metric(*backwards), expected[:, ::-1], rtol=1e-12)
    tensors = [torch.from_numpy(poses.swapaxes(0, 1)).transpose(0, 1) for poses in (pred, target)]
    np.testing.assert_allclose(metric(*tensors), expected, rtol=1e-12)


def test_metrics_of_one_frame_and_of_none(rng: np.random.Generator) -> None:
    pred, target = pair_mm(rng, 1)
    for metric in ALL:
        assert metric(pred, target).shape == ((0,) if metric is mpjve else (1,))
        assert metric(pred[:0], target[:0]).shape == (0,)


def test_metrics_ignore_chunks(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    pred, target = pair_mm(rng, 100)
    whole = [metric(pred, target) for metric in ALL]
    monkeypatch.setattr(metrics, "_CHUNK", 7)
    for metric, expected in zip(ALL, whole, strict=True):
        np.testing.assert_allclose(metric(pred, target), expected, rtol=1e-12)


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("pred", "target", "words"),
    [
        (np.zeros((4, 17, 3)), np.zeros((5, 17, 3)), r"\(4, 17, 3\), but the target \(5, 17, 3\)"),
        (np.zeros((4, 17, 3)), np.zeros((1, 17, 3)), "but the target"),  # not broadcast
        (np.zeros((4, 17, 3)), torch.zeros(4, 17, 3), "not ndarray float64 and Tensor"),
        ([[[0.0] * 3]], [[[0.0] * 3]], "not list and list"),
        (np.zeros((4, 17, 3), object), np.zeros((4, 17, 3), object), "ndarray object"),
        (np.zeros((4, 17, 2)), np.zeros((4, 17, 2)), r"\(frames, joints, 3\)"),
        (np.zeros((17, 3)), np.zeros((17, 3)), r"\(frames, joints, 3\)"),
        (np.zeros((4, 0, 3)), np.zeros((4, 0, 3)), r"\(frames, joints, 3\)"),
    ],
)
def test_metric_refuses_what_cannot_be_compared(
    metric: Metric, pred: Any, target: Any, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        metric(pred, target)


@pytest.mark.parametrize("thresholds", [(), (5, np.nan), [[1, 2]]])
def test_auc_refuses_thresholds_that_are_not_finite(thresholds: Any) -> None:
    with pytest.raises(UserError, match="finite"):
        auc(np.zeros((1, 17, 3)), np.zeros((1, 17, 3)), thresholds)


def test_errors_of_frames_are_those_of_motionberts_functions() -> None:
    """Of arrays in float64, and against the mirrored target."""
    given = np.load(Path(__file__).parents[1] / "reference_outputs" / "motionbert_losses.npz")
    pred, target = (given[name].reshape(-1, 17, 3) for name in ("prediction", "target"))
    np.testing.assert_allclose(mpjpe(pred, target), given["mpjpe_per_frame"], rtol=1e-12)
    np.testing.assert_allclose(p_mpjpe(pred, target), given["p_mpjpe_per_frame"], rtol=1e-9)
    mirrored = target * [-1, 1, 1]
    np.testing.assert_allclose(p_mpjpe(pred, mirrored), given["p_mpjpe_mirrored"], rtol=1e-9)
