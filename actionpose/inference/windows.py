"""Lifting one person in overlapping windows of the length that the model was trained with.

Every window is normalized by itself, lifted, brought to one stature, and blended into its
neighbors. Letters in shapes: N windows, T frames of the input, G frames of the grid, J joints.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from actionpose.geometry.joint_conventions import without_offsets
from actionpose.geometry.stature import STATURE_PER_CHAIN, chain_length
from actionpose.inference import flip_averaging
from actionpose.inference.engines.base import Engine
from actionpose.keypoints.model_input import PreparedTrack, normalize_windows
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import interpolate
from actionpose.utils.sliding_windows import blend, sliding_windows
from actionpose.utils.typing import Array

Progress = Callable[[int], object]

_BATCH = 8  # windows at a time; more leave the cache of a CPU
_SHORTEST = 1e-6  # of the bones from ankle to head, in pixels: weights of zeros give none


@dataclass(frozen=True)
class Quality:
    """How much is computed for a frame.

    Args:
        overlap: windows that cover it.
        in_turns: every other window is lifted mirrored; else each window and its mirror image is.
        rough_step: frames from one rough pose to the next.
    """

    overlap: int
    in_turns: bool
    rough_step: int


# `benchmarks/lifting_quality.py` measures their errors
QUALITIES = {"fast": Quality(2, True, 4), "best": Quality(3, False, 1)}


@dataclass(frozen=True)
class WindowLifter:
    """A network that lifts motions of any length.

    Args:
        frames: of a window.
        normalization: see `normalize_windows`.
        checkpoint: its name, for errors.
        quality: a key of `QUALITIES`.
    """

    engine: Engine
    frames: int
    normalization: str
    checkpoint: str
    quality: str = "best"

    def lift(
        self, track: PreparedTrack, progress: Progress, detector_offsets: Array | None
    ) -> Array:
        """(T, J, 3) poses in fractions of the person's stature, at the times of the input.

        With heads it is (T, J, 4): the last is the logarithm of the expected error.

        Args:
            progress: called with the number of frames lifted since the last call.
            detector_offsets: to remove before; see `without_offsets`.
        """
        if detector_offsets is not None:
            points = without_offsets(track.points, self._rough_pose(track), detector_offsets)
            track = replace(track, points=points)
        fraction = len(track.time_s) / len(track.grid_s)
        windows = self._lift_windows(track, lambda frames: progress(round(frames * fraction)))
        channels = 3 + (self.engine.encoder.heads is not None)
        pose = blend(windows, (*track.points.shape[:2], channels))
        return track.at_input_times(pose) * track.present[:, None, None]

    def _rough_pose(self, track: PreparedTrack) -> Array:
        """(G, J, 3) in pixels; between the frames that are lifted it is interpolated."""
        step = QUALITIES[self.quality].rough_step
        points = track.points[::step]
        pose = np.zeros(points.shape)
        for start, stop in sliding_windows(len(pose), self.frames, overlap=1):
            window = points[None, start:stop]
            pose[start:stop] = self.predict(window, track.image_size, flip=False)[0][0]
        times = np.arange(len(track.points), dtype=np.float64)
        return interpolate(pose, times[::step], times)

    def _lift_windows(
        self, track: PreparedTrack, progress: Progress
    ) -> Iterator[tuple[int, Array]]:
        """First frame and values of each window in which the person is visible, at one stature."""
        quality = QUALITIES[self.quality]
        spans = sliding_windows(len(track.points), self.frames, overlap=quality.overlap).tolist()
        in_turns = quality.in_turns and len(spans) > 1
        done = 0
        for first in range(0, len(spans), _BATCH):
            batch = spans[first : first + _BATCH]
            shown = np.array([track.valid[start:stop].any() for start, stop in batch])
            visible = [span for span, seen in zip(batch, shown, strict=True) if seen]
            if visible:
                windows = np.stack([track.points[start:stop] for start, stop in visible])
                odd = torch.from_numpy(np.flatnonzero(shown) % 2 == 1)  # _BATCH is even
                flip = odd if in_turns else True
                poses, log_errors = self.predict(windows, track.image_size, flip=flip)
                for number, ((start, stop), pose) in enumerate(zip(visible, poses, strict=True)):
                    chain = chain_length(pose[track.valid[start:stop]])
                    if chain < _SHORTEST:
                        raise self._damaged("poses without extent")
                    pose = pose / (chain * STATURE_PER_CHAIN)
                    if log_errors is not None:
                        pose = np.concatenate([pose, log_errors[number, ..., None]], axis=-1)
                    yield start, pose
            progress(batch[-1][1] - done)
            done = batch[-1][1]

    def predict(
        self,
        windows: Array,
        image_size: tuple[int, int] | None,
        *,
        flip: bool | torch.Tensor = True,
    ) -> tuple[Array, Array | None]:
        """Poses of windows of at most `frames` frames in the units of their keypoints.

        Args:
            windows: (N, T, J, 3) x, y, confidence.
            flip: see `flip_averaging.predict_with_error`.

        Returns:
            (N, T, J, 3), the pelvis at the origin; and (N, T, J) the logarithm of the expected
            errors in fractions of the stature, or None without heads.

        Raises:
            UserError: see `normalize_windows`; or the poses are not finite.
        """
        clips, unit_px = normalize_windows(windows, self.normalization, image_size)
        inputs = torch.from_numpy(clips).to(self.engine.device)
        pose, log_error = flip_averaging.predict_with_error(self.engine, inputs, flip=flip)
        if not pose.isfinite().all():
            raise self._damaged("poses that are not finite")
        errors = None if log_error is None else log_error.double().cpu().numpy()
        return pose.cpu().numpy().astype(np.float64) * unit_px[:, None, None, None], errors

    def _damaged(self, found: str) -> UserError:
        return UserError(f"the checkpoint {self.checkpoint} is damaged: it gives {found}")
