"""Who is who: people who cross, leave, return; their order; short gaps."""

import numpy as np
import pytest

from actionpose.keypoints.tracking import MEMORY_S, ORDERS, fill_gaps, person_order, track
from actionpose.utils.errors import UserError

RATE_HZ = 30.0
SHAPE = np.random.default_rng(5).uniform(0, 200, (26, 2))


def body(x: float, y: float, scale: float = 1.0) -> np.ndarray:
    """(26, 3): a fixed body 200 px high, moved to x, y."""
    return np.concatenate([SHAPE * scale + (x, y), np.full((26, 1), 0.5)], axis=1)


def detections(tracks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, T, J, 3) -> times, keypoints, shuffled, with who they truly are."""
    people, frames = tracks.shape[:2]
    person, frame = np.divmod(np.arange(people * frames), frames)
    points = tracks.reshape(people * frames, *tracks.shape[2:])
    there = (points[..., 2] > 0).any(-1)
    shuffled = np.random.default_rng(1).permutation(np.flatnonzero(there))
    return frame[shuffled] / RATE_HZ, points[shuffled], person[shuffled]


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


@pytest.mark.parametrize("start", [300, 303, 305, 307])
def test_track_keeps_identities_of_people_who_cross(start: int) -> None:
    rng = np.random.default_rng(0)
    steps = np.arange(60)
    ways = [steps * 10, 2 * start - steps * 10]  # alike, at one height, through one another
    tracks = np.stack([[body(x, 0) for x in way] for way in ways])
    tracks[..., :2] += rng.normal(0, 2, tracks[..., :2].shape)
    time_s, points, truth = detections(tracks)
    apart = time_s != start / 10 / RATE_HZ  # where they are in one place, either is right
    assert same_partition(track(time_s, points)[apart], truth[apart])


def test_track_keeps_identities_through_occlusion() -> None:
    """Only one is seen for a third of a second; both come out as who they were."""
    steps = np.arange(60)
    tracks = np.stack([[body(x, 0) for x in way] for way in (steps * 12, 720 - steps * 12)])
    tracks[1, 25:35] = 0
    time_s, points, truth = detections(tracks)
    assert same_partition(track(time_s, points), truth)


def test_track_forgets_people_after_its_memory() -> None:
    steps = np.arange(100)
    tracks = np.stack([[body(2000, 0) for _ in steps], [body(5 * n, 0) for n in steps]])
    time_s, points, truth = detections(tracks)
    for stop, people in ((50, 2), (80, 3)):
        shown = (truth == 0) | (time_s < 1) | (time_s >= stop / RATE_HZ)
        found = track(time_s[shown], points[shown])
        assert len(set(found)) == people
        assert len(set(found[truth[shown] == 0])) == 1
        assert track(time_s[shown], points[shown], memory_s=3).max() == 1


def test_track_memory_counts_seconds() -> None:
    """The same absence of 0.9 s at 10 and at 100 frames a second."""
    for fps in (10, 100):
        time_s = np.array([0, 1, *(np.arange(2) + 1 + 0.9 * fps)]) / fps
        assert track(time_s, np.stack([body(0, 0)] * 4)).tolist() == [0, 0, 0, 0]


def test_track_lone_person_who_comes_back() -> None:
    """A detector that sees one person at a time: the same one, unless of another size."""
    time_s = np.array([0.0, 0.1, 9.0, 9.1])
    moved = np.stack([body(0, 0), body(5, 0), body(900, 100), body(905, 100)])
    assert time_s[2] - time_s[1] > MEMORY_S
    assert track(time_s, moved).tolist() == [0, 0, 1, 1]
    assert track(time_s, moved, lone=True).tolist() == [0, 0, 0, 0]
    other = np.stack([body(0, 0), body(5, 0), body(900, 100, 3), body(905, 100, 3)])
    assert track(time_s, other, lone=True).tolist() == [0, 0, 1, 1]
    # no absence: the detector has changed over to somebody else
    assert track(np.array([0.0, 0.1, 0.2, 0.3]), moved, lone=True).tolist() == [0, 0, 1, 1]


def test_track_ignores_a_stray_detection() -> None:
    # one goes, a stray comes, one moves on: the greatest sum of all similarities would be wrong
    points = np.stack([body(x, 0) for x in (0, 400, 340, 900)])
    assert track(np.array([0, 0, 1, 1]) / RATE_HZ, points).tolist() == [0, 1, 1, 2]


def test_track_compares_joints_visible_in_both() -> None:
    tracks = np.stack([[body(x + n, 0) for n in range(20)] for x in (0, 600)])
    tracks[:, ::2, :13] = 0
    tracks[:, 1::2, 15:] = 0
    time_s, points, truth = detections(tracks)
    assert same_partition(track(time_s, points), truth)


def test_track_judges_steps_by_the_persons_size() -> None:
    """A small person's step is judged by their own size: 60 px is far for 50, near for 600 px."""
    near, far = [body(0, 0, 3), body(60, 0, 3)], [body(1500, 0, 0.25), body(1560, 0, 0.25)]
    points = np.stack([near[0], far[0], near[1], far[1]])
    assert track(np.array([0, 0, 1, 1]) / RATE_HZ, points).tolist() == [0, 1, 0, 2]


