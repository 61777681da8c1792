"""Times in files: which field, which unit, even or not."""

from typing import Any

import numpy as np
import pytest
from helpers.keypoint_writers import KeypointsWriter, check_read, openpose, standing

from actionpose.keypoints import Keypoints
from actionpose.keypoints.frame_times import rate_and_times, times_of


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("timestamp_ms", [0, 80, 160]),
        ("timestampMs", [5000, 5080, 5160]),
        ("time_s", [1.0, 1.08, 1.16]),
        ("timestamp", [0, 80_000, 160_000]),
        ("time", [0.0, 0.08, 0.16]),
        ("ts", [1700000000123, 1700000000203, 1700000000283]),
        ("timestamp", [1700000000.12, 1700000000.2, 1700000000.28]),
        ("time_us", [0, 80_000, 160_000]),
        ("time", ["00:00:01.00", "00:00:01.08", "00:00:01.16"]),
        (
            "datetime",
            ["2026-11-28T10:00:00.12", "2026-11-28T10:00:00.20", "2026-11-28T10:00:00.28"],
        ),
    ],
)
def test_times_of_units(key: str, values: list[Any]) -> None:
    times = times_of([{"points": [1], key: value} for value in values])
    assert times is not None
    np.testing.assert_allclose(times, [0, 0.08, 0.16], atol=1e-6)


def test_times_of_refuses_to_guess() -> None:
    assert times_of([{"time": n} for n in range(5)]) is None  # 1 Hz or 1,000 Hz
    assert times_of([{"text": 0.1}, {"text": 0.2}]) is None
    assert times_of([{"time": 0.1}, {"time": None}]) is None
    assert times_of([[1], [2]]) is None


def test_rate_and_times() -> None:
    assert rate_and_times([5, 6, 7], [1.0, 1.04, 1.08]) == (25.0, None)
    # milliseconds of 60 Hz, and what the file says beside them
    assert rate_and_times(range(7), [0, 0.017, 0.033, 0.05, 0.067, 0.083, 0.1], 60.0) == (60, None)
    assert rate_and_times([0, 1, 2], [0, 0.1, 0.1]) is None
    known = rate_and_times([3, 4, 7, 8], [0, 0.04, 0.4, 0.44])
    assert known is not None and known[1] is not None and known[0] == pytest.approx(25)
    np.testing.assert_allclose(known[1], [0, 0.04, 0.16, 0.28, 0.4, 0.44])


def test_read_takes_the_times_of_the_file(write_keypoints: KeypointsWriter) -> None:
    body = standing(10)
    flat18 = np.concatenate([body, body[:, :1]], axis=1)  # of COCO-18's size
    frames = [openpose(points) | {"timestamp_ms": 80 * n} for n, points in enumerate(flat18)]
    found = Keypoints.read(write_keypoints(frames))
    assert (found.fps, found.rate_source, found.time_s) == (12.5, "file", None)
    frames[6]["timestamp_ms"] += 30
    found = Keypoints.read(write_keypoints(frames[::-1]))
    assert found.rate_source == "file, uneven"
    expected = np.arange(10) * 0.08
    expected[6] += 0.03
    np.testing.assert_allclose(found.times_s, expected)
    assert Keypoints.read(write_keypoints(frames), fps=25).times_s[-1] == pytest.approx(9 / 25)


def test_read_takes_names_that_are_times(write_keypoints: KeypointsWriter) -> None:
    body = standing(10)
    entries = [
        {"image_id": f"{1_700_000_000_000 + 40 * n}.png", "keypoints": p.ravel().tolist()}
        for n, p in enumerate(body)
    ]
    found = Keypoints.read(write_keypoints(entries))
    assert (found.fps, found.rate_source) == (25.0, "file")
    check_read(found, body)
