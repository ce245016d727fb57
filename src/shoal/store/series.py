"""Samples of hosts and schedulers over time: stored as told, rolled up as they age.

    as told    every few seconds, for an hour
    60 s       for two days
    600 s      as long as metrics are kept

In what is rolled up, rates and shares (`…_percent`, `…_bps`, `…_share`) are means, and levels are
the largest: a peak of memory is what one looks for. A reader says how many points it can use and
gets the finest resolution that has no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import fields
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Float,
    Integer,
    Select,
    Table,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from shoal.store.questions import reading
from shoal.store.tables import host_sample, scheduler_sample, series
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.telemetry import HostSample, HostSeries, SchedulerSample, SchedulerSeries

TOLD, MINUTE, TEN_MINUTES = 0, 60, 600
TOLD_EVERY_S = 5  # about
KEPT = {TOLD: timedelta(hours=1), MINUTE: timedelta(days=2)}
_MEANS = ("_percent", "_bps", "_share", "event_loop_s")
_SEEN_EVERY = timedelta(minutes=5)
_LIVE = timedelta(minutes=20)  # no series is older, whose newest samples are to be rolled up


# -- writing --------------------------------------------------------------------------------------


def append(
    tx: Connection,
    cluster: ClusterId,
    hosts: Sequence[HostSample],
    schedulers: Sequence[SchedulerSample],
) -> None:
    if hosts:
        ids = _series(tx, cluster, hosts)
        rows = [
            {"series": ids[it.instance], "resolution_s": TOLD, **_row(it, _HOST)} for it in hosts
        ]
        _insert_new(tx, host_sample, rows)
    if schedulers:
        told = [
            {"cluster": cluster, "resolution_s": TOLD, **_row(it, _SCHEDULER)} for it in schedulers
        ]
        _insert_new(tx, scheduler_sample, told)


def _numbers(kind: type[Struct]) -> tuple[str, ...]:
    return ("at", *(it.name for it in fields(kind) if it.type in (int, float)))


_HOST, _SCHEDULER = _numbers(HostSample), _numbers(SchedulerSample)


def _row(sample: HostSample | SchedulerSample, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(sample, name) for name in names}


def _series(
    tx: Connection, cluster: ClusterId, hosts: Iterable[HostSample]
) -> dict[InstanceId, int]:
    """The numbers of the series, made where there is none."""
    newest: dict[InstanceId, datetime] = {}
    for it in hosts:
        newest[it.instance] = max(it.at, newest.get(it.instance, it.at))
    query = select(series.c.instance, series.c.id, series.c.seen_at).where(
        series.c.cluster == cluster
    )
    known = {row.instance: row for row in tx.execute(query)}
    missing = [name for name in newest if name not in known]
    if missing:
        rows = [{"cluster": cluster, "instance": it, "seen_at": newest[it]} for it in missing]
        tx.execute(insert(series), rows)
        known = {row.instance: row for row in tx.execute(query)}
    stale = [
        known[name].id for name, at in newest.items() if at - known[name].seen_at > _SEEN_EVERY
    ]
    if stale:
        now = max(newest.values())
        tx.execute(update(series).where(series.c.id.in_(stale)).values(seen_at=now))
    return {name: known[name].id for name in newest}


def _insert_new(tx: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    tx.execute(_new(tx, table).on_conflict_do_nothing(), rows)


def _new(tx: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    return (postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert)(table)


# -- reading --------------------------------------------------------------------------------------


def resolution(since: datetime | None, until: datetime, now: datetime, points: int) -> int:
    """The finest that is kept for so long and has no more samples than are wanted."""
    begun = since or until - timedelta(days=3650)
    span_s = (until - begun).total_seconds()
    for step_s in (TOLD, MINUTE):
        kept = now - begun <= KEPT[step_s]
        if kept and span_s / (step_s or TOLD_EVERY_S) <= points:
            return step_s
    return TEN_MINUTES


@reading
def of_cluster(
    tx: Connection,
    cluster: ClusterId,
    *,
    since: datetime,
    until: datetime,
    resolution_s: int,
    most: int = 5_000,
) -> SchedulerSeries:
    """The newest `most`. What is not rolled up yet is added as it was told."""
    mine = scheduler_sample.c.cluster == cluster
    rows = _points(tx, scheduler_sample, _SCHEDULER, mine, since, until, resolution_s, most)
    return SchedulerSeries(resolution_s, tuple(SchedulerSample(*row) for row in rows))


@reading
def of_host(
    tx: Connection,
    cluster: ClusterId,
    instance: str,
    *,
    since: datetime,
    until: datetime,
    resolution_s: int,
    most: int = 5_000,
) -> HostSeries:
    mine = (
        host_sample.c.series
        == select(series.c.id)
        .where(series.c.cluster == cluster, series.c.instance == instance)
        .scalar_subquery()
    )
    rows = _points(tx, host_sample, _HOST, mine, since, until, resolution_s, most)
    name = InstanceId(instance)
    return HostSeries(resolution_s, tuple(HostSample(row[0], name, *row[1:]) for row in rows))


@reading
def recent_hosts(
    tx: Connection, cluster: ClusterId, *, since: datetime, finely_since: datetime
) -> dict[InstanceId, tuple[HostSample, ...]]:
    """Of every VM, oldest first: minutes, then as told. What signals are derived from."""
    found: dict[InstanceId, list[HostSample]] = {}
    edge = _whole(finely_since, MINUTE)
    for step_s, begin, end in ((MINUTE, since, edge), (TOLD, edge, None)):
        query = (
            select(series.c.instance, *(host_sample.c[name] for name in _HOST))
            .join(host_sample, host_sample.c.series == series.c.id)
            .where(
                series.c.cluster == cluster,
                series.c.seen_at >= since - _SEEN_EVERY,
                host_sample.c.resolution_s == step_s,
                host_sample.c.at >= begin,
            )
            .order_by(host_sample.c.series, host_sample.c.at)
        )
        if end is not None:
            query = query.where(host_sample.c.at < end)
        for name, at, *numbers in tx.execute(query):
            found.setdefault(name, []).append(HostSample(at, name, *numbers))
    return {name: tuple(samples) for name, samples in found.items()}


@reading
def newest_hosts(tx: Connection, cluster: ClusterId) -> tuple[HostSample, ...]:
    """The newest sample of each VM, however old; by name."""
    known = _known(tx, cluster)
    found = [
        HostSample(at, known[id], *numbers)
        for _, (id, at, *numbers) in _ends(tx, _NEWEST, cluster, known)
    ]
    return tuple(sorted(found, key=lambda it: it.instance))


def _known(tx: Connection, cluster: ClusterId) -> dict[int, InstanceId]:
    names = select(series.c.id, series.c.instance).where(series.c.cluster == cluster)
    return {int(id): InstanceId(name) for id, name in tx.execute(names)}


def _ends(
    tx: Connection, query: Select[Any], cluster: ClusterId, wanted: Iterable[int]
) -> Iterator[tuple[int, Any]]:
    """What `query` tells of the end of each of these series, and at which resolution: a coarser
    one where there is no finer one."""
    left = set(wanted)
    for step_s in (TOLD, MINUTE, TEN_MINUTES):
        if not left:
            return
        for row in tx.execute(query, {"its": cluster, "step_s": step_s}):
            if row[0] in left and row[1] is not None:
                left.remove(row[0])
                yield step_s, row


class Fullest(Struct, frozen=True):
    vms: tuple[InstanceId, ...]  # all that told of themselves
    hosts: tuple[HostSample, ...]  # the fullest memory first


@reading
def fullest_hosts(tx: Connection, cluster: ClusterId, most: int) -> Fullest:
    """As `newest_hosts`, of those VMs alone whose memory is fullest; `most` may be 0."""
    known = _known(tx, cluster)
    full: dict[int, float] = {}
    step_of: dict[int, int] = {}
    for step_s, (id, share) in _ends(tx, _FULL, cluster, known if most else ()):
        full[id], step_of[id] = share, step_s
    first = sorted(full, key=lambda it: (-full[it], known[it]))[:most]
    found = {
        id: HostSample(at, known[id], *numbers)
        for step_s in {step_of[it] for it in first}
        for id, at, *numbers in tx.execute(
            _NEWEST.where(series.c.id.in_([it for it in first if step_of[it] == step_s])),
            {"its": cluster, "step_s": step_s},
        )
    }
    return Fullest(tuple(sorted(known.values())), tuple(found[it] for it in first))


_STEP_S, _ENDS = bindparam("step_s", type_=Integer), host_sample.alias()
_OF_SERIES = (_ENDS.c.series == series.c.id) & (_ENDS.c.resolution_s == _STEP_S)


def _newest() -> Select[Any]:
    """Each series is looked into once, at its end."""
    ends = select(func.max(_ENDS.c.at)).where(_OF_SERIES).correlate(series).scalar_subquery()
    return (
        select(host_sample.c.series, *(host_sample.c[name] for name in _HOST))
        .join(series, host_sample.c.series == series.c.id)
        .where(
            series.c.cluster == bindparam("its"),
            host_sample.c.resolution_s == _STEP_S,
            host_sample.c.at == ends,
        )
    )


def _fullest() -> Select[Any]:
    """The share of its memory that each used. One number needs no join, for which PostgreSQL would
    read all samples that there are."""
    limit = case((_ENDS.c.memory_limit_bytes > 0, _ENDS.c.memory_limit_bytes), else_=1)
    share = (
        select(cast(_ENDS.c.memory_used_bytes, Float) / limit)
        .where(_OF_SERIES)
        .order_by(_ENDS.c.at.desc())
        .limit(1)
        .correlate(series)
        .scalar_subquery()
    )
    return select(series.c.id, share).where(series.c.cluster == bindparam("its"))


_NEWEST, _FULL = _newest(), _fullest()


@reading
def newest_of_clusters(
    tx: Connection, clusters: Sequence[ClusterId], since: datetime
) -> dict[ClusterId, SchedulerSample]:
    """Each scheduler's newest sample as told, if it is not older."""
    table = scheduler_sample
    query = (
        select(table.c.cluster, *(table.c[name] for name in _SCHEDULER))
        .where(table.c.cluster.in_(clusters), table.c.resolution_s == TOLD, table.c.at >= since)
        .order_by(table.c.at)
    )
    return {cluster: SchedulerSample(*row) for cluster, *row in tx.execute(query)}


