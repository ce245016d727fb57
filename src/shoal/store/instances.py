"""Instances: attempts at VMs. Each edge of their life is one function, compare-and-set.

intend → launched → release → gone        (core/lifecycle.py has the table)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, Select, bindparam, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from shoal.core.cost import extras_uusd_per_hour
from shoal.core.limits import room, unit
from shoal.core.records import Batch, Instance, Vm
from shoal.store import events, limits, tables
from shoal.store.questions import reading
from shoal.store.rows import changed, read, selecting, values
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.views import InstanceState

_instance = tables.instance
_CHUNK = 500  # ids in one statement
_EACH = 20  # up to so many changes have an event each; more are told by one with a count

_WANTED = (
    select(tables.cluster.c.workspace, tables.cluster.c.owner)
    .where(
        tables.cluster.c.id == bindparam("its"),
        tables.cluster.c.generation == bindparam("asked"),
        tables.cluster.c.ended_at.is_(None),
    )
    .with_for_update()
)
_LAUNCHING = update(_instance).where(
    _instance.c.id == bindparam("its"), _instance.c.state == InstanceState.INTENDED
)
_LOCATING = (
    update(_instance)
    .where(
        _instance.c.id == bindparam("its"),
        _instance.c.state == InstanceState.LAUNCHED,
        _instance.c.vm == bindparam("seen"),
        or_(_instance.c.address != bindparam("at"), _instance.c.inside != bindparam("within")),
    )
    .values(address=bindparam("at"), inside=bindparam("within"))
)
_MATCHING = (
    select(_instance.c.id, _instance.c.cluster, _instance.c.state)
    .where(
        _instance.c.id.in_(bindparam("ids", expanding=True)),
        _instance.c.state.in_(bindparam("states", expanding=True)),
    )
    .order_by(_instance.c.number)
    .with_for_update()
)
_OF_CLUSTER = (
    selecting(Instance, _instance)
    .where(_instance.c.cluster == bindparam("its"))
    .order_by(_instance.c.number)
)
_SOME = selecting(Instance, _instance).where(_instance.c.id.in_(bindparam("ids", expanding=True)))
_KEPT = _MATCHING.where(_instance.c.retiring_since.is_(None))
_CHANGING = update(_instance).where(_instance.c.id.in_(bindparam("ids", expanding=True)))


class Trouble(Struct, frozen=True):
    """Why VMs were lost or could not be had."""

    why: str
    count: int
    last_at: datetime


def intend(
    tx: Connection, batch: Batch, generation: int, event: Event, grace_s: float = 0.0
) -> bool:
    """The batch and its instances, if the cluster is wanted, of this generation, and nobody has
    intended the same before. Cut to what limits leave room for now: writers take turns, so two
    that ask at once do not pass a limit together. `grace_s`: what is left of a budget must last."""
    found = tx.execute(_WANTED, {"its": batch.cluster, "asked": generation}).first()
    if found is None:
        return False
    one = unit(batch.offers, batch.disk_gib, batch.role)
    helds = limits.held(tx, found.workspace, found.owner, event.at)
    fit, reached = room(helds, batch.role, one, batch.count, grace_s)
    if not fit:
        return False
    if reached is not None:
        batch = replace(batch, count=fit, instances=batch.instances[:fit])
        event = replace(event, count=fit, why=f"{event.why}; {fit} of them now: {reached.words}")
    row = {
        "id": batch.id,
        "cluster": batch.cluster,
        "record": batch,
        "vcpus": one.vcpus,
        "gpus": one.gpus,
        "ceiling_uusd_per_hour": one.uusd_per_hour,
    }
    try:
        with tx.begin_nested():
            tx.execute(insert(tables.batch), row)
            tx.execute(insert(_instance), [_row(batch, id, event.why) for id in batch.instances])
    except IntegrityError:
        return False
    events.append(tx, event)
    return True


def _row(batch: Batch, id: InstanceId, why: str) -> dict[str, object]:
    first = batch.offers[0]
    made = Instance(
        id=id,
        batch=batch.id,
        cluster=batch.cluster,
        role=batch.role,
        state=InstanceState.INTENDED,
        since=batch.created_at,
        why=why,
        created_at=batch.created_at,
        spot=first.spot,
        extras_uusd_per_hour=extras_uusd_per_hour(batch),
    )
    return values(made, number=int(id.rpartition("-")[2]), cloud=first.cloud, ready_at=None)


def launched(tx: Connection, id: InstanceId, vm: Vm, at: datetime, event: Event) -> bool:
    """intended → launched, bound to this VM; False if that VM is another instance's."""
    life = {"state": InstanceState.LAUNCHED, "since": at, "why": event.why, "launched_at": at}
    try:
        with tx.begin_nested():
            did = changed(tx, _LAUNCHING, its=id, **life, **_seen(vm))
    except IntegrityError:
        return False
    if did:
        events.append(tx, event)
    return bool(did)


def located(tx: Connection, id: InstanceId, vm: Vm) -> bool:
    """A launched instance's VM has addresses now, or others."""
    return bool(changed(tx, _LOCATING, its=id, seen=vm.id, at=vm.address, within=vm.inside))


def _seen(vm: Vm) -> dict[str, object]:
    return {
        "vm": vm.id,
        "address": vm.address,
        "inside": vm.inside,
        "zone": vm.zone,
        "machine_type": vm.machine_type,
        "spot": vm.spot,
        "price_uusd_per_hour": vm.price_uusd_per_hour,
    }


