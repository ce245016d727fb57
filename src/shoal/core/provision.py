"""The plan: from the whole world to what is to be done about it. Pure; nothing is remembered.

Planned from scratch each pass, so that start, restart after a crash and steady state are one code
path. Three rules make it impossible to lose a VM: nothing is launched that is not on record,
absence is believed only from a listing begun late enough, and what carries our tag without a living
record is ended. Doing a plan twice, or half, does no harm: the next one sees the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta

import msgspec

from shoal.core import holding, scheduling, workers
from shoal.core.actions import Action, Bind, End, Gone, Launch, Release, Settle, Terminate
from shoal.core.ailments import ailments
from shoal.core.choose import concerning, paused
from shoal.core.lifecycle import ACTIVE
from shoal.core.matching import Matched, absence_counts, match_vms
from shoal.core.records import Cluster, EndKind, Instance, Vm, World
from shoal.core.sweeping import sweep
from shoal.wire.ids import BatchId, ClusterId, InstanceId
from shoal.wire.specs import Role
from shoal.wire.views import InstanceState


def plan(world: World) -> list[Action]:
    """Everything to do now; linear in the instances and VMs."""
    matched = match_vms(world)
    of_cluster: dict[ClusterId, list[Instance]] = defaultdict(list)
    for it in world.instances:
        of_cluster[it.cluster].append(it)
    actions: list[Action] = [*_binding(matched)]
    for cluster in world.clusters:
        actions += _cluster(world, matched, cluster, of_cluster[cluster.id])
    released = {id for it in actions if isinstance(it, Release) for id in it.instances}
    actions += _launching(world, matched, released)
    actions += holding.warnings(world)
    actions += _ending_vms(world, matched)
    actions += _believing_gone(world, matched)
    actions += sweep(world, matched)
    return actions


def _binding(matched: Matched) -> Iterator[Action]:
    for id, vm in matched.to_bind.items():
        yield Bind(id, vm, f"a listing shows it as {vm.id}")
    for id, vm in matched.to_locate.items():
        yield Bind(id, vm, f"its agent's address is {vm.address} now")


def _cluster(
    world: World, matched: Matched, cluster: Cluster, instances: list[Instance]
) -> Iterator[Action]:
    if cluster.ended_at is not None:
        yield from _ended(world, cluster, instances)
        return
    if (over := holding.ended(world, cluster, instances)) is not None:
        yield over
        return
    world = _as_seen_by(cluster, world)
    found = list(ailments(world, matched, cluster, instances))
    yield from found
    if any(isinstance(it, End) for it in found):
        return
    lost = {id: it.why for it in found if isinstance(it, Release) for id in it.instances}
    instances = [
        msgspec.structs.replace(it, why=lost[it.id]) if it.id in lost else it for it in instances
    ]  # so that what follows from a loss names the reason of the loss
    active = [it for it in instances if it.state in ACTIVE and it.id not in lost]
    schedulers = _schedulers(active)
    scheduler = schedulers[0] if schedulers else None
    if more := tuple(it.id for it in schedulers[1:]):
        yield Release(cluster.id, more, False, "its cluster has a scheduler already")
    having = [it for it in active if it.role is Role.WORKER]
    if (late := scheduling.too_late(world, cluster, instances)) is not None:
        yield late
    elif scheduler is None:
        yield from scheduling.provide(world, cluster, having, instances)
    else:
        yield from workers.provide(world, cluster, scheduler, having, instances)


def _as_seen_by(cluster: Cluster, world: World) -> World:
    if not any(it.cluster for it in world.marks):
        return world
    return msgspec.structs.replace(world, marks=concerning(world.marks, cluster.id))


def _schedulers(active: Sequence[Instance]) -> list[Instance]:
    """The one that is there first, then those that should not be."""
    found = [it for it in active if it.role is Role.SCHEDULER]
    return sorted(found, key=lambda it: (it.state is not InstanceState.LAUNCHED, it.created_at))


def _ended(world: World, cluster: Cluster, instances: list[Instance]) -> Iterator[Action]:
    now = {InstanceState.INTENDED} if _says_farewell(world, cluster) else ACTIVE
    if ids := tuple(it.id for it in instances if it.state in now):
        yield Release(cluster.id, ids, False, f"its cluster has ended: {cluster.end_reason}")
    if not instances:
        yield Settle(cluster.id, "its last VM is gone")


def _says_farewell(world: World, cluster: Cluster) -> bool:
    """A head that is told to stop ends its VMs by itself, and reports the last log lines before."""
    head = world.heads.get(cluster.id)
    if head is None or cluster.ended_at is None or cluster.end_kind is EndKind.FAILED:
        return False
    return world.now - cluster.ended_at < timedelta(seconds=world.timing.farewell_s)


def _launching(world: World, matched: Matched, released: set[InstanceId]) -> Iterator[Action]:
    """Each batch on record with an instance that no cloud has answered for."""
    if paused(world.marks):
        return
    waiting: dict[BatchId, list[InstanceId]] = defaultdict(list)
    for it in world.instances:
        if it.state is not InstanceState.INTENDED:
            continue
        if it.id not in matched.to_bind and it.id not in released:
            waiting[it.batch].append(it.id)
    if not waiting:
        return
    bound: dict[BatchId, list[str]] = defaultdict(list)
    for it in world.instances:
        if it.vm and it.batch in waiting:
            bound[it.batch].append(it.vm)
    for vm in matched.to_bind.values():
        if vm.batch in waiting:
            bound[BatchId(vm.batch)].append(vm.id)
    for batch in world.batches:
        if batch.id in waiting:
            ids = tuple(waiting[batch.id])
            why = f"{len(ids)} of {batch.count} on record are not answered for"
            yield Launch(batch, why, ids, tuple(bound[batch.id]))


def _ending_vms(world: World, matched: Matched) -> Iterator[Action]:
    """Asked in every pass until a listing lacks them. One that is listed as ending is left to it
    for a while, and then asked again: some clouds stop a VM, and bill what is left of it."""
    listing = world.listing
    lag = timedelta(seconds=world.timing.listing_lag_s)
    vms: list[Vm] = []
    for it in world.instances:
        if it.state is not InstanceState.RELEASED or it.released_at is None:
            continue
        vm = matched.listed.get(it.id)
        if vm is not None:
            if vm.running or (listing and listing.begun_at > it.released_at + lag):
                vms.append(vm)
        elif it.vm and (listing is None or listing.begun_at <= it.released_at):
            vms.append(_as_recorded(it))
    if vms:
        yield Terminate(tuple(vms), f"{len(vms)} released, and not known to be gone")
    if matched.superfluous:
        why = f"{len(matched.superfluous)} more than their batches have instances for"
        yield Terminate(tuple(matched.superfluous), why)


def _as_recorded(it: Instance) -> Vm:
    return Vm(
        id=it.vm,
        name=it.id,
        batch=it.batch,
        cluster=it.cluster,
        created_at=it.created_at,
        address=it.address,
        inside=it.inside,
        zone=it.zone,
        machine_type=it.machine_type,
        spot=it.spot,
    )


def _believing_gone(world: World, matched: Matched) -> Iterator[Action]:
    """Gone is seen, not returned."""
    if world.listing is None or not absence_counts(world):
        return
    believed = world.listing.begun_at - timedelta(seconds=world.timing.listing_lag_s)
    gone: dict[ClusterId, list[InstanceId]] = defaultdict(list)
    for it in world.instances:
        if (
            it.state is InstanceState.RELEASED
            and it.released_at is not None
            and it.released_at < believed
            and it.id not in matched.listed
            and (it.vm or it.batch not in matched.crowded)
        ):
            gone[it.cluster].append(it.id)
    for cluster, ids in gone.items():
        yield Gone(cluster, tuple(ids), "a listing begun later than its release lacks it")
