"""Frame rates, linear resampling, and runs of equal values."""

import numpy as np
import pytest

from actionpose.utils.resampling import frame_rate, interpolate, is_even, runs, true_runs


def test_frame_rate_of_even_and_uneven_times() -> None:
    assert frame_rate(np.arange(10) / 25) == pytest.approx(25)
    rounded = np.round(np.arange(61) / 30, 3)  # milliseconds: 33, 34, 33
    assert frame_rate(rounded) == pytest.approx(1 / 0.033, abs=1)
    dropped = np.delete(np.arange(20) / 25, [7, 8])
    assert not is_even(dropped) and frame_rate(dropped) == pytest.approx(25)
    assert frame_rate(np.array([0.0])) == frame_rate(np.array([1.0, 1.0])) == 0


def test_interpolate_holds_the_ends() -> None:
    values = np.array([[0.0, 10.0], [1.0, 20.0]])
    found = interpolate(values, np.array([1.0, 2.0]), np.array([0.0, 1.5, 3.0]))
    np.testing.assert_allclose(found, [[0, 10], [0.5, 15], [1, 20]])
    np.testing.assert_array_equal(interpolate(values[:1], np.zeros(1), np.zeros(2)), [[0, 10]] * 2)


def test_runs_cover_the_array() -> None:
    values = np.array([3, 3, 1, 2, 2, 2])
    assert runs(values) == [slice(0, 2), slice(2, 3), slice(3, 6)]
    assert runs(values[:0]) == []
    mask = np.array([True, False, False, True, True])
    assert true_runs(mask) == [slice(0, 1), slice(3, 5)] and true_runs(~mask) == [slice(1, 3)]
