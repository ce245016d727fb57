"""Which listed VM is which instance: by name, by the VM's id, or by its batch's tag.

A cloud that names VMs as we say shows the instance id. One that does not shows its own id and the
batch's tag: then each VM is bound to one unbound instance of that batch.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

import msgspec

from shoal.core import sweeping
from shoal.core.records import Instance, Vm, World
from shoal.wire.ids import BatchId, InstanceId
from shoal.wire.views import InstanceState


class Matched(msgspec.Struct):
    listed: dict[InstanceId, Vm]  # every instance whose VM is listed
    running: set[InstanceId]
    to_bind: dict[InstanceId, Vm]  # intended, and its VM is there
    vanished: set[InstanceId]  # launched, and a listing late enough lacks it, or shows it ending
    unbound: list[Vm]  # of a batch on record that has no instance left to be: to be ended
    batches_with_unbound: set[BatchId]
    strangers: list[Vm]  # no instance that is not gone


def match_vms(world: World) -> Matched:
    made = Matched({}, set(), {}, set(), [], set(), [])
    if world.listing is None:
        return made
    by_id = {it.id: it for it in world.instances}
    by_vm = {it.vm: it for it in world.instances if it.vm}
    nameless: list[Vm] = []
    for vm in world.listing.vms:
        if vm.kind != "vm":
            if vm.name not in by_id:
                made.strangers.append(vm)
            continue
        instance = by_vm.get(vm.id) or by_id.get(InstanceId(vm.name))
        if instance is not None:
            _seen(made, instance, vm)
        elif vm.name:
            made.strangers.append(vm)
        else:
            nameless.append(vm)
    _match_nameless(world, made, nameless)
    _find_vanished(world, made)
    return made


def _seen(made: Matched, instance: Instance, vm: Vm) -> None:
    made.listed[instance.id] = vm
    if vm.running:
        made.running.add(instance.id)
        if instance.state is InstanceState.INTENDED:
            made.to_bind[instance.id] = vm


def _match_nameless(world: World, made: Matched, nameless: list[Vm]) -> None:
    if not nameless:
        return
    waiting: dict[str, list[Instance]] = defaultdict(list)
    batches = {it.batch for it in world.instances}
    for it in world.instances:
        if not it.vm and it.state is InstanceState.INTENDED:
            waiting[it.batch].append(it)
    for vm in sorted(nameless, key=lambda it: it.id):
        if waiting[vm.batch] and vm.running:
            _seen(made, waiting[vm.batch].pop(0), vm)
        elif vm.batch in batches:
            made.batches_with_unbound.add(BatchId(vm.batch))
            if vm.running:
                made.unbound.append(vm)
        else:
            made.strangers.append(vm)


def _find_vanished(world: World, made: Matched) -> None:
    assert world.listing is not None
    lag = timedelta(seconds=world.timing.listing_lag_s)
    believed = sweeping.absence_counts(world)
    for it in world.instances:
        if it.state is not InstanceState.LAUNCHED:
            continue
        vm = made.listed.get(it.id)
        if vm is not None:
            if not vm.running:
                made.vanished.add(it.id)
        elif believed and it.launched_at and world.listing.begun_at > it.launched_at + lag:
            made.vanished.add(it.id)
