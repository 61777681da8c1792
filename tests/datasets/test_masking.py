"""Masks against their ratios."""

from typing import Any

import numpy as np
import pytest

from actionpose.config import PretrainDataConfig
from actionpose.datasets.masking import draw_mask, part_mask, random_mask, window_mask
from actionpose.utils.errors import UserError


@pytest.mark.parametrize(("joints", "frames"), [(0.05, 0.15), (0.5, 0.0), (0.0, 0.3), (0.0, 0.0)])
def test_masks_hide_as_much_as_asked(joints: float, frames: float) -> None:
    rng = np.random.default_rng(0)
    masks = np.stack([random_mask(40, joints, frames, rng) for _ in range(500)])
    assert masks.shape == (500, 40, 17) and masks.dtype == bool
    # all 17 joints at random is next to impossible, so that a full row is a hidden frame
    whole = masks.all(axis=2)
    count = whole.size
    assert abs(whole.mean() - frames) <= 5 * np.sqrt(frames * (1 - frames) / count) + 1e-4
    single = masks[~whole]
    assert abs(single.mean() - joints) <= 5 * np.sqrt(joints * (1 - joints) / single.size)


def test_everything_can_be_hidden() -> None:
    assert random_mask(5, 0.0, 1.0, np.random.default_rng(0)).all()
    assert random_mask(5, 1.0, 0.0, np.random.default_rng(0)).all()


def test_masks_differ_per_clip() -> None:
    rng = np.random.default_rng(0)
    assert (random_mask(40, 0.1, 0.2, rng) != random_mask(40, 0.1, 0.2, rng)).any()


def near(share: float, expected: float, count: int) -> bool:
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


def test_parts_are_hidden_throughout_and_equally_often() -> None:
    rng = np.random.default_rng(1)
    counts = dict.fromkeys(PARTS, 0)
    for _ in range(6000):
        mask = part_mask(5, rng)
        assert (mask == mask[0]).all()
        hidden = set(np.flatnonzero(mask[0]))
        (name,) = (name for name, joints in PARTS.items() if joints == hidden)
        counts[name] += 1
    assert all(near(count / 6000, 1 / 6, 6000) for count in counts.values()), counts


def windows(frames: int, count: int = 20_000, shortest: int = 30, longest: int = 80) -> np.ndarray:
    rng = np.random.default_rng(2)
    masks = [window_mask(frames, shortest, longest, rng) for _ in range(count)]
    assert all((mask == mask[:, :1]).all() for mask in masks)  # all joints of a frame
    return np.stack([mask[:, 0] for mask in masks])


@pytest.mark.parametrize("frames", [1, 2, 31, 59, 60, 81, 243])
def test_windows_have_the_lengths_and_starts_that_are_asked_for(frames: int) -> None:
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


def test_windows_hide_the_ends_rarely() -> None:
    """243 frames: 0.5 % of windows hide the first frame, 30 % the middle one."""
    inside = windows(243).mean(axis=0)
    n = np.arange(30, 81)
    first = (1 / (243 - n + 1)).mean()
    assert first == pytest.approx(0.0053, abs=2e-4)
    assert near(inside[0], first, 20_000) and near(inside[-1], first, 20_000)
    assert near(inside[121], (n / (243 - n + 1)).mean(), 20_000)
    assert 0.28 < inside[121] < 0.31


def test_the_mixture_is_half_random_a_quarter_parts_a_quarter_windows() -> None:
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


def test_the_random_mask_of_the_mixture_has_the_papers_ratios() -> None:
    rng = np.random.default_rng(4)
    only = PretrainDataConfig(masks={"random": 1.0})
    masks = np.stack([draw_mask(81, only, rng) for _ in range(500)])
    whole = masks.all(axis=2)
    assert near(whole.mean(), 0.15, whole.size)
    assert near(masks[~whole].mean(), 0.05, masks[~whole].size)


def test_what_is_left_of_the_shares_has_no_mask() -> None:
    rng = np.random.default_rng(5)
    shares = PretrainDataConfig(masks={"part": 0.2})
    masked = [draw_mask(9, shares, rng).any() for _ in range(3000)]
    assert near(np.mean(masked), 0.2, 3000)


@pytest.mark.parametrize(
    "settings",
    [{"masks": {"random": 0.6, "part": 0.5}}, {"window_mask": (0, 5)}, {"window_mask": (9, 5)}],
)
def test_masks_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="mask"):
        PretrainDataConfig(**settings)
