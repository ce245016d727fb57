"""Events: appended by whoever changes state, in the same transaction; read by cursor.

Readers tail by `seq`, so the order of seq must be the order of commits. It is, because writers take
turns (database.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select, text

from shoal.store import tables
from shoal.store.questions import reading
from shoal.store.rows import contains, read, selecting, values
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, EventSeq, InstanceId, WorkspaceName
from shoal.wire.views import Stage

_FEW = 500  # ids in one statement
_APPENDING = insert(tables.event)
_OWNER = select(tables.cluster.c.workspace).where(tables.cluster.c.id == bindparam("its"))


def append(tx: Connection, event: Event) -> None:
    append_all(tx, [event])


def append_all(tx: Connection, events: Iterable[Event]) -> None:
    rows = [_row(tx, it) for it in events]
    if rows:
        tx.execute(_APPENDING, rows)


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
def newest(
    tx: Connection,
    cluster: ClusterId | None,
    limit: int,
    *,
    workspace: WorkspaceName | None = None,
    kinds: Collection[EventKind] = (),
    instance: str | None = None,
    text: str | None = None,
    before: EventSeq | None = None,
) -> list[Event]:
    """Newest first, those of `kinds` only if any are given. `before`: goes on from that seq."""
    event = tables.event
    query = selecting(Event, event).order_by(event.c.seq.desc()).limit(limit)
    if cluster is not None:
        query = query.where(event.c.cluster == cluster)
    if workspace is not None:
        query = query.where(event.c.workspace == workspace)
    if kinds:
        query = query.where(event.c.kind.in_(kinds))
    if instance is not None:
        query = query.where(event.c.instance == instance)
    if before is not None:
        query = query.where(event.c.seq < before)
    if text:
        query = query.where(contains(tx, text, event.c.why, event.c.instance, event.c.actor))
    return read(tx, Event, query)


@reading
def alarms(tx: Connection, limit: int, *, workspace: WorkspaceName | None = None) -> list[Event]:
    """What somebody should look at, newest first."""
    event = tables.event
    query = selecting(Event, event).where(text(tables.ALARMING))
    if workspace is not None:
        query = query.where(event.c.workspace == workspace)
    return read(tx, Event, query.order_by(event.c.seq.desc()).limit(limit))


class Staged(msgspec.Struct, frozen=True):
    """A VM's agent reported another stage of life."""

    at: datetime
    stage: Stage


@reading
def stages(
    tx: Connection, cluster: ClusterId, instances: Collection[InstanceId]
) -> dict[InstanceId, list[Staged]]:
    """Of these VMs, in the order they were told."""
    event = tables.event
    few = len(instances) <= _FEW
    query = (
        select(event.c.instance, event.c.at, event.c.after)
        .where(event.c.instance.in_(instances) if few else event.c.cluster == cluster)
        .where(event.c.kind == EventKind.INSTANCE_STAGE)
        .order_by(event.c.seq)
    )
    wanted, found = set(instances), dict[InstanceId, list[Staged]]()
    for instance, at, stage in tx.execute(query):
        if instance in wanted:
            found.setdefault(instance, []).append(Staged(at, Stage(stage)))
    return found


@reading
def latest(tx: Connection) -> EventSeq:
    return EventSeq(tx.execute(select(func.max(tables.event.c.seq))).scalar() or 0)


def _row(tx: Connection, event: Event) -> dict[str, object]:
    row = values(event)
    del row["seq"]
    if event.workspace is None and event.cluster is not None:
        row["workspace"] = tx.execute(_OWNER, {"its": event.cluster}).scalar()
    return row
