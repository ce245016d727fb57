"""What is there of ours: Azure's five lists, read together as one listing of VMs and leftovers.

A VM's own entry tells neither its address (the interface and the public address do) nor whether it
still runs (a second list does, with `statusOnly`). Pure: the lists in, `Vm`s out. It knows of no
calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from shoal.clouds.azure import names
from shoal.clouds.azure.templates import PRICE_TAG
from shoal.core.batches import BATCH_TAG, CLUSTER_TAG, INSTALLATION_TAG
from shoal.core.records import Vm
from shoal.wire.boot import AGENT_PORT
from shoal.wire.ids import InstallationId

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_RUNNING = frozenset({"PowerState/running", "PowerState/starting", "PowerState/unknown"})


class _Resource(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    name: str
    location: str = ""
    tags: dict[str, str] | None = None

    def tag(self, name: str) -> str:
        return (self.tags or {}).get(name, "")


class _Ref(msgspec.Struct, frozen=True):
    id: str = ""


class _Hardware(msgspec.Struct, frozen=True, rename="camel"):
    vm_size: str = ""


class _Code(msgspec.Struct, frozen=True):
    code: str = ""


class _View(msgspec.Struct, frozen=True):
    statuses: tuple[_Code, ...] | None = None


class _VmProperties(msgspec.Struct, frozen=True, rename="camel"):
    hardware_profile: _Hardware = _Hardware()
    provisioning_state: str = ""
    priority: str = ""
    time_created: datetime | None = None
    instance_view: _View | None = None


class VmEntry(_Resource, frozen=True):
    properties: _VmProperties = _VmProperties()
    zones: tuple[str, ...] | None = None

    @property
    def power(self) -> str:
        view = self.properties.instance_view
        codes = [it.code for it in (view.statuses or ())] if view else []
        return next((it for it in codes if it.startswith("PowerState/")), "")


class _IpProperties(msgspec.Struct, frozen=True, rename="camel"):
    private_ip_address: str = msgspec.field(name="privateIPAddress", default="")
    public_ip_address: _Ref | None = msgspec.field(name="publicIPAddress", default=None)


class _IpConfiguration(msgspec.Struct, frozen=True):
    properties: _IpProperties = _IpProperties()


class _InterfaceProperties(msgspec.Struct, frozen=True, rename="camel"):
    virtual_machine: _Ref | None = None
    ip_configurations: tuple[_IpConfiguration, ...] | None = None


class InterfaceEntry(_Resource, frozen=True):
    properties: _InterfaceProperties = _InterfaceProperties()


class _AddressProperties(msgspec.Struct, frozen=True, rename="camel"):
    ip_address: str = ""
    ip_configuration: _Ref | None = None


class AddressEntry(_Resource, frozen=True):
    properties: _AddressProperties = _AddressProperties()


class _DiskProperties(msgspec.Struct, frozen=True, rename="camel"):
    time_created: datetime | None = None


class DiskEntry(_Resource, frozen=True, rename="camel"):
    managed_by: str | None = None
    properties: _DiskProperties = _DiskProperties()


class Inventory(msgspec.Struct, frozen=True):
    """The five lists, of a whole subscription, anybody's."""

    vms: Sequence[VmEntry]
    powers: Sequence[VmEntry]
    interfaces: Sequence[InterfaceEntry]
    addresses: Sequence[AddressEntry]
    disks: Sequence[DiskEntry]


def ours(all: Inventory, installation: InstallationId, *, public: bool) -> Iterator[Vm]:
    """`public`: the server reaches VMs by their public addresses, where they have one."""
    private, outside = _addresses(all)
    powers = {it.id.lower(): it.power for it in all.powers}
    alive = set()
    for it in all.vms:
        id = it.id.lower()
        if it.tag(INSTALLATION_TAG) != installation:
            continue
        alive.add(it.name)
        inside = private.get(id, "")
        seen = (outside.get(id) if public else "") or inside
        yield _vm(it, powers.get(id, ""), inside, seen)
    yield from _leftovers(all, installation, alive)


def _addresses(all: Inventory) -> tuple[dict[str, str], dict[str, str]]:
    """Of each VM, by its id: its private one, its public one."""
    known = {it.id.lower(): it.properties.ip_address for it in all.addresses}
    private: dict[str, str] = {}
    outside: dict[str, str] = {}
    for it in all.interfaces:
        vm, places = it.properties.virtual_machine, it.properties.ip_configurations
        if vm is None or not places:
            continue
        first = places[0].properties
        private[vm.id.lower()] = first.private_ip_address
        if first.public_ip_address is not None:
            outside[vm.id.lower()] = known.get(first.public_ip_address.id.lower(), "")
    return private, outside


def _vm(it: VmEntry, power: str, inside: str, seen: str) -> Vm:
    """A VM that was stopped from within is billed still: it is shown as not running, so that core
    ends it. One that could not be made is the same."""
    said = it.properties
    failed = said.provisioning_state in ("Failed", "Deleting", "Canceled") and power not in _RUNNING
    ending = said.provisioning_state == "Deleting"
    price = it.tag(PRICE_TAG)
    return Vm(
        id=it.id.lower(),
        name=it.name,
        batch=it.tag(BATCH_TAG),
        cluster=it.tag(CLUSTER_TAG),
        created_at=said.time_created or _NEVER,
        running=not ending and not failed and (not power or power in _RUNNING),
        address=_at(seen),
        inside=_at(inside),
        region=it.location,
        zone=f"{it.location}-{it.zones[0]}" if it.zones else it.location,
        machine_type=said.hardware_profile.vm_size,
        spot=said.priority == "Spot",
        price_uusd_per_hour=int(price) if price.isdigit() else None,
    )


def _at(address: str) -> str:
    return f"{address}:{AGENT_PORT}" if address else ""


def _leftovers(all: Inventory, installation: InstallationId, alive: set[str]) -> Iterator[Vm]:
    """Interfaces, addresses and disks that no VM of ours has any more."""
    for nic in all.interfaces:
        if nic.properties.virtual_machine is None:
            yield from _leftover(nic, "interface", names.INTERFACE, _NEVER, installation, alive)
    for address in all.addresses:
        if address.properties.ip_configuration is None:
            yield from _leftover(address, "address", names.ADDRESS, _NEVER, installation, alive)
    for disk in all.disks:
        if not disk.managed_by:
            born = disk.properties.time_created or _NEVER
            yield from _leftover(disk, "disk", names.DISK, born, installation, alive)


def _leftover(
    it: _Resource,
    kind: str,
    suffix: str,
    born: datetime,
    installation: InstallationId,
    alive: set[str],
) -> Iterator[Vm]:
    owner = names.owner_of(it.name, suffix)
    if it.tag(INSTALLATION_TAG) != installation or not owner or owner in alive:
        return
    yield Vm(
        id=it.id.lower(),
        name=owner,
        batch=it.tag(BATCH_TAG),
        cluster=it.tag(CLUSTER_TAG),
        created_at=born,
        running=False,
        region=it.location,
        zone=it.location,
        kind=kind,
    )
