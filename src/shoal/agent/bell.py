"""A wake-up that cannot be missed: readers wait for the count to differ from what they have seen.

For one event loop. Whoever waits looks at the state afterwards, never at how often it rang.
"""

from __future__ import annotations

import asyncio
import contextlib


class Bell:
    def __init__(self) -> None:
        self.count = 0
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self.count += 1
        self._rung.set()
        self._rung = asyncio.Event()

    async def after(self, seen: int, timeout_s: float | None = None) -> int:
        """Return when the count differs from `seen` or the time is up; the count now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.count == seen:
                    await self._rung.wait()
        return self.count
