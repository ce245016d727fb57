"""Graphs as they arrive at a scheduler: how large, how long to be taken in, from which lines.

A session says its lines of code once a second while they stay the same, not with each of a
thousand `submit`s; in between it says `None` (shoal.client.code_frames). Dask is given the lines
that are meant.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

Took = Callable[[int, float], None]  # bytes, seconds


class Arriving:
    def __init__(self, handlers: dict[str, Any], took: Took) -> None:
        self._took = took
        self._lines: dict[str, Any] = {}  # by client, what it said last
        self._original: Any = handlers.get("update-graph")
        if asyncio.iscoroutinefunction(self._original):
            handlers["update-graph"] = self._handle

    def forget(self, client: str) -> None:
        self._lines.pop(client, None)

    async def _handle(self, **named: Any) -> Any:
        frames = getattr(named.get("expr_ser"), "frames", ())
        size_bytes = sum(getattr(it, "nbytes", 0) or len(it) for it in frames)
        self._repeat(named)
        begun = time.perf_counter()
        try:
            return await self._original(**named)
        finally:
            self._took(size_bytes, time.perf_counter() - begun)

    def _repeat(self, named: dict[str, Any]) -> None:
        client, code = named.get("client", ""), named.get("code")
        if code:
            self._lines[client] = code
        elif code is None and "code" in named:
            named["code"] = self._lines.get(client, ())
