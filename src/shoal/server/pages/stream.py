"""What tells an open page to look again: hints, never content.

`look`: something happened that the page shows; it asks for itself. `log`: lines arrived; a page
that follows the log asks for those that it lacks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

from starlette.responses import Response, StreamingResponse

from shoal.errors import NotLoggedIn
from shoal.server import news
from shoal.server.desk import Desk
from shoal.server.pages.frame import Visit
from shoal.server.pages.session import visitor
from shoal.store import clusters as cluster_rows
from shoal.store import events as event_rows
from shoal.wire.ids import ClusterId, WorkspaceName

_KEEP_ALIVE = timedelta(seconds=10)
_LOOK_S = 1.0  # for what another replica wrote


async def changes(visit: Visit) -> Response:
    """For as long as the session lasts. `cluster`: of it alone."""
    name = visit.request.query_params.get("cluster")
    workspace = visit.known.caller.workspace
    cluster = None
    if name is not None:
        cluster = (await visit.desk.database.run(cluster_rows.find, workspace, name)).id

    async def while_known() -> AsyncIterator[bytes]:
        async for chunk in hints(visit.desk, workspace, cluster):
            try:
                await visitor(visit.desk, visit.cookie)
            except NotLoggedIn:
                return
            yield chunk

    return StreamingResponse(while_known(), media_type="text/event-stream")


async def hints(
    desk: Desk, workspace: WorkspaceName, cluster: ClusterId | None
) -> AsyncIterator[bytes]:
    cursor = await desk.database.run(event_rows.latest)
    heard, silent_since = desk.told.count, desk.clock()
    yield b": connected\n\n"
    while not desk.stopping.is_set():
        seen = desk.told.count
        found = await desk.database.run(
            event_rows.after, cursor, cluster=cluster, workspace=workspace, limit=1
        )
        if found:
            cursor = await desk.database.run(event_rows.latest)
        told = [b"look"] if found or _rung(desk, news.of_record, cluster, heard) else []
        told += [b"log"] if _rung(desk, news.of_log, cluster, heard) else []
        heard = seen
        if told:
            silent_since = desk.clock()
            yield b"".join(b"data: %s\n\n" % it for it in told)
        elif desk.clock() - silent_since >= _KEEP_ALIVE:
            silent_since = desk.clock()
            yield b": still here\n\n"
        await desk.told.after(seen, timeout_s=_LOOK_S)


def _rung(
    desk: Desk, about: Callable[[ClusterId], str], cluster: ClusterId | None, heard: int
) -> bool:
    return cluster is not None and desk.told.last(about(cluster)) > heard
