"""What a cloud answered to a launch, written down in one transaction: VMs bound, refusals, marks.

Plain functions over a transaction, from the store's questions. An instance gets a VM once and a VM
an instance once (compare-and-set in the store), so an answer may come twice, or beside a listing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from shoal.clouds.provider import Launched, LaunchError, NoCapacity, Refused, Scope, Throttled
from shoal.core.actions import Bind, Launch
from shoal.core.records import Batch, PoolMark, Timing, Vm
from shoal.store import instances, pools
from shoal.store.database import Transaction
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import InstanceId


class Told(msgspec.Struct, frozen=True):
    """When, and how long this cloud's refusals are believed."""

    now: datetime
    timing: Timing


def accepted(tx: Transaction, action: Launch, answer: Launched, told: Told) -> bool:
    """Whether anything was written. What was neither started nor refused stays as it is."""
    left = list(action.waiting)
    wrote = False
    for vm in answer.vms:
        id = _instance_of(vm, left, action)
        if id is not None:
            left.remove(id)
            wrote |= bound(tx, Bind(id, vm, f"accepted as {vm.id}{_place(vm)}"), action.batch, told)
    for shortfall in answer.shortfalls:
        missing = tuple(left.pop() for _ in range(min(shortfall.count, len(left))))
        wrote |= refused(tx, action.batch, missing, shortfall.error, told, final=True)
    return wrote


def bound(tx: Transaction, action: Bind, batch: Batch | None, told: Told) -> bool:
    event = Event(
        told.now,
        EventKind.INSTANCE_LAUNCHED,
        "reconciler",
        action.why,
        cluster=batch.cluster if batch else None,
        instance=action.instance,
        before="intended",
        after="launched",
    )
    if instances.launched(tx, action.instance, action.vm, told.now, event):
        return True
    return instances.located(tx, action.instance, action.vm)


def refused(
    tx: Transaction,
    batch: Batch,
    ids: Sequence[InstanceId],
    error: LaunchError,
    told: Told,
    *,
    final: bool = False,
) -> bool:
    """The pool is marked and the instances released, so that the next plan finds another offer.
    Only a cloud that asked for patience is asked for the same again, unless its answer to this
    batch is final: then for the same in another batch."""
    marks = list(_marks(batch, error, told))
    for place, mark in enumerate(marks):
        event = Event(
            told.now,
            EventKind.BATCH_REFUSED,
            "cloud",
            mark.why,
            cluster=batch.cluster,
            before=batch.id,
            after=error.code,
            count=len(ids) if place == 0 else 0,
        )
        pools.mark(tx, mark, event)
    if not final and (not marks or isinstance(error, Throttled)):
        return bool(marks)
    instances.release(tx, ids, told.now, failed=False, why=error.message)
    return True


def _instance_of(vm: Vm, left: Sequence[InstanceId], action: Launch) -> InstanceId | None:
    """A named VM is its instance; another one is bound to the first that waits, once."""
    if vm.id in action.bound or not left:
        return None
    if not vm.name:
        return left[0]
    return InstanceId(vm.name) if vm.name in left else None


def _place(vm: Vm) -> str:
    return f": {vm.machine_type} in {vm.zone}" if vm.machine_type else ""


def _marks(batch: Batch, error: LaunchError, told: Told) -> Iterator[PoolMark]:
    cloud = batch.offers[0].cloud
    until = told.now + timedelta(seconds=told.timing.capacity_mark_s)
    match error:
        case Throttled():
            yield PoolMark(cloud, "*", "*", "*", None, error.until, error.message)
        case NoCapacity() | Refused():
            for scope in (error.scope, *error.also):
                yield _scoped(batch, scope, until, error)
        case _:
            return


def _scoped(batch: Batch, scope: Scope, until: datetime, error: LaunchError) -> PoolMark:
    return PoolMark(
        batch.offers[0].cloud,
        scope.region,
        scope.zone,
        scope.machine_type,
        scope.spot,
        until,
        error.message,
        error.hint,
        batch.cluster if scope.alone else "",
    )
