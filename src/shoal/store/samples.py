"""The samples as a whole: what a report brings is taken in one transaction; what is too much goes.

Kept apart from the facts, so that a full or broken samples database loses history and no VM.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    delete,
    func,
    select,
    text,
)

from shoal.store import logs, series, tables, telemetry
from shoal.store.questions import reading
from shoal.store.rows import upsert
from shoal.wire.ids import ClusterId, WorkspaceName
from shoal.wire.reports import HeadReport
from shoal.wire.telemetry import Chunk, Item

_TENTH = 0.1
_STEP_S = 10.0
_MOMENTS = ("at", "last_at", "started_at", "stopped_at")


def take(
    tx: Connection,
    cluster: ClusterId,
    workspace: WorkspaceName,
    report: HeadReport,
    now: datetime,
) -> None:
    """Logs and telemetry; both may be told twice."""
    logs.append(tx, cluster, report.logs, report.head_started_at)
    telemetry.append(tx, cluster, workspace, _by_our_clock(report, now))
    if report.logs_dropped or report.telemetry_dropped:
        telemetry.lost(
            tx,
            cluster,
            report.cursor,
            now,
            items=report.telemetry_dropped,
            log_lines=report.logs_dropped,
        )


def _by_our_clock(report: HeadReport, now: datetime) -> tuple[Chunk, ...]:
    """A head whose clock is wrong must not tell of tomorrow. In whole steps, so that a report that
    is read again gives the same moments."""
    ahead_s = (report.sent_at - now).total_seconds() if report.sent_at is not None else 0.0
    ahead = timedelta(seconds=round(ahead_s / _STEP_S) * _STEP_S)
    if not ahead:
        return report.telemetry
    return tuple(
        msgspec.structs.replace(it, item=_moved(it.item, ahead)) for it in report.telemetry
    )


def _moved(item: Item, ahead: timedelta) -> Item:
    known = {name: getattr(item, name, None) for name in _MOMENTS}
    moved = {name: at - ahead for name, at in known.items() if at is not None}
    return msgspec.structs.replace(item, **moved)


@reading
def size_bytes(tx: Connection) -> int:
    """What they take on disk; pages that are free to be used again do not count."""
    if tx.dialect.name == "sqlite":
        used = (
            "SELECT (page_count - freelist_count) * page_size "
            "FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
        )
        return int(tx.execute(text(used)).scalar_one())
    total = text("SELECT pg_total_relation_size(CAST(:name AS regclass))").bindparams(
        bindparam("name")
    )
    names = [it.name for it in tables.samples.sorted_tables]
    return sum(int(tx.execute(total, {"name": it}).scalar_one()) for it in names)


class Forgotten(msgspec.Struct, frozen=True):
    """What went before its time."""

    items: int = 0
    log_lines: int = 0


def shrink(tx: Connection, now: datetime) -> Forgotten:
    """The oldest tenth of everything, by age; how much of each cluster is remembered."""
    lines: Counter[ClusterId] = Counter()
    items: Counter[ClusterId] = Counter()
    for table, moment in _DATED:
        old = _oldest_tenth(tx, table.c[moment], now)
        if old is None:
            continue
        gone = lines if table is tables.log else items
        gone.update(_by_cluster(tx, table, old))
        tx.execute(delete(table).where(old))
    items.update(telemetry.drop_orphans(tx))
    for cluster in items.keys() | lines.keys():
        _remember(tx, cluster, now, Forgotten(items[cluster], lines[cluster]))
    return Forgotten(items.total(), lines.total())


_DATED = (
    (tables.log, "at"),
    (tables.host_sample, "at"),
    (tables.scheduler_sample, "at"),
    (tables.dask_event, "at"),
    (tables.computation, "started_at"),
    (tables.task_exception, "last_at"),
)


def _oldest_tenth(
    tx: Connection, moment: ColumnElement[datetime], now: datetime
) -> ColumnElement[bool] | None:
    oldest = tx.execute(select(func.min(moment))).scalar()
    if oldest is None:
        return None
    return moment < oldest + max((now - oldest) * _TENTH, timedelta(minutes=1))


def _by_cluster(tx: Connection, table: Table, old: ColumnElement[bool]) -> dict[ClusterId, int]:
    if table is tables.host_sample:
        cluster: ColumnElement[ClusterId] = tables.series.c.cluster
        rows = table.join(tables.series, tables.series.c.id == table.c.series)
        query = select(cluster, func.count()).select_from(rows)
    else:
        cluster = table.c.cluster
        query = select(cluster, func.count())
    found = tx.execute(query.where(old).group_by(cluster))
    return {ClusterId(row[0]): int(row[1]) for row in found}


def _remember(tx: Connection, cluster: ClusterId, now: datetime, gone: Forgotten) -> None:
    before = telemetry.forgotten(tx, cluster)
    row = {
        "cluster": cluster,
        "at": now,
        "items": before[0] + gone.items,
        "log_lines": before[1] + gone.log_lines,
    }
    upsert(tx, tables.forgotten, [row])


def age(
    tx: Connection, now: datetime, *, logs_for: timedelta, metrics_for: timedelta, most_lines: int
) -> None:
    """What is over its time goes; a series of samples gets coarser before it does."""
    logs.prune(tx, now - logs_for, most_lines)
    series.age(tx, now, metrics_for)
