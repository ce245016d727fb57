"""A region's machine types, zones and prices, as Azure tells them now.

Types and zones: Resource SKUs, with the user's login (a subscription may not use every size).
Prices: the Retail Prices API, which is public and in US dollars.
https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices

Spot prices of Azure move slowly, and are the same in all zones of a region.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from urllib.parse import quote

import msgspec

from shoal.clouds.azure.clients import Clients, record
from shoal.clouds.catalog.facts import Facts, MachineType, PriceList, Region
from shoal.wire.specs import Cloud

PRICES = "https://prices.azure.com"
SOURCE = "Azure Retail Prices"
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


class Item(msgspec.Struct, frozen=True, rename="camel"):
    arm_sku_name: str = ""
    sku_name: str = ""  # "D4s v5", "D4s v5 Spot", "D4s v5 Low Priority"
    product_name: str = ""  # "… Windows" costs more
    retail_price: float = 0.0
    unit_of_measure: str = ""
    currency_code: str = ""
    type: str = ""

    @property
    def spot(self) -> bool:
        return self.sku_name.endswith(" Spot")

    @property
    def counts(self) -> bool:
        """An hour of a Linux VM, by the meter that VMs of today use."""
        return (
            self.type == "Consumption"
            and self.unit_of_measure == "1 Hour"
            and self.currency_code == "USD"
            and self.retail_price > 0
            and "Windows" not in self.product_name
            and "Cloud Services" not in self.product_name
            and not self.sku_name.endswith("Low Priority")
        )


class _Page(msgspec.Struct, frozen=True):
    items: tuple[Item, ...] = msgspec.field(name="Items", default=())
    next: str | None = msgspec.field(name="NextPageLink", default=None)


async def facts(clients: Clients, region: str, today: date, prices: str = PRICES) -> Facts:
    """`prices`: where the price list is. Raises one of the four."""
    skus = await clients.call(lambda: _skus(clients, region))
    items = await clients.call(lambda: list(_items(clients, region, prices)))
    usable = [it for it in skus if it.usable]
    return Facts(
        cloud=Cloud.AZURE,
        as_of=today,
        source="Azure Resource SKUs",
        types=tuple(machine_type(it) for it in usable),
        regions=(place(region, usable),),
        prices=tuple(_list(region, today, items, spot=spot) for spot in (False, True)),
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
    """Each type by itself: its zones differ within a family, and by subscription."""
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


def _items(clients: Clients, region: str, prices: str) -> Iterator[Item]:
    asked = f"serviceName eq 'Virtual Machines' and armRegionName eq '{region}'"
    url: str | None = f"{prices}/api/retail/prices?$filter={quote(asked)}"
    while url:
        page = msgspec.json.decode(clients.get_public(url), type=_Page)
        yield from page.items
        url = page.next


def _list(region: str, today: date, items: Iterable[Item], *, spot: bool) -> PriceList:
    """The lowest where a size is sold by two meters."""
    found: dict[str, int] = {}
    for it in items:
        if it.counts and it.spot is spot:
            uusd = round(it.retail_price * 1_000_000)
            found[it.arm_sku_name] = min(uusd, found.get(it.arm_sku_name, uusd))
    return PriceList(region, spot, today, SOURCE, found)
