"""Decoding of video files to upright frames with exact times.

Videos of phones are rotated, have a variable frame rate, may be truncated, and report wrong numbers
of frames. Therefore all frames are decoded and counted, the times are the time stamps of the
frames, and `VideoReader.problems` lists decoding errors.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actionpose.utils.errors import UserError

VIDEO_SUFFIXES = frozenset(
    (".3gp", ".avi", ".flv", ".gif", ".h264", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg")
    + (".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv")
)
# FFmpeg names of containers with a single image
_IMAGE_FORMATS = ("image2", "_pipe")
# a video that is shorter than its declared duration by both of these is truncated
_MISSING_S, _MISSING_FRACTION = 0.5, 0.05
_ASSUMED_FPS = 25.0  # frame rate for frames without time stamps in a stream without a frame rate


class Frame(NamedTuple):
    """One frame of a video."""

    time_s: float  # from the first frame
    image: NDArray[np.uint8]  # (height, width, 3) RGB, upright, square pixels


class VideoReader:
    """Reader of a video file, or of an image as a video of one frame.

    The reader can be iterated once; `problems` is complete after the iteration. Use it as a context
    manager to close the file.

    Args:
        path: Video or image file.
        scaled_to: Width and height of the upright frames. By default those of the file.

    Raises:
        UserError: If the file does not exist or is not a video, PyAV is missing, or no frame can
            be decoded.
    """

    def __init__(self, path: str | os.PathLike[str], scaled_to: tuple[int, int] | None = None):
        self.path, self._scaled_to = Path(path), scaled_to
        self.problems: list[str] = []
        if not os.path.isfile(path):
            kind = "is a folder" if os.path.isdir(path) else "is not there"
            raise UserError(f"no such video: {path} {kind}")
        if os.path.getsize(path) == 0:
            raise UserError(f"{path} is empty: 0 bytes")
        av = import_av()
        try:
            # Restrict access to local files: playlists could refer to other files or network
            # addresses. An absolute path is used, because FFmpeg interprets 10:30.mp4 as an address
            # of the protocol "10".
            self._container = av.open(
                os.path.abspath(self.path), container_options={"protocol_whitelist": "file"}
            )
        except (av.error.FFmpegError, ValueError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            if _is_animated_webp(self.path):
                reason = "an animated WebP, which FFmpeg cannot decode: convert it to mp4 or gif"
            raise UserError(
                f"{path} is neither a video nor a keypoint file that can be read ({reason})"
            ) from None
        try:
            self._open_stream()
        except BaseException:
            self.close()
            raise

    def _open_stream(self) -> None:
        # ignore the cover image of an audio file
        streams = [
            stream
            for stream in self._container.streams.video
            if not stream.disposition & stream.disposition.attached_pic
        ]
        if not streams:
            kinds = sorted({stream.type for stream in self._container.streams})
            raise UserError(f"{self.path} has no pictures, only {' and '.join(kinds) or 'nothing'}")
        self._stream: Any = streams[0]
        # with frame threads, a damaged packet would also discard intact frames in the pipeline
        self._stream.thread_type = "SLICE"
        names = self._container.format.name
        self.is_image = names.endswith(_IMAGE_FORMATS) and "gif" not in names
        average = self._stream.average_rate or self._stream.guessed_rate
        # from the header, not used for times
        self.fps = float(average) if average and not self.is_image else None
        self.num_frames_declared = int(self._stream.frames)
        self._num_packets = 0
        self._decoded = self._decode()
        self._first = next(self._decoded, None)
        if self._first is None:
            why = f": {self.problems[0]}" if self.problems else ""
            if _is_animated_webp(self.path):
                why = (
                    ": it is an animated WebP, which FFmpeg cannot decode; convert it to mp4 or gif"
                )
            raise UserError(f"not a single frame of {self.path} can be decoded{why}")
        height, width = self._first.image.shape[:2]
        self.size = (width, height)  # after rotation

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. No frames can be read afterward."""
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        if self._first is None:
            raise RuntimeError(f"the frames of {self.path} have been read: open it again")
        first, self._first = self._first, None
        yield first
        yield from self._decoded

    def _decode(self) -> Iterator[Frame]:
        """Yield frames with increasing times, and add errors to `problems`."""
        origin: float | None = None
        width = height = 0  # before rotation, with square pixels
        last_s, step_s = -1.0, 1 / (self.fps or _ASSUMED_FPS)
        repeated = 0
        for frame in self._frames():
            at, quarters = frame.time, round(frame.rotation / 90) % 4
            if origin is None:
                origin = at if at is not None else 0.0
                stretch = float(self._stream.sample_aspect_ratio or 1)
                width, height = max(1, round(frame.width * stretch)), frame.height
                if self._scaled_to is not None:
                    width, height = self._scaled_to[:: -1 if quarters % 2 else 1]
            time_s = last_s + step_s if at is None else at - origin
            if last_s < 0:
                time_s = 0.0
            elif time_s <= last_s:  # such frames are not displayed
                repeated += 1
                continue
            last_s = time_s
            # the size of a stream may change, but coordinates must remain comparable
            image = frame.to_ndarray(format="rgb24", width=width, height=height)
            yield Frame(time_s, np.ascontiguousarray(np.rot90(image, quarters)))
        if repeated:
            self.problems.append(f"{repeated} frames were not later than the one before: left out")
        self._check_end(last_s + step_s)

    def _frames(self) -> Iterator[Any]:
        """Yield PyAV frames in display order. Damaged packets affect only their own frames."""
        av = import_av()
        broken = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self.problems.append(f"reading ended with an error ({error.strerror})")
                break
            if packet is None:
                break
            self._num_packets += packet.size > 0
            broken += packet.is_corrupt
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                broken += not packet.is_corrupt
                continue
            for frame in frames:
                broken += frame.is_corrupt and not packet.is_corrupt
                yield frame
        if broken:
            self.problems.append(f"{broken} pieces of the video are damaged")

    def _check_end(self, end_s: float) -> None:
        """Check the declared duration, to detect a file that is truncated between two frames.

        The duration is ignored if the index confirms that all frames were read, because the last
        frame may have a long duration. The index is not sufficient either, because an edit list may
        omit frames.
        """
        promised = self._container.duration
        alone = len(self._container.streams) == 1  # audio may be longer than the video
        if self.is_image or not promised or not alone:
            return
        if self.num_frames_declared and (
            self.problems or self._num_packets >= self.num_frames_declared
        ):
            return
        promised_s = promised / 1e6  # FFmpeg durations are in microseconds
        if promised_s - end_s > max(_MISSING_S, _MISSING_FRACTION * promised_s):
            self.problems.append(f"it ends after {end_s:.1f} s of {promised_s:.1f} s")


def _is_animated_webp(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(64)
    return start.startswith(b"RIFF") and start[8:12] == b"WEBP" and b"ANIM" in start


def import_av() -> Any:
    """Import PyAV without log messages of FFmpeg. Raises a UserError if it is not installed."""
    try:
        import av
    except ImportError:
        raise UserError("reading videos needs PyAV: pip install 'actionpose[video]'") from None
    av.logging.set_level(None)  # errors are in `problems`
    return av
