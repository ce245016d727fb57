"""Lines of all processes, of VMs that are gone too: samples, bounded by age and number."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    and_,
    bindparam,
    delete,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from shoal.store import telemetry
from shoal.store.questions import reading
from shoal.store.rows import contains
from shoal.store.tables import log
from shoal.wire.ids import ClusterId
from shoal.wire.reports import LogChunk
from shoal.wire.views import LogLine, LogPage

MAX_TEXT = 8_000  # characters of one line
ENVIRONMENT = "environment"  # the making of it, as a process


def append(
    tx: Connection, cluster: ClusterId, chunks: Sequence[LogChunk], head_started_at: datetime
) -> None:
    """What was stored once is not stored twice: a report may be read again."""
    rows = [
        {
            "cluster": cluster,
            "head_started_at": head_started_at,
            "seq": it.seq,
            "at": it.line.at,
            "instance": it.line.instance,
            "process": it.line.process,
            "text": it.line.text[:MAX_TEXT],
        }
        for it in chunks
    ]
    if rows:
        insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
        tx.execute(insert(log).on_conflict_do_nothing(), rows)


@reading
def read(
    tx: Connection,
    cluster: ClusterId,
    *,
    instance: str | None = None,
    process: str | None = None,
    text: str | None = None,
    cursor: int = 0,
    limit: int = 1000,
    any_case: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
) -> LogPage:
    """In the order they arrived: those after the cursor, or the newest before `before`."""
    query = (
        select(log.c.id, log.c.at, log.c.instance, log.c.process, log.c.text)
        .where(log.c.cluster == cluster)
        .limit(limit)
    )
    if before is None:
        query = query.where(log.c.id > cursor).order_by(log.c.id)
    else:
        query = query.where(log.c.id < before).order_by(log.c.id.desc())
    if instance is not None:
        query = query.where(log.c.instance == instance)
    if process is not None:
        query = query.where(log.c.process == _named(process))
    if text is not None:
        query = query.where(_position(tx, text, any_case=any_case) > 0)
    if since is not None:
        query = query.where(log.c.at >= since)
    if until is not None:
        query = query.where(log.c.at <= until)
    rows = list(tx.execute(query).all())
    if before is not None:
        rows.reverse()
    lines = tuple(LogLine(*row[1:]) for row in rows)
    _, dropped = telemetry.dropped(tx, cluster)
    return LogPage(
        lines,
        rows[-1].id if rows else cursor,
        dropped=dropped,
        previous_cursor=rows[0].id if rows else before or 0,
    )


def _named(process: str) -> BindParameter[str]:
    """Written out where there is an index of that process alone: engines see that it will do."""
    return bindparam(None, process, unique=True, literal_execute=process == ENVIRONMENT)


def _position(tx: Connection, text: str, *, any_case: bool) -> ColumnElement[int]:
    """Where a line contains it, letter for letter; 0: nowhere. (LIKE would ask each engine's own
    idea of upper and lower case; so does `lower`, which SQLite does for ASCII alone.)"""
    position = func.strpos if tx.dialect.name == "postgresql" else func.instr
    wanted = bindparam(None, text, type_=log.c.text.type, unique=True)
    if any_case:
        return position(func.lower(log.c.text), func.lower(wanted), type_=Integer)
    return position(log.c.text, wanted, type_=Integer)


@reading
def last(tx: Connection, cluster: ClusterId, limit: int) -> tuple[LogLine, ...]:
    """The last that arrived, in their order."""
    return tail(tx, cluster, limit).lines


class Tail(msgspec.Struct, frozen=True):
    lines: tuple[LogLine, ...]
    before: int | None  # what the lines before these are to be asked with; None: there are none
    after: int = 0  # what the lines after these are


class Level(enum.StrEnum):
    """How grave a line says it is, by its words: processes format lines as they like."""

    WARNING = "warning"  # and worse
    ERROR = "error"


LEVEL_WORDS = {
    Level.WARNING: ("WARNING", "ERROR", "CRITICAL", "Traceback", "Error:"),
    Level.ERROR: ("ERROR", "CRITICAL", "Traceback", "Error:"),
}


@reading
def tail(
    tx: Connection,
    cluster: ClusterId,
    limit: int,
    *,
    instance: str | None = None,
    process: str | None = None,
    text: str | None = None,
    before: int | None = None,
    after: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    level: Level | None = None,
) -> Tail:
    """The last that arrived (before an earlier answer's, or after it), in their order. `text`:
    upper or lower case alike."""
    query = (
        select(log.c.id, log.c.at, log.c.instance, log.c.process, log.c.text)
        .where(log.c.cluster == cluster)
        .order_by(log.c.id.desc())
        .limit(limit + 1)
    )
    if instance:
        query = query.where(log.c.instance == instance)
    if process:
        query = query.where(log.c.process == _named(process))
    if text:
        query = query.where(contains(tx, text, log.c.text))
    if before is not None:
        query = query.where(log.c.id < before)
    if after is not None:
        query = query.where(log.c.id > after)
    if since is not None:
        query = query.where(log.c.at >= since)
    if until is not None:
        query = query.where(log.c.at <= until)
    if level is not None:
        said = [_position(tx, it, any_case=False) > 0 for it in LEVEL_WORDS[level]]
        query = query.where(or_(*said))
    rows = tx.execute(query).all()
    more, rows = len(rows) > limit, rows[:limit]
    lines = tuple(LogLine(*row[1:]) for row in reversed(rows))
    return Tail(lines, rows[-1].id if more else None, rows[0].id if rows else after or 0)


def prune(tx: Connection, older_than: datetime, most_per_cluster: int) -> None:
    """How an environment was made is told first, and must not go because much is printed later: its
    lines are counted apart."""
    tx.execute(delete(log).where(log.c.at < older_than))
    crowded = select(log.c.cluster).group_by(log.c.cluster).having(func.count() > most_per_cluster)
    named = literal(ENVIRONMENT, literal_execute=True)
    for cluster in tx.execute(crowded).scalars().all():
        for some in (log.c.process != named, log.c.process == named):
            _thin(tx, and_(log.c.cluster == cluster, some), most_per_cluster)


def _thin(tx: Connection, some: ColumnElement[bool], most: int) -> None:
    newest = select(log.c.id).where(some).order_by(log.c.id.desc()).offset(most).limit(1)
    last_dropped = tx.execute(newest).scalar()
    if last_dropped is not None:
        tx.execute(delete(log).where(some, log.c.id <= last_dropped))
