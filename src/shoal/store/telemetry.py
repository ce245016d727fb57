"""What Dask did: computations, task groups, exceptions, workers' comings and goings. Samples.

Standing items are kept as they were told last; moments once. Both by the sender's seq, so that a
report may be read twice, or by two servers. Series of samples are series.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, assert_never

import msgspec
from sqlalchemy import Connection, Table, delete, func, select, type_coerce
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import Text

from shoal.store import series, tables
from shoal.store.questions import reading
from shoal.wire.ids import ClusterId, WorkspaceName
from shoal.wire.telemetry import (
    Chunk,
    ClientEvent,
    Computation,
    ComputationDetail,
    ComputationList,
    ComputationView,
    HostSample,
    PrefixTime,
    SchedulerSample,
    ShuffleEvent,
    TaskException,
    TaskGroupSample,
    Telemetry,
    WorkerEvent,
)

MAX_COMPUTATIONS = 2_000  # of a cluster
MAX_GROUPS = 20_000
MAX_EXCEPTIONS = 1_000
MAX_EVENTS = 20_000

_Row = dict[str, Any]
_KINDS = {WorkerEvent: "worker", ShuffleEvent: "shuffle", ClientEvent: "client"}


def append(
    tx: Connection, cluster: ClusterId, workspace: WorkspaceName, chunks: Sequence[Chunk]
) -> None:
    rows: dict[Table, list[_Row]] = {}
    hosts: list[HostSample] = []
    schedulers: list[SchedulerSample] = []
    for chunk in chunks:
        item, known = chunk.item, {"cluster": cluster, "seq": chunk.seq, "record": chunk.item}
        match item:
            case HostSample():
                hosts.append(item)
            case SchedulerSample():
                schedulers.append(item)
            case Computation():
                row = {
                    "id": item.id,
                    "workspace": workspace,
                    "started_at": item.started_at,
                    "stopped_at": item.stopped_at,
                    "erred": item.erred,
                    "code": "\n".join(f"{it.file}\n{it.code}" for it in item.code),
                }
                rows.setdefault(tables.computation, []).append(known | row)
            case TaskGroupSample():
                row = {"computation": item.computation, "name": item.name}
                rows.setdefault(tables.task_group, []).append(known | row)
            case PrefixTime():
                row = {"computation": item.computation, "prefix": item.prefix}
                rows.setdefault(tables.prefix_time, []).append(known | row)
            case TaskException():
                row = {
                    "id": item.id,
                    "computation": item.computation,
                    "last_at": item.last_at,
                }
                rows.setdefault(tables.task_exception, []).append(known | row)
            case WorkerEvent() | ShuffleEvent() | ClientEvent():
                event = {"kind": _KINDS[type(item)], "at": item.at}
                rows.setdefault(tables.dask_event, []).append(known | event)
            case _:
                assert_never(item)
    for table, given in rows.items():
        _put(tx, table, given)
    series.append(tx, cluster, hosts, schedulers)


def lost(
    tx: Connection, cluster: ClusterId, cursor: int, now: datetime, *, items: int, log_lines: int
) -> None:
    """What a report said was dropped on the way to it."""
    row = {"cluster": cluster, "cursor": cursor, "at": now, "lost": items, "log_lines": log_lines}
    tx.execute(_new(tx, tables.gap).on_conflict_do_nothing(), [row])


def _put(tx: Connection, table: Table, rows: list[_Row]) -> None:
    key = [it.name for it in table.primary_key]
    statement = _new(tx, table)
    if table is tables.dask_event:
        tx.execute(statement.on_conflict_do_nothing(), rows)
        return
    updates = {it.name: statement.excluded[it.name] for it in table.columns if it.name not in key}
    newer = statement.excluded.seq > table.c.seq
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_=updates, where=newer), rows)


def _new(tx: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    return (postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert)(table)


# -- questions ------------------------------------------------------------------------------------


@reading
def computations(
    tx: Connection,
    workspace: WorkspaceName,
    *,
    cluster: ClusterId | None = None,
    text: str | None = None,
    span: str | None = None,
    erred: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
    before: str | None = None,
    limit: int = 100,
) -> ComputationList:
    """Newest first. `before` is the second part of the previous answer; `text` is looked for in
    the code, `span` in the names of spans, in capitals and small letters."""
    table = tables.computation
    query = (
        select(table.c.cluster, table.c.record, table.c.started_at, table.c.id)
        .where(table.c.workspace == workspace)
        .order_by(table.c.started_at.desc(), table.c.id.desc())
        .limit(limit + 1)
    )
    if cluster is not None:
        query = query.where(table.c.cluster == cluster)
    if text:
        query = query.where(
            func.lower(type_coerce(table.c.code, Text)).contains(text.lower(), autoescape=True)
        )
    if span:
        told = func.lower(type_coerce(table.c.record, Text))
        query = query.where(told.like(_in_spans(span), escape="/"))
    if erred:
        query = query.where(table.c.erred > 0)
    if since is not None:
        query = query.where(table.c.started_at >= since)
    if until is not None:
        query = query.where(table.c.started_at < until)
    if before is not None:
        query = _before(query, before)
    rows = tx.execute(query).all()
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = f"{rows[-1].started_at.isoformat()}_{rows[-1].id}"
    return ComputationList(tuple(ComputationView(it.cluster, it.record) for it in rows), following)


def _in_spans(span: str) -> str:
    """Spans are the last of a record, and a quote within a value is written as \\"."""
    wanted = msgspec.json.encode(span.lower()).decode()[1:-1]
    for special in "/%_":
        wanted = wanted.replace(special, f"/{special}")
    return f'%"spans":[%{wanted}%'