@reading
def newest_hosts_of_clusters(
    tx: Connection, clusters: Sequence[ClusterId], since: datetime
) -> dict[ClusterId, list[HostSample]]:
    """Each VM's newest sample as told, if it is not older."""
    query = (
        select(series.c.cluster, series.c.instance, *(host_sample.c[name] for name in _HOST))
        .join(host_sample, host_sample.c.series == series.c.id)
        .where(
            series.c.cluster.in_(clusters),
            series.c.seen_at >= since - _SEEN_EVERY,
            host_sample.c.resolution_s == TOLD,
            host_sample.c.at >= since,
        )
        .order_by(host_sample.c.at)
    )
    found: dict[ClusterId, dict[str, HostSample]] = {}
    for cluster, name, at, *numbers in tx.execute(query):
        found.setdefault(cluster, {})[name] = HostSample(at, name, *numbers)
    return {cluster: list(told.values()) for cluster, told in found.items()}


@reading
def count(tx: Connection, cluster: ClusterId) -> int:
    ids = select(series.c.id).where(series.c.cluster == cluster)
    hosts = select(func.count()).select_from(host_sample).where(host_sample.c.series.in_(ids))
    own = scheduler_sample.c.cluster == cluster
    schedulers = select(func.count()).select_from(scheduler_sample).where(own)
    return int(tx.execute(hosts).scalar_one()) + int(tx.execute(schedulers).scalar_one())


