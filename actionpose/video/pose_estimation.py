"""From a file of any kind to keypoints: a video goes through a detector, keypoints are read.

Frames are decoded in a thread of its own, a few ahead of the detector. Only keypoints are kept, so
that memory does not grow with the pictures.
"""

import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from actionpose.keypoints.core import Keypoints, from_detections
from actionpose.keypoints.json_formats import Detections
from actionpose.keypoints.tracking import track
from actionpose.utils.errors import UserError
from actionpose.utils.timing import Stopwatch
from actionpose.video.decoding import Video
from actionpose.video.detectors import Detector, make_detector

Item = TypeVar("Item")

KEYPOINT_SUFFIXES = frozenset((".json", ".npz", ".npy", ".csv", ".trc"))
_AHEAD = 4  # frames decoded and not yet looked at
_LEAST_SEEN = 5  # frames; who is seen in fewer is a detector's mistake more often than a person
_EVEN_S = 1e-3  # frames this near to an even spacing are evenly spaced: some containers round to ms
_JSON_OR_NUMPY = (b"{", b"[", b"PK\x03\x04", b"\x93NUMPY")


def is_keypoint_file(path: Path) -> bool:
    """Whether a path is one of keypoints rather than a video, by its suffix or its first bytes.

    A folder is one of keypoints: OpenPose writes a file per frame.
    """
    if path.is_dir() or path.suffix.lower() in KEYPOINT_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return False  # whoever opens it says why
    return start.startswith(_JSON_OR_NUMPY)


def read_source(
    path: str | os.PathLike[str],
    *,
    detector: str = "mediapipe",
    stopwatch: Stopwatch | None = None,
    **options: Any,
) -> Keypoints:
    """The people of a video, an image or a keypoint file.

    Args:
        detector: for videos; see `detectors.make_detector`.
        options: of `Keypoints.read`. For videos, `fps` alone has a meaning: that of the
            camera, where the file plays slower or faster than life.

    Raises:
        UserError: see `Keypoints.read`, `video.Video` and `detectors.make_detector`.
    """
    if is_keypoint_file(Path(path)):
        return Keypoints.read(path, **options)
    with Video(path) as video:
        eyes = make_detector(detector)
        try:
            return watch(video, eyes, fps=options.get("fps"), stopwatch=stopwatch)
        finally:
            eyes.close()


def watch(
    video: Video,
    detector: Detector,
    *,
    fps: float | None = None,
    progress: Callable[[int], object] = lambda frames: None,
    stopwatch: Stopwatch | None = None,
) -> Keypoints:
    """Find the people of a video and follow them.

    Args:
        fps: of the camera, where the file plays slower or faster than life.
        progress: called with the number of frames looked at since the last call.
        stopwatch: gets the seconds of decode, detect and track; the first two overlap.

    Raises:
        UserError: nobody is found.
    """
    stopwatch = stopwatch or Stopwatch()
    times: list[float] = []
    frame: list[int] = []
    people: list[NDArray[np.float32]] = []
    frames = _ahead(stopwatch.each("decode", video), _AHEAD)
    try:
        for number, shot in enumerate(frames):
            with stopwatch.stage("detect"):
                found = detector.detect(shot.image)
            times.append(shot.time_s)
            frame += [number] * len(found)
            people.append(found)
            progress(1)
    finally:
        frames.close()
    with stopwatch.stage("track"):
        time_s = np.array(times)
        return _followed(video, detector, time_s, np.array(frame), np.concatenate(people), fps)


def _followed(
    video: Video,
    detector: Detector,
    time_s: NDArray[np.float64],
    frame: NDArray[np.int64],
    points: NDArray[np.float32],
    fps: float | None,
) -> Keypoints:
    """Keypoints of (N,) frame numbers and (N, K, 3) detections."""
    notes = [f"{video.path.name}: {problem}" for problem in video.problems]
    count = len(time_s)
    if not (points[..., 2] > 0).any():
        where = "it" if count == 1 else f"any of its {count} frames"
        raise UserError(
            f"no person is found in {where}: {video.path}; another --detector may see more"
        )
    lone = np.bincount(frame).max() == 1
    person = track(time_s[frame], points, lone=bool(lone))
    seen = np.bincount(person)
    if (short := seen < min(_LEAST_SEEN, seen.max())).any():
        notes.append(f"left out: {short.sum()} people seen in fewer than {_LEAST_SEEN} frames")
        stays = ~short[person]
        frame, points, person = frame[stays], points[stays], person[stays]
    if count == 1:
        notes.append(
            "one frame only: the pose is a guess without motion to support it, less exact than one "
            "from a video"
        )
    rate_source = "file"
    even: NDArray[np.float64] | None = None
    if fps is not None:
        rate_source = "given"
    elif count == 1:
        fps, rate_source = video.fps or 30.0, "one frame"
    else:
        fps = (count - 1) / float(time_s[-1])
        if np.abs(time_s - np.arange(count) / fps).max() > _EVEN_S:
            even, rate_source = time_s, "file, uneven"
    found = Detections(
        frame=frame,
        keypoints=points.astype(np.float64),
        person=person,
        span=(0, count - 1),
        detector=detector.fingerprint,
        image_size=video.size,
        joints=detector.skeleton.joints,
        source=video.path.name,
        fps=fps,
        time_s=even,
    )
    return from_detections(
        found, detector.skeleton, notes=notes, complete=not video.problems, rate_source=rate_source
    )


def _ahead(items: Iterable[Item], most: int) -> Generator[Item, None, None]:
    """The same items, made in another thread, up to so many before they are asked for.

    What the thread raises is raised here; closing the generator ends the thread.
    """
    ready: queue.Queue[tuple[Item | None, BaseException | None, bool]] = queue.Queue(most)
    stop = threading.Event()

    def put(entry: tuple[Item | None, BaseException | None, bool]) -> None:
        while not stop.is_set():
            try:
                return ready.put(entry, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item, None, False))
                if stop.is_set():
                    return
            put((None, None, True))
        except BaseException as error:  # handed over, not swallowed
            put((None, error, True))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error, last = ready.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]  # an item, as it is neither an error nor the end
    finally:
        stop.set()
        thread.join()
