"""How long requests take, counted in buckets: for metrics.

In memory only: it is about this process. Streams of events are left out: they last as long as a
page is open.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from itertools import accumulate

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Histogram(msgspec.Struct):
    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    @property
    def cumulative(self) -> list[int]:
        """Requests that took no longer than each bound; all of them last."""
        return list(accumulate(self.counts))


class RequestBook:
    """By kind of request and class of its answer's status: ("api", "2xx")."""

    def __init__(self) -> None:
        self.taken: dict[tuple[str, str], Histogram] = {}

    def note(self, kind: str, status: int, seconds: float) -> None:
        self.taken.setdefault((kind, f"{status // 100}xx"), Histogram()).add(seconds)


class Timed:
    """ASGI middleware: until the last byte of an answer is handed over."""

    def __init__(self, app: ASGIApp, book: RequestBook) -> None:
        self._app = app
        self._book = book

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, answered = time.perf_counter(), 500
        stream = False

        async def sending(message: Message) -> None:
            nonlocal answered, stream
            if message["type"] == "http.response.start":
                answered = message["status"]
                stream = any(
                    name.lower() == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in message.get("headers", ())
                )
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            if not stream:
                took_s = time.perf_counter() - begun
                self._book.note(_kind(scope["path"]), answered, took_s)


def _kind(path: str) -> str:
    if path.startswith("/v1/"):
        return "api"
    if path == "/metrics":
        return "metrics"
    if path.startswith("/dask/"):
        return "dashboard"  # Dask's own, passed through
    return "asset" if path.startswith("/pages/assets/") else "page"
