"""Events: a page of the past, and a stream of what happens."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from shoal.errors import ShoalError
from shoal.server import news
from shoal.server.desk import Desk, Incoming
from shoal.store import clusters as cluster_rows
from shoal.store import events as event_rows
from shoal.wire.endpoints import ChangesQuery, EventPage, EventQuery
from shoal.wire.events import Event
from shoal.wire.ids import ClusterId, EventSeq, WorkspaceName

KEEP_ALIVE_S = 10.0
LOOK_S = 1.0  # for what another replica wrote
_PAGE = 500
_HINT = b"event: record\ndata: {}\n\n"


async def events(desk: Desk, asked: Incoming[EventQuery, None]) -> EventPage:
    query = asked.query
    cluster = await _cluster(desk, asked.caller.workspace, query.cluster)
    found = await _after(desk, asked.caller.workspace, cluster, query.after, query.limit)
    return EventPage(tuple(found), found[-1].seq if found else query.after)


async def changes(desk: Desk, asked: Incoming[ChangesQuery, None]) -> AsyncIterator[bytes]:
    """Server-sent events; the id of each is its seq, so that a reader can go on from there. With
    `hints` a word that the record has news: computations, errors, losses, signals."""
    workspace = asked.caller.workspace
    try:
        cluster = await _cluster(desk, workspace, asked.query.cluster)
        cursor = asked.query.after
        if cursor is None:
            cursor = await desk.database.run(event_rows.latest)
    except ShoalError as error:
        yield _problem(error)
        return
    silent_s, heard = 0.0, desk.told.count
    yield b": connected\n\n"
    while not desk.stopping.is_set():
        seen = desk.told.count
        found = await _after(desk, workspace, cluster, cursor, _PAGE)
        hint = asked.query.hints and cluster and desk.told.last(news.of_record(cluster)) > heard
        heard = seen
        if found or hint:
            cursor, silent_s = found[-1].seq if found else cursor, 0.0
            yield b"".join([*map(_encoded, found), *([_HINT] if hint else [])])
        elif silent_s >= KEEP_ALIVE_S:
            silent_s = 0.0
            yield b": still here\n\n"
        if len(found) < _PAGE:
            await desk.told.after(seen, timeout_s=LOOK_S)
            silent_s += LOOK_S


def _encoded(event: Event) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (event.seq, msgspec.json.encode(event))


def _problem(error: ShoalError) -> bytes:
    return b"event: problem\ndata: %s\n\n" % msgspec.json.encode(
        {"code": error.code, "detail": error.message, "hint": error.hint}
    )


async def _cluster(
    desk: Desk, workspace: WorkspaceName, id_or_name: str | None
) -> ClusterId | None:
    if id_or_name is None:
        return None
    return (await desk.database.run(cluster_rows.find, workspace, id_or_name)).id


async def _after(
    desk: Desk, workspace: WorkspaceName, cluster: ClusterId | None, seq: int, limit: int
) -> list[Event]:
    return await desk.database.run(
        event_rows.after, EventSeq(seq), cluster=cluster, workspace=workspace, limit=limit
    )
