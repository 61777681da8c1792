"""Keypoints from any source: read from keypoint files, or detected in videos."""

import contextlib
import functools
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from actionpose.keypoints import Keypoints
from actionpose.keypoints.formats import is_folder_of_frames
from actionpose.keypoints.frame_times import ASSUMED, ASSUMED_FPS
from actionpose.skeletons import Skeleton
from actionpose.utils.errors import UserError, UserNotice
from actionpose.utils.files import sha256
from actionpose.utils.time_spans import checked_span, chosen_part
from actionpose.utils.timing import Stopwatch
from actionpose.video.decoding import VIDEO_SUFFIXES, VideoReader
from actionpose.video.detectors import make_detector
from actionpose.video.image_sequence import ImageSequence, numbered_images
from actionpose.video.pose_estimation import estimate_poses

Source = Keypoints | str | os.PathLike[str]
# stage, its number of frames (None if unknown), and frames processed since the last call
Progress = Callable[[str, int | None, int], object]

KEYPOINT_SUFFIXES = frozenset((".json", ".npz", ".npy", ".csv", ".trc"))
# JSON and NumPy; HDF5, pickle and MATLAB, for which `Keypoints.read` suggests alternatives
_STARTS = (b"{", b"[", b"PK\x03\x04", b"\x93NUMPY", b"\x89HDF", b"\x80\x04\x95", b"MATLAB")


def is_keypoint_file(path: Path) -> bool:
    """Whether a path is a keypoint file rather than a video, by its suffix or first bytes.

    A folder is a keypoint file, such as the output of OpenPose, unless it has numbered images.
    """
    if path.is_dir():
        return is_folder_of_frames(path) or not numbered_images(path)
    if path.suffix.lower() in KEYPOINT_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return False  # the error is raised when the file is opened
    return start.startswith(_STARTS)


def read_source(
    source: Source,
    *,
    detector: str = "mediapipe",
    max_people: int = 4,
    format: str = "auto",
    skeleton: Skeleton | str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    y_up: bool = False,
    mirrored: bool = False,
    retrack: bool = False,
    person: int | None = None,
    start_s: float | None = None,
    stop_s: float | None = None,
    progress: Progress = lambda stage, total, done: None,
    stopwatch: Stopwatch | None = None,
) -> Keypoints:
    """The 2D keypoints of a video, an image or a keypoint file.

    Args:
        source: Path of a video, image or keypoint file, or `Keypoints`, which are returned
            unchanged.
        detector: 2D pose detector for videos; see `detectors.make_detector`.
        max_people: Maximum number of people for videos; see `detectors.make_detector`.
        format: For keypoint files; see `Keypoints.read`.
        skeleton: For keypoint files; see `Keypoints.read`.
        image_size: For keypoint files; see `Keypoints.read`.
        fps: Frame rate of keypoint files without one; for videos, frame rate of the camera if the
            video plays slower or faster than real time.
        y_up: For keypoint files; see `Keypoints.read`.
        mirrored: Whether the images are mirrored; see also `Keypoints.read`.
        retrack: For keypoint files; see `Keypoints.read`.
        person: `track_id` of the only person to use.
        start_s: Start time of the part to use, in seconds of the source. Times in the output remain
            those of the source, or of the motion with `fps`.
        stop_s: Stop time of the part to use, in seconds of the source.
        progress: Function that is called with the progress of each stage.
        stopwatch: Records the seconds of "read", or of "start", "decode", "detect" and "track".

    Raises:
        UserError: See `Keypoints.read`, `VideoReader`, `make_detector` and `estimate_poses`.
    """
    if isinstance(source, Keypoints):
        return _part(source, person, start_s, stop_s)
    path, stopwatch = Path(source), stopwatch or Stopwatch()
    if is_keypoint_file(path):
        with stopwatch.stage("read"):
            keypoints = Keypoints.read(
                path,
                format=format,
                skeleton=skeleton,
                image_size=image_size,
                fps=fps,
                retrack=retrack,
                y_up=y_up,
                mirrored=mirrored,
            )
            return _part(keypoints, person, start_s, stop_s)
    if y_up or retrack:
        name = "y_up=True" if y_up else "retrack=True"
        raise UserError(f"{name} is for keypoint files, and {path} is none")
    images, span_s = path.is_dir(), checked_span(start_s, stop_s)
    with ImageSequence(path, fps or ASSUMED_FPS) if images else VideoReader(path) as video:
        with stopwatch.stage("start"):
            pose_detector = make_detector(detector, max_people)
        total = video.num_frames_declared or None
        with contextlib.closing(pose_detector):
            keypoints = estimate_poses(
                video,
                pose_detector,
                span_s=span_s,
                progress=lambda frames: progress("detect", total, frames),
                stopwatch=stopwatch,
            )
    if images and keypoints.time_s is None:
        note = f"{total} images are taken as a video of {ASSUMED_FPS:g} Hz: fps=N says another"
        notes = keypoints.notes if fps else (*keypoints.notes, note)
        how = "given" if fps else ASSUMED
        keypoints = replace(keypoints, fps=fps or ASSUMED_FPS, rate_source=how, notes=notes)
    if path.is_file():
        end_s = float(keypoints.times_s[-1]) + 1 / keypoints.fps
        duration_s = total / video.fps if total and video.fps and stop_s is not None else end_s
        facts = _video_facts(path, duration_s)
        if fps is not None:
            facts["time_scale"] = fps / keypoints.fps
            keypoints = _at_rate(keypoints, fps)
        if mirrored:
            facts["mirrored"] = True
        keypoints = replace(keypoints, video=facts)
    if mirrored:
        keypoints = keypoints.unmirrored(exchange_sides=True)
    return _part(keypoints, person, None, None)


