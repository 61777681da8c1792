"""Windows over a sequence: what they cover, which count, and how they are blended."""

import numpy as np
import pytest

from actionpose.utils.sliding_windows import blend, sliding_windows, visible_windows


@pytest.mark.parametrize("num_frames", [1, 2, 13, 26, 27, 28, 100, 271])
def test_sliding_windows_cover_every_frame(num_frames: int) -> None:
    spans = sliding_windows(num_frames, 27)
    covered = np.zeros(num_frames, bool)
    for start, stop in spans:
        assert 0 <= start < stop <= num_frames and stop - start <= 27
        covered[start:stop] = True
    assert covered.all()
    assert len({tuple(span) for span in spans}) == len(spans)
    if num_frames >= 27:
        assert set(spans[:, 1] - spans[:, 0]) == {27}


def test_visible_windows_need_half_of_their_frames() -> None:
    valid = np.array([True] * 5 + [False] * 5)
    spans = np.array([[0, 4], [3, 7], [4, 8], [6, 10]])
    assert visible_windows(spans, valid).tolist() == [True, True, False, False]


@pytest.mark.parametrize("overlap", [1, 2, 3])
def test_blend_of_equal_windows_is_the_sequence(overlap: int) -> None:
    values = np.random.default_rng(0).normal(size=(2, 50, 17, 3))
    spans = sliding_windows(50, 9, overlap=overlap)
    found = blend(((a, values[:, a:b]) for a, b in spans), values.shape)
    np.testing.assert_allclose(found, values, atol=1e-12)


def test_blend_weights_fall_to_the_ends_of_a_window() -> None:
    windows = [(0, np.zeros((4, 1, 1))), (2, np.ones((4, 1, 1)))]
    found = blend(windows, (7, 1, 1)).ravel()
    np.testing.assert_allclose(found, [0, 0, 1 / 3, 2 / 3, 1, 1, 0])
