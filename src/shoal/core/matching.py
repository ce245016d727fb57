"""Which listed VM is which instance: by the VM's id, by its name, or by its batch's tag.

A cloud that names VMs as we say shows the instance's id. One that does not shows its own id and the
batch's tag: then each VM is bound, once, to an instance of that batch that has none. What is
nobody's is a stranger or, where its batch has instances on record, superfluous.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

import msgspec

from shoal.core.records import Instance, Vm, World
from shoal.wire.ids import BatchId, InstanceId
from shoal.wire.views import InstanceState


class Matched(msgspec.Struct):
    """A listing, seen through the rows."""

    listed: dict[InstanceId, Vm]  # every instance whose VM is listed
    to_bind: dict[InstanceId, Vm]  # intended, and its VM is there
    to_locate: dict[InstanceId, Vm]  # launched, and its address is another one now
    vanished: set[InstanceId]  # launched, and a listing late enough lacks it, or shows it ending
    superfluous: list[Vm]  # of a batch on record that has no instance left to be it
    crowded: set[BatchId]  # batches with superfluous VMs: no unbound instance of theirs is gone
    strangers: list[Vm]  # leftovers and VMs without an instance that is not gone


def match_vms(world: World) -> Matched:
    made = Matched({}, {}, {}, set(), [], set(), [])
    if world.listing is None:
        return made
    by_name = {it.id: it for it in world.instances}
    by_vm = {it.vm: it for it in world.instances if it.vm}
    nameless: list[Vm] = []
    for vm in world.listing.vms:
        if vm.kind != "vm":
            nameless += [vm] if not vm.name else []
            made.strangers += [vm] if vm.name and vm.name not in by_name else []
        elif (bound := by_vm.get(vm.id)) is not None:
            _see(made, bound, vm)
        elif vm.id in world.past:
            made.strangers.append(vm)
        elif (named := by_name.get(InstanceId(vm.name))) is None:
            (made.strangers if vm.name else nameless).append(vm)
        elif named.vm:
            made.superfluous.append(vm)  # a second VM of that name: the instance is another one
        else:
            _see(made, named, vm)
    if nameless:
        _match_nameless(world, made, nameless)
    _find_vanished(world, made)
    return made


def absence_counts(world: World) -> bool:
    """Not soon after the start or a jump of the clock: what seems long ago may be new."""
    if world.listing is None:
        return False
    if world.clock_trusted_since is None:
        return True
    lag = timedelta(seconds=world.timing.listing_lag_s)
    return world.listing.begun_at >= world.clock_trusted_since + lag


def _see(made: Matched, instance: Instance, vm: Vm) -> None:
    made.listed[instance.id] = vm
    if instance.state is InstanceState.INTENDED:
        made.to_bind[instance.id] = vm
    elif instance.state is InstanceState.LAUNCHED:
        if not vm.running:
            made.vanished.add(instance.id)
        elif vm.address and (vm.address, vm.inside) != (instance.address, instance.inside):
            made.to_locate[instance.id] = vm


def _match_nameless(world: World, made: Matched, nameless: list[Vm]) -> None:
    waiting: dict[str, list[Instance]] = defaultdict(list)
    batches = {it.batch for it in world.instances}
    for it in world.instances:
        if not it.vm and it.state is InstanceState.INTENDED:
            waiting[it.batch].append(it)
    for vm in sorted(nameless, key=lambda it: it.id):
        if vm.batch not in batches:
            made.strangers.append(vm)
        elif vm.kind != "vm":
            continue  # it may belong to a VM that lives
        elif waiting[vm.batch]:
            _see(made, waiting[vm.batch].pop(0), vm)
        else:
            made.crowded.add(BatchId(vm.batch))
            made.superfluous.append(vm)


def _find_vanished(world: World, made: Matched) -> None:
    if world.listing is None or not absence_counts(world):
        return
    believed = world.listing.begun_at - timedelta(seconds=world.timing.listing_lag_s)
    for it in world.instances:
        if (
            it.state is InstanceState.LAUNCHED
            and it.id not in made.listed
            and it.launched_at is not None
            and it.launched_at < believed
        ):
            made.vanished.add(it.id)
