"""Telemetry of a scheduler that Shoal did not start: kept here until a session fetches it.

The session that watches sends this plugin by value, so the scheduler needs no Shoal of its own, and
fetches by a handler of its name. Fetching says what has arrived before, so a lost answer loses
nothing; what nobody fetches is bounded, and nothing is looked at while nobody asks.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import deque
from typing import Any

from .telemetry import EVERY_S, Telemetry
from .values import Item, moment

HANDLER = "shoal_telemetry"
_MOST_KEPT = 10_000
_MOST_FETCHED = 1_000
_ASKED_WITHIN_S = 60.0
_NAP_S = 1.0
_UNFINISHED = ("released", "waiting", "no-worker", "queued", "processing")


class WatchedTelemetry(Telemetry):
    idempotent = True  # one that is there already goes on

    def __init__(self, *, every_s: float = EVERY_S) -> None:
        super().__init__(hosts=True, every_s=every_s)
        self._kept: deque[tuple[int, Item]] = deque()
        self._asked_at = self._started_at = time.time()
        self._seq = int(self._started_at * 1000)
        self._untold = 0  # items that were dropped since a session was told

    async def start(self, scheduler: Any) -> None:
        await super().start(scheduler)
        scheduler.handlers[HANDLER] = self.fetch

    async def fetch(self, cursor: int = 0, end: bool = False) -> str:
        """What is new after `cursor`, as JSON of shoal.wire.telemetry.WatchedReport."""
        self._asked_at = time.time()
        if end:
            self.look_once(self._asked_at)
            self._tell_unexplained(math.inf)
        batch = self.take()
        for item in batch["items"]:
            self._seq += 1
            self._kept.append((self._seq, item))
        self._untold += batch["dropped"]
        while self._kept and self._kept[0][0] <= cursor:
            self._kept.popleft()
        while len(self._kept) > _MOST_KEPT:
            self._kept.popleft()
            self._untold += 1
        dropped, self._untold = self._untold, 0
        if end:
            await self.close()
        return json.dumps({**self._state(), "chunks": self._chunks(), "dropped": dropped})

    def _chunks(self) -> list[Item]:
        newest = [*self._kept][:_MOST_FETCHED]
        return [{"seq": seq, "item": item} for seq, item in newest]

    def _state(self) -> Item:
        scheduler = self._scheduler
        dashboard = scheduler.services.get("dashboard")
        groups = scheduler.task_groups.values()
        return {
            "started_at": moment(self._started_at),
            "scheduler_address": scheduler.address,
            "dashboard_address": f"{scheduler.address.rpartition('://')[2].rpartition(':')[0]}:"
            f"{dashboard.port}"
            if dashboard
            else "",
            "clients": sum(it.startswith("Client-") for it in scheduler.clients),
            "workers": len(scheduler.workers),
            "tasks": sum(it.states.get(state, 0) for it in groups for state in _UNFINISHED),
        }

    async def _rest(self, seconds: float) -> None:
        await super()._rest(seconds)
        while not self._asked:  # noqa: ASYNC110  the session is gone, or asleep
            await asyncio.sleep(_NAP_S)

    @property
    def _asked(self) -> bool:
        """Lately."""
        return time.time() - self._asked_at < _ASKED_WITHIN_S
