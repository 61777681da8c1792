"""From a source of any kind to keypoints: those of a file are read, a video's are detected."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from actionpose.keypoints import Keypoints
from actionpose.keypoints.core import ASSUMED, ASSUMED_FPS
from actionpose.keypoints.formats import is_folder_of_frames
from actionpose.skeletons import Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.timing import Stopwatch
from actionpose.video.decoding import VideoReader
from actionpose.video.detectors import make_detector
from actionpose.video.image_sequence import ImageSequence, numbered_images
from actionpose.video.pose_estimation import estimate_poses

Source = Keypoints | str | os.PathLike[str]
# called with a stage, its frames (None if unknown) and the number done since the last call
Progress = Callable[[str, int | None, int], object]

KEYPOINT_SUFFIXES = frozenset((".json", ".npz", ".npy", ".csv", ".trc"))
# JSON and NumPy; HDF5, pickles and MATLAB, which `Keypoints.read` refuses with advice
_STARTS = (b"{", b"[", b"PK\x03\x04", b"\x93NUMPY", b"\x89HDF", b"\x80\x04\x95", b"MATLAB")


def is_keypoint_file(path: Path) -> bool:
    """Whether a path is one of keypoints rather than a video, by its suffix or its first bytes.

    A folder is, as OpenPose writes a file per frame, unless it has numbered images instead.
    """
    if path.is_dir():
        return is_folder_of_frames(path) or not numbered_images(path)
    if path.suffix.lower() in KEYPOINT_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return False  # whoever opens it says why
    return start.startswith(_STARTS)


def read_source(
    source: Source,
    *,
    detector: str = "mediapipe",
    format: str = "auto",
    skeleton: Skeleton | str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    y_up: bool = False,
    mirrored: bool = False,
    retrack: bool = False,
    progress: Progress = lambda stage, total, done: None,
    stopwatch: Stopwatch | None = None,
) -> Keypoints:
    """The people of a video, an image or a keypoint file; keypoints are returned as they are.

    Args:
        detector: for videos; see `detectors.make_detector`.
        format, skeleton, image_size, y_up, retrack: for keypoint files; see `Keypoints.read`.
        mirrored: likewise; of a video, that its pictures are mirrored.
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
                path,
                format=format,
                skeleton=skeleton,
                image_size=image_size,
                fps=fps,
                retrack=retrack,
                y_up=y_up,
                mirrored=mirrored,
            )
    if y_up or retrack:
        name = "y_up=True" if y_up else "retrack=True"
        raise UserError(f"{name} is for keypoint files, and {path} is none")
    images = path.is_dir()
    with ImageSequence(path, fps or ASSUMED_FPS) if images else VideoReader(path) as video:
        with stopwatch.stage("start"):
            pose_detector = make_detector(detector)
        total = video.num_frames_declared or None
        with contextlib.closing(pose_detector):
            keypoints = estimate_poses(
                video,
                pose_detector,
                fps=None if images else fps,
                progress=lambda frames: progress("detect", total, frames),
                stopwatch=stopwatch,
            )
    if images and keypoints.time_s is None:
        note = f"{total} images are taken as a video of {ASSUMED_FPS:g} Hz: fps=N says another"
        notes = keypoints.notes if fps else (*keypoints.notes, note)
        how = "given" if fps else ASSUMED
        keypoints = replace(keypoints, fps=fps or ASSUMED_FPS, rate_source=how, notes=notes)
    return keypoints.unmirrored(exchange_sides=True) if mirrored else keypoints
