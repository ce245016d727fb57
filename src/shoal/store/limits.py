"""Limits and budgets: set, read together with what is in use of them, and what they hold back.

What is in use is counted from the same rows, in the same transaction, in which more is put on
record: nothing is kept beside them that could say something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
)

from shoal.core.cost import start_of_day
from shoal.core.limits import effective, in_words, merged, together, whose
from shoal.core.records import Cluster, Held
from shoal.store import events, money, tables
from shoal.store.columns import Moment, stored
from shoal.store.questions import reading
from shoal.store.rows import changed, upsert
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, UserName, WorkspaceName
from shoal.wire.limits import EACH, WHOLE, ChangeLimits, InUse, Limits
from shoal.wire.specs import Cloud, Role
from shoal.wire.views import InstanceState

_limits, _hold, _mark = tables.limits, tables.hold, tables.budget_mark
_cluster, _instance, _batch = tables.cluster, tables.instance, tables.batch
_ledger = tables.ledger
_NONE = Limits()

# Asked each pass, and the same each time.
_HERE = bindparam("here", type_=_limits.c.workspace.type)  # the workspace
_MONTH = bindparam("month", type_=Moment)  # its beginning, and as a number, as it is stored
_MONTH_US, _NOW_US = bindparam("month_us", type_=BigInteger), bindparam("now_us", type_=BigInteger)
_ANY = select(_limits.c.workspace).limit(1)
_HOLDS = select(_hold.c.cluster, _hold.c.reason)
_VALUES = (
    select(_limits.c.user, _limits.c.record)
    .where(_limits.c.workspace == _HERE)
    .order_by(_limits.c.user)
)
_TOLD = select(_mark.c.user, _mark.c.mark).where(
    _mark.c.workspace == _HERE, _mark.c.month == _MONTH
)


@reading
def values(tx: Connection, workspace: WorkspaceName) -> dict[UserName, Limits]:
    found = tx.execute(_VALUES, {"here": workspace})
    return {UserName(user): record for user, record in found}


def change(
    tx: Connection, workspace: WorkspaceName, asked: ChangeLimits, actor: str, now: datetime
) -> bool:
    """Whether anything is another than before. Another budget is told of anew."""
    before = values(tx, workspace).get(asked.user, _NONE)
    after = merged(before, asked)
    if after == before:
        return False
    mine = and_(_limits.c.workspace == workspace, _limits.c.user == asked.user)
    if after == _NONE:
        tx.execute(delete(_limits).where(mine))
    else:
        upsert(tx, _limits, [{"workspace": workspace, "user": asked.user, "record": after}])
    if after.budget_uusd != before.budget_uusd:
        told = delete(_mark).where(_mark.c.workspace == workspace)
        tx.execute(told if asked.user == EACH else told.where(_mark.c.user == asked.user))
    words = whose(workspace, asked.user)
    event = Event(
        now,
        EventKind.LIMITS_SET,
        actor,
        f"{actor} set what {words} may have" + (f": {asked.why}" if asked.why else ""),
        workspace=workspace,
        before=f"{words}: {in_words(before)}",
        after=f"{words}: {in_words(after)}",
    )
    events.append(tx, event)
    return True


@reading
def held(
    tx: Connection, workspace: WorkspaceName, user: UserName, now: datetime
) -> tuple[Held, ...]:
    """What somebody's clusters in a workspace are under; empty: nothing."""
    known = values(tx, workspace)
    return _helds(tx, workspace, known, [user], now)[user] if known else ()


@reading
def of_clusters(
    tx: Connection, clusters: Iterable[Cluster], now: datetime
) -> dict[ClusterId, tuple[Held, ...]]:
    """Of those that are wanted, and under any."""
    if tx.execute(_ANY).first() is None:
        return {}
    wanted = [it for it in clusters if it.ended_at is None]
    found: dict[ClusterId, tuple[Held, ...]] = {}
    for workspace in sorted({it.workspace for it in wanted}):
        known = values(tx, workspace)
        here = [it for it in wanted if it.workspace == workspace]
        if known:
            helds = _helds(tx, workspace, known, {it.owner for it in here}, now)
            found |= {it.id: helds[it.owner] for it in here if helds[it.owner]}
    return found


