"""The server itself."""

from __future__ import annotations

import os

from shoal.server.desk import Desk, Incoming
from shoal.store import clusters as cluster_rows
from shoal.store.database import masked
from shoal.version import VERSION
from shoal.wire.endpoints import Nothing
from shoal.wire.views import ServerInfo


async def server(desk: Desk, asked: Incoming[None, None]) -> ServerInfo:
    unsettled = await desk.database.run(cluster_rows.unsettled, None)
    mine = [it for it in unsettled if it.workspace == asked.caller.workspace and not it.ended_at]
    return ServerInfo(
        version=VERSION,
        installation=desk.installation,
        database=masked(desk.settings.database_url),
        embedded=desk.settings.embedded,
        clusters=len(mine),
        pid=os.getpid(),
        started_at=desk.started_at,
        user=asked.caller.user,
        workspace=asked.caller.workspace,
    )


async def stop_server(desk: Desk, asked: Incoming[None, None]) -> Nothing:
    desk.stopping.set()
    return Nothing()
