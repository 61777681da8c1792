"""Windows of videos: MotionBERT's, and those that cover or center."""

from pathlib import Path

import numpy as np

from actionpose.datasets.paired import VideoInfo, clip_rows, covering_rows, surrounding_rows

REFERENCE = np.load(Path(__file__).parents[1] / "reference_outputs" / "losses.npz")


def video(start: int, stop: int) -> VideoInfo:
    return VideoInfo("v", "S1", "a", "c", 1000, 1000, 50.0, start, stop)


def test_clip_rows_equal_those_of_motionbert() -> None:
    given = REFERENCE
    names = given["split_vid"]
    borders = [0, *(np.flatnonzero(np.diff(names)) + 1).tolist(), len(names)]
    videos = [video(a, b) for a, b in zip(borders, borders[1:], strict=False)]
    rows = clip_rows(videos, 243, 81)
    assert rows[:, [0, -1]].tolist() == given["split_243_81"].tolist()
    assert (np.diff(rows, axis=1) == 1).all()


def test_clip_rows_stretch_short_videos_by_a_seed() -> None:
    videos = [video(0, 100), video(100, 130)]
    rows = clip_rows(videos, 50, 50, seed=1)
    assert len(rows) == 3
    assert set(rows[2].tolist()) <= set(range(100, 130)) and rows[2][0] == 100
    assert (np.diff(rows[2]) >= 0).all()
    assert np.array_equal(rows, clip_rows(videos, 50, 50, seed=1))
    assert not np.array_equal(rows, clip_rows(videos, 50, 50, seed=2))


def test_covering_rows_of_short_and_long_videos() -> None:
    rows, scored = covering_rows([video(0, 7), video(7, 10)], 5)
    assert rows.tolist() == [[0, 1, 2, 3, 4], [2, 3, 4, 5, 6], [7, 8, 9, 9, 9]]
    assert rows[scored].tolist() == list(range(10))
    assert surrounding_rows(
        [video(0, 3), video(3, 9)], np.array([0, 2, 3]), np.array([-1, 0, 1])
    ).tolist() == [[0, 0, 1], [1, 2, 2], [3, 3, 4]]
