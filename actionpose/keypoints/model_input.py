"""What a model takes: each person's keypoints on its frame grid, in normalized image units.

Letters in shapes: T frames of the input, G frames of the grid, N windows, L frames of a window, J
joints of H36M17 or H36M17_FEET.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actionpose.geometry.camera import Frame2D, box_frame, image_frame
from actionpose.keypoints.core import Keypoints
from actionpose.keypoints.tracking import fill_gaps
from actionpose.skeletons import H36M17, Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import (
    SAME_TIME_S,
    interpolate,
    on_both_sides,
    same_rate,
    true_runs,
)
from actionpose.utils.typing import Array, BoolArray

BODY = len(H36M17)  # the joints that models see; those of feet change nothing for them


@dataclass(frozen=True, eq=False)
class PreparedTrack:
    """One person's keypoints on the frame grid of a model, with short gaps filled."""

    points: Array  # (G, J, 3) x, y in pixels and confidence
    valid: BoolArray  # (G,) the person is detected, or was filled in
    detected: BoolArray  # (G,) the person is detected
    grid_s: Array  # (G,) seconds; the input's own times where they are at the model's rate
    fps: float  # of the grid
    time_s: Array  # (T,) seconds of the input
    present: BoolArray  # (T,) as `valid`, at the times of the input
    image_size: tuple[int, int] | None

    @property
    def detected_points(self) -> Array:
        """(G, J, 3) without what was filled in."""
        return self.points * self.detected[:, None, None]

    def at_input_times(self, values: Array) -> Array:
        """(G, ...) values on the grid -> (T, ...) at the times of the input."""
        return (
            values if self.grid_s is self.time_s else interpolate(values, self.grid_s, self.time_s)
        )


def prepare_tracks(
    keypoints: Keypoints, fps: float, max_gap_s: float = 0.0, *, skeleton: Skeleton = H36M17
) -> list[PreparedTrack]:
    """The people of `keypoints` for a model that sees `fps` frames a second.

    Args:
        max_gap_s: see `tracking.fill_gaps`.
        skeleton: H36M17, or H36M17_FEET where the keypoints have feet.

    Raises:
        UserError: see `Keypoints.to_skeleton`.
    """
    mapped = keypoints.to_skeleton(skeleton)
    time_s = grid_s = mapped.times_s
    resampled = not same_rate(time_s, fps)
    if resampled:
        grid_s = time_s[0] + np.arange(0, time_s[-1] - time_s[0] + 0.5 / fps, 1 / fps)
    tracks = []
    for points, detected in zip(mapped.keypoints_px, mapped.valid, strict=True):
        points, present = fill_gaps(points, detected, time_s, max_gap_s)
        valid = present
        if resampled:
            visible = on_both_sides(points[..., 2] > 0, time_s, grid_s)
            valid = on_both_sides(present, time_s, grid_s) & visible[:, :BODY].any(axis=1)
            on_grid = interpolate(points, time_s, grid_s) * visible[..., None]
            rows, frames = _between_grid_times(present, valid, time_s, grid_s)
            on_grid[rows], valid[rows] = points[frames], True
            points, detected = on_grid, on_both_sides(detected, time_s, grid_s) & valid
            detected[rows] = True
        tracks.append(
            PreparedTrack(
                points=points.astype(np.float32),
                valid=valid,
                detected=detected,
                grid_s=grid_s,
                fps=fps if resampled else mapped.fps,
                time_s=time_s,
                present=present,
                image_size=mapped.image_size,
            )
        )
    return tracks


def _between_grid_times(
    present: BoolArray, valid: BoolArray, time_s: Array, grid_s: Array
) -> tuple[list[int], list[int]]:
    """Grid times that stand for appearances too short to hold one, and the frame each takes.

    Args:
        present: (T,) at `time_s`.
        valid: (G,) at `grid_s`.
    """
    rows, frames = [], []
    for run in true_runs(present):
        start_s, stop_s = time_s[run.start] - SAME_TIME_S, time_s[run.stop - 1] + SAME_TIME_S
        first, last = np.searchsorted(grid_s, [start_s, stop_s])
        if not valid[first:last].any():
            frame = (run.start + run.stop - 1) // 2
            rows.append(int(np.abs(grid_s - time_s[frame]).argmin()))
            frames.append(frame)
    return rows, frames


def normalize_windows(
    windows: Sequence[Array] | Array, normalization: str, image_size: tuple[int, int] | None
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Windows in a model's units, each by itself.

    Args:
        windows: N of (L, J, 3), x, y in pixels and confidence.
        normalization: by the "image", or by the "box" around the body without the feet; see
            `geometry.camera`.
        image_size: width and height in pixels; needed by the former.

    Returns:
        (N, L, J, 3), and (N,) pixels of one unit.

    Raises:
        UserError: the image size is needed and not known.
    """
    frames = [_window_frame(window, normalization, image_size) for window in windows]
    clips = [frame.normalize(window) for frame, window in zip(frames, windows, strict=True)]
    return np.stack(clips), np.array([frame.unit_px for frame in frames])


def _window_frame(window: Array, normalization: str, image_size: tuple[int, int] | None) -> Frame2D:
    if normalization == "box":
        # a lone keypoint has no size; whatever stands for it, the result is marked by confidence
        return box_frame(window[:, :BODY]) or Frame2D((0.0, 0.0), 1.0)
    if image_size is None:
        raise UserError("this model needs image_size, the width and height of the image in pixels")
    return image_frame(image_size)
