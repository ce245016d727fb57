"""The plan: from the whole world to what is to be done about it. Pure; nothing is remembered.

Planned from scratch each pass, so that start, restart after a crash and steady state are one code
path. Three rules make it impossible to lose a VM: nothing is launched that is not on record, absence
is believed only from a listing begun late enough, and what carries our tag without a living record
is ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from shoal.core import sweeping, workers
from shoal.core.actions import (
    Action,
    Alarm,
    Bind,
    End,
    Gone,
    Launch,
    Release,
    Settle,
    Sweep,
    Terminate,
)
from shoal.core.matching import Matched, match_vms
from shoal.core.records import Cluster, EndKind, Instance, Observation, Vm, World
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.specs import Role
from shoal.wire.views import InstanceState, Stage

_ACTIVE = (InstanceState.INTENDED, InstanceState.LAUNCHED)


def plan(world: World) -> list[Action]:
    """Everything to do now. Doing it twice, or half, does no harm: the next plan sees the rest."""
    matched = match_vms(world)
    of_cluster: dict[ClusterId, list[Instance]] = defaultdict(list)
    for it in world.instances:
        of_cluster[it.cluster].append(it)
    actions: list[Action] = [*_binding(matched)]
    for cluster in world.clusters:
        actions += _cluster(world, matched, cluster, of_cluster[cluster.id])
    actions += _launching(world)
    actions += _ending_vms(world, matched)
    actions += _believing_gone(world, matched)
    actions += _sweeping(world, matched)
    return actions


def _binding(matched: Matched) -> Iterator[Action]:
    for id, vm in matched.to_bind.items():
        yield Bind(id, vm, f"a listing shows it as {vm.id}")


def _cluster(
    world: World, matched: Matched, cluster: Cluster, instances: list[Instance]
) -> Iterator[Action]:
    if cluster.ended_at is not None:
        yield from _ended(cluster, instances)
        return
    failed = list(_failures(world, matched, cluster, instances))
    yield from failed
    lost = {id for action in failed if isinstance(action, Release) for id in action.instances}
    if any(isinstance(action, End) for action in failed):
        return
    living = [it for it in instances if it.state in _ACTIVE and it.id not in lost]
    yield from workers.wanted(world, cluster, living, instances)


def _ended(cluster: Cluster, instances: list[Instance]) -> Iterator[Action]:
    active = tuple(it.id for it in instances if it.state in _ACTIVE)
    if active:
        yield Release(cluster.id, active, False, f"its cluster has ended: {cluster.end_reason}")
    if not instances:
        yield Settle(cluster.id, "its last VM is gone")


def _failures(
    world: World, matched: Matched, cluster: Cluster, instances: list[Instance]
) -> Iterator[Action]:
    """Instances that went wrong, each with why."""
    head = world.heads.get(cluster.id)
    head_speaks = head is not None and _fresh(world, head.heard_at, share=0.5)
    drained = []
    for it in instances:
        if it.state not in _ACTIVE:
            continue
        seen = world.observations.get(it.id)
        if seen is not None and seen.stage is Stage.FAILED and it.role is Role.SCHEDULER:
            yield End(cluster.id, EndKind.FAILED, f"The scheduler's VM failed: {seen.failure}")
        elif (why := _wrong(world, matched, it, seen, head_speaks=head_speaks)) is not None:
            was_ready = seen is not None and seen.stage in (Stage.READY, Stage.DRAINING)
            yield Release(cluster.id, (it.id,), not was_ready, why)
            if it.spot and it.id in matched.vanished:
                yield workers.avoid_preempted(world, it)
        elif it.retiring_since is not None and _drained(world, it, seen):
            drained.append(it.id)
    if drained:
        yield Release(cluster.id, tuple(drained), False, "not wanted any more, and drained")


def _wrong(
    world: World,
    matched: Matched,
    it: Instance,
    seen: Observation | None,
    *,
    head_speaks: bool,
) -> str | None:
    timing, now = world.timing, world.now
    if it.id in matched.vanished:
        return "the cloud does not have it any more: preempted, or ended by itself"
    if it.state is InstanceState.INTENDED:
        return None
    if seen is not None and seen.stage is Stage.FAILED:
        return seen.failure or "its agent says that it failed"
    speaks = it.role is Role.SCHEDULER or head_speaks  # else its silence is the head's
    since = _trusted(world, it.launched_at or it.since)
    if seen is None and speaks and now - since > timedelta(seconds=timing.boot_timeout_s):
        return f"its agent was not heard of within {timing.boot_timeout_s:.0f} s of its launch"
    if seen is None or not speaks or it.id not in matched.running:
        return None
    heard = seen.heard_at
    if it.role is Role.SCHEDULER and (head := world.heads.get(it.cluster)) is not None:
        heard = max(heard, head.heard_at)
    if now - _trusted(world, heard) > timedelta(seconds=timing.silence_timeout_s):
        return f"its agent is silent for {timing.silence_timeout_s:.0f} s; the cloud says it runs"
    return None


def _drained(world: World, it: Instance, seen: Observation | None) -> bool:
    if seen is None or seen.stage is Stage.DRAINED or it.retiring_since is None:
        return True
    return world.now - it.retiring_since > timedelta(seconds=world.timing.drain_timeout_s)


def _fresh(world: World, heard_at: datetime, *, share: float) -> bool:
    return world.now - heard_at < timedelta(seconds=share * world.timing.silence_timeout_s)


def _trusted(world: World, moment: datetime) -> datetime:
    """Waiting counts from when this server could see: nobody was heard while it was away."""
    return max(moment, world.clock_trusted_since or moment)


def _launching(world: World) -> Iterator[Action]:
    """Each batch on record with an instance that no cloud has answered for."""
    waiting = {it.batch for it in world.instances if it.state is InstanceState.INTENDED}
    ended = {it.id for it in world.clusters if it.ended_at is not None}
    for batch in world.batches:
        if batch.id in waiting and batch.cluster not in ended and not workers.throttled(world):
            yield Launch(batch, f"{batch.count} on record, and not answered for")


def _ending_vms(world: World, matched: Matched) -> Iterator[Action]:
    listed_since = world.listing.begun_at if world.listing else None
    vms: list[Vm] = []
    for it in world.instances:
        if it.state is not InstanceState.RELEASED:
            continue
        vm = matched.listed.get(it.id)
        if vm is not None:
            vms += [vm] if vm.running else []
        elif it.vm and (
            listed_since is None or it.released_at is None or listed_since <= it.released_at
        ):
            vms.append(_as_recorded(it))
    vms += matched.unbound
    if vms:
        yield Terminate(tuple(vms), f"{len(vms)} released and not known to be gone")


def _as_recorded(it: Instance) -> Vm:
    return Vm(
        id=it.vm,
        name=it.id,
        batch=it.batch,
        cluster=it.cluster,
        created_at=it.created_at,
        zone=it.zone,
    )


def _believing_gone(world: World, matched: Matched) -> Iterator[Action]:
    """Gone is seen, not returned."""
    if world.listing is None or not sweeping.absence_counts(world):
        return
    lag = timedelta(seconds=world.timing.listing_lag_s)
    gone: dict[ClusterId, list[InstanceId]] = defaultdict(list)
    for it in world.instances:
        if it.state is not InstanceState.RELEASED or it.id in matched.listed:
            continue
        late_enough = it.released_at is not None and world.listing.begun_at > it.released_at + lag
        if late_enough and not (not it.vm and it.batch in matched.batches_with_unbound):
            gone[it.cluster].append(it.id)
    for cluster, ids in gone.items():
        yield Gone(cluster, tuple(ids), "a listing later than its release lacks it")


def _sweeping(world: World, matched: Matched) -> Iterator[Action]:
    verdict = sweeping.judge(world, matched)
    if verdict.alarm:
        yield Alarm("sweep-fuse", verdict.alarm, world.now)
    if verdict.vms:
        yield Sweep(verdict.vms, "it carries our tag and has no living record")
