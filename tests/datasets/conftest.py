"""Fixtures of the tests of datasets."""

import numpy as np
import pytest
from numpy.random import Generator

from actionpose.datasets import projection
from actionpose.utils.typing import Array


@pytest.fixture
def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector without errors, whose confidences are 1; it draws nothing."""

    def exact(num_frames: int, rng: Generator) -> tuple[Array, Array]:
        return np.zeros((num_frames, 17, 2)), np.ones((num_frames, 17))

    monkeypatch.setattr(projection, "detector_noise", exact)