def test_track_without_detections() -> None:
    assert track(np.empty(0), np.empty((0, 26, 3))).shape == (0,)


def test_person_order() -> None:
    steps = np.arange(30)
    small_early_mover = [body(8 * n, 0, 0.5) for n in steps]
    large_late = [np.zeros((26, 3))] * 10 + [body(900, 0, 2)] * 20
    middle = [np.zeros((26, 3))] + [body(500 + n, 0) for n in steps[1:]]
    points = np.stack([small_early_mover, middle, large_late])
    valid = (points[..., 2] > 0).any(-1)
    assert person_order(points, valid, "largest") == [2, 1, 0]
    assert person_order(points, valid, "first") == [0, 1, 2]
    assert person_order(points, valid, "most-moving") == [0, 1, 2]
    assert person_order(points[::-1], valid[::-1], "first") == [2, 1, 0]
    absent = np.concatenate([points[:1] * 0, points[2:]])
    for order in ORDERS:
        assert person_order(absent, (absent[..., 2] > 0).any(-1), order) == [1, 0]
    with pytest.raises(UserError, match="most-moving"):
        person_order(points, valid, "tallest")


def test_fill_gaps_up_to_a_length() -> None:
    points = np.stack([body(10 * n, 5 * n) for n in range(40)])
    truth = points.copy()
    valid = np.ones(40, dtype=bool)
    valid[:2] = valid[5:8] = valid[20:30] = valid[-1:] = False
    points[~valid] = 0
    time_s = np.arange(40) / RATE_HZ
    filled, there = fill_gaps(points, valid, time_s, max_gap_s=0.15)
    assert np.flatnonzero(~there).tolist() == [0, 1, *range(20, 30), 39]
    np.testing.assert_allclose(filled[there], truth[there], atol=1e-9)
    assert (filled[~there] == 0).all()
    assert fill_gaps(points, valid, time_s, 0.0)[1].tolist() == valid.tolist()
    assert fill_gaps(points, valid, time_s, 0.4)[1].sum() == 37


def test_fill_gaps_by_time_where_both_sides_have_a_joint() -> None:
    points = np.stack([body(0, 0), np.zeros((26, 3)), body(100, 0)])
    points[2, 4] = 0
    filled, there = fill_gaps(points, np.array([True, False, True]), np.array([0, 0.1, 0.4]))
    np.testing.assert_allclose(filled[1, 0, 0], SHAPE[0, 0] + 25)
    assert (filled[1, 4] == 0).all() and there.all()


def test_track_is_the_same_where_far_pairs_are_compared_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(2)
    tracks = np.stack([[body(40 * p + 3 * t, 0, 0.5) for t in range(30)] for p in range(8)])
    tracks[..., :2] += rng.normal(0, 8, tracks[..., :2].shape)
    tracks[rng.random(tracks.shape[:3]) < 0.3] = 0
    time_s, points, _ = detections(tracks)
    found = track(time_s, points)
    monkeypatch.setattr("actionpose.keypoints.tracking._NEAR", np.inf)
    assert (track(time_s, points) == found).all()
