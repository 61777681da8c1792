"""Tables with columns of joints."""

from collections.abc import Callable

import numpy as np
import pytest
from helpers.keypoint_writers import KeypointsWriter, check_read, standing

from actionpose.keypoints import Keypoints
from actionpose.skeletons import COCO17, MEDIAPIPE33

SIZE = (1768, 994)


def table(
    body: np.ndarray, name: Callable[[str, str], str], first: dict[str, list[object]] | None = None
) -> str:
    """Rows of `body` (T, 17, 3), with further columns before them."""
    first = first or {}
    axes = ("x", "y", "score")
    rows = [[*first, *(name(joint, axis) for joint in COCO17.joints for axis in axes)]]
    for n, points in enumerate(body):
        rows.append([*(str(column[n]) for column in first.values()), *map(str, points.ravel())])
    return "\n".join(",".join(row) for row in rows) + "\n"


@pytest.mark.parametrize(
    "name",
    [
        "{}.{}".format,
        "{}_{}".format,
        lambda joint, axis: f"{joint.upper()} {axis}",
        lambda joint, axis: f"2D{axis.upper()}_{joint}" if axis != "score" else f"visible_{joint}",
    ],
)
def test_columns_by_name(write_keypoints: KeypointsWriter, name: Callable[..., str]) -> None:
    expected = standing()
    found = Keypoints.read(write_keypoints(table(expected, name), "a.csv"))
    check_read(found, expected)


def test_numbered_columns_are_mediapipes(write_keypoints: KeypointsWriter) -> None:
    body = np.random.default_rng(0).uniform(0.1, 0.9, (8, 33, 4)).round(4)
    for first in (0, 1):
        head = ",".join(f"{a}{n + first}" for n in range(33) for a in "xyzv")
        lines = [head, *(",".join(map(str, row.ravel())) for row in body)]
        found = Keypoints.read(write_keypoints("\n".join(lines), "a.csv"), image_size=SIZE)
        assert found.skeleton is MEDIAPIPE33
        pixels = body[..., [0, 1, 3]] * (*SIZE, 1)
        np.testing.assert_allclose(found.keypoints_px[0], pixels, atol=1e-3)


def test_tracks_frames_and_gaps_of_sleap(write_keypoints: KeypointsWriter) -> None:
    both = np.stack([standing(12), standing(12, x=1200)], axis=1)
    numbers: list[object] = np.repeat(np.arange(5, 17), 2).tolist()
    first: dict[str, list[object]] = {"track": ["track_0", "track_1"] * 12, "frame_idx": numbers}
    text = table(both.reshape(24, 17, 3), "{}.{}".format, first)
    text = text.replace("592.0,92.0,0.9", ",,", 1)  # the right eye is missing once
    found = Keypoints.read(write_keypoints(text, "a.csv"))
    assert (found.num_persons, found.first_frame) == (2, 5)
    expected = both.swapaxes(0, 1).copy()
    expected[0, 0, 2] = 0
    np.testing.assert_allclose(found.keypoints_px, expected, atol=1e-3)


def test_a_column_of_times_is_used(write_keypoints: KeypointsWriter) -> None:
    text = table(standing(), "{}_{}".format, {"timestamp_ms": [50 * n for n in range(12)]})
    assert Keypoints.read(write_keypoints(text, "a.csv")).fps == 20


def test_semicolons_and_decimal_commas(write_keypoints: KeypointsWriter) -> None:
    expected = standing()
    text = table(expected, "{}_{}".format).replace(",", ";").replace(".", ",")
    check_read(Keypoints.read(write_keypoints(text, "a.csv")), expected)
