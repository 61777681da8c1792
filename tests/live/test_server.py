"""The live page's server: its page, its messages, and who may read along."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from actionpose.live.server import ViewerServer
from actionpose.utils.errors import UserError

client = pytest.importorskip("websockets.sync.client")


@pytest.fixture
def server() -> Iterator[ViewerServer]:
    with ViewerServer("<p>CONNECT/poses</p>", 0) as served:
        yield served


def test_page_and_poses(server: ViewerServer) -> None:
    with urllib.request.urlopen(server.url) as answer:
        assert answer.read().decode() == f"<p>ws://127.0.0.1:{server.port}/poses</p>"
        assert answer.headers["Content-Type"].startswith("text/html")
    address = f"ws://127.0.0.1:{server.port}/poses"
    with client.connect(address, origin=f"http://127.0.0.1:{server.port}") as socket:
        assert socket.recv(5) == "{}"
        for number in range(3):
            server.send({"number": number})
            assert json.loads(socket.recv(5)) == {"number": number}
    with client.connect(address, origin=f"http://localhost:{server.port}") as socket:
        assert json.loads(socket.recv(5)) == {"number": 2}  # the last one, at once


def test_other_pages_and_names_are_refused(server: ViewerServer) -> None:
    from websockets.exceptions import InvalidStatus

    address = f"ws://127.0.0.1:{server.port}/poses"
    for origin in (None, "http://evil.example", f"http://127.0.0.1:{server.port + 1}"):
        with pytest.raises(InvalidStatus), client.connect(address, origin=origin):
            pass
    request = urllib.request.Request(server.url, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{server.url}other")


def test_port_in_use(server: ViewerServer) -> None:
    with pytest.raises(UserError, match=f"port {server.port} is in use"):
        ViewerServer("", server.port)
