"""A wake-up that cannot be missed: readers wait for the count to pass what they have seen.

Only a hint, to act sooner: who waits also looks again after a while, so that what another replica
wrote, or a bell that was never rung, is found all the same.
"""

from __future__ import annotations

import asyncio
import contextlib


class Bell:
    def __init__(self) -> None:
        self._rung = asyncio.Condition()
        self.count = 0

    async def ring(self) -> None:
        async with self._rung:
            self.count += 1
            self._rung.notify_all()

    async def after(self, seen: int, *, timeout_s: float) -> int:
        """Return when the count differs from `seen` or the time is up; the count now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._rung:
                await self._rung.wait_for(lambda: self.count != seen)
        return self.count
