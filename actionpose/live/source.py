"""Frames of a camera, a stream, or a video in real time.

A separate thread reads the frames and keeps only the newest one. Other frames are dropped.
"""

import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from actionpose.utils.errors import UserError
from actionpose.video.decoding import Frame, VideoReader, import_av
from actionpose.video.source import is_keypoint_file

STALL_S = 5.0  # seconds without a new frame, after which an error is raised
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def frames_of_camera(number: int) -> Iterator[Frame]:
    """Frames of a camera with their arrival times.

    Raises:
        UserError: If PyAV is missing, the camera does not exist, or it stops sending frames.
    """
    av = import_av()
    options: dict[str, str] = {}
    if sys.platform == "darwin":
        kind, address, options = "avfoundation", str(number), {"framerate": "30"}
    elif sys.platform == "win32":
        devices = av.device.enumerate_input_devices("dshow")
        names = [device.name for device in devices if "video" in device.media_types]
        kind, address = "dshow", f"video={names[number] if number < len(names) else ''}"
    else:
        kind, address = "v4l2", f"/dev/video{number}"
    advice = "is it there, and does no other program use it? --input takes a video instead"
    return _frames_of(f"camera {number}", address, advice, format=kind, options=options)


def frames_of_stream(address: str, stall_s: float = STALL_S) -> Iterator[Frame]:
    """Frames of a network stream with their arrival times.

    Raises:
        UserError: If PyAV is missing, or the stream cannot be opened, fails or stalls.
    """
    options = {"rtsp_transport": "tcp"} if address.lower().startswith("rtsp") else {}
    advice = "check the address, and that it is sent"
    return _frames_of(f"the stream {address}", address, advice, timeout=stall_s, options=options)


def _frames_of(name: str, address: str, advice: str, **options: Any) -> Iterator[Frame]:
    """Yield frames scaled to the size of the first one."""
    av = import_av()
    try:
        container = av.open(address, **options)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{name} cannot be opened ({reason}): {advice}") from None
    with container:
        if not container.streams.video:
            raise UserError(f"{name} has no pictures")
        size, start_s = None, time.monotonic()
        try:
            for frame in container.decode(video=0):
                size = size or (frame.width, frame.height)
                image = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
                yield Frame(time.monotonic() - start_s, image)
        except av.error.FFmpegError as error:
            raise UserError(f"{name} broke off ({error.strerror}): {advice}") from None


def frames_of_video(path: str | os.PathLike[str]) -> Iterator[Frame]:
    """Frames of a video file in real time.

    Raises:
        UserError: See `VideoReader`.
    """
    with VideoReader(path) as video:
        start_s = time.monotonic()
        for frame in video:
            time.sleep(max(0.0, start_s + frame.time_s - time.monotonic()))
            yield frame


def live_frames(source: str | int | Path) -> Iterator[Frame]:
    """Frames of a camera (number), a stream (address) or a video file.

    Raises:
        UserError: See the functions above.
    """
    if isinstance(source, int):
        return frames_of_camera(source)
    if _ADDRESS.match(str(source)):
        return frames_of_stream(str(source))
    if not Path(source).exists():
        raise UserError(f"no such video: {source}")
    if is_keypoint_file(Path(source)):
        raise UserError(f"{source} has keypoints, not pictures: actionpose lift takes it")
    return frames_of_video(source)


class Newest:
    """The newest frame of a source that is read in a separate thread.

    Args:
        frames: Frames, which are read until they end or `close` is called.
        stall_s: See `take`.

    Attributes:
        dropped: Number of frames that were replaced before they were taken.
    """

    def __init__(self, frames: Iterator[Frame], stall_s: float = STALL_S):
        self.dropped = 0
        self._stall_s = stall_s
        self._frame: tuple[Frame, float] | None = None
        self._end: BaseException | None = None
        self._changed = threading.Condition()
        self._closed = False
        # reading may block forever if a device does not respond, so the thread is a daemon
        self._thread = threading.Thread(target=self._read, args=(frames,), daemon=True)
        self._thread.start()

    def _read(self, frames: Iterator[Frame]) -> None:
        end: BaseException = StopIteration()
        try:
            for frame in frames:
                with self._changed:
                    self.dropped += self._frame is not None
                    self._frame = frame, time.monotonic()
                    self._changed.notify()
                    if self._closed:
                        break
        except Exception as error:
            end = error
        with self._changed:
            self._end = self._end or end
            self._changed.notify()

    def take(self) -> tuple[Frame, float] | None:
        """Wait for a new frame, and return it with its arrival time.

        Returns:
            The frame and the time by `time.monotonic`, or None at the end.

        Raises:
            UserError: If there is no frame for `stall_s` seconds, or reading has failed.
        """
        limit_s = time.monotonic() + self._stall_s
        with self._changed:
            while self._frame is None and self._end is None:
                # in short intervals, which Ctrl-C can interrupt on every system
                if not self._changed.wait(0.2) and time.monotonic() > limit_s:
                    raise UserError(
                        f"no picture came for {self._stall_s:g} s: check the camera or the stream"
                    )
            if self._frame is not None:
                newest, self._frame = self._frame, None
                return newest
            if isinstance(self._end, StopIteration):
                return None
            assert self._end is not None
            raise self._end

    def end(self) -> None:
        """Signal the end to `take`."""
        with self._changed:
            self._closed, self._frame, self._end = True, None, StopIteration()
            self._changed.notify()

    def close(self, wait_s: float = 1.0) -> None:
        """Stop the thread after the current frame, and wait for it for up to `wait_s` seconds."""
        self._closed = True
        self._thread.join(wait_s)
