"""Upside down and mirrored: said, and turned back."""

import numpy as np
import pytest
from helpers.keypoint_writers import KeypointsWriter, alphapose, check_read, standing

from actionpose.keypoints import Keypoints
from actionpose.skeletons import COCO17

SIZE = (1768, 994)


def clip(points: np.ndarray) -> list[dict[str, object]]:
    return [alphapose(f"{n}.jpg", p) for n, p in enumerate(points)]


def test_y_up_is_said_and_turned_down(write_keypoints: KeypointsWriter) -> None:
    expected = standing()
    up = expected.copy()
    up[..., 1] = SIZE[1] - up[..., 1]
    path = write_keypoints(clip(up))
    [note] = Keypoints.read(path, image_size=SIZE).notes
    assert "100%" in note and "y_up=True" in note
    found = Keypoints.read(path, image_size=SIZE, y_up=True)
    check_read(found, expected)
    assert found.notes == ()


def test_x_to_the_left_is_said_and_turned(write_keypoints: KeypointsWriter) -> None:
    expected = standing()
    left = expected.copy()
    left[..., 0] = SIZE[0] - left[..., 0]
    path = write_keypoints(clip(left))
    [note] = Keypoints.read(path, image_size=SIZE).notes
    assert "mirrored=True" in note
    found = Keypoints.read(path, image_size=SIZE, mirrored=True)
    check_read(found, expected)
    assert "stay" in found.notes[0]


def test_mirrored_image_exchanges_sides(write_keypoints: KeypointsWriter) -> None:
    """A detector names the hand that waves in a mirrored image the right one."""
    expected = standing()
    seen = expected[:, COCO17.mirror]
    seen[..., 0] = SIZE[0] - seen[..., 0]
    path = write_keypoints(clip(seen))
    assert Keypoints.read(path, image_size=SIZE).notes == ()  # it does not show
    found = Keypoints.read(path, image_size=SIZE, mirrored=True)
    check_read(found, expected)
    assert "exchanged" in found.notes[0]


@pytest.mark.parametrize("kind", ["facing", "back", "side", "lying"])
def test_ordinary_people_have_no_note(write_keypoints: KeypointsWriter, kind: str) -> None:
    points = standing()
    if kind == "back":  # the face is not sure
        points[..., 0] = 1200 - points[..., 0]
        points[:, :5, 2] = 0.2
    elif kind == "side":
        points[..., 0] = 600 - 0.1 * (points[..., 0] - 600)
    elif kind == "lying":
        points[..., :2] = points[..., 1::-1]
    assert Keypoints.read(write_keypoints(clip(points))).notes == ()
