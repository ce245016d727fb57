"""Money by day: of settled clusters from the ledger, of the others from their VMs' lives.

A settled cluster is booked once, by day; what it cost does not change any more. Questions take what
is booked from the ledger and work the rest out, so that nothing is missing while booking waits.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)

from shoal.core.cost import DayCost, by_day, plus, start_of_day
from shoal.core.records import Instance
from shoal.core.spending import Paid, Payer
from shoal.store import tables
from shoal.store.questions import reading
from shoal.store.rows import read, selecting
from shoal.wire.ids import ClusterId, WorkspaceName

_cluster, _instance, _ledger = tables.cluster, tables.instance, tables.ledger


_WHOSE = ("workspace", "owner", "name", "cloud", "tags")  # columns of a cluster's, and of its lines
_OPEN = _cluster.c.booked_at.is_(None)  # not in the ledger yet
_SUMS = tuple(func.sum(_ledger.c[name]).label(name) for name in ("uusd", "seconds", "unpriced_s"))


def book(tx: Connection, now: datetime, limit: int = 200) -> int:
    """How many settled clusters were booked; the oldest first."""
    unbooked = (
        select(_cluster.c.id, *(_cluster.c[it] for it in _WHOSE))
        .where(_cluster.c.settled_at.is_not(None), _OPEN)
        .order_by(_cluster.c.settled_at)
        .limit(limit)
    )
    found = tx.execute(unbooked).all()
    for row in found:
        id, whose = row.id, {it: row._mapping[it] for it in _WHOSE}
        lives = read(tx, Instance, selecting(Instance, _instance).where(_instance.c.cluster == id))
        days = [msgspec.structs.asdict(it) for it in by_day(lives, now)]
        if rows := [it | whose | {"cluster": id} for it in days]:
            tx.execute(insert(_ledger), rows)
        tx.execute(update(_cluster).where(_cluster.c.id == id).values(booked_at=now))
    return len(found)


@reading
def booked(tx: Connection, ids: Sequence[ClusterId]) -> dict[ClusterId, int | None]:
    """What each of them has cost that is booked; None: not all of it has a known price."""
    query = (
        select(_cluster.c.id, func.sum(_ledger.c.uusd), func.sum(_ledger.c.unpriced_s))
        .outerjoin(_ledger, _ledger.c.cluster == _cluster.c.id)
        .where(_cluster.c.id.in_(ids), ~_OPEN)
        .group_by(_cluster.c.id)
    )
    return {
        id: None if unpriced_s else int(uusd or 0)
        for id, uusd, unpriced_s in tx.execute(query).all()
    }


_Days = Mapping[ClusterId, Sequence[DayCost]]  # of clusters that are not booked


@reading
def spent(
    tx: Connection, workspace: WorkspaceName, since: datetime, until: datetime, by: str
) -> tuple[tuple[Paid, ...], tuple[DayCost, ...]]:
    """From the beginning of the day of `since` on: by what `by` says (core/spending; clusters that
    are alike in it are summed up here), and the whole workspace by day."""
    first = start_of_day(since)
    unbooked = _unbooked(tx, workspace, first, until)
    return (
        _paid(tx, workspace, first, until, by, unbooked) if by != "day" else (),
        _by_day(tx, workspace, first, until, unbooked),
    )


@reading
def paid_by_day(
    tx: Connection, workspace: WorkspaceName, since: datetime, until: datetime
) -> tuple[DayCost, ...]:
    """Of the whole workspace, oldest first; days without a VM are not there."""
    first = start_of_day(since)
    return _by_day(tx, workspace, first, until, _unbooked(tx, workspace, first, until))


def _paid(
    tx: Connection,
    workspace: WorkspaceName,
    first: datetime,
    until: datetime,
    by: str,
    unbooked: _Days,
) -> tuple[Paid, ...]:
    keys = [_ledger.c[it] for it in _keys(by)]
    clusters = func.count(_ledger.c.cluster.distinct())
    query = select(*keys, *_SUMS, clusters).where(_of(workspace, first, until)).group_by(*keys)
    found = [
        Paid(_payer(by, row), int(row[-4]), row[-3], row[-2], row[-1])
        for row in tx.execute(query).all()
    ]
    if not unbooked:
        return tuple(found)
    columns = [_cluster.c.id if it == "cluster" else _cluster.c[it] for it in _keys(by)]
    query = select(_cluster.c.id.label("whole"), *columns).where(
        _cluster.c.workspace == workspace, _OPEN
    )
    for id, *key in tx.execute(query).all():
        if days := unbooked.get(id):
            whole = functools.reduce(plus, days)
            payer = _payer(by, key)
            found.append(Paid(payer, whole.uusd, whole.seconds, whole.unpriced_s))
    return tuple(found)


def _keys(by: str) -> tuple[str, ...]:
    """Columns of the ledger."""
    match by:
        case "user":
            return ("owner",)
        case "cloud":
            return ("cloud",)
        case "cluster":
            return ("cluster", "name")
        case _:
            return ("tags",)


def _payer(by: str, key: Sequence[Any]) -> Payer:
    match by:
        case "user":
            return Payer(owner=key[0])
        case "cloud":
            return Payer(cloud=key[0])
        case "cluster":
            return Payer(cluster=key[0], name=key[1])
        case _:
            return Payer(tags=key[0])


def _of(workspace: WorkspaceName, first: datetime, until: datetime) -> ColumnElement[bool]:
    """Lines of the ledger."""
    mine = _ledger.c.workspace == workspace
    return and_(mine, _ledger.c.day >= first, _ledger.c.day < until)


def _by_day(
    tx: Connection,
    workspace: WorkspaceName,
    first: datetime,
    until: datetime,
    unbooked: _Days,
) -> tuple[DayCost, ...]:
    booked = _of(workspace, first, until)
    query = select(_ledger.c.day, *_SUMS).where(booked).group_by(_ledger.c.day)
    found = {row[0]: DayCost(row[0], int(row[1]), row[2], row[3]) for row in tx.execute(query)}
    for days in unbooked.values():
        for it in days:
            found[it.day] = plus(found[it.day], it) if it.day in found else it
    return tuple(found[day] for day in sorted(found))


def _unbooked(tx: Connection, workspace: WorkspaceName, first: datetime, until: datetime) -> _Days:
    """From the lives of VMs that were paid for since then, of clusters that are not booked."""
    query = (
        selecting(Instance, _instance)
        .join(_cluster, _cluster.c.id == _instance.c.cluster)
        .where(
            _cluster.c.workspace == workspace,
            _OPEN,
            _instance.c.launched_at.is_not(None),
            or_(_instance.c.gone_at.is_(None), _instance.c.gone_at > first),
        )
    )
    lives: dict[ClusterId, list[Instance]] = {}
    for it in read(tx, Instance, query):
        lives.setdefault(it.cluster, []).append(it)
    return {id: [it for it in by_day(some, until) if it.day >= first] for id, some in lives.items()}
