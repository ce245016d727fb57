"""What there is of ours in a project: its VMs and disks, read by filter and by field.

Google's own client cannot leave out what a listing carries, and a VM carries its boot text: a
thousand of them are 20 MB each time. So listings are asked over the same REST API with `fields`
(https://cloud.google.com/compute/docs/api/how-tos/performance, not tried).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from shoal.clouds.gcp import accelerators, names
from shoal.clouds.gcp.clients import Clients
from shoal.clouds.provider import Unknown
from shoal.core.records import Vm
from shoal.wire.boot import AGENT_PORT

_LIVING = frozenset({"PROVISIONING", "STAGING", "RUNNING", "REPAIRING", "PENDING"})
_NO_RESULTS = "NO_RESULTS_ON_PAGE"
_OF_VM = (
    "name,zone,machineType,status,creationTimestamp,labels,tags/items,"
    "scheduling/provisioningModel,networkInterfaces(networkIP,accessConfigs/natIP),"
    "guestAccelerators(acceleratorType,acceleratorCount)"
)
_OF_DISK = "name,zone,creationTimestamp,labels,users"

Made = TypeVar("Made", bound="_Named")


class _AccessConfig(msgspec.Struct, frozen=True):
    outside: str = msgspec.field(default="", name="natIP")


class _Interface(msgspec.Struct, frozen=True):
    inside: str = msgspec.field(default="", name="networkIP")
    access_configs: tuple[_AccessConfig, ...] = msgspec.field(default=(), name="accessConfigs")


class _Tags(msgspec.Struct, frozen=True):
    items: tuple[str, ...] = ()


class _Scheduling(msgspec.Struct, frozen=True):
    model: str = msgspec.field(default="", name="provisioningModel")


class _Accelerator(msgspec.Struct, frozen=True):
    kind: str = msgspec.field(default="", name="acceleratorType")
    count: int = msgspec.field(default=0, name="acceleratorCount")


class _Named(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    name: str
    zone: str
    creation_timestamp: str
    labels: dict[str, str] = {}

    @property
    def place(self) -> str:
        return names.last(self.zone)


class _Instance(_Named, frozen=True, rename="camel", kw_only=True):
    machine_type: str
    status: str
    tags: _Tags = _Tags()
    scheduling: _Scheduling = _Scheduling()
    network_interfaces: tuple[_Interface, ...] = ()
    guest_accelerators: tuple[_Accelerator, ...] = ()


class _Disk(_Named, frozen=True, rename="camel", kw_only=True):
    users: tuple[str, ...] = ()


class _Warning(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _Zone(msgspec.Struct, frozen=True):
    instances: tuple[_Instance, ...] = ()
    disks: tuple[_Disk, ...] = ()
    warning: _Warning = _Warning()


class _Page(msgspec.Struct, frozen=True, rename="camel"):
    items: dict[str, _Zone] = {}
    next_page_token: str = ""


def vms(clients: Clients, project: str, wanted: str) -> Sequence[Vm]:
    """`wanted`: a filter. Blocks; raises where a zone did not answer, since its VMs would look as
    if they were gone."""
    zones = _zones(clients, f"projects/{project}/aggregated/instances", wanted, "instances", _OF_VM)
    return [_vm(it) for zone in zones for it in zone.instances]


def disks(clients: Clients, project: str, wanted: str) -> Sequence[Vm]:
    """Those that no VM uses: its VM is gone, or it is about to be made."""
    zones = _zones(clients, f"projects/{project}/aggregated/disks", wanted, "disks", _OF_DISK)
    return [_left_over(it) for zone in zones for it in zone.disks if not it.users]


def _zones(clients: Clients, path: str, wanted: str, kind: str, fields: str) -> Iterator[_Zone]:
    asked = {
        "filter": wanted,
        "maxResults": "500",
        "fields": f"items/*/{kind}({fields}),items/*/warning(code,message),nextPageToken",
    }
    while True:
        text = clients.get(path, asked)
        try:
            page = msgspec.json.decode(text, type=_Page)
        except msgspec.DecodeError as error:
            raise Unknown(f"Google Cloud's list of {kind} cannot be read: {error}") from error
        for place, zone in page.items.items():
            if zone.warning.code not in ("", _NO_RESULTS):
                raise Unknown(f"Google Cloud did not list {place}: {zone.warning.message}")
            yield zone
        if not page.next_page_token:
            return
        asked["pageToken"] = page.next_page_token


def _vm(it: _Instance) -> Vm:
    interface = it.network_interfaces[0] if it.network_interfaces else _Interface()
    inside = interface.inside
    outside = next((a.outside for a in interface.access_configs if a.outside), "")
    head = any(tag.startswith(names.HEAD_TAG) for tag in it.tags.items)
    address = outside if head and outside else inside
    return Vm(
        id=f"{it.place}/{it.name}",
        name=it.name,
        batch=it.labels.get(names.BATCH_LABEL, ""),
        cluster=it.labels.get(names.CLUSTER_LABEL, ""),
        created_at=datetime.fromisoformat(it.creation_timestamp),
        running=it.status in _LIVING,
        address=f"{address}:{AGENT_PORT}" if address else "",
        inside=f"{inside}:{AGENT_PORT}" if inside else "",
        region=names.region_of(it.place),
        zone=it.place,
        machine_type=_machine_type(it),
        spot=it.scheduling.model == "SPOT",
    )


def _machine_type(it: _Instance) -> str:
    """With the GPUs that are attached to it; others are part of its type."""
    plain = names.last(it.machine_type)
    if not it.guest_accelerators or plain.partition("-")[0] != accelerators.HOST_FAMILY:
        return plain
    [gpu, *_] = it.guest_accelerators
    return accelerators.named(accelerators.Attached(plain, names.last(gpu.kind), gpu.count))


def _left_over(it: _Disk) -> Vm:
    return Vm(
        id=f"{it.place}/{it.name}",
        name=it.name,
        batch=it.labels.get(names.BATCH_LABEL, ""),
        cluster=it.labels.get(names.CLUSTER_LABEL, ""),
        created_at=datetime.fromisoformat(it.creation_timestamp),
        region=names.region_of(it.place),
        zone=it.place,
        kind="disk",
    )
