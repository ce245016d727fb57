"""Events: appended by whoever changes state, in the same transaction; read by cursor.

Readers tail by `seq`, so the order of seq must be the order of commits. It is, because writers take
turns (database.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, func, insert, select

from shoal.store import tables
from shoal.store.questions import reading
from shoal.store.rows import read, selecting, values
from shoal.wire.events import Event
from shoal.wire.ids import ClusterId, EventSeq, WorkspaceName


def append(tx: Connection, event: Event) -> None:
    append_all(tx, [event])


def append_all(tx: Connection, events: Iterable[Event]) -> None:
    rows = [_row(tx, it) for it in events]
    if rows:
        tx.execute(insert(tables.event), rows)


@reading
def after(
    tx: Connection,
    seq: EventSeq,
    *,
    cluster: ClusterId | None = None,
    workspace: WorkspaceName | None = None,
    limit: int = 1000,
) -> list[Event]:
    event = tables.event
    query = selecting(Event, event).where(event.c.seq > seq).order_by(event.c.seq).limit(limit)
    if cluster is not None:
        query = query.where(event.c.cluster == cluster)
    if workspace is not None:
        query = query.where(event.c.workspace == workspace)
    return read(tx, Event, query)


@reading
def newest(tx: Connection, cluster: ClusterId, limit: int) -> list[Event]:
    """Newest first."""
    event = tables.event
    query = selecting(Event, event).where(event.c.cluster == cluster)
    return read(tx, Event, query.order_by(event.c.seq.desc()).limit(limit))


@reading
def latest(tx: Connection) -> EventSeq:
    return EventSeq(tx.execute(select(func.max(tables.event.c.seq))).scalar() or 0)


def _row(tx: Connection, event: Event) -> dict[str, object]:
    row = values(event)
    del row["seq"]
    if event.workspace is None and event.cluster is not None:
        owner = select(tables.cluster.c.workspace).where(tables.cluster.c.id == event.cluster)
        row["workspace"] = tx.execute(owner).scalar()
    return row
