"""Pose estimation in videos: detection of people in each frame, and tracking.

Frames are decoded in a separate thread, a few frames ahead of the detector. Only keypoints are
kept, so that memory usage does not grow with the images.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from actionpose.keypoints import Keypoints
from actionpose.keypoints.detections import Detections
from actionpose.keypoints.identities import identify
from actionpose.utils.background import prefetch
from actionpose.utils.errors import UserError
from actionpose.utils.timing import Stopwatch
from actionpose.utils.typing import IntArray
from actionpose.video.decoding import VideoReader
from actionpose.video.detectors import Detector
from actionpose.video.image_sequence import ImageSequence
from actionpose.video.mediapipe_pose import MediaPipe

_AHEAD = 4  # number of frames that are decoded in advance
_EVEN_S = 1e-3  # tolerance of even frame times: some containers round times to milliseconds


def estimate_poses(
    video: VideoReader | ImageSequence,
    detector: Detector,
    *,
    span_s: tuple[float, float] = (0.0, math.inf),
    progress: Callable[[int], object] = lambda frames: None,
    stopwatch: Stopwatch | None = None,
) -> Keypoints:
    """Detect and track the people in a video.

    Args:
        video: Video to read.
        detector: 2D pose detector, with `skeleton`, `fingerprint`, `detect(image)` and `close()`.
        span_s: Start and stop time of the part to process, in seconds of the file.
        progress: Function that is called with the number of frames processed since the last call.
        stopwatch: Records the seconds of decoding, detection and tracking; the first two overlap.

    Raises:
        UserError: If no person is detected.
    """
    stopwatch = stopwatch or Stopwatch()
    times: list[float] = []
    people: list[NDArray[np.float32]] = []  # for each frame
    skipped = 0
    frames = prefetch(stopwatch.each("decode", video), _AHEAD)
    try:
        for frame in frames:
            if frame.time_s >= span_s[1]:
                break
            if frame.time_s < span_s[0]:
                skipped += 1
                continue
            with stopwatch.stage("detect"):
                found = detector.detect(frame.image)
                times.append(frame.time_s)
                people.append(found)
                if isinstance(detector, MediaPipe):
                    for back, joints in detector.earlier():
                        others = people[-1 - back]
                        people[-1 - back] = np.concatenate([others, joints[None].astype("f4")])
            progress(1)
    finally:
        frames.close()
    if not times:
        raise UserError(f"{video.path} has no frame from {span_s[0]:g} to {span_s[1]:g} s")
    with stopwatch.stage("track"):
        frame_of = np.repeat(np.arange(len(times)), [len(found) for found in people])
        points = np.concatenate(people)
        return _follow(video, detector, np.array(times), frame_of, points, skipped)


def _follow(
    video: VideoReader | ImageSequence,
    detector: Detector,
    time_s: NDArray[np.float64],
    frame: IntArray,
    points: NDArray[np.float32],
    skipped: int,
) -> Keypoints:
    """Create keypoints from frame numbers (N,) and detections (N, K, 3), after skipped frames."""
    notes = [f"{video.path.name}: {problem}" for problem in video.problems]
    count = len(time_s)
    if not (points[..., 2] > 0).any():
        where = "it" if count == 1 else f"any of its {count} frames"
        raise UserError(
            f"no person is found in {where}: {video.path}; another detector=NAME may find one"
        )
    lone = np.bincount(frame).max() == 1
    person, uncertain = identify(time_s[frame], points, lone=bool(lone))
    notes += uncertain
    if count == 1:
        notes.append(
            "one frame only: the pose is a guess without motion to support it, less exact than one "
            "from a video"
        )
    rate_source = "file"
    uneven = time_s if skipped else None
    if count == 1:
        fps, rate_source = video.fps or 30.0, "one frame"
    else:
        fps = (count - 1) / float(time_s[-1] - time_s[0])
        if np.abs(time_s - time_s[0] - np.arange(count) / fps).max() > _EVEN_S:
            uneven, rate_source = time_s, "file, uneven"
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
        time_s=uneven,
    )
    return Keypoints.from_detections(
        found, detector.skeleton, notes=notes, complete=not video.problems, rate_source=rate_source
    )
