"""Watched clusters: ended when their session has been silent, settled when they are over."""

from __future__ import annotations

from datetime import timedelta

from shoal.core.records import Cluster, EndKind
from shoal.server.desk import Desk
from shoal.store import clusters, watched
from shoal.wire.events import Event, EventKind

SILENT = timedelta(seconds=60)
_WHY = "the session that watched it is gone"


async def care_for_watched(desk: Desk) -> None:
    now = desk.clock()
    run = desk.database.run
    for it in await run(watched.silent, now - SILENT):
        event = Event(now, EventKind.CLUSTER_ENDING, "server", _WHY, cluster=it.id)
        await run(clusters.end, it.id, EndKind.RULE, _WHY, now, event)
    over = await run(watched.ended)
    for it in over:
        await run(clusters.settle, it.id, now, _settled(it, desk))
    if over:
        await desk.told.ring()


def _settled(cluster: Cluster, desk: Desk) -> Event:
    why = "none of its machines are Shoal's"
    return Event(desk.clock(), EventKind.CLUSTER_ENDED, "server", why, cluster=cluster.id)