def retire(tx: Connection, ids: Collection[InstanceId], at: datetime, why: str) -> list[InstanceId]:
    """Asked to drain, if it was not yet and is still ours."""
    living = (InstanceState.INTENDED, InstanceState.LAUNCHED)
    found = _matching(tx, ids, living, _KEPT)
    _update(tx, found, {"retiring_since": at})
    _tell(tx, found, EventKind.INSTANCE_RETIRING, at, why, after="retiring")
    return [id for id, _, _ in found]


def release(
    tx: Connection, ids: Collection[InstanceId], at: datetime, *, failed: bool, why: str
) -> list[InstanceId]:
    """intended | launched → released."""
    found = _matching(tx, ids, (InstanceState.INTENDED, InstanceState.LAUNCHED))
    _update(
        tx,
        found,
        {
            "state": InstanceState.RELEASED,
            "since": at,
            "released_at": at,
            "failed": failed,
            "why": why,
        },
    )
    _tell(tx, found, EventKind.INSTANCE_RELEASED, at, why, after="released")
    return [id for id, _, _ in found]


def gone(tx: Connection, ids: Collection[InstanceId], at: datetime, why: str) -> list[InstanceId]:
    """released → gone. `why` is told; the row keeps why it was released."""
    found = _matching(tx, ids, (InstanceState.RELEASED,))
    _update(tx, found, {"state": InstanceState.GONE, "since": at, "gone_at": at})
    _tell(tx, found, EventKind.INSTANCE_GONE, at, why, after="gone")
    return [id for id, _, _ in found]


_Found = Sequence[tuple[InstanceId, ClusterId, InstanceState]]


def _matching(
    tx: Connection,
    ids: Collection[InstanceId],
    states: Sequence[InstanceState],
    query: Select[Any] = _MATCHING,
) -> _Found:
    """Those in one of the states, locked until the transaction ends."""
    found: list[tuple[InstanceId, ClusterId, InstanceState]] = []
    for chunk in _chunks(ids):
        found += [tuple(row) for row in tx.execute(query, {"ids": chunk, "states": states})]
    return found


def _update(tx: Connection, found: _Found, changes: dict[str, object]) -> None:
    for chunk in _chunks([id for id, _, _ in found]):
        tx.execute(_CHANGING, {"ids": chunk, **changes})


def _tell(
    tx: Connection, found: _Found, kind: EventKind, at: datetime, why: str, *, after: str
) -> None:
    if len(found) <= _EACH:
        told = [
            Event(
                at, kind, "reconciler", why, cluster=cluster, instance=id, before=state, after=after
            )
            for id, cluster, state in found
        ]
    else:
        told = [
            Event(at, kind, "reconciler", why, cluster=cluster, after=after, count=count)
            for cluster, count in _counted(found).items()
        ]
    events.append_all(tx, told)


def _counted(found: _Found) -> dict[ClusterId, int]:
    counts: dict[ClusterId, int] = {}
    for _, cluster, _ in found:
        counts[cluster] = counts.get(cluster, 0) + 1
    return counts


@reading
def of_cluster(
    tx: Connection,
    cluster: ClusterId,
    *,
    after: str | None = None,
    limit: int = 1000,
    had: bool | None = None,
) -> tuple[list[Instance], str | None]:
    """In the order they were intended; `had`: only those that are (not) gone."""
    query = _OF_CLUSTER.limit(limit + 1)
    if had is not None:
        query = query.where((_instance.c.state != InstanceState.GONE) == had)
    if after is not None:
        number = select(_instance.c.number).where(_instance.c.id == after).scalar_subquery()
        query = query.where(_instance.c.number > number)
    found = read(tx, Instance, query, its=cluster)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


@reading
def all_of_cluster(tx: Connection, cluster: ClusterId) -> list[Instance]:
    return read(tx, Instance, _OF_CLUSTER, its=cluster)


@reading
def some(tx: Connection, ids: Collection[str]) -> list[Instance]:
    """Those of these names that there are, or were."""
    found: list[Instance] = []
    for chunk in _chunks(ids):
        found += read(tx, Instance, _SOME, ids=chunk)
    return found


@reading
def troubles(tx: Connection, cluster: ClusterId) -> tuple[Trouble, ...]:
    """Of those that went wrong, the most frequent reason first."""
    count, why = func.count(), _instance.c.why
    last_at = func.max(_instance.c.released_at, type_=_instance.c.released_at.type)
    query = (
        select(why, count, last_at)
        .where(_instance.c.cluster == cluster, _instance.c.failed)
        .group_by(why)
        .order_by(count.desc(), why)
    )
    return tuple(Trouble(*row) for row in tx.execute(query))


@reading
def past(
    tx: Connection, names: Collection[str], vms: Collection[str], batches: Collection[str]
) -> frozenset[str]:
    """Which of these names and VM ids are of instances that are gone, and which of these batches
    have none left. What is living by now, whoever made it so, is not among them."""
    is_gone = _instance.c.state == InstanceState.GONE
    found: set[str] = set()
    for column, given in ((_instance.c.id, names), (_instance.c.vm, vms)):
        for chunk in _chunks(given):
            matching = select(column).where(column.in_(chunk), column != "", is_gone)
            found |= set(tx.execute(matching).scalars())
    for chunk in _chunks(batches):
        of_batch = select(_instance.c.batch).where(_instance.c.batch.in_(chunk))
        found |= set(tx.execute(of_batch).scalars())
        found -= set(tx.execute(of_batch.where(~is_gone)).scalars())
    return frozenset(found)


def _chunks(ids: Collection[str]) -> list[list[str]]:
    every = list(ids)
    return [every[i : i + _CHUNK] for i in range(0, len(every), _CHUNK)]
