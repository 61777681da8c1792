"""Detector-like noise against the published table, and masks against their ratios."""

import numpy as np
import pytest

from actionpose.config import PretrainDataConfig
from actionpose.datasets.detector_noise import detector_noise
from actionpose.datasets.masking import draw_mask, part_mask, random_mask, window_mask
from actionpose.utils.errors import UserError

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
def drawn():
    """(N, 2, 17, 2) in thousandths, (N, 2, 17) confidences: both frames are key frames."""
    rng = np.random.default_rng(11)
    clips = [detector_noise(2, rng) for _ in range(10_800)]
    return np.stack([noise for noise, _ in clips]) * 1000, np.stack([c for _, c in clips])


@pytest.mark.parametrize("joint", PUBLISHED)
def test_noise_has_the_published_statistics(drawn, joint):
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


def test_gross_errors_are_as_rare_as_published(drawn):
    """Beyond 25 lie, of the ordinary ones, nearly none, and of the gross ones a known share."""
    wrist = drawn[0][:, :, 13].reshape(-1, 2)
    far = (np.abs(wrist[:, 0]) > 25).mean()
    expected = (1 - PUBLISHED[13][4]) * (1 - 25 / GROSS)
    assert far == pytest.approx(expected, rel=0.15)


def test_errors_drift_between_key_frames():
    """Ten frames from key to key: without the jitter, second differences vanish between keys."""
    rng = np.random.default_rng(0)
    noise = np.stack([detector_noise(41, rng)[0] for _ in range(30)], axis=1)
    bend = np.diff(noise, n=2, axis=0)  # of frames 0 1 2, 1 2 3, ...
    inside = np.ones(len(bend), dtype=bool)
    inside[9::10] = False  # centered on a key frame
    jitter = 0.002 * np.sqrt(6)  # 1, -2, 1 of independent draws
    assert bend[inside].std() == pytest.approx(jitter, rel=0.02)
    assert bend[~inside].std() > 1.02 * jitter


