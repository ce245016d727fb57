from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator

import pytest

from shoal.errors import NotPossible
from shoal.wire.my_address import my_network


@pytest.fixture(params=["203.0.113.7\n", "<html>log in first</html>"])
def answering(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(request.param.encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", request.param
        server.shutdown()


def test_an_address_is_believed_and_nothing_else(answering: tuple[str, str]) -> None:
    url, text = answering
    if text[0].isdigit():
        assert asyncio.run(my_network(url, "")) == "203.0.113.7/32"
        return
    with pytest.raises(NotPossible, match="is not known"):
        asyncio.run(my_network(url, "Give a CIDR."))


def test_silence_asks_for_a_network() -> None:
    with pytest.raises(NotPossible) as caught:
        asyncio.run(my_network("http://127.0.0.1:9", "Give a CIDR."))
    assert caught.value.hint == "Give a CIDR."