class Over(msgspec.Struct, frozen=True):
    """A computation that is over, with the first of what its tasks raised."""

    workspace: WorkspaceName
    cluster: ClusterId
    computation: Computation
    exceptions: tuple[TaskException, ...]


@reading
def over(tx: Connection, since: datetime) -> list[tuple[ClusterId, str]]:
    """Which computations of all workspaces have ended since then, in that order. They are heard of
    in no order: one that ended long ago may be on record since just now."""
    table = tables.computation
    query = select(table.c.cluster, table.c.id).where(table.c.stopped_at >= since)
    rows = tx.execute(query.order_by(table.c.stopped_at, table.c.cluster, table.c.id))
    return [(ClusterId(cluster), id) for cluster, id in rows]


@reading
def whole(tx: Connection, keys: Sequence[tuple[ClusterId, str]], exceptions: int) -> list[Over]:
    """At most so many exceptions of each."""
    table, raised = tables.computation, tables.task_exception
    found = []
    for cluster, id in keys:
        query = select(table.c.workspace, table.c.record)
        row = tx.execute(query.where(table.c.cluster == cluster, table.c.id == id)).one_or_none()
        if row is None:
            continue  # forgotten meanwhile
        its = select(raised.c.record).where(raised.c.cluster == cluster, raised.c.computation == id)
        told = tx.execute(its.order_by(raised.c.last_at, raised.c.id).limit(exceptions)).scalars()
        found.append(Over(row.workspace, cluster, row.record, tuple(told)))
    return found


def _before(query: Any, page: str) -> Any:
    """Pages go on below the last one's start; one that cannot be read is the first page."""
    table = tables.computation
    moment, _, id = page.partition("_")
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return query
    if at.tzinfo is None:
        return query
    earlier = table.c.started_at < at
    return query.where(earlier | ((table.c.started_at == at) & (table.c.id < id)))


@reading
def computation(tx: Connection, cluster: ClusterId, id: str) -> ComputationDetail | None:
    table = tables.computation
    found = tx.execute(
        select(table.c.record).where(table.c.cluster == cluster, table.c.id == id)
    ).scalar_one_or_none()
    if found is None:
        return None
    return ComputationDetail(
        found,
        tuple(sorted(groups(tx, cluster, [id]), key=lambda it: -_spent_s(it))),
        tuple(times(tx, cluster, [id])),
        exceptions(tx, cluster, computation=id),
    )


def _spent_s(it: TaskGroupSample) -> float:
    return it.compute_s + it.transfer_s + it.disk_read_s + it.disk_write_s


@reading
def groups(
    tx: Connection, cluster: ClusterId, computations: Iterable[str]
) -> tuple[TaskGroupSample, ...]:
    table = tables.task_group
    query = select(table.c.record).where(
        table.c.cluster == cluster, table.c.computation.in_(list(computations))
    )
    return tuple(tx.execute(query.order_by(table.c.computation, table.c.name)).scalars())


@reading
def times(
    tx: Connection, cluster: ClusterId, computations: Iterable[str]
) -> tuple[PrefixTime, ...]:
    table = tables.prefix_time
    query = select(table.c.record).where(
        table.c.cluster == cluster, table.c.computation.in_(list(computations))
    )
    return tuple(tx.execute(query.order_by(table.c.computation, table.c.prefix)).scalars())


@reading
def exceptions(
    tx: Connection,
    cluster: ClusterId,
    *,
    computation: str | None = None,
    since: datetime | None = None,
    limit: int = 200,
) -> tuple[TaskException, ...]:
    table = tables.task_exception
    query = select(table.c.record).where(table.c.cluster == cluster)
    if computation is not None:
        query = query.where(table.c.computation == computation)
    if since is not None:
        query = query.where(table.c.last_at >= since)
    return tuple(tx.execute(query.order_by(table.c.last_at.desc()).limit(limit)).scalars())


@reading
def worker_events(
    tx: Connection, cluster: ClusterId, *, since: datetime | None = None, limit: int = 200
) -> tuple[WorkerEvent, ...]:
    found: tuple[WorkerEvent, ...] = _events(tx, cluster, "worker", since, limit)
    return found


@reading
def shuffles(
    tx: Connection, cluster: ClusterId, *, since: datetime | None = None, limit: int = 200
) -> tuple[ShuffleEvent, ...]:
    found: tuple[ShuffleEvent, ...] = _events(tx, cluster, "shuffle", since, limit)
    return found


