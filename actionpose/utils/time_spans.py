"""Selection of parts of recordings by person and time span."""

import math

import numpy as np

from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array, BoolArray, IntArray


def checked_span(start_s: float | None, stop_s: float | None) -> tuple[float, float]:
    """Start and stop in seconds, infinite if they are None.

    Raises:
        UserError: If the start is not less than the stop.
    """
    start = -math.inf if start_s is None else start_s
    stop = math.inf if stop_s is None else stop_s
    if not start < stop:
        raise UserError(f"start_s must be less than stop_s, not {start:g} and {stop:g}")
    return start, stop


def chosen_part(
    valid: BoolArray,
    track_id: IntArray,
    time_s: Array,
    person: int | None,
    start_s: float | None,
    stop_s: float | None,
) -> tuple[IntArray, IntArray]:
    """Indices of people and frames of a selection, without people who are not visible in it.

    Args:
        valid: (P, T) Whether a person is visible.
        track_id: (P,) Track ids.
        time_s: (T,) Times of the frames in seconds.
        person: A value of `track_id`, or None for all people.
        start_s: Start in seconds, see `checked_span`.
        stop_s: Stop in seconds; a frame at this time is excluded.

    Raises:
        UserError: If the person does not exist, or no frame or person is in the selection.
    """
    start, stop = checked_span(start_s, stop_s)
    frames = np.flatnonzero((time_s >= start) & (time_s < stop))
    if not frames.size:
        raise UserError(
            f"there is no frame from {start:g} to {stop:g} s: the first is at {time_s[0]:g}, the "
            f"last at {time_s[-1]:g} s"
        )
    rows = np.arange(len(track_id))
    if person is not None:
        rows = np.flatnonzero(track_id == person)
        if not rows.size:
            known = ", ".join(map(str, track_id[:20]))
            raise UserError(f"no person has the track id {person}: the ids are {known}")
    rows = rows[valid[np.ix_(rows, frames)].any(axis=1)]
    if not rows.size:
        raise UserError("nobody is visible in this part")
    return rows, frames
