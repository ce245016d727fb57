"""Money by day: of settled clusters from the ledger, of the others from their VMs' lives.

A settled cluster is booked once, by day; what it cost does not change any more. Questions take what
is booked from the ledger and work the rest out, so that nothing is missing while booking waits.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    exists,
    func,
    insert,
    or_,
    select,
    type_coerce,
)

from shoal.core.cost import DayCost, by_day, plus, start_of_day
from shoal.core.records import Instance
from shoal.core.spending import Paid, Payer
from shoal.store import tables
from shoal.store.questions import reading
from shoal.store.rows import read, selecting
from shoal.wire.ids import ClusterId, WorkspaceName

_cluster, _instance, _ledger = tables.cluster, tables.instance, tables.ledger


class _Tagged(msgspec.Struct, frozen=True):
    """Of a specification, the part that money is counted by."""

    tags: dict[str, str] = {}


_TAGGED = msgspec.json.Decoder(_Tagged)
_PAYER = (
    _cluster.c.id,
    _cluster.c.name,
    _cluster.c.owner,
    _cluster.c.cloud,
    type_coerce(_cluster.c.spec, Text),  # as it is stored: only its tags are read
)
_SUMS = tuple(func.sum(_ledger.c[name]) for name in ("uusd", "seconds", "unpriced_s"))


def book(tx: Connection, now: datetime, limit: int = 200) -> int:
    """How many settled clusters were booked; the oldest first."""
    unbooked = (
        select(_cluster.c.id, _cluster.c.settled_at)
        .where(_cluster.c.settled_at.is_not(None), ~_booked(_cluster.c.id))
        .order_by(_cluster.c.settled_at)
        .limit(limit)
    )
    found = tx.execute(unbooked).all()
    for id, settled_at in found:
        lives = read(tx, Instance, selecting(Instance, _instance).where(_instance.c.cluster == id))
        # One row at least, so that it is known to be booked.
        days = by_day(lives, now) or (DayCost(start_of_day(settled_at), 0, 0.0),)
        rows = [msgspec.structs.asdict(it) | {"cluster": id} for it in days]
        tx.execute(insert(_ledger), rows)
    return len(found)


def _booked(id: ColumnElement[str]) -> ColumnElement[bool]:
    return exists().where(_ledger.c.cluster == id)


@reading
def booked(tx: Connection, ids: Sequence[ClusterId]) -> dict[ClusterId, int | None]:
    """What each of them has cost that is booked; None: not all of it has a known price."""
    query = (
        select(_ledger.c.cluster, func.sum(_ledger.c.uusd), func.sum(_ledger.c.unpriced_s))
        .where(_ledger.c.cluster.in_(ids))
        .group_by(_ledger.c.cluster)
    )
    return {
        id: None if unpriced_s else int(uusd) for id, uusd, unpriced_s in tx.execute(query).all()
    }


@reading
def paid(
    tx: Connection, workspace: WorkspaceName, since: datetime, until: datetime
) -> tuple[Paid, ...]:
    """By cluster, from the beginning of the day of `since` on."""
    first = start_of_day(since)
    query = (
        select(*_PAYER, *_SUMS)
        .join(_cluster, _cluster.c.id == _ledger.c.cluster)
        .where(_cluster.c.workspace == workspace, _ledger.c.day >= first, _ledger.c.day < until)
        .group_by(_cluster.c.id)
    )
    rows: list[Any] = list(tx.execute(query))
    found = [Paid(_payer(row), int(row[5]), row[6], row[7]) for row in rows]
    lives = _unbooked(tx, workspace, first)
    if not lives:
        return tuple(found)
    payers = select(*_PAYER).where(_cluster.c.workspace == workspace, ~_booked(_cluster.c.id))
    for row in tx.execute(payers):
        days = [it for it in by_day(lives.get(row[0], ()), until) if it.day >= first]
        if days:
            whole = functools.reduce(plus, days)
            found.append(Paid(_payer(row), whole.uusd, whole.seconds, whole.unpriced_s))
    return tuple(found)


@reading
def paid_by_day(
    tx: Connection, workspace: WorkspaceName, since: datetime, until: datetime
) -> tuple[DayCost, ...]:
    """Of the whole workspace, oldest first; days without a VM are not there."""
    first = start_of_day(since)
    query = (
        select(_ledger.c.day, *_SUMS)
        .join(_cluster, _cluster.c.id == _ledger.c.cluster)
        .where(_cluster.c.workspace == workspace, _ledger.c.day >= first, _ledger.c.day < until)
        .group_by(_ledger.c.day)
    )
    found = {row[0]: DayCost(row[0], int(row[1]), row[2], row[3]) for row in tx.execute(query)}
    for lives in _unbooked(tx, workspace, first).values():
        for it in by_day(lives, until):
            if it.day >= first:
                found[it.day] = plus(found[it.day], it) if it.day in found else it
    return tuple(found[day] for day in sorted(found))


def _unbooked(
    tx: Connection, workspace: WorkspaceName, first: datetime
) -> dict[ClusterId, list[Instance]]:
    """VMs that were paid for since then, of clusters that are not booked."""
    query = (
        selecting(Instance, _instance)
        .join(_cluster, _cluster.c.id == _instance.c.cluster)
        .where(
            _cluster.c.workspace == workspace,
            ~_booked(_cluster.c.id),
            _instance.c.launched_at.is_not(None),
            or_(_instance.c.gone_at.is_(None), _instance.c.gone_at > first),
        )
    )
    found: dict[ClusterId, list[Instance]] = {}
    for it in read(tx, Instance, query):
        found.setdefault(it.cluster, []).append(it)
    return found


def _payer(row: Any) -> Payer:
    return Payer(row[0], row[1], row[2], row[3], _TAGGED.decode(row[4]).tags)