def test_drift_is_as_slow_in_short_clips_as_in_long_ones():
    rng = np.random.default_rng(0)

    def step(frames):  # of the drift and the jitter, from frame to frame
        noise = [detector_noise(frames, rng)[0] for _ in range(2000 // frames)]
        return np.mean([np.diff(n, axis=0).std() for n in noise])

    assert step(27) == pytest.approx(step(243), rel=0.1)


@pytest.mark.parametrize("frames", [1, 2, 9, 27, 243])
def test_shapes_of_any_length(frames):
    noise, confidence = detector_noise(frames, np.random.default_rng(0))
    assert noise.shape == (frames, 17, 2) and confidence.shape == (frames, 17)
    assert np.isfinite(noise).all() and np.isfinite(confidence).all()


def test_every_clip_has_its_own_jitter():
    """Between key frames, what is left after the drift differs from clip to clip."""
    rng = np.random.default_rng(0)
    first, second = (
        np.diff(detector_noise(41, rng)[0], n=2, axis=0)[::4].ravel() for _ in range(2)
    )
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.15


def test_the_generator_decides():
    pair = [detector_noise(50, np.random.default_rng(4)) for _ in range(2)]
    for a, b in zip(*pair, strict=True):
        np.testing.assert_array_equal(a, b)
    other = detector_noise(50, np.random.default_rng(5))[0]
    assert not np.array_equal(other, pair[0][0])


def test_confidence_falls_with_displacement(drawn):
    noise, confidence = drawn
    assert confidence.min() >= 0 and confidence.max() <= 1
    distance = np.linalg.norm(noise, axis=-1).ravel()
    order = np.argsort(distance)
    means = [group.mean() for group in np.array_split(confidence.ravel()[order], 8)]
    assert (np.diff(means) < 0).all(), means


def test_confidence_follows_the_published_curve(drawn):
    """Where clipping is rare: a / (d + a) + b d + mean, with a 0.028, b 1.1, mean -0.0045857."""
    noise, confidence = drawn
    distance = np.linalg.norm(noise, axis=-1) / 1000
    near = np.abs(distance - 0.02) < 0.001
    expected = 0.028 / 0.048 + 1.1 * 0.02 - 0.0045857
    assert confidence[near].mean() == pytest.approx(expected, abs=0.01)
    assert confidence[near].std() == pytest.approx(0.1431, rel=0.05)


@pytest.mark.parametrize(("joints", "frames"), [(0.05, 0.15), (0.5, 0.0), (0.0, 0.3), (0.0, 0.0)])
def test_masks_hide_as_much_as_asked(joints, frames):
    rng = np.random.default_rng(0)
    masks = np.stack([random_mask(40, joints, frames, rng) for _ in range(500)])
    assert masks.shape == (500, 40, 17) and masks.dtype == bool
    # all 17 joints at random is next to impossible, so that a full row is a hidden frame
    whole = masks.all(axis=2)
    count = whole.size
    assert abs(whole.mean() - frames) <= 5 * np.sqrt(frames * (1 - frames) / count) + 1e-4
    single = masks[~whole]
    assert abs(single.mean() - joints) <= 5 * np.sqrt(joints * (1 - joints) / single.size)


def test_everything_can_be_hidden():
    assert random_mask(5, 0.0, 1.0, np.random.default_rng(0)).all()
    assert random_mask(5, 1.0, 0.0, np.random.default_rng(0)).all()


def test_masks_differ_per_clip():
    rng = np.random.default_rng(0)
    assert (random_mask(40, 0.1, 0.2, rng) != random_mask(40, 0.1, 0.2, rng)).any()


def near(share, expected, count):
    """Within five deviations of the sampling."""
    return abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / count) + 1e-9


# H36M indices, as the paper's six parts are read
PARTS = {
    "upper body": set(range(7, 17)),
    "lower body": set(range(7)),
    "head": {9, 10},
    "arms": set(range(11, 17)),
    "legs": {2, 3, 5, 6},
    "hips": {0, 1, 4},
}


def test_parts_are_hidden_throughout_and_equally_often():
    rng = np.random.default_rng(1)
    counts = dict.fromkeys(PARTS, 0)
    for _ in range(6000):
        mask = part_mask(5, rng)
        assert (mask == mask[0]).all()
        hidden = set(np.flatnonzero(mask[0]))
        (name,) = (name for name, joints in PARTS.items() if joints == hidden)
        counts[name] += 1
    assert all(near(count / 6000, 1 / 6, 6000) for count in counts.values()), counts


def windows(frames, count=20_000, shortest=30, longest=80):
    rng = np.random.default_rng(2)
    masks = [window_mask(frames, shortest, longest, rng) for _ in range(count)]
    assert all((mask == mask[:, :1]).all() for mask in masks)  # all joints of a frame
    return np.stack([mask[:, 0] for mask in masks])


@pytest.mark.parametrize("frames", [1, 2, 31, 59, 60, 81, 243])
def test_windows_have_the_lengths_and_starts_that_are_asked_for(frames):
    hidden = windows(frames, 4000 if frames < 100 else 20_000)
    lengths = hidden.sum(axis=1)
    most = min(80, frames - 1 if frames >= 60 else frames // 2)
    assert not hidden.all(axis=1).any()
    if most == 0:
        assert not hidden.any()
        return
    least = min(30, most)
    assert (lengths.min(), lengths.max()) == (least, most)
    count = most - least + 1
    shares = np.bincount(lengths, minlength=most + 1)[least:] / len(lengths)
    assert all(near(share, 1 / count, len(lengths)) for share in shares)
    starts = hidden.argmax(axis=1)
    assert (np.diff(hidden.astype(int), axis=1) == 1).sum(axis=1).max() <= 1  # one window
    for length in (least, most):
        of_length = starts[lengths == length]
        assert of_length.min() >= 0 and of_length.max() <= frames - length
        expected = (frames - length) / 2
        spread = np.sqrt(((frames - length + 1) ** 2 - 1) / 12)
        assert abs(of_length.mean() - expected) <= 5 * spread / np.sqrt(len(of_length)) + 1e-9


def test_windows_hide_the_ends_rarely():
    """243 frames: 0.5 % of windows hide the first frame, 30 % the middle one."""
    inside = windows(243).mean(axis=0)
    n = np.arange(30, 81)
    first = (1 / (243 - n + 1)).mean()
    assert first == pytest.approx(0.0053, abs=2e-4)
    assert near(inside[0], first, 20_000) and near(inside[-1], first, 20_000)
    assert near(inside[121], (n / (243 - n + 1)).mean(), 20_000)
    assert 0.28 < inside[121] < 0.31


def test_the_mixture_is_half_random_a_quarter_parts_a_quarter_windows():
    rng = np.random.default_rng(3)
    kinds = {"random": 0, "part": 0, "window": 0}
    for _ in range(4000):
        mask = draw_mask(81, PretrainDataConfig(), rng)
        columns, rows = mask.all(axis=0), mask.all(axis=1)
        if columns.any():
            kinds["part"] += 1
        elif rows.sum() >= 30 and (mask == rows[:, None]).all():
            kinds["window"] += 1
        else:
            kinds["random"] += 1
    expected = {"random": 0.5, "part": 0.25, "window": 0.25}
    assert all(near(kinds[kind] / 4000, expected[kind], 4000) for kind in kinds), kinds


def test_the_random_mask_of_the_mixture_has_the_papers_ratios():
    rng = np.random.default_rng(4)
    only = PretrainDataConfig(masks={"random": 1.0})
    masks = np.stack([draw_mask(81, only, rng) for _ in range(500)])
    whole = masks.all(axis=2)
    assert near(whole.mean(), 0.15, whole.size)
    assert near(masks[~whole].mean(), 0.05, masks[~whole].size)


def test_what_is_left_of_the_shares_has_no_mask():
    rng = np.random.default_rng(5)
    shares = PretrainDataConfig(masks={"part": 0.2})
    masked = [draw_mask(9, shares, rng).any() for _ in range(3000)]
    assert near(np.mean(masked), 0.2, 3000)


@pytest.mark.parametrize(
    "settings",
    [{"masks": {"random": 0.6, "part": 0.5}}, {"window_mask": (0, 5)}, {"window_mask": (9, 5)}],
)
def test_masks_that_make_no_sense_are_refused(settings):
    with pytest.raises(UserError, match="mask"):
        PretrainDataConfig(**settings)
