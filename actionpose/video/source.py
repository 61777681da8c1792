"""From a source of any kind to keypoints: those of a file are read, a video's are detected."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from actionpose.keypoints import Keypoints
from actionpose.skeletons import Skeleton
from actionpose.utils.timing import Stopwatch
from actionpose.video.decoding import VideoReader
from actionpose.video.detectors import make_detector
from actionpose.video.pose_estimation import estimate_poses

Source = Keypoints | str | os.PathLike[str]
# called with a stage, its frames (None if unknown) and the number done since the last call
Progress = Callable[[str, int | None, int], object]

KEYPOINT_SUFFIXES = frozenset((".json", ".npz", ".npy", ".csv", ".trc"))
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
    source: Source,
    *,
    detector: str = "mediapipe",
    format: str = "auto",
    skeleton: Skeleton | str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    progress: Progress = lambda stage, total, done: None,
    stopwatch: Stopwatch | None = None,
) -> Keypoints:
    """The people of a video, an image or a keypoint file; keypoints are returned as they are.

    Args:
        detector: for videos; see `detectors.make_detector`.
        format, skeleton, image_size: for keypoint files; see `Keypoints.read`.
        fps: of keypoint files that do not say it; of the camera, where a video plays slower or
            faster than life.
        stopwatch: gets the seconds of "read", or of "start", "decode", "detect" and "track".

    Raises:
        UserError: see `Keypoints.read`, `VideoReader`, `make_detector` and `estimate_poses`.
    """
    if isinstance(source, Keypoints):
        return source
    path, stopwatch = Path(source), stopwatch or Stopwatch()
    if is_keypoint_file(path):
        with stopwatch.stage("read"):
            return Keypoints.read(
                path, format=format, skeleton=skeleton, image_size=image_size, fps=fps
            )
    with VideoReader(path) as video:
        with stopwatch.stage("start"):
            pose_detector = make_detector(detector)
        total = video.num_frames_declared or None
        with contextlib.closing(pose_detector):
            return estimate_poses(
                video,
                pose_detector,
                fps=fps,
                progress=lambda frames: progress("detect", total, frames),
                stopwatch=stopwatch,
            )
