"""What agents said last, kept beside what the cloud owns and never confused with it.

A report tells what changed; a stage that changed is an event, so that a VM's life can be read
later, and the first sight of a scheduler that accepts clients is one too.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import BindParameter, Connection, bindparam, select, update

from shoal.core import scale
from shoal.core.records import HeadObservation, Observation
from shoal.store import events, tables
from shoal.store.questions import reading
from shoal.store.rows import read, selecting, upsert, values
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.reports import HeadReport, PhaseTime, SchedulerReport, VmReport
from shoal.wire.views import Stage

_observation, _head = tables.observation, tables.head
_AT_ONCE = 500  # ids in one statement
_SAME_CLOCK = timedelta(seconds=2)  # a report may be under way for so long

_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_MINE = select(tables.instance.c.id).where(
    tables.instance.c.cluster == bindparam("here"), tables.instance.c.id.in_(_IDS)
)
_BEFORE = selecting(Observation, _observation).where(_observation.c.instance.in_(_IDS))
_READY = (
    update(tables.instance)
    .where(tables.instance.c.id.in_(_IDS), tables.instance.c.ready_at.is_(None))
    .values(ready_at=bindparam("now"))
)
_HEAD = selecting(HeadObservation, _head).where(_head.c.cluster == bindparam("here"))


def record(tx: Connection, report: HeadReport, now: datetime) -> int:
    """How many events were told."""
    report = _by_our_clock(report, now)
    told = _record_vms(tx, report, now) + _record_scheduler(tx, report, now)
    events.append_all(tx, told)
    return len(told)


@reading
def of_instances(
    tx: Connection, instances: Collection[InstanceId]
) -> dict[InstanceId, Observation]:
    every = list(instances)
    found: dict[InstanceId, Observation] = {}
    for begin in range(0, len(every), _AT_ONCE):
        ids = every[begin : begin + _AT_ONCE]
        query = selecting(Observation, _observation).where(_observation.c.instance.in_(ids))
        found |= {it.instance: it for it in read(tx, Observation, query)}
    return found


@reading
def made_in(
    tx: Connection, instances: Collection[InstanceId]
) -> dict[InstanceId, tuple[PhaseTime, ...]]:
    """How long each phase of making the environment took, where an agent told. Apart from the
    rest: a pass reads all that VMs said, and has no use for this."""
    column = _observation.c.made_in
    query = select(_observation.c.instance, column).where(_observation.c.instance.in_(instances))
    return {id: phases for id, phases in tx.execute(query) if phases}


@reading
def heads(tx: Connection, clusters: Collection[ClusterId]) -> dict[ClusterId, HeadObservation]:
    query = selecting(HeadObservation, _head).where(_head.c.cluster.in_(clusters))
    return {it.cluster: it for it in read(tx, HeadObservation, query)}


@reading
def head(tx: Connection, cluster: ClusterId) -> HeadObservation | None:
    return next(iter(read(tx, HeadObservation, _HEAD, here=cluster)), None)


def _record_vms(tx: Connection, report: HeadReport, now: datetime) -> list[Event]:
    vms = {it.instance: it for it in report.vms}
    if not vms:
        return []
    given = {"here": report.cluster, "ids": list(vms)}
    ours = sorted(tx.execute(_MINE, given).scalars())  # a head speaks for its own cluster only
    before = {it.instance: it for it in read(tx, Observation, _BEFORE, ids=ours)}
    seen = [vms[InstanceId(id)] for id in ours]
    upsert(tx, _observation, [values(_observed(it, now), made_in=it.made_in) for it in seen])
    _first_ready(tx, [it.instance for it in seen if it.stage is Stage.READY], now)
    staged = [
        _staged(report.cluster, it, before[it.instance].stage if it.instance in before else "")
        for it in seen
        if it.instance not in before or before[it.instance].stage is not it.stage
    ]
    return staged + [
        told
        for it in seen
        if (told := _about_environment(report.cluster, it, before.get(it.instance))) is not None
    ]


def _by_our_clock(report: HeadReport, now: datetime) -> HeadReport:
    """A head whose clock is wrong must not seem silent, nor its VMs."""
    ahead = report.sent_at - now if report.sent_at is not None else timedelta(0)
    if abs(ahead) < _SAME_CLOCK:
        return report
    vms = tuple(
        msgspec.structs.replace(
            it, since=it.since - ahead, heard_at=it.heard_at - ahead if it.heard_at else None
        )
        for it in report.vms
    )
    return msgspec.structs.replace(report, vms=vms)


def _observed(vm: VmReport, now: datetime) -> Observation:
    return Observation(
        instance=vm.instance,
        stage=vm.stage,
        since=vm.since,
        heard_at=vm.heard_at or now,
        detail=vm.detail,
        progress=vm.progress,
        dask_address=vm.dask_address,
        failure=vm.failure,
        cpu_percent=vm.cpu_percent,
        memory_bytes=vm.memory_bytes,
        memory_limit_bytes=vm.memory_limit_bytes,
        restarts=vm.restarts,
        notice=vm.notice,
        warning=vm.warning,
        environment=vm.environment,
        broken=vm.broken,
    )


def _first_ready(tx: Connection, ids: list[InstanceId], now: datetime) -> None:
    if ids:
        tx.execute(_READY, {"ids": ids, "now": now})


def _staged(cluster: ClusterId, vm: VmReport, before: str) -> Event:
    return Event(
        at=vm.since,
        kind=EventKind.INSTANCE_STAGE,
        actor="agent",
        why=vm.failure or vm.detail or f"its agent says {vm.stage}",
        cluster=cluster,
        instance=vm.instance,
        before=before,
        after=vm.stage,
    )


def _about_environment(
    cluster: ClusterId, vm: VmReport, before: Observation | None
) -> Event | None:
    """That a worker runs another one than before, or goes on with the old one, and why."""
    if before is None or vm.stage is Stage.FAILED:
        return None
    if before.environment and vm.environment not in ("", before.environment):
        why = "it has begun anew with the environment that is asked for"
    elif vm.failure and vm.failure != before.failure:
        why = f"it goes on with {vm.environment or 'what it had'}: {vm.failure}"
    else:
        return None
    return Event(
        at=vm.heard_at or vm.since,
        kind=EventKind.INSTANCE_ENVIRONMENT,
        actor="agent",
        why=why,
        cluster=cluster,
        instance=vm.instance,
        before=before.environment,
        after=vm.environment,
    )


def _record_scheduler(tx: Connection, report: HeadReport, now: datetime) -> list[Event]:
    told = report.scheduler
    before = head(tx, report.cluster)
    if told is None and before is None:
        return []
    if told is None:
        tx.execute(update(_head).where(_head.c.cluster == report.cluster).values(heard_at=now))
        return []
    upsert(tx, _head, [values(_headed(report.cluster, told, before, now))])
    if not told.address or (before and before.ready_at):
        return []
    why = f"the scheduler accepts clients at {told.address}"
    return [
        Event(now, EventKind.CLUSTER_READY, "head", why, cluster=report.cluster, after=told.address)
    ]


def _headed(
    cluster: ClusterId, told: SchedulerReport, before: HeadObservation | None, now: datetime
) -> HeadObservation:
    peak, since = scale.peak(before, told.adaptive_target, now)
    return HeadObservation(
        cluster=cluster,
        heard_at=now,
        scheduler_address=told.address,
        dashboard_address=told.dashboard_address,
        clients=told.clients,
        workers=told.workers,
        tasks=told.tasks,
        idle_since=told.idle_since,
        adaptive_target=told.adaptive_target,
        adaptive_peak=peak,
        adaptive_since=since,
        closable=told.closable,
        ready_at=(before.ready_at if before else None) or (now if told.address else None),
    )
