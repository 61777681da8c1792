"""Bootstrap intervals of means."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

BOOTSTRAP_DRAWS = 2000


@dataclass(frozen=True)
class Score:
    """A mean over windows and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"


def bootstrap(values: Array, seed: int = 0) -> Score:
    """Mean and 95 % interval of the mean of `values` (N,)."""
    rng = np.random.default_rng(seed)
    draws = values[rng.integers(len(values), size=(BOOTSTRAP_DRAWS, len(values)))].mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return Score(float(values.mean()), float(low), float(high))
