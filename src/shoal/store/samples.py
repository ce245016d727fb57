"""The samples as a whole: what a report brings is taken in one transaction; what is too much goes.

Kept apart from the facts, so that a full or broken samples database loses history and no VM.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, select, text

from shoal.store import logs, series, tables, telemetry
from shoal.store.questions import reading
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


def shrink(tx: Connection, now: datetime) -> None:
    """The oldest tenth, by age, of what is large: log lines and samples."""
    for table in (tables.log, tables.host_sample, tables.scheduler_sample):
        oldest = tx.execute(select(func.min(table.c.at))).scalar()
        if oldest is not None:
            edge = oldest + max((now - oldest) * _TENTH, timedelta(minutes=1))
            tx.execute(delete(table).where(table.c.at < edge))


def age(
    tx: Connection, now: datetime, *, logs_for: timedelta, metrics_for: timedelta, most_lines: int
) -> None:
    """What is over its time goes; a series of samples gets coarser before it does."""
    logs.prune(tx, now - logs_for, most_lines)
    series.age(tx, now, metrics_for)
