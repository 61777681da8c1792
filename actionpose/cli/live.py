"""The command for real-time lifting: `actionpose live`."""

import signal
import sys
import time
import warnings
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from actionpose.cli.export import Motion, Outputs, Raw
from actionpose.cli.options import Checkpoint, Device, Engine, Quiet, check_outputs, parse_height
from actionpose.cli.postprocess import MotionOptions
from actionpose.utils.errors import UserError, UserNotice

if TYPE_CHECKING:
    from actionpose.live import LiveFrame
    from actionpose.live.session import LiveSession
    from actionpose.result import Result

    Listener = Callable[[list[LiveFrame]], object]


def live(
    camera: int = 0,
    input: str | None = None,
    out: Outputs = (),
    labels: str | None = None,
    vmc: Annotated[str | None, arg(metavar="HOST:PORT")] = None,
    page: bool = True,
    port: int = 8765,
    open: bool = True,
    stop: Annotated[float | None, arg(metavar="SECONDS")] = None,
    detector: str = "mediapipe",
    max_people: int = 4,
    delay: int = 10,
    interval: int = 5,
    height: str | None = None,
    joint_convention: str | None = None,
    checkpoint: Checkpoint = "tiny",
    motion: Motion = MotionOptions(),  # noqa: B008  (frozen)
    raw: Raw = False,
    device: Device = "auto",
    engine: Engine = "auto",
    quiet: Quiet = False,
) -> None:
    """Lift people from a camera in real time and show them in the browser; stop with Ctrl-C.

    Frames that arrive while the previous frame is processed are dropped, so that the delay does not
    grow. The page is served to this machine only and needs no network connection.

    Args:
        camera: Index of the camera.
        input: Video file, played in real time, or address of a stream such as rtsp://..., instead
            of a camera.
        out: File for the recording, in any format of `actionpose lift`. May be repeated.
        labels: Action labels separated by commas, such as "walk, sit down". The page shows the
            current action of each person. "all" selects the default labels.
        vmc: Send the first person to an avatar application (VMC protocol) at this address, such as
            127.0.0.1:39539.
        page: Whether to serve the page.
        port: Port of the page; 0 selects a free port.
        open: Whether to open the page in the browser.
        stop: Stop after this many seconds.
        detector: 2D pose detector: mediapipe or rtmlib (several people), or the path of an ONNX
            model (one person).
        max_people: Maximum number of people that mediapipe detects. With one person, 1 is faster.
        delay: Delay from a frame to its pose, in frames at 30 Hz. A longer delay is slightly more
            accurate.
        interval: Number of frames between two runs of the model. A smaller interval needs a faster
            machine.
        height: Body height of the people, such as 1.75 or 175cm. By default 1.70 m.
        joint_convention: Definition of the joint positions, as for `actionpose lift`.
    """
    if out:
        from actionpose.utils.writers import WRITERS

        check_outputs(out, list(WRITERS), "result.npz")
    height_m = None if height is None else parse_height(height)
    if stop is not None and not stop > 0:
        raise UserError(f"--stop is a number of seconds, not {stop:g}")
    source = camera if input is None else input
    if camera < 0:
        raise UserError(f"--camera is a number from 0, not {camera}")
    from actionpose.inference.engines import MANY_FRAMES
    from actionpose.inference.predictor import ActionPose
    from actionpose.live.avatar import VmcSender
    from actionpose.live.labels import LiveLabels
    from actionpose.live.recording import as_result
    from actionpose.live.server import ViewerServer, check_websockets
    from actionpose.live.session import LiveSession
    from actionpose.live.source import Newest, live_frames
    from actionpose.live.view import Scene
    from actionpose.video.detectors import make_detector

    if page:
        check_websockets()
    frames = live_frames(source)
    model = ActionPose.from_pretrained(checkpoint, device, engine)
    motion.check_new(fps=model.fps)
    with ExitStack() as stack:
        listeners: list[Listener] = []
        current = None
        if labels is not None:
            current = LiveLabels(model, None if labels == "all" else labels.split(","))
            stack.enter_context(closing(current))
        people = stack.enter_context(closing(make_detector(detector, max_people)))
        if not quiet and engine != "torch":
            print("engine  starting; the first start on a machine may compile it", flush=True)
        model.engine(MANY_FRAMES)  # before the start of the session, because frames do not wait
        session = LiveSession(
            *(model, people, Newest(frames)),
            delay_frames=delay,
            interval=interval,
            height_m=height_m,
            joint_convention=joint_convention,
        )
        lifter = stack.enter_context(session.lifter)
        motion.check_new(fps=lifter.fps, image_size=lifter.image_size)
        recorded: list[LiveFrame] = []
        if out:
            listeners.append(recorded.extend)
        if current:
            listeners.append(partial(current.update, lifter))
        if vmc is not None:
            avatar = stack.enter_context(closing(VmcSender(vmc, lifter.skeleton)))
            listeners.append(avatar.send)
        if page:
            scene = Scene(lifter, current)
            server = stack.enter_context(ViewerServer(scene.page(), port))
            listeners.append(lambda due: server.send(scene.message(due[-1], session.status.now)))
            print(f"page    {server.url}", flush=True)
            if open:
                webbrowser.open(server.url)

        def save() -> None:
            if not out:
                return
            try:
                recorded.extend(lifter.finish())
            finally:
                _save(as_result(recorded, lifter, str(source)), motion, out, raw=raw)

        with _at_the_end(save):
            _run(session, listeners, stop, quiet)


@contextmanager
def _at_the_end(save: Callable[[], None]) -> Iterator[None]:
    """Save at the end of the block, also if it raises an exception.

    In that case, an error of saving is a `UserNotice`, and the exception of the block is raised.
    """
    try:
        yield
    except BaseException:
        try:
            save()
        except (UserError, OSError) as problem:
            warnings.warn(UserNotice(str(problem)), stacklevel=2)
        raise
    save()


def _save(result: "Result", motion: MotionOptions, out: tuple[Path, ...], *, raw: bool) -> None:
    """Write a recording after post-processing, or without it if a step fails.

    Raises:
        UserError: If a step fails, or a file cannot be written.
    """
    from actionpose.export.save import save_files

    written = result
    try:
        written = motion.apply(result)
    except UserError as error:
        raise UserError(f"{error}; the recording is written as it was lifted") from error
    finally:
        for file in save_files(written, out, raw=raw):
            print(f"wrote   {file}")


def _run(
    session: "LiveSession", listeners: "list[Listener]", stop_s: float | None, quiet: bool
) -> None:
    """Send poses to all listeners and print the status, until the end or Ctrl-C, which ends it."""
    handler = signal.signal(signal.SIGINT, lambda *_: session.end())
    shown_s = time.monotonic()
    try:
        for due in session.poses(stop_s):
            for listener in listeners if due else ():
                listener(due)
            if not quiet and sys.stderr.isatty() and time.monotonic() - shown_s >= 1:
                shown_s = time.monotonic()
                print(f"\r{session.status.now:70}", end="", file=sys.stderr, flush=True)
    finally:
        signal.signal(signal.SIGINT, handler)
        if not quiet:
            print(f"\ractionpose: {session.status.summary}", file=sys.stderr)
