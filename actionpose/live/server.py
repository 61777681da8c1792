"""Web server of the live viewer, for local connections only, with a WebSocket for poses."""

import asyncio
import errno
import json
import threading
from concurrent.futures import Future
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from actionpose.utils.errors import UserError

HOST = "127.0.0.1"  # local connections only; there is no option for other addresses


def check_websockets() -> None:
    """Raise a UserError if websockets is not installed."""
    if find_spec("websockets") is None:
        raise UserError("the live page needs websockets: pip install 'actionpose[live]'")


class ViewerServer:
    """Serves a page, and sends JSON messages to its viewers. Use it as a context manager.

    A slow browser receives only the latest message.

    Args:
        page: HTML in which "CONNECT" is replaced by the address of the WebSocket.
        port: Port, or 0 for a free one; see `url`.

    Raises:
        UserError: If websockets is not installed, or the port is in use.
    """

    def __init__(self, page: str, port: int):
        check_websockets()
        if not 0 <= port < 65536:
            raise UserError(f"port is from 0 to 65535, not {port}")
        self._page, self._message = page, "{}"
        self._started: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(port)), daemon=True)
        self._thread.start()
        try:
            self.port = self._started.result()
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise UserError(
                f"port {port} is in use or not allowed: choose another one with --port, or 0 for "
                "any that is free"
            ) from None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/"

    def __enter__(self) -> "ViewerServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(5)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to all current viewers, and to new viewers until the next message."""
        self._message = json.dumps(message, separators=(",", ":"), allow_nan=False)
        self._loop.call_soon_threadsafe(self._wake)

    async def _serve(self, port: int) -> None:
        from websockets.asyncio.server import serve

        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._new = asyncio.Event()
        try:
            server = await serve(
                self._feed, HOST, port, process_request=self._respond, compression=None
            )
        except BaseException as error:
            self._started.set_exception(error)
            return
        async with server:
            self._started.set_result(next(iter(server.sockets)).getsockname()[1])
            await self._end.wait()

    def _stop(self) -> None:
        self._end.set()
        self._wake()

    def _wake(self) -> None:
        self._new.set()
        self._new = asyncio.Event()

    def _respond(self, connection: Any, request: Any) -> Any:
        """Serve the page, or return None to accept a WebSocket, which only this page may open."""
        from websockets.datastructures import Headers
        from websockets.http11 import Response

        own = {f"{name}:{self.port}" for name in (HOST, "localhost")}
        # other web pages, also with DNS rebinding, must not read the poses
        if request.headers.get("Host") not in own:
            return connection.respond(403, "not from here\n")
        if request.path == "/poses":
            origin = request.headers.get("Origin", "")
            ours = origin.removeprefix("http://") in own
            return None if ours else connection.respond(403, "not from here\n")
        if request.path != "/":
            return connection.respond(404, "there is nothing\n")
        text = self._page.replace("CONNECT", f"ws://{request.headers['Host']}").encode()
        headers = Headers()
        headers["Content-Type"] = "text/html; charset=utf-8"
        headers["Content-Length"] = str(len(text))
        headers["Cache-Control"] = "no-store"
        return Response(200, "OK", headers, text)

    async def _feed(self, connection: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while not self._end.is_set():
                new = self._new
                await connection.send(self._message)
                await new.wait()
        except ConnectionClosed:
            pass
