"""Left and right put back, and clean keypoints left as they are."""

from pathlib import Path

import numpy as np
import pytest

import actionpose
from actionpose.keypoints import Keypoints
from actionpose.keypoints.side_swaps import without_side_swaps
from actionpose.skeletons import H36M17, H36M17_FEET

CLIP = Path(actionpose.__file__).parent / "assets" / "demo_keypoints.npz"
LEGS = H36M17.indices(*(f"{s}_{p}" for p in ("hip", "knee", "ankle") for s in ("left", "right")))


@pytest.fixture(scope="module")
def clip() -> Keypoints:
    """66 frames of a detector on a real video, without swaps."""
    return Keypoints.read(CLIP).to_skeleton(H36M17)


def put_back(points: np.ndarray, clip: Keypoints) -> tuple[np.ndarray, list[int]]:
    found, changed = without_side_swaps(points, clip.valid[0], clip.times_s, H36M17)
    return found, np.flatnonzero(changed).tolist()


def test_without_side_swaps_leaves_clean_keypoints(clip: Keypoints) -> None:
    for step in (1, 3):
        points, time_s = clip.keypoints_px[0, ::step], clip.times_s[::step]
        found, changed = without_side_swaps(points, clip.valid[0, ::step], time_s, H36M17)
        assert not changed.any() and np.array_equal(found, points)


def test_without_side_swaps_turns_no_hips_against_shoulders() -> None:
    """Legs that cross by their speed are not exchanged where the trunk says that they are not."""
    clip = Keypoints.read(CLIP).to_skeleton(H36M17_FEET)
    points = clip.keypoints_px[0, 1::6]  # at the wrong rate: jumping jacks at six times the speed
    found, changed = without_side_swaps(
        points, clip.valid[0, 1::6], np.arange(len(points)) / 30, H36M17_FEET
    )
    assert not changed.any() and np.array_equal(found, points)


@pytest.mark.parametrize("joints", [range(len(H36M17)), LEGS])
@pytest.mark.parametrize("frames", [[20, 21, 22, 40, 41], [0, 65], [30], list(range(10, 35))])
def test_without_side_swaps_puts_short_swaps_back(
    clip: Keypoints, joints: list[int], frames: list[int]
) -> None:
    points = clip.keypoints_px[0].copy()
    mirrored = [H36M17.mirror[joint] for joint in joints]
    points[np.ix_(frames, joints)] = clip.keypoints_px[0][np.ix_(frames, mirrored)]
    found, changed = put_back(points, clip)
    assert changed == frames and np.array_equal(found, clip.keypoints_px[0])


def test_without_side_swaps_leaves_who_turns_around_and_what_is_exchanged_for_long(
    clip: Keypoints,
) -> None:
    turning = clip.keypoints_px[0].copy()
    middle = turning[:, :1, 0]
    turning[..., 0] = middle + (turning[..., 0] - middle) * np.cos(np.linspace(0, 9, 66))[:, None]
    assert put_back(turning, clip)[1] == []
    late = clip.keypoints_px[0].copy()
    late[30:] = late[30:, H36M17.mirror]
    times_s = 2 * clip.times_s  # so that each half is longer than a second
    assert not without_side_swaps(late, clip.valid[0], times_s, H36M17)[1].any()


def test_without_side_swaps_ignores_missing_joints_and_times_far_apart(clip: Keypoints) -> None:
    points = clip.keypoints_px[0].copy()
    points[20:23] = points[20:23][:, H36M17.mirror]
    points[::7, LEGS] = 0
    assert set(put_back(points, clip)[1]) == {20, 21, 22}
    sparse = without_side_swaps(points[::10], clip.valid[0, ::10], clip.times_s[::10], H36M17)
    assert not sparse[1].any()
    nobody = without_side_swaps(points * 0, clip.valid[0], clip.times_s, H36M17)
    assert not nobody[1].any()