def _helds(
    tx: Connection,
    workspace: WorkspaceName,
    known: Mapping[UserName, Limits],
    users: Iterable[UserName],
    now: datetime,
) -> dict[UserName, tuple[Held, ...]]:
    used = use(tx, workspace, now)
    told = _told(tx, workspace, now)

    def one(user: UserName, limits: Limits, in_use: InUse) -> Held:
        return Held(workspace, user, limits, in_use, told.get(user, frozenset()))

    whole = known.get(WHOLE, _NONE)
    first = (one(WHOLE, whole, together(used.values())),) if whole != _NONE else ()
    found = {}
    for user in users:
        own = effective(known, user)
        mine = (one(user, own, used.get(user, InUse())),) if own != _NONE else ()
        found[user] = first + mine
    return found


@reading
def use(tx: Connection, workspace: WorkspaceName, now: datetime) -> dict[UserName, InUse]:
    """By user: what there is, and what was spent since the month began."""
    found: dict[UserName, InUse] = {}

    def add(user: str, **more: float) -> None:
        one = found.get(UserName(user), InUse())
        sums = {name: getattr(one, name) + value for name, value in more.items()}
        found[UserName(user)] = msgspec.structs.replace(one, **sums)

    month = month_of(now)
    given = {"here": workspace, "month": month, "month_us": stored(month), "now_us": stored(now)}
    for user in tx.execute(_CLUSTERS, given).scalars():
        add(user, clusters=1)
    for user, role, vcpus, gpus, price, count in tx.execute(_VMS, given):
        add(
            user,
            workers=count if role is Role.WORKER else 0,
            vcpus=count * vcpus,
            gpus=count * gpus,
            price_uusd_per_hour=count * (price or 0),
            unpriced_vms=count if price is None else 0,
        )
    for user, uusd, unpriced_s in tx.execute(_BOOKED, given):
        add(user, month_uusd=int(uusd), month_unpriced_s=unpriced_s)
    for user, uusd, unpriced_s in tx.execute(_LIVING, given):
        add(user, month_uusd=round(uusd), month_unpriced_s=unpriced_s)
    return found


def month_of(now: datetime) -> datetime:
    """Its beginning, UTC."""
    return start_of_day(now).replace(day=1)


# By cluster, not by owner: SQLite would take the owners' index, and go through all that there were.


def _clusters() -> Select[Any]:
    return select(_cluster.c.owner).where(
        _cluster.c.workspace == _HERE,
        _cluster.c.ended_at.is_(None),
        _cluster.c.cloud != Cloud.WATCHED,
    )


def _vms() -> Select[Any]:
    """Those that no cloud is known to lack, alike ones together. Of an unsettled cluster each:
    one that is settled has none."""
    price = case((money.PRICED, money.PRICE), else_=_batch.c.ceiling_uusd_per_hour)
    alike = (_instance.c.role, _batch.c.vcpus, _batch.c.gpus, price)
    return (
        select(_cluster.c.owner, *alike, func.count())
        .select_from(_cluster)
        .join(_instance, _instance.c.cluster == _cluster.c.id)
        .join(_batch, _batch.c.id == _instance.c.batch)
        .where(
            _cluster.c.workspace == _HERE,
            _cluster.c.settled_at.is_(None),
            _cluster.c.booked_at.is_(None),  # says no more, but has the index
            _instance.c.state != InstanceState.GONE,
        )
        .group_by(_cluster.c.id, *alike)
    )


def _booked() -> Select[Any]:
    return (
        select(_ledger.c.owner, func.sum(_ledger.c.uusd), func.sum(_ledger.c.unpriced_s))
        .where(_ledger.c.workspace == _HERE, _ledger.c.day >= _MONTH)
        .group_by(_ledger.c.owner)
    )


def _living() -> Select[Any]:
    """Of clusters that are not booked yet: their VMs' seconds in this month, at their prices."""
    seconds = money.billed_s(_NOW_US, since=_MONTH_US)
    return (
        select(
            _cluster.c.owner,
            func.sum(case((money.PRICED, money.uusd(seconds)), else_=0.0)),
            func.sum(case((money.PRICED, 0.0), else_=seconds)),
        )
        .select_from(_cluster)
        .join(_instance, _instance.c.cluster == _cluster.c.id)
        .where(
            _cluster.c.workspace == _HERE,
            _cluster.c.booked_at.is_(None),
            or_(_cluster.c.settled_at.is_(None), _cluster.c.settled_at >= _MONTH),
            _instance.c.launched_at.is_not(None),
        )
        .group_by(_cluster.c.id)
    )


_CLUSTERS, _VMS, _BOOKED, _LIVING = _clusters(), _vms(), _booked(), _living()


