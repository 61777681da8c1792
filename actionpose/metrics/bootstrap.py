"""Percentile bootstrap intervals of means."""

from dataclasses import dataclass

import numpy as np

from actionpose.utils.typing import Array

NUM_DRAWS = 2000


@dataclass(frozen=True)
class Score:
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    def __format__(self, sign: str) -> str:
        """Format with a sign before all numbers if `sign` is "+"."""
        return f"{self.mean:{sign}.1f} [{self.low:{sign}.1f}, {self.high:{sign}.1f}]"

    def __str__(self) -> str:
        return format(self)


def bootstrap(*groups: Array, seed: int = 0) -> Score:
    """Mean over the means of groups, with its 95 % bootstrap interval.

    Args:
        groups: Arrays of shape (N,) or (S, N). Values are resampled within their group. For
            matrices, rows and columns are resampled, so that the interval includes the variance
            between rows.
        seed: Seed of the resampling.
    """
    rng = np.random.default_rng(seed)
    draws = np.mean([_resampled_means(np.atleast_2d(group), rng) for group in groups], axis=0)
    low, high = np.percentile(draws, [2.5, 97.5])
    return Score(float(np.mean([group.mean() for group in groups])), float(low), float(high))


def _resampled_means(values: Array, rng: np.random.Generator) -> Array:
    """(NUM_DRAWS,) Resampled means of (S, N) values."""
    num_rows, num_columns = values.shape
    rows = rng.integers(num_rows, size=(NUM_DRAWS, num_rows))
    columns = rng.integers(num_columns, size=(NUM_DRAWS, num_columns))
    means: Array = np.take_along_axis(values[rows].mean(axis=1), columns, axis=1).mean(axis=1)
    return means