@reading
def clients(
    tx: Connection, cluster: ClusterId, *, since: datetime | None = None, limit: int = 200
) -> tuple[ClientEvent, ...]:
    found: tuple[ClientEvent, ...] = _events(tx, cluster, "client", since, limit)
    return found


def _events(
    tx: Connection, cluster: ClusterId, kind: str, since: datetime | None, limit: int
) -> Any:
    table = tables.dask_event
    query = select(table.c.record).where(table.c.cluster == cluster, table.c.kind == kind)
    if since is not None:
        query = query.where(table.c.at >= since)
    query = query.order_by(table.c.at.desc(), table.c.seq.desc()).limit(limit)
    return tuple(tx.execute(query).scalars())


class Missing(msgspec.Struct, frozen=True):
    """What a record lacks: what was lost on the way to it, and what had to go before its time."""

    items: int
    log_lines: int
    items_forgotten: int
    log_lines_forgotten: int


@reading
def missing(tx: Connection, cluster: ClusterId) -> Missing:
    return Missing(*dropped(tx, cluster), *forgotten(tx, cluster))


@reading
def extent(tx: Connection, cluster: ClusterId) -> Telemetry:
    def number(table: Table) -> int:
        query = select(func.count()).select_from(table).where(table.c.cluster == cluster)
        return int(tx.execute(query).scalar_one())

    items, lines = dropped(tx, cluster)
    early, early_lines = forgotten(tx, cluster)
    return Telemetry(
        computations=number(tables.computation),
        exceptions=number(tables.task_exception),
        samples=series.count(tx, cluster),
        log_lines=number(tables.log),
        dropped=items,
        logs_dropped=lines,
        forgotten=early,
        logs_forgotten=early_lines,
    )


@reading
def dropped(tx: Connection, cluster: ClusterId) -> tuple[int, int]:
    """Items and log lines that were lost on the way."""
    gap = tables.gap
    sums = (func.coalesce(func.sum(gap.c.lost), 0), func.coalesce(func.sum(gap.c.log_lines), 0))
    row = tx.execute(select(*sums).where(gap.c.cluster == cluster)).one()
    return int(row[0]), int(row[1])


@reading
def dropped_of_clusters(
    tx: Connection, clusters: Sequence[ClusterId]
) -> dict[ClusterId, tuple[int, int]]:
    """Items and log lines that were lost on the way."""
    gap = tables.gap
    query = (
        select(gap.c.cluster, func.sum(gap.c.lost), func.sum(gap.c.log_lines))
        .where(gap.c.cluster.in_(clusters))
        .group_by(gap.c.cluster)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in tx.execute(query)}


@reading
def forgotten(tx: Connection, cluster: ClusterId) -> tuple[int, int]:
    """Items and log lines that went before their time, for want of room."""
    table = tables.forgotten
    query = select(table.c["items"], table.c.log_lines).where(table.c.cluster == cluster)
    row = tx.execute(query).first()
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


# -- ageing ---------------------------------------------------------------------------------------


def prune(tx: Connection, older_than: datetime, most_computations: int = MAX_COMPUTATIONS) -> None:
    """By age, and the oldest of clusters that have too many."""
    table = tables.computation
    tx.execute(delete(table).where(table.c.started_at < older_than))
    tx.execute(delete(tables.task_exception).where(tables.task_exception.c.last_at < older_than))
    tx.execute(delete(tables.dask_event).where(tables.dask_event.c.at < older_than))
    tx.execute(delete(tables.gap).where(tables.gap.c.at < older_than))
    tx.execute(delete(tables.signal).where(tables.signal.c.last_at < older_than))
    _crowded(tx, table, "started_at", most_computations)
    _crowded(tx, tables.task_exception, "last_at", MAX_EXCEPTIONS)
    _crowded(tx, tables.dask_event, "at", MAX_EVENTS)
    _crowded(tx, tables.task_group, "seq", MAX_GROUPS)
    tx.execute(delete(tables.forgotten).where(tables.forgotten.c.at < older_than))
    drop_orphans(tx)


def drop_orphans(tx: Connection) -> dict[ClusterId, int]:
    """Groups and times of computations that are not kept any more; how many, by cluster."""
    dropped: dict[ClusterId, int] = {}
    for part in (tables.task_group, tables.prefix_time):
        whole = select(tables.computation.c.id).where(
            tables.computation.c.cluster == part.c.cluster,
            tables.computation.c.id == part.c.computation,
        )
        orphaned = ~whole.exists()
        query = select(part.c.cluster, func.count()).where(orphaned).group_by(part.c.cluster)
        for cluster, count in tx.execute(query).all():
            dropped[cluster] = dropped.get(cluster, 0) + count
        if dropped:
            tx.execute(delete(part).where(orphaned))
    return dropped


def _crowded(tx: Connection, table: Table, order: str, most: int) -> None:
    many = select(table.c.cluster).group_by(table.c.cluster).having(func.count() > most)
    for cluster in tx.execute(many).scalars().all():
        mine = table.c.cluster == cluster
        edge = tx.execute(
            select(table.c[order]).where(mine).order_by(table.c[order].desc()).offset(most).limit(1)
        ).scalar()
        tx.execute(delete(table).where(mine, table.c[order] <= edge))
