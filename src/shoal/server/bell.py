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
        self._about: dict[str, int] = {}  # subject → the count when it was rung about last

    async def ring(self, *about: str) -> None:
        """`about`: what there is news of, for who waits for that alone."""
        async with self._rung:
            self.count += 1
            self._about |= dict.fromkeys(about, self.count)
            self._rung.notify_all()

    def last(self, about: str) -> int:
        """The count when it was rung about that; 0: never."""
        return self._about.get(about, 0)

    async def after(self, seen: int, *, timeout_s: float) -> int:
        """Return when the count differs from `seen` or the time is up; the count now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._rung:
                await self._rung.wait_for(lambda: self.count != seen)
        return self.count
