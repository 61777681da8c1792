"""Lifting of one person in overlapping windows of the length used in training.

Each window is normalized independently, lifted, scaled to a fixed body height, and blended with its
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

_BATCH = 8  # windows per batch; larger batches do not fit the cache of a CPU
_SHORTEST = 1e-6  # minimum length from ankles to head in pixels; zero weights give less


@dataclass(frozen=True)
class Quality:
    """Amount of computation per frame.

    Args:
        overlap: Number of windows that cover a frame.
        in_turns: Whether to mirror every other window, instead of lifting each window and its
            mirror image.
        rough_step: Step in frames between approximate poses.
    """

    overlap: int
    in_turns: bool
    rough_step: int


# errors measured by `benchmarks/lifting_quality.py`
QUALITIES = {"fast": Quality(2, True, 4), "best": Quality(3, False, 1)}


@dataclass(frozen=True)
class WindowLifter:
    """Lifts motions of any length with a network.

    Args:
        engine: Inference engine of the network.
        frames: Length of windows in frames.
        normalization: See `normalize_windows`.
        checkpoint: Name of the checkpoint for error messages.
        quality: Key of `QUALITIES`.
    """

    engine: Engine
    frames: int
    normalization: str
    checkpoint: str
    quality: str = "best"

    def lift(
        self, track: PreparedTrack, progress: Progress, detector_offsets: Array | None
    ) -> Array:
        """Lift a person to poses (T, J, 3), relative to the body height, at the times of the input.

        With heads, the shape is (T, J, 4), and the last channel is the log of the expected error.

        Args:
            track: Keypoints of the person.
            progress: Function that is called with the number of frames lifted since the last call.
            detector_offsets: Joint offsets to remove from the keypoints, or None; see
                `without_offsets`.
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
        """Approximate pose (G, J, 3) in pixels, interpolated between every few frames."""
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
        """First frame and values of each window with a visible person, at a fixed body height."""
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
        """Predict the poses of windows of up to `frames` frames in the units of their keypoints.

        Args:
            windows: (N, T, J, 3) x, y and confidence.
            image_size: Width and height in pixels, see `normalize_windows`.
            flip: See `flip_averaging.predict_with_error`.

        Returns:
            (N, T, J, 3) poses with the pelvis at the origin, and (N, T, J) the log of the expected
            errors relative to the body height, or None without heads.

        Raises:
            UserError: If the poses are not finite; see also `normalize_windows`.
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