def _at_rate(keypoints: Keypoints, fps: float) -> Keypoints:
    """The keypoints of a slow-motion or time-lapse video, at the frame rate of the camera."""
    skipped = round(float(keypoints.times_s[0]) * keypoints.fps)
    time_s = (skipped + np.arange(keypoints.num_frames)) / fps if skipped else None
    return replace(keypoints, fps=fps, time_s=time_s, rate_source="given")


def _part(
    keypoints: Keypoints, person: int | None, start_s: float | None, stop_s: float | None
) -> Keypoints:
    """One person and a time span of keypoints, without people who are not visible in the span."""
    if person is start_s is stop_s is None:
        return keypoints
    rows, frames = chosen_part(
        keypoints.valid, keypoints.track_id, keypoints.times_s, person, start_s, stop_s
    )
    part = np.ix_(rows, frames)
    return replace(
        keypoints,
        keypoints_px=keypoints.keypoints_px[part],
        valid=keypoints.valid[part],
        track_id=keypoints.track_id[rows],
        time_s=keypoints.times_s[frames],
    )


def _video_facts(path: Path, duration_s: float) -> dict[str, Any]:
    """Identification and location of a video.

    `read_source` adds `time_scale`, the seconds of the video per second of the motion if its `fps`
    was specified, and `mirrored`.
    """
    return {
        "path": str(path.resolve()),
        "bytes": path.stat().st_size,
        "duration_s": round(duration_s, 3),
        "sha256": _digest(path, path.stat().st_mtime_ns),
    }


@functools.lru_cache(16)
def _digest(path: Path, modified_ns: int) -> str:
    return sha256(path)


def _is_lifted_video(path: Path, facts: Mapping[str, Any]) -> bool:
    status = path.stat()
    same_size = status.st_size == facts.get("bytes")
    return same_size and _digest(path, status.st_mtime_ns) == facts.get("sha256")


def find_video(
    header: Mapping[str, Any], given: str | os.PathLike[str] | None, near: Path
) -> Path | None:
    """Find the video of a result, to show it beside the result.

    Args:
        header: Header of the result.
        given: Path of the video. By default, its original path and the folder of `near` are
            searched, and a `UserNotice` is issued if it is not found.
        near: Path of the output file.

    Returns:
        The path, or None if the result is not from a video or the video is not found.

    Raises:
        UserError: If `given` is not a video, or is a different one.
    """
    facts = header.get("video")
    facts = facts if isinstance(facts, dict) else None
    if given is not None:
        if not facts:
            VideoReader(given).close()  # raises an exception if it is not a video
        if facts and Path(given).is_file() and not _is_lifted_video(Path(given), facts):
            raise UserError(
                f"{given} is another video than the one that was lifted, {facts.get('path')}: "
                "their contents differ"
            )
        return Path(given)
    if not facts:  # version 0.1 stored only a name
        source = Path(str(header.get("source") or ""))
        return source if source.suffix.lower() in VIDEO_SUFFIXES and source.is_file() else None
    lifted = Path(str(facts.get("path")))
    for path in (lifted, near.absolute().with_name(lifted.name)):
        if path.is_file() and _is_lifted_video(path, facts):
            return path
    state = "has changed" if lifted.is_file() else "is not there any more"
    text = (
        f"{near.name} is without the video, because {lifted} {state}: say where it is, video=FILE"
    )
    warnings.warn(UserNotice(text), stacklevel=2)
    return None