@reading
def promised(tx: Connection, workspace: WorkspaceName) -> dict[UserName, int]:
    """Workers that running clusters ask for and do not have yet, by user: they come first."""
    had = (
        select(_instance.c.cluster, func.count())
        .join(_cluster, _cluster.c.id == _instance.c.cluster)
        .where(
            _cluster.c.workspace == workspace,
            _cluster.c.settled_at.is_(None),
            _instance.c.role == Role.WORKER,
            _instance.c.state != InstanceState.GONE,
        )
        .group_by(_instance.c.cluster)
    )
    have: dict[str, int] = {row[0]: row[1] for row in tx.execute(had)}
    wanted = select(_cluster.c.id, _cluster.c.owner, _cluster.c.spec).where(
        _cluster.c.workspace == workspace,
        _cluster.c.ended_at.is_(None),
        _cluster.c.cloud != Cloud.WATCHED,
    )
    found: dict[UserName, int] = {}
    for id, owner, spec in tx.execute(wanted):
        late = max(0, spec.workers.wanted - have.get(id, 0))
        found[UserName(owner)] = found.get(UserName(owner), 0) + late
    return found


@reading
def standing(
    tx: Connection, workspace: WorkspaceName, user: UserName, now: datetime
) -> tuple[Held, ...]:
    """As `held`, with the workers in use that other clusters are promised."""
    helds = held(tx, workspace, user, now)
    late = promised(tx, workspace) if helds else {}
    return tuple(
        msgspec.structs.replace(
            it,
            use=msgspec.structs.replace(
                it.use,
                workers=it.use.workers
                + (sum(late.values()) if it.user == WHOLE else late.get(it.user, 0)),
            ),
        )
        for it in helds
    )


class Everybody(msgspec.Struct, frozen=True):
    """All that is set in a workspace, and used."""

    whole: Limits
    each: Limits  # what every user may have who has no own limit of the kind
    users: dict[UserName, Limits]  # what holds for those who have own limits, or use anything
    use: dict[UserName, InUse]


@reading
def every(tx: Connection, workspace: WorkspaceName, now: datetime) -> Everybody:
    known, used = values(tx, workspace), use(tx, workspace, now)
    users = sorted({*known, *used} - {WHOLE, EACH})
    return Everybody(
        known.get(WHOLE, _NONE),
        known.get(EACH, _NONE),
        {it: effective(known, it) for it in users},
        used,
    )


def hold(tx: Connection, id: ClusterId, reason: str, at: datetime, event: Event) -> bool:
    """What holds a cluster back is another thing now; empty: nothing does."""
    before = tx.execute(select(_hold.c.reason).where(_hold.c.cluster == id)).scalar()
    if before == (reason or None):
        return False
    if reason:
        upsert(tx, _hold, [{"cluster": id, "reason": reason, "since": at}])
    else:
        tx.execute(delete(_hold).where(_hold.c.cluster == id))
    events.append(tx, event)
    return True


@reading
def holds(tx: Connection, clusters: Iterable[ClusterId]) -> dict[ClusterId, str]:
    query = select(_hold.c.cluster, _hold.c.reason).where(_hold.c.cluster.in_(list(clusters)))
    return {ClusterId(id): reason for id, reason in tx.execute(query)}


@reading
def all_holds(tx: Connection) -> dict[ClusterId, str]:
    return {ClusterId(id): reason for id, reason in tx.execute(_HOLDS)}


def _told(
    tx: Connection, workspace: WorkspaceName, now: datetime
) -> dict[UserName, frozenset[str]]:
    found: dict[UserName, frozenset[str]] = {}
    for user, mark in tx.execute(_TOLD, {"here": workspace, "month": month_of(now)}):
        found[UserName(user)] = found.get(UserName(user), frozenset()) | {mark}
    return found


def mark(
    tx: Connection,
    workspace: WorkspaceName,
    user: UserName,
    name: str,
    now: datetime,
    told: Iterable[Event],
) -> bool:
    """A mark of this month's budget is passed: told by who puts it on record first."""
    row = {"workspace": workspace, "user": user, "month": month_of(now), "mark": name}
    here = and_(*(_mark.c[key] == value for key, value in row.items()))
    if tx.execute(select(_mark.c.at).where(here)).first() is not None:
        return False
    tx.execute(insert(_mark).values(row | {"at": now}))
    events.append_all(tx, told)
    return True


def unmark(
    tx: Connection, workspace: WorkspaceName, user: UserName, name: str, now: datetime
) -> bool:
    """It is not passed any more, and would be told again."""
    return bool(
        changed(
            tx,
            delete(_mark).where(
                _mark.c.workspace == workspace,
                _mark.c.user == user,
                _mark.c.month == month_of(now),
                _mark.c.mark == name,
            ),
        )
    )
