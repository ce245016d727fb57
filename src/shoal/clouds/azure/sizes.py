"""A region's machine types and their zones, as Azure's Resource SKUs tell them now.

Asked with the user's login, because a subscription may not use every size, and has its own zones.
Prices are not among them: catalog/fetch reads those from a public list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date

import msgspec
from azure.core.exceptions import AzureError

from shoal.clouds.azure.clients import Clients, record
from shoal.clouds.catalog.facts import Facts, MachineType, Region
from shoal.wire.specs import Cloud

_ARCH = {"x64": "x86_64", "Arm64": "aarch64"}
_OLD = re.compile(r"_v[1-4]$")  # before the fifth generation


class _Capability(msgspec.Struct, frozen=True):
    name: str = ""
    value: str = ""


class _Location(msgspec.Struct, frozen=True):
    location: str = ""
    zones: tuple[str, ...] | None = None


class _Restriction(msgspec.Struct, frozen=True):
    type: str = ""  # "Location" or "Zone"


class Sku(msgspec.Struct, frozen=True, rename="camel"):
    """As Resource SKUs tells it; disks and snapshots are among them."""

    name: str = ""
    resource_type: str = ""
    capabilities: tuple[_Capability, ...] | None = None
    location_info: tuple[_Location, ...] | None = None
    restrictions: tuple[_Restriction, ...] | None = None

    def told(self, name: str, default: str = "") -> str:
        """A capability's value."""
        return next((it.value for it in self.capabilities or () if it.name == name), default)

    @property
    def zones(self) -> tuple[str, ...]:
        return tuple(sorted({z for it in self.location_info or () for z in it.zones or ()}))

    @property
    def usable(self) -> bool:
        barred = any(it.type == "Location" for it in self.restrictions or ())
        return self.resource_type == "virtualMachines" and not barred


def facts(clients: Clients, region: str, today: date) -> Facts:
    """Blocks. Raises one of the four."""
    try:
        skus = [it for it in _skus(clients, region) if it.usable]
    except AzureError as error:
        raise clients.error(error) from error
    return Facts(
        cloud=Cloud.AZURE,
        as_of=today,
        source="Azure Resource SKUs",
        types=tuple(machine_type(it) for it in skus),
        regions=(place(region, skus),),
    )


def machine_type(sku: Sku) -> MachineType:
    family = family_of(sku.name)
    gpus = int(sku.told("GPUs", "0"))
    return MachineType(
        name=sku.name,
        family=family,
        arch=_ARCH.get(sku.told("CpuArchitectureType", "x64"), "x86_64"),
        vcpu=int(sku.told("vCPUsAvailable") or sku.told("vCPUs", "0")),
        memory_mib=int(float(sku.told("MemoryGB", "0")) * 1024),
        gpu=gpus,
        gpu_type=_gpu_type(sku.name) if gpus else "",
        scratch_gib=int(sku.told("NvmeDiskSizeInMiB", "0")) // 1024,
        burstable=family.startswith("B"),
        current="_v" in sku.name and not _OLD.search(sku.name),
        spot=sku.told("LowPriorityCapable") == "True",
    )


def family_of(name: str) -> str:
    """ "Standard_D16as_v5" is of the family "Das_v5"."""
    return re.sub(r"\d+(?:-\d+)?", "", name.removeprefix("Standard_").split("_")[0], count=1) + (
        "".join(f"_{it}" for it in name.removeprefix("Standard_").split("_")[1:])
    )


def place(region: str, skus: Iterable[Sku]) -> Region:
    """Each type by itself: its zones differ within a family and by subscription; some have none."""
    found = {it.name: "".join(it.zones) for it in skus}
    zones = sorted({zone for letters in found.values() for zone in letters})
    return Region(region, tuple(f"{region}-{it}" for it in zones), {}, found)


def _gpu_type(name: str) -> str:
    """The accelerator stands in the name: "Standard_NC40ads_H100_v5"."""
    parts = [it for it in name.split("_")[2:] if not re.fullmatch(r"v\d+", it)]
    return parts[0] if parts else ""


def _skus(clients: Clients, region: str) -> Sequence[Sku]:
    listed = clients.compute.resource_skus.list(filter=f"location eq '{region}'")
    return [record(it, Sku) for it in listed]