def _points(
    tx: Connection,
    table: Table,
    names: tuple[str, ...],
    mine: ColumnElement[bool],
    since: datetime,
    until: datetime,
    resolution_s: int,
    most: int,
) -> list[Any]:
    query = (
        select(*(table.c[name] for name in names))
        .where(mine, table.c.resolution_s == resolution_s)
        .where(table.c.at >= since, table.c.at <= until)
        .order_by(table.c.at.desc())
        .limit(most)
    )
    found = list(reversed(tx.execute(query).all()))
    if resolution_s == TOLD:
        return found
    finer = TOLD if resolution_s == MINUTE else MINUTE
    after = found[-1][0] + timedelta(seconds=resolution_s) if found else since
    if after < until:
        found += _points(tx, table, names, mine, after, until, finer, most)
    return found[-most:]


# -- ageing ---------------------------------------------------------------------------------------


def roll_up(tx: Connection, now: datetime) -> None:
    """Once a minute: minutes and tens of minutes that are complete. What came late is caught when
    the finer samples are about to be dropped."""
    live = now - _LIVE - _SEEN_EVERY
    for table in (host_sample, scheduler_sample):
        for finer, coarser, back in ((TOLD, MINUTE, 5), (MINUTE, TEN_MINUTES, 40)):
            first = _whole(now - timedelta(minutes=back), coarser)
            new = (table.c.at >= first) & (table.c.at < _whole(now, coarser))
            if table is host_sample:
                alive = select(series.c.id).where(series.c.seen_at >= live)
                new &= table.c.series.in_(alive)
            _roll(tx, table, finer, coarser, new)


