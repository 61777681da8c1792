"""One person before and after an absence, and notes on identities that are not certain."""

import numpy as np
import pytest

from actionpose.keypoints.identities import identify

SHAPE = np.random.default_rng(1).uniform(-50, 50, (9, 2))


def detections(*people: dict[int, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and keypoints of people by their places in frames of 30 Hz."""
    rows = sorted((t, x, y) for places in people for t, (x, y) in places.items())
    points = np.array([SHAPE + (x, y) for _, x, y in rows])
    keypoints = np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=-1)
    return np.array([t for t, _, _ in rows]) / 30, keypoints


def still(start: int, stop: int, x: float, y: float = 0.0) -> dict[int, tuple[float, float]]:
    return {t: (x, y) for t in range(start, stop)}


@pytest.mark.parametrize(("place", "frame", "count"), [(200, 60, 2), (200, 140, 3), (700, 60, 3)])
def test_identify_knows_who_comes_back_near_and_soon(place: float, frame: int, count: int) -> None:
    """Two person sizes aside, as after a somersault; not after four seconds or from elsewhere."""
    vanishes, returns, other = still(0, 30, 0), still(frame, 200, place), still(0, 200, -900)
    person, notes = identify(*detections(vanishes, returns, other))
    assert len(np.unique(person)) == count and len(notes) == (count == 2)
    if notes:
        assert "out of sight for 1.0 s" in notes[0] and "same person" in notes[0]


def test_identify_joins_nobody_if_two_could_be_meant() -> None:
    two_vanish = (still(0, 30, 0), still(0, 30, 250), still(60, 99, 125, 150))
    assert len(np.unique(identify(*detections(*two_vanish))[0])) == 3
    two_appear = (still(0, 30, 0), still(60, 99, 150), still(60, 99, -150))
    assert len(np.unique(identify(*detections(*two_appear))[0])) == 3


def test_identify_takes_no_stray_for_somebody_away() -> None:
    person, _ = identify(*detections(still(0, 30, 0), still(40, 42, 150), still(70, 99, 0, 180)))
    assert person[0] == person[-1] and person[30] != person[0]


def test_identify_notes_who_was_hidden_beside_somebody() -> None:
    passes = {t: (-300 + 10.0 * t, 0.0) for t in range(60) if abs(t - 32) > 3}
    person, notes = identify(*detections(passes, still(0, 60, 20)))
    assert len(np.unique(person)) == 2 and len(notes) == 1
    assert "ids 0 and 1 meet at 0.9 s" in notes[0]
    assert identify(*detections(still(0, 60, 20), still(0, 60, 300)))[1] == []
    assert identify(np.empty(0), np.empty((0, 9, 3)))[1] == []
