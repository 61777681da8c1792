"""Data of live lifting: recent keypoints of a person, windows to lift, and poses.

Letters in shapes: P persons, J joints, T frames of a window, L maximum length of a window.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actionpose.utils.resampling import SAME_TIME_S
from actionpose.utils.typing import Array, BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """The poses of all people in one frame, at the frame rate of the model.

    Attributes:
        time_s: Time of the frame in seconds, as in the input.
        track_id: (P,) Identities of the people with a pose. P may be 0.
        pose_m: (P, J, 3) Poses in meters with the pelvis at the origin, as in `Result`.
        keypoints_px: (P, J, 3) x and y in pixels, and confidence.
        valid: (P,) True if the person was detected, False if the gap was filled.
        uncertainty_mm: (P, J) As in `Result`; None if the model has no heads.
    """

    time_s: float
    track_id: IntArray
    pose_m: NDArray[np.float32]
    keypoints_px: NDArray[np.float32]
    valid: BoolArray
    uncertainty_mm: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Window:
    """A window to lift: the last T frames of P people."""

    first: int  # index of the first frame of the grid
    track_id: IntArray  # (P,)
    points: Array  # (P, T, J, 3)
    valid: BoolArray  # (P, T)
    detected: BoolArray  # (P, T)


class LivePerson:
    """The last L grid frames of a person, zero where the person was not detected.

    After each frame, the content is the same as that of `prepare_tracks` for all frames so far.

    Args:
        length: Length L.
        joints: Number of joints J.
        max_gap_s: Longest absence in seconds that is filled when the person reappears.
    """

    def __init__(self, length: int, joints: int, max_gap_s: float):
        self.points = np.zeros((length, joints, 3), dtype=np.float32)
        self.detected = np.zeros(length, dtype=bool)
        self.valid = np.zeros(length, dtype=bool)  # detected or filled
        self._max_gap_s = max_gap_s
        self._last: tuple[float, Array] | None = None  # time and keypoints of the last detection

    def advance(self, count: int) -> None:
        """Append a number of grid frames without keypoints."""
        for values in (self.points, self.detected, self.valid):
            values[:-count] = values[count:].copy()
            values[-count:] = 0

    def see(self, points: Array, time_s: float, grid_s: Array, *, follows: bool) -> None:
        """Add a detection, and interpolate the grid frames since the last detection.

        Args:
            points: (J, 3) x and y in pixels, and confidence.
            time_s: Time of the detection in seconds.
            grid_s: (L,) Times of the frames in the buffer, up to `time_s`.
            follows: Whether the person was also detected in the previous frame.
        """
        last_s, last = (time_s, points) if self._last is None else self._last
        self._last = time_s, points
        if time_s - last_s > self._max_gap_s:
            last_s, last = time_s, points
        rows = np.flatnonzero((grid_s > last_s + SAME_TIME_S) | (grid_s > time_s - SAME_TIME_S))
        if not len(rows):
            return
        step_s = max(time_s - last_s, SAME_TIME_S)
        alpha = np.clip((grid_s[rows] - last_s) / step_s, 0, 1)
        alpha[grid_s[rows] > time_s - SAME_TIME_S] = 1
        mixed = last + alpha[:, None, None] * (points - last)
        # a joint that is missing in one of the detections is missing in between
        between = (last[:, 2] > 0) & (points[:, 2] > 0)
        at_end = alpha == 1
        visible = np.where(at_end[:, None], points[:, 2] > 0, between)
        self.points[rows] = mixed * visible[..., None]
        self.valid[rows] = visible.any(axis=1)
        self.detected[rows] = self.valid[rows] & (at_end | follows)
