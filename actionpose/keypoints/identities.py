"""Identities over a clip: tracks, linked across absences, and notes on uncertain identities."""

import numpy as np

from actionpose.keypoints.tracking import MIN_FRAMES, boxes, track
from actionpose.utils.typing import Array, IntArray

MAX_ABSENCE_S = 3.0  # a person who is absent for longer gets a new identity
# maximum displacement during an absence in person sizes: initial, per second, and in total
_REACH, _SPEED, _MAX_REACH = 1.0, 2.0, 3.0
_SIZE_RATIO = 2.0  # maximum ratio of the sizes of a person before and after an absence
_MAX_NOTES = 5  # maximum number of notes of the same kind
_MEETING_S, _MEETING = 0.2, 0.5  # minimum absence, and maximum distance in person sizes


def identify(time_s: Array, keypoints: Array, *, lone: bool = False) -> tuple[IntArray, list[str]]:
    """Assign detections to people by `tracking.track`, across absences of up to three seconds.

    Two tracks are linked if the second starts soon after the end of the first, nearby and at a
    similar size, and no other track is a candidate for either.

    Returns:
        (N,) person of each detection, and notes on uncertain identities.
    """
    person = track(time_s, keypoints, lone=lone)
    notes: list[str] = []
    (low, high), visible = boxes(keypoints), np.any(keypoints[..., 2] > 0, axis=1)
    middle, size = (low + high) / 2, np.maximum((high - low).max(1), 1.0)
    order = np.lexsort((time_s, person))
    order = order[np.asarray(visible)[order]]
    rows = np.split(order, np.flatnonzero(np.diff(person[order])) + 1)  # of each person, in time
    long = [own for own in rows if len(own) >= MIN_FRAMES]
    if len(long) > 1:
        first, last = (np.array([own[i] for own in long]) for i in (0, -1))
        usual = np.array([np.quantile(size[own], 0.9) for own in long])
        away_s = time_s[first] - time_s[last][:, None]  # (ended, started)
        distance = np.linalg.norm(middle[first] - middle[last][:, None], axis=-1)
        reach = np.minimum(_REACH + _SPEED * away_s, _MAX_REACH)
        ratio = usual / usual[:, None]
        one = (away_s > 0) & (away_s <= MAX_ABSENCE_S) & (distance <= reach * usual[:, None])
        one &= (ratio < _SIZE_RATIO) & (ratio > 1 / _SIZE_RATIO)
        one &= (one.sum(0) == 1) & (one.sum(1, keepdims=True) == 1)
        in_time = sorted(np.argwhere(one).tolist(), key=lambda pair: time_s[first[pair[1]]])
        for before, after in in_time:
            number = person[first[before]]
            person[long[after]] = number
            notes.append(
                f"id {number} is out of sight for {away_s[before, after]:.1f} s from "
                f"{time_s[last[before]]:.1f} s on: who appears nearby is taken for the same person"
            )
    meetings = _meeting_notes(time_s, middle, size, person)
    return person, [*_few(notes), *_few(meetings)]


def _few(notes: list[str]) -> list[str]:
    more = len(notes) - _MAX_NOTES
    return notes if more <= 0 else [*notes[:_MAX_NOTES], f"{more} more notes of this kind"]


def _meeting_notes(time_s: Array, middle: Array, size: Array, person: IntArray) -> list[str]:
    """Notes on people who are occluded near others, because their identities may be swapped."""
    order = np.lexsort((time_s, person))
    before, after = order[:-1], order[1:]
    hidden = (person[before] == person[after]) & (time_s[after] - time_s[before] >= _MEETING_S)
    pairs: dict[tuple[int, int], float] = {}
    for row in before[hidden]:
        beside = (time_s == time_s[row]) & (person != person[row])
        beside &= np.linalg.norm(middle - middle[row], axis=-1) < _MEETING * size[row]
        for other in person[beside].tolist():
            pair = (min(other, int(person[row])), max(other, int(person[row])))
            pairs[pair] = min(pairs.get(pair, np.inf), float(time_s[row]))
    return [
        f"ids {one} and {other} meet at {at_s:.1f} s: they may be exchanged from there on"
        for (one, other), at_s in sorted(pairs.items(), key=lambda item: item[1])
    ]
