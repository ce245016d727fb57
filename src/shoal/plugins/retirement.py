"""Workers that are asked to leave: when they go, and what becomes of their data.

`Scheduler.retire_workers` moves what only a leaving worker holds to those that stay, then closes
it. Three things it does not know are decided here:

- All that are asked to leave are retired in one call, so that none is chosen to take over the data
  of another that leaves as well.
- A worker that takes part in a P2P shuffle waits, since leaving restarts the whole shuffle – but
  not for ever.
- A worker that is only to begin anew (with another environment) leaves like the others, but no more
  than half of them at a time: until those are back, the rest holds the data.
- When nobody stays behind, there is nobody to give the data to: the worker is closed, as expected
  (distributed counts an unexpected loss against the tasks that ran there).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any

logger = logging.getLogger("distributed.scheduler")

_SHUFFLE_WAIT_S = 60.0
_AGAIN_S = 0.5
_NOBODY_STAYS_S = 2.0  # how long data may wait for a worker that is just arriving


def shuffling(scheduler: Any) -> frozenset[str]:
    """Addresses of the workers that take part in a running P2P shuffle."""
    shuffles = getattr(scheduler.extensions.get("shuffle"), "active_shuffles", {})
    return frozenset(
        address for it in shuffles.values() for address in getattr(it, "participating_workers", ())
    )


class Retirement:
    """Who has been asked to leave, and how far that is. Lives in the scheduler's event loop."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._asked: dict[str, float] = {}  # worker name -> when, by the loop's clock
        self._renew: frozenset[str] = frozenset()  # to begin anew, until they have
        self._leaving: set[str] = set()
        self._changed = asyncio.Event()

    def ask(self, names: Iterable[str], renew: Iterable[str] = ()) -> None:
        """All names that are to leave, and those that are to come back, as of now; repeating one
        changes nothing."""
        now = asyncio.get_running_loop().time()
        leave = set(names)
        self._renew = frozenset(renew) - leave
        self._asked = {it: self._asked.get(it, now) for it in [*leave, *self._renew]}
        self._changed.set()

    async def carry_out(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                ready = self._ready()
                if ready:
                    self._leaving |= ready
                    group.create_task(self._retire(ready))
                with contextlib.suppress(TimeoutError):  # one that has left may come back
                    await asyncio.wait_for(self._changed.wait(), _AGAIN_S if self._asked else None)

    def _ready(self) -> set[str]:
        now = asyncio.get_running_loop().time()
        busy = shuffling(self._scheduler)
        waits = {
            str(ws.name)
            for ws in self._scheduler.workers.values()
            if ws.address in busy and now < self._asked.get(str(ws.name), now) + _SHUFFLE_WAIT_S
        }
        ready = self._present(self._asked) - self._leaving - waits
        return ready - self._not_yet(ready)

    def _not_yet(self, ready: set[str]) -> set[str]:
        """Those to begin anew whose turn it is not."""
        away = self._renew - self._present(self._renew)
        under_way = away | (self._renew & self._leaving)
        turns = (len(self._scheduler.workers) + len(away)) // 2 or 1
        waiting = sorted(ready & self._renew)
        return set(waiting[max(0, turns - len(under_way)) :])

    def _present(self, names: Iterable[str]) -> set[str]:
        return set(names) & {str(ws.name) for ws in self._scheduler.workers.values()}

    async def _retire(self, names: set[str]) -> None:
        try:
            await self._scheduler.retire_workers(names=sorted(names), close_workers=True)
            left = self._present(names)
            if left and not self._anybody_stays():
                await asyncio.sleep(_NOBODY_STAYS_S)
                if not self._anybody_stays():
                    await self._close(left)
            elif left:
                await asyncio.sleep(_NOBODY_STAYS_S)
        finally:
            self._leaving -= names
            self._changed.set()

    def _anybody_stays(self) -> bool:
        going = {*self._asked} - self._renew | self._leaving
        return any(str(ws.name) not in going for ws in self._scheduler.workers.values())

    async def _close(self, names: set[str]) -> None:
        logger.warning("No worker stays to take over the data of %s", ", ".join(sorted(names)))
        for address, ws in list(self._scheduler.workers.items()):
            if str(ws.name) in names:
                await self._scheduler.remove_worker(
                    address, stimulus_id="shoal-nobody-stays", expected=True
                )
