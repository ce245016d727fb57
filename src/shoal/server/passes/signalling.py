"""Which signals show: looked at for each running cluster, now and then, and kept.

The rules are core's, what they look at is read by store/scenes.py. Looking may take a fiftieth of
the server's time: with many clusters each is looked at less often.
"""

from __future__ import annotations

import time

from shoal.core.records import Cluster
from shoal.core.signals import signals
from shoal.server import news
from shoal.server.desk import Desk
from shoal.store import clusters, scenes
from shoal.store import signals as rows

EVERY_S = 10.0
_AT_MOST_SHARE = 0.02


class Pacer:
    """Skips a pass where the last ones took too long."""

    def __init__(self) -> None:
        self._not_before_s = 0.0

    async def look(self, desk: Desk) -> None:
        begun = time.monotonic()
        if begun >= self._not_before_s:
            await look(desk)
            self._not_before_s = begun + (time.monotonic() - begun) / _AT_MOST_SHARE


async def look(desk: Desk) -> None:
    """Once at every cluster that runs."""
    known = await desk.database.run(clusters.unsettled, None)
    running = [it for it in known if it.ended_at is None]
    await desk.database.run_samples(rows.only_of, [it.id for it in running])
    changed = [it.id for it in running if await _look_at(desk, it)]
    if changed:
        await desk.told.ring(*map(news.of_record, changed))


async def _look_at(desk: Desk, cluster: Cluster) -> bool:
    now = desk.clock()
    facts = await desk.database.run(scenes.facts, cluster.id, now)
    scene = await desk.database.run_samples(scenes.scene, facts, now)
    found = signals(scene)
    return await desk.database.run_samples(rows.put, cluster.id, cluster.workspace, found, now)
