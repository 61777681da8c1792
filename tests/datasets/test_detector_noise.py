"""Detector-like noise against the published table."""

from typing import Any

import numpy as np
import pytest

from actionpose.datasets.detector_noise import detector_noise

# Of some joints, by H36M index: mean x, y, deviation x, y in thousandths of half the image width,
# and the share of ordinary errors, as MotionBERT published them.
PUBLISHED = {
    0: (0.81, 0.21, 3.66, 3.57, 0.9988),
    3: (0.94, 0.91, 8.95, 5.29, 0.8938),
    4: (1.87, -0.70, 6.72, 5.33, 0.9746),
    9: (1.66, 1.66, 5.34, 4.88, 0.9679),
    11: (0.79, -4.62, 8.01, 6.09, 0.8910),
    13: (1.16, 1.63, 4.99, 5.09, 0.7028),
}
JITTER = 2.0  # deviation, in the same thousandths
GROSS = 30.0  # the others are uniform within this


@pytest.fixture(scope="module")
def drawn() -> tuple[Any, ...]:
    """(N, 2, 17, 2) in thousandths, (N, 2, 17) confidences: both frames are key frames."""
    rng = np.random.default_rng(11)
    clips = [detector_noise(2, rng) for _ in range(10_800)]
    return np.stack([noise for noise, _ in clips]) * 1000, np.stack([c for _, c in clips])


@pytest.mark.parametrize("joint", PUBLISHED)
def test_noise_has_the_published_statistics(drawn: tuple[Any, ...], joint: int) -> None:
    """Mean and variance of the mixture, plus jitter, within five deviations of the sampling."""
    samples = drawn[0][:, :, joint].reshape(-1, 2)
    ordinary = PUBLISHED[joint][4]
    for axis in range(2):
        mean, std = PUBLISHED[joint][axis], PUBLISHED[joint][2 + axis]
        second = ordinary * (mean**2 + std**2) + (1 - ordinary) * GROSS**2 / 3
        variance = second - (ordinary * mean) ** 2 + JITTER**2
        count = len(samples)
        found = samples[:, axis]
        assert abs(found.mean() - ordinary * mean) < 5 * np.sqrt(variance / count)
        fourth = ((found - found.mean()) ** 4).mean()
        assert abs(found.var() - variance) < 5 * np.sqrt((fourth - variance**2) / count)


def test_gross_errors_are_as_rare_as_published(drawn: tuple[Any, ...]) -> None:
    """Beyond 25 lie, of the ordinary ones, nearly none, and of the gross ones a known share."""
    wrist = drawn[0][:, :, 13].reshape(-1, 2)
    far = (np.abs(wrist[:, 0]) > 25).mean()
    expected = (1 - PUBLISHED[13][4]) * (1 - 25 / GROSS)
    assert far == pytest.approx(expected, rel=0.15)


def test_errors_drift_between_key_frames() -> None:
    """Ten frames from key to key: without the jitter, second differences vanish between keys."""
    rng = np.random.default_rng(0)
    noise = np.stack([detector_noise(41, rng)[0] for _ in range(30)], axis=1)
    bend = np.diff(noise, n=2, axis=0)  # of frames 0 1 2, 1 2 3, ...
    inside = np.ones(len(bend), dtype=bool)
    inside[9::10] = False  # centered on a key frame
    jitter = 0.002 * np.sqrt(6)  # 1, -2, 1 of independent draws
    assert bend[inside].std() == pytest.approx(jitter, rel=0.02)
    assert bend[~inside].std() > 1.02 * jitter


def test_drift_is_as_slow_in_short_clips_as_in_long_ones() -> None:
    rng = np.random.default_rng(0)

    def step(frames: Any) -> Any:  # of the drift and the jitter, from frame to frame
        noise = [detector_noise(frames, rng)[0] for _ in range(2000 // frames)]
        return np.mean([np.diff(n, axis=0).std() for n in noise])

    assert step(27) == pytest.approx(step(243), rel=0.1)


@pytest.mark.parametrize("frames", [1, 2, 9, 27, 243])
def test_shapes_of_any_length(frames: int) -> None:
    noise, confidence = detector_noise(frames, np.random.default_rng(0))
    assert noise.shape == (frames, 17, 2) and confidence.shape == (frames, 17)
    assert np.isfinite(noise).all() and np.isfinite(confidence).all()


def test_every_clip_has_its_own_jitter() -> None:
    """Between key frames, what is left after the drift differs from clip to clip."""
    rng = np.random.default_rng(0)
    first, second = (
        np.diff(detector_noise(41, rng)[0], n=2, axis=0)[::4].ravel() for _ in range(2)
    )
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.15


def test_the_generator_decides() -> None:
    pair = [detector_noise(50, np.random.default_rng(4)) for _ in range(2)]
    for a, b in zip(*pair, strict=True):
        np.testing.assert_array_equal(a, b)
    other = detector_noise(50, np.random.default_rng(5))[0]
    assert not np.array_equal(other, pair[0][0])


def test_confidence_falls_with_displacement(drawn: tuple[Any, ...]) -> None:
    noise, confidence = drawn
    assert confidence.min() >= 0 and confidence.max() <= 1
    distance = np.linalg.norm(noise, axis=-1).ravel()
    order = np.argsort(distance)
    means = [group.mean() for group in np.array_split(confidence.ravel()[order], 8)]
    assert (np.diff(means) < 0).all(), means


def test_confidence_follows_the_published_curve(drawn: tuple[Any, ...]) -> None:
    """Where clipping is rare: a / (d + a) + b d + mean, with a 0.028, b 1.1, mean -0.0045857."""
    noise, confidence = drawn
    distance = np.linalg.norm(noise, axis=-1) / 1000
    near = np.abs(distance - 0.02) < 0.001
    expected = 0.028 / 0.048 + 1.1 * 0.02 - 0.0045857
    assert confidence[near].mean() == pytest.approx(expected, abs=0.01)
    assert confidence[near].std() == pytest.approx(0.1431, rel=0.05)