def age(tx: Connection, now: datetime, keep: timedelta) -> None:
    """Every few minutes: what is over its time goes, rolled up first."""
    for table in (host_sample, scheduler_sample):
        for finer, coarser in ((TOLD, MINUTE), (MINUTE, TEN_MINUTES)):
            edge = _whole(now - KEPT[finer], coarser)
            _roll(tx, table, finer, coarser, table.c.at < edge)
            tx.execute(delete(table).where(*_of(table, finer), table.c.at < edge))
        tx.execute(delete(table).where(*_of(table, TEN_MINUTES), table.c.at < now - keep))
    tx.execute(delete(series).where(series.c.seen_at < now - keep))


def _of(table: Table, resolution_s: int) -> list[ColumnElement[bool]]:
    return [table.c.resolution_s == resolution_s]


def _roll(
    tx: Connection, table: Table, finer: int, coarser: int, which: ColumnElement[bool]
) -> None:
    key = table.c.series if table is host_sample else table.c.cluster
    at = type_coerce(table.c.at, BigInteger)
    bucket = at - at % (coarser * 1_000_000)  # `/` would be a division with a fraction
    names = [it.name for it in table.columns][3:]
    query = (
        select(key, literal(coarser), bucket, *(_rolled(table, name) for name in names))
        .where(table.c.resolution_s == finer, which)
        .group_by(key, bucket)
    )
    columns = [key.name, "resolution_s", "at", *names]
    tx.execute(_new(tx, table).from_select(columns, query).on_conflict_do_nothing())


def _rolled(table: Table, name: str) -> ColumnElement[Any]:
    column = table.c[name]
    return func.avg(column) if name.endswith(_MEANS) else func.max(column)


def _whole(moment: datetime, step_s: int) -> datetime:
    """The beginning of its step."""
    return moment - timedelta(
        seconds=int(moment.timestamp()) % step_s, microseconds=moment.microsecond
    )
