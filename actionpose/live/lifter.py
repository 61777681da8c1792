"""Real-time lifting of keypoints frame by frame, with a fixed delay.

Letters in shapes: P persons, K joints of the detector, J joints of the model, L frames of a window.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
import torch
from numpy.typing import ArrayLike

from actionpose.geometry.joint_conventions import convert_convention, without_offsets
from actionpose.geometry.stature import AVERAGE_ADULT_M, STATURE_PER_CHAIN, chain_length
from actionpose.inference import flip_averaging
from actionpose.inference.engines import MANY_FRAMES
from actionpose.inference.predictor import ActionPose, check_height
from actionpose.keypoints import Keypoints
from actionpose.keypoints.model_input import normalize_windows
from actionpose.keypoints.tracking import MAX_GAP_S
from actionpose.keypoints.validation import checked_size
from actionpose.live.frames import LiveFrame, LivePerson, Window
from actionpose.result import Header
from actionpose.skeletons import H36M17, H36M17_FEET, Skeleton, convert, gives
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import SAME_TIME_S
from actionpose.utils.typing import Array

DELAY_FRAMES, INTERVAL_FRAMES = 10, 5


class LiveLifter:
    """Lift people in real time: `push` the keypoints of each frame to get the poses that are due.

    Keypoints are resampled to the frame rate of the model (`fps`), which is also that of the poses.
    A pose is returned when the keypoints `delay_frames` later have arrived. Every `interval`
    frames, the last window of keypoints, as long as that of the model, is lifted in a separate
    thread; the call of `push` that returns its first pose waits for it. A window has between
    `delay_frames - 2 * (interval - 1)` and `delay_frames - (interval - 1)` frames after each of its
    poses. The engine "auto" is the fastest one. Unlike in `ActionPose.lift`, there is no flip
    averaging. Memory is constant: one window for each person who is visible in the last window.

    Use the lifter as a context manager, or call `close`.

    Args:
        model: Model that lifts.
        skeleton: Joint layout of the keypoints.
        image_size: Width and height in pixels, required by models that normalize by the image.
        detector: Name of the detector, as in `Keypoints.detector`. For MediaPipe, the joint offsets
            are removed.
        delay_frames: Delay from a frame to its pose, in frames at `model.fps`.
        interval: Number of frames between two runs of the model; 1 lifts in every call of `push`.
        height_m: See `ActionPose.lift`.
        max_gap_s: See `ActionPose.lift`. Gaps are only filled if they are not longer than the
            delay.
        joint_convention: See `ActionPose.lift`.

    Raises:
        UserError: If a number is out of range, or the model does not support the skeleton or image
            size.
    """

    def __init__(
        self,
        model: ActionPose,
        *,
        skeleton: Skeleton = H36M17,
        image_size: tuple[int, int] | None = None,
        detector: str = "",
        delay_frames: int = DELAY_FRAMES,
        interval: int = INTERVAL_FRAMES,
        height_m: float | None = None,
        max_gap_s: float = MAX_GAP_S,
        joint_convention: str | None = None,
    ):
        if not 1 <= interval <= model.frames // 4 + 1:
            raise UserError(f"interval is from 1 to {model.frames // 4 + 1}, not {interval}")
        least, most = 2 * (interval - 1), model.frames // 2
        if not least <= delay_frames <= most:
            raise UserError(
                f"delay_frames is from {least} (twice interval - 1) to {most} (half a window), "
                f"not {delay_frames}"
            )
        feet = model.encoder.heads is not None and gives(skeleton, H36M17_FEET)
        self.skeleton = H36M17_FEET if feet else H36M17
        if not gives(skeleton, self.skeleton):
            raise UserError(f"{skeleton.name} does not have the joints of {self.skeleton.name}")
        self.image_size = checked_size(image_size)
        if model.normalization == "image" and self.image_size is None:
            raise UserError("this model needs image_size, the width and height of the image")
        self.model, self.fps, self.delay_frames = model, model.fps, delay_frames
        self.conventions = model.conventions(joint_convention)
        self._offsets = model.detector_offsets(skeleton, detector)
        self._engine = model.engine(MANY_FRAMES)
        self._input_skeleton, self._interval, self.max_gap_s = skeleton, interval, max_gap_s
        check_height(height_m)
        self._height_m, self._detector = height_m, detector
        self._people: dict[int, LivePerson] = {}
        self._present: set[int] = set()  # in the previous frame
        # first frame, length, and (T, J, 3) approximate poses in pixels by person, of the last
        # window
        self._rough: tuple[int, int, dict[int, Array]] | None = None
        self._origin_s: float | None = None  # origin of the grid
        self._time_s = -np.inf  # time of the last push
        self._frame = -1  # newest frame of the grid
        self._released = -1  # newest frame that was returned
        self._covered = -1  # newest frame that was lifted or is being lifted
        self._ready: deque[LiveFrame] = deque()
        self._lifting: Future[list[LiveFrame]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lift")

    def __enter__(self) -> "LiveLifter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the thread. Poses that were not returned are discarded; see `finish`."""
        self._thread.shutdown(cancel_futures=True)

    @property
    def delay_s(self) -> float:
        """Delay from a frame to its pose in seconds, without the computation time."""
        return self.delay_frames / self.fps

    def header(self, source: str = "") -> Header:
        """The header of a result with the poses of this lifter.

        Args:
            source: Description of the origin of the frames.
        """
        points = np.ones((1, 1, len(self.skeleton), 3), dtype=np.float32)
        about = Keypoints(
            keypoints_px=points,
            valid=np.ones((1, 1), dtype=bool),
            track_id=np.zeros(1, dtype=np.int64),
            fps=self.fps,
            image_size=self.image_size,
            skeleton=self.skeleton,
            detector=self._detector,
            source=source,
            rate_source="the model's",
            notes=(f"lifted live, {self.delay_s:.2f} s after the pictures",),
        )
        header = self.model.header(about, self._height_m, self.skeleton)
        header["input_skeleton"] = self._input_skeleton.name
        header |= {"max_gap_s": self.max_gap_s, "engine": self._engine.name}
        if self.conventions[1] != "unknown":
            header["joint_convention"] = self.conventions[1]
        return header

    def push(
        self, keypoints: ArrayLike, time_s: float, track_id: Sequence[int] | None = None
    ) -> list[LiveFrame]:
        """Add the keypoints of one frame, and return the poses that are due.

        Args:
            keypoints: (P, K, 3) x and y in pixels, and confidence, which is 0 for missing joints.
                P may be 0.
            time_s: Time of the frame in seconds, which must increase. After a pause longer than a
                window minus the delay, the pending poses are returned and the lifter is reset.
            track_id: (P,) Identities of the people. By default 0, 1, ...

        Returns:
            Frames in temporal order; none or several, depending on the frame rate of the input.

        Raises:
            UserError: If the shape is wrong or the time does not increase.
        """
        points = np.asarray(keypoints, dtype=np.float32)
        joints = len(self._input_skeleton)
        if points.ndim != 3 or points.shape[1:] != (joints, 3):
            raise UserError(f"keypoints are (people, {joints}, 3), not {points.shape}")
        if not np.isfinite(points).all():
            raise UserError(f"keypoints at {time_s:g} s have values that are not finite")
        ids = list(range(len(points))) if track_id is None else [int(each) for each in track_id]
        if len(set(ids)) != len(points) or len(ids) != len(points):
            raise UserError(f"track_id names each of {len(points)} people once, not {ids}")
        if not self._time_s < time_s < np.inf:
            raise UserError(f"time goes forward: {time_s:g} s is not after {self._time_s:g} s")
        due = []
        if self._origin_s is not None:
            behind = self._last_frame_at(time_s) - self._frame
            if behind > self.model.frames - 1 - self.delay_frames:
                due = self.finish()
        self._time_s = time_s
        self._take(convert(points, self._input_skeleton, self.skeleton), ids, time_s)
        return due + self._due(self._frame - self.delay_frames)

    def finish(self) -> list[LiveFrame]:
        """Return the pending poses at the end of the input, and reset the lifter."""
        due = self._due(self._frame)
        self._people.clear()
        self._present.clear()
        self._rough = None
        self._origin_s, self._frame, self._released, self._covered = None, -1, -1, -1
        return due

    def window(self, frames: int) -> dict[int, Array]:
        """The last keypoints of each person who was detected in at least half of the frames.

        Args:
            frames: Maximum number of frames.

        Returns:
            (up to `frames`, J, 3) keypoints by track id, zero where the person was not detected.
        """
        known = min(frames, self._frame + 1)
        return {
            number: person.points[-known:] * person.detected[-known:, None, None]
            for number, person in self._people.items()
            if known and person.detected[-known:].mean() >= 0.5
        }

    def _last_frame_at(self, time_s: float) -> int:
        assert self._origin_s is not None
        return int((time_s - self._origin_s + SAME_TIME_S) * self.fps)

    def _take(self, points: Array, ids: list[int], time_s: float) -> None:
        if self._origin_s is None:
            self._origin_s = time_s
        length = self.model.frames
        if passed := self._last_frame_at(time_s) - self._frame:
            self._frame += passed
            for person in self._people.values():
                person.advance(passed)
        grid_s = self._origin_s + (self._frame - length + 1 + np.arange(length)) / self.fps
        seen = set()
        for number, own in zip(ids, points, strict=True):
            own = np.where(own[:, 2:] > 0, own, 0)
            if not own.any():
                continue
            if number not in self._people:
                shape = length, len(self.skeleton)
                self._people[number] = LivePerson(*shape, self.max_gap_s)
            follows = number in self._present
            self._people[number].see(own, time_s, grid_s, follows=follows)
            seen.add(number)
        self._present = seen
        gone = {n for n, person in self._people.items() if not person.valid.any()} - seen
        for number in gone:
            del self._people[number]

    def _due(self, last: int) -> list[LiveFrame]:
        """Return the pending frames up to `last`, and start to lift if a window is due."""
        if last > self._released + len(self._ready):
            self._collect()
        if last > self._released + len(self._ready):  # after a pause, or at the end
            self._lift(max(last, self._newest_to_lift))
            self._collect()
        due = [self._ready.popleft() for _ in range(max(0, last - self._released))]
        self._released += len(due)
        if self._lifting is None and self._newest_to_lift - self._covered >= self._interval:
            self._lift(self._newest_to_lift)
        return due

    @property
    def _newest_to_lift(self) -> int:
        return self._frame - self.delay_frames + 2 * (self._interval - 1)

    def _collect(self) -> None:
        if self._lifting is not None:
            self._ready += self._lifting.result()
            self._lifting = None

    def _lift(self, last: int) -> None:
        """Start to lift the window that ends at the current frame, for its frames up to `last`."""
        assert self._origin_s is not None
        known = min(self.model.frames, self._frame + 1)
        first = self._frame + 1 - known  # of the window
        frames = range(self._covered + 1, last + 1)
        rows = slice(frames.start - first, frames.stop - first)
        there = {n: p for n, p in self._people.items() if p.valid[-known:][rows].any()}
        people = list(there.values())
        size = (len(people), known, len(self.skeleton), 3)
        window = Window(
            first=first,
            track_id=np.array(list(there), np.int64),
            points=np.array([p.points[-known:] for p in people], np.float32).reshape(size),
            valid=np.array([p.valid[-known:] for p in people], bool).reshape(size[:2]),
            detected=np.array([p.detected[-known:] for p in people], bool).reshape(size[:2]),
        )
        times_s = [self._origin_s + frame / self.fps for frame in frames]
        self._covered = last
        self._lifting = self._thread.submit(self._lift_window, window, rows, times_s)

    def _lift_window(self, window: Window, rows: slice, times_s: list[float]) -> list[LiveFrame]:
        """Lift a window, and return its frames `rows`. Runs in the thread of the lifter."""
        poses, log_errors = self._poses(window)
        own, target = self.conventions
        stature_m = self._height_m or AVERAGE_ADULT_M
        poses_m = [convert_convention(pose[rows], own, target) * stature_m for pose in poses]
        frames = []
        for row, time_s in enumerate(times_s, rows.start):
            there = np.flatnonzero(window.valid[:, row])
            pose_m = [poses_m[person][row - rows.start] for person in there]
            errors_mm = None
            if log_errors is not None:
                errors_mm = self.model.uncertainty_mm(log_errors[there, row], stature_m)
            frames.append(
                LiveFrame(
                    time_s=time_s,
                    track_id=window.track_id[there],
                    pose_m=np.array(pose_m, np.float32).reshape(-1, len(self.skeleton), 3),
                    keypoints_px=window.points[there, row],
                    valid=window.detected[there, row],
                    uncertainty_mm=errors_mm,
                )
            )
        return frames

    def _poses(self, window: Window) -> tuple[Array, Array | None]:
        """Poses (P, T, J, 3) of a window relative to the body height of the person.

        Also the log of their errors (P, T, J), if the model has heads.
        """
        points = window.points
        if not len(points):
            return points, points[..., 0] if self.model.encoder.heads is not None else None
        if self._offsets is not None and self._rough is not None:
            # the limb axes are those of the previous window; new frames use those of its last frame
            start, known, rough = self._rough
            frames = np.clip(window.first + np.arange(points.shape[1]) - start, 0, None)
            points = np.stack(
                [
                    without_offsets(own, rough[n][np.minimum(frames, known - 1)], self._offsets)
                    if (n := int(number)) in rough
                    else own
                    for number, own in zip(window.track_id, points, strict=True)
                ]
            )
        clips, unit_px = normalize_windows(points, self.model.normalization, self.image_size)
        batch = torch.from_numpy(clips).to(self.model.device)
        found, errors = flip_averaging.predict_with_error(self._engine, batch, flip=False)
        poses = found.cpu().numpy().astype(np.float64) * unit_px[:, None, None, None]
        log_errors = None if errors is None else errors.double().cpu().numpy()
        if self._offsets is not None:
            of_people = dict(zip(window.track_id.tolist(), poses, strict=True))
            self._rough = window.first, poses.shape[1], of_people
        chains = [
            chain_length(pose[valid]) for pose, valid in zip(poses, window.valid, strict=True)
        ]
        return poses / (np.array(chains)[:, None, None, None] * STATURE_PER_CHAIN), log_errors
