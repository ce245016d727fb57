"""Asks a cloud where spot VMs are likely to be had, before a cluster's zone is chosen.

A cloud counts such questions, so an answer is kept for a while, and so is its silence. Nothing
waits for an answer for long, and nothing depends on one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from shoal.clouds.provider import Adviser, LaunchError, Provider
from shoal.core.choose import concerning
from shoal.core.obtainability import Question, question
from shoal.core.records import Offer
from shoal.store.world import Rows
from shoal.wire.ids import ClusterId

PATIENCE_S = 5.0
_AGE = timedelta(minutes=10)


class Asking:
    def __init__(self, provider: Provider, clock: Callable[[], datetime]) -> None:
        self._adviser = provider if isinstance(provider, Adviser) else None
        self._clock = clock
        self._said: dict[Question, tuple[datetime, Mapping[str, float]]] = {}

    async def about(
        self, rows: Rows, offers: tuple[Offer, ...]
    ) -> dict[ClusterId, dict[str, float]]:
        """What is said of the zones of each cluster that has no VM yet."""
        if self._adviser is None:
            return {}
        begun = {it.cluster for it in rows.instances}
        found = {}
        for it in rows.clusters:
            if it.ended_at is None and it.id not in begun:
                asked = question(it, offers, concerning(rows.marks, it.id))
                if asked is not None:
                    found[it.id] = dict(await self._answer(self._adviser, asked))
        return found

    async def _answer(self, adviser: Adviser, asked: Question) -> Mapping[str, float]:
        now = self._clock()
        self._said = {k: v for k, v in self._said.items() if timedelta(0) <= now - v[0] < _AGE}
        if asked not in self._said:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    said = await adviser.likely(asked)
            except (LaunchError, TimeoutError):
                said = {}
            self._said[asked] = now, said
        return self._said[asked][1]
