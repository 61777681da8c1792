"""Model input: the keypoints of each person at the frame rate of the model, normalized.

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

BODY = len(H36M17)  # joints that determine the normalization; foot joints do not affect it


@dataclass(frozen=True, eq=False)
class PreparedTrack:
    """The keypoints of one person on the frame grid of a model, with short gaps filled."""

    points: Array  # (G, J, 3) x and y in pixels, and confidence
    valid: BoolArray  # (G,) whether the person is detected or interpolated
    detected: BoolArray  # (G,) whether the person is detected
    grid_s: Array  # (G,) times in seconds; those of the input if it has the frame rate of the model
    fps: float  # frame rate of the grid
    time_s: Array  # (T,) times of the input in seconds
    present: BoolArray  # (T,) same as `valid`, at the times of the input
    image_size: tuple[int, int] | None

    @property
    def detected_points(self) -> Array:
        """(G, J, 3) Keypoints without interpolated frames."""
        return self.points * self.detected[:, None, None]

    def at_input_times(self, values: Array) -> Array:
        """Interpolate values (G, ...) on the grid to (T, ...) at the times of the input."""
        return (
            values if self.grid_s is self.time_s else interpolate(values, self.grid_s, self.time_s)
        )


def prepare_tracks(
    keypoints: Keypoints, fps: float, max_gap_s: float = 0.0, *, skeleton: Skeleton = H36M17
) -> list[PreparedTrack]:
    """Prepare the people of `keypoints` for a model with a frame rate of `fps`.

    Args:
        max_gap_s: See `tracking.fill_gaps`.
        skeleton: H36M17, or H36M17_FEET if the keypoints have feet.

    Raises:
        UserError: See `Keypoints.to_skeleton`.
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
    """Find grid times for appearances that are too short to contain one, and the frame for each.

    Args:
        present: (T,) Whether the person is present at `time_s`.
        valid: (G,) Whether the person is present at `grid_s`.
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
    """Normalize windows independently to the coordinates of a model.

    Args:
        windows: N windows (L, J, 3) with x and y in pixels, and confidence.
        normalization: "image", or "box" for the bounding box of the body without feet; see
            `geometry.camera`.
        image_size: Width and height in pixels, required for "image".

    Returns:
        (N, L, J, 3) normalized windows, and (N,) their units in pixels.

    Raises:
        UserError: If the image size is required and unknown.
    """
    frames = [_window_frame(window, normalization, image_size) for window in windows]
    clips = [frame.normalize(window) for frame, window in zip(frames, windows, strict=True)]
    return np.stack(clips), np.array([frame.unit_px for frame in frames])


def _window_frame(window: Array, normalization: str, image_size: tuple[int, int] | None) -> Frame2D:
    if normalization == "box":
        # a single keypoint has no size; any value works, because the confidence marks the result
        return box_frame(window[:, :BODY]) or Frame2D((0.0, 0.0), 1.0)
    if image_size is None:
        raise UserError("this model needs image_size, the width and height of the image in pixels")
    return image_frame(image_size)
