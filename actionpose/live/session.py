"""Live sessions: detection, tracking and lifting of frames as they arrive."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from actionpose.inference.predictor import ActionPose
from actionpose.keypoints.tracking import Tracker
from actionpose.live.frames import LiveFrame
from actionpose.live.lifter import LiveLifter
from actionpose.live.source import Newest
from actionpose.video.detectors import Detector


@dataclass
class Status:
    """Status of a session.

    Attributes:
        pictures: Number of processed frames.
        dropped: Number of frames that arrived while the previous one was processed.
        rate: Recent frame rate in Hz.
        delay_s: Delay of the last pose in seconds.
        delays: Histogram of the delays of poses in hundredths of a second.
    """

    pictures: int = 0
    dropped: int = 0
    rate: float = 0.0
    delay_s: float = 0.0
    delays: Counter[int] = field(default_factory=Counter)

    def delay_percentile(self, percent: float) -> float:
        """Percentile of the delay in seconds; 0 without poses."""
        total = 0
        for hundredths in sorted(self.delays):
            total += self.delays[hundredths]
            if total >= percent / 100 * self.delays.total():
                return hundredths / 100
        return 0.0

    @property
    def now(self) -> str:
        """Text for the live viewer."""
        return (
            f"{self.rate:.0f} pictures a second, {self.dropped} dropped, {self.delay_s:.2f} s late"
        )

    @property
    def summary(self) -> str:
        return (
            f"{self.pictures} pictures, {self.dropped} dropped; {self.delays.total()} poses, "
            f"{self.delay_percentile(50):.2f} s late (99 %: {self.delay_percentile(99):.2f} s)"
        )


class LiveSession:
    """Detects, tracks and lifts the people in frames as they arrive.

    Args:
        model: Model that lifts.
        detector: 2D pose detector.
        pictures: Source of frames.
        lifting: Options of `LiveLifter`.
    """

    def __init__(
        self, model: ActionPose, detector: Detector, pictures: Newest, **lifting: Any
    ) -> None:
        self._detector, self._pictures = detector, pictures
        self.status = Status()
        first = pictures.take()
        assert first is not None, "a video has a frame"
        self._first = first
        height, width = first[0].image.shape[:2]
        self.lifter = LiveLifter(
            model,
            skeleton=detector.skeleton,
            image_size=(width, height),
            detector=detector.fingerprint,
            **lifting,
        )

    def end(self) -> None:
        """Stop `poses` after the current frame. It can be called from a signal handler."""
        self._pictures.end()

    def poses(self, stop_s: float | None = None) -> Iterator[list[LiveFrame]]:
        """Yield the poses that are due after each frame, until the end of the input or `stop_s`.

        Raises:
            UserError: See `Newest.take`.
        """
        tracker, status = Tracker(lone=True), self.status
        since_s, before = time.monotonic(), 0
        with closing(self._pictures):
            taken: Any = self._first
            while taken is not None:
                frame, came_s = taken
                if stop_s is not None and frame.time_s >= stop_s:
                    return
                people = self._detector.detect(frame.image)
                ids = tracker.update(frame.time_s, people).tolist()
                due = self.lifter.push(people, frame.time_s, ids)
                now_s = time.monotonic()
                status.pictures += 1
                status.dropped = self._pictures.dropped
                for each in due:
                    status.delay_s = now_s - came_s + frame.time_s - each.time_s
                    status.delays[round(100 * status.delay_s)] += 1
                if now_s - since_s >= 1:
                    status.rate = (status.pictures - before) / (now_s - since_s)
                    since_s, before = now_s, status.pictures
                yield due
                taken = self._pictures.take()
