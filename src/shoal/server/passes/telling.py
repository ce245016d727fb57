"""Actions in a person's words: the events that tell of them, and what `explain` shows."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import assert_never

import msgspec

from shoal.core.actions import (
    Action,
    Alarm,
    Avoid,
    Bind,
    End,
    GiveUp,
    Gone,
    Hold,
    Intend,
    Launch,
    Release,
    Retire,
    Scale,
    Settle,
    Sweep,
    Terminate,
    Warn,
)
from shoal.core.limits import ENDING
from shoal.core.records import Vm
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.views import PlannedAction

_ACTOR = "reconciler"


def intended(action: Intend, now: datetime) -> Event:
    return Event(
        now,
        EventKind.BATCH_INTENDED,
        _ACTOR,
        action.why,
        cluster=action.batch.cluster,
        after=action.batch.id,
        count=action.batch.count,
    )


def scaled(action: Scale, before: int, now: datetime) -> Event:
    return Event(
        now,
        EventKind.CLUSTER_SCALED,
        _ACTOR,
        action.why,
        cluster=action.cluster,
        before=str(before),
        after=str(action.wanted),
    )


def given_up(action: GiveUp, now: datetime) -> Event:
    return Event(now, EventKind.CLUSTER_UNABLE, _ACTOR, action.why, cluster=action.cluster)


def ended(action: End | Settle, now: datetime) -> Event:
    kind = EventKind.CLUSTER_ENDING if isinstance(action, End) else EventKind.CLUSTER_ENDED
    return Event(now, kind, _ACTOR, action.why, cluster=action.cluster)


def held(action: Hold, now: datetime) -> Event:
    kind = EventKind.LIMIT_REACHED if action.limit else EventKind.LIMIT_LIFTED
    return Event(now, kind, _ACTOR, action.why, cluster=action.cluster, after=action.limit)


def warned(action: Warn, now: datetime) -> list[Event]:
    """The workspace is told, and who looks at one of the clusters that will end."""
    ending = action.mark == ENDING
    kind = EventKind.BUDGET_ENDING if ending else EventKind.BUDGET_REACHED
    after = action.mark if ending else f"{action.mark} %"
    told = Event(now, kind, _ACTOR, action.why, workspace=action.workspace, after=after)
    return [told, *(msgspec.structs.replace(told, cluster=it) for it in action.clusters)]


def avoided(action: Avoid, now: datetime) -> Event:
    return Event(now, EventKind.BATCH_REFUSED, "cloud", action.why, after=action.mark.zone)


def swept(vm: Vm, why: str, now: datetime) -> Event:
    what = vm.kind if vm.kind == "vm" else f"{vm.kind} of a VM"
    return Event(now, EventKind.VM_SWEPT, _ACTOR, f"{what} {vm.id}: {why}", before=vm.id)


def alarmed(action: Alarm, now: datetime) -> Event:
    return Event(now, EventKind.ALARM, _ACTOR, action.why)


def planned(action: Action) -> PlannedAction:
    return PlannedAction(type(action).__name__.lower(), _subject(action), action.why)


def is_about(action: Action, cluster: ClusterId, instances: Collection[InstanceId]) -> bool:
    match action:
        case Intend() | Launch():
            return action.batch.cluster == cluster
        case Bind():
            return action.instance in instances
        case Retire() | Release() | Gone() | Scale() | GiveUp() | End() | Settle() | Hold():
            return action.cluster == cluster
        case Terminate() | Sweep():
            return any(it.cluster == cluster for it in action.vms)
        case Warn():
            return cluster in action.clusters
        case Avoid() | Alarm():
            return False
        case _:
            assert_never(action)


def _subject(action: Action) -> str:
    match action:
        case Intend() | Launch():
            first = action.batch.offers[0]
            return f"{action.batch.id}: {action.batch.count} × {first.machine_type} in {first.zone}"
        case Bind():
            return action.instance
        case Retire() | Release() | Gone():
            return _several(action.instances)
        case Terminate() | Sweep():
            return _several([it.id for it in action.vms])
        case Scale():
            return f"{action.cluster} to {action.wanted}"
        case GiveUp() | End() | Settle() | Hold():
            return action.cluster
        case Warn():
            return action.user or action.workspace
        case Avoid():
            return f"{action.mark.machine_type} in {action.mark.zone}"
        case Alarm():
            return action.key
        case _:
            assert_never(action)


def _several(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
