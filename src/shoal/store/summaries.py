"""VMs of clusters in numbers, summed up by the engine: a few rows for each cluster."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    func,
    select,
)

from shoal.core.lifecycle import ACTIVE
from shoal.core.summary import Alike, Starting, Summary
from shoal.store import money, tables
from shoal.store.columns import stored
from shoal.store.questions import reading
from shoal.wire.ids import ClusterId
from shoal.wire.specs import Role

_instance, _observation = tables.instance, tables.observation
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_HEARD = _instance.outerjoin(_observation, _observation.c.instance == _instance.c.id)


@reading
def of_clusters(
    tx: Connection,
    clusters: Collection[ClusterId],
    now: datetime,
    *,
    starting: Collection[ClusterId] = (),
) -> dict[ClusterId, Summary]:
    """Of each; `starting`: whose scheduler was not heard of yet."""
    alike: dict[ClusterId, list[Alike]] = {}
    asked = {"ids": list(clusters), "now_us": stored(now)}
    for cluster, *row in tx.execute(_ALIKE, asked):
        alike.setdefault(cluster, []).append(Alike(*_whole(row)))
    schedulers: dict[ClusterId, Starting] = (
        {id: Starting(*row) for id, *row in tx.execute(_SCHEDULERS, {"ids": list(starting)})}
        if starting
        else {}
    )
    return {it: Summary(tuple(alike.get(it, ())), schedulers.get(it)) for it in clusters}


def _whole(row: list[Any]) -> list[Any]:
    """Micro-dollars are whole, though an engine's sum of them may be a float."""
    *before, cost, unpriced, price, unknown = row
    return [*before, int(cost), unpriced, int(price), unknown]


def _alike() -> Select[Any]:
    seconds = money.billed_s(bindparam("now_us", type_=BigInteger))
    never_launched = and_(_instance.c.role == Role.WORKER, _instance.c.launched_at.is_(None))
    keys = (
        _instance.c.cluster,
        _instance.c.role,
        _instance.c.state,
        _instance.c.retiring_since.is_not(None).label("retiring"),
        _observation.c.stage,
        func.coalesce(_observation.c.environment, "").label("environment"),
        case((never_launched, _instance.c.why), else_="").label("unmet"),
    )
    sums = (
        func.count(),
        func.min(_instance.c.launched_at, type_=_instance.c.launched_at.type),
        func.sum(case((money.PRICED, func.round(money.uusd(seconds))), else_=0)),
        func.sum(case((and_(~money.PRICED, seconds > 0), 1), else_=0)),
        func.sum(money.uusd_per_hour()),
        func.sum(case((money.PRICED, 0), else_=1)),
    )
    return (
        select(*keys, *sums)
        .select_from(_HEARD)
        .where(_instance.c.cluster.in_(_IDS))
        .group_by(*keys)
    )


def _schedulers() -> Select[Any]:
    """The last that is had of each comes last."""
    return (
        select(
            _instance.c.cluster,
            _instance.c.state,
            _observation.c.stage,
            func.coalesce(_observation.c.detail, ""),
        )
        .select_from(_HEARD)
        .where(
            _instance.c.cluster.in_(_IDS),
            _instance.c.role == Role.SCHEDULER,
            _instance.c.state.in_(ACTIVE),
        )
        .order_by(_instance.c.number)
    )


_ALIKE, _SCHEDULERS = _alike(), _schedulers()
