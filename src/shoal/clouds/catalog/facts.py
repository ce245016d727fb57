"""What the catalog knows, as it is kept in files: machine types, where they are, what they cost.

Facts of one cloud with one date. A price stands with its source; a price that is not known is
absent, and nothing here makes one up. Money in micro-dollars (uusd).
"""

from __future__ import annotations

from datetime import date

import msgspec

from shoal.wire.specs import Cloud


class MachineType(msgspec.Struct, frozen=True, array_like=True):
    """A shape. `family` is what availability is told by; `spot`: it can be had as spot."""

    name: str
    family: str
    arch: str  # "x86_64" or "aarch64"
    vcpu: int
    memory_mib: int
    gpu: int = 0
    gpu_type: str = ""  # the cloud's own name
    scratch_gib: int = 0  # local NVMe that comes with it
    burstable: bool = False
    current: bool = True
    spot: bool = True


class Region(msgspec.Struct, frozen=True):
    """`zones` by their full names; empty where a region has none (some of Azure's).

    `families` tells in which of them a family is; `exceptions` does so for single types, and wins.
    What is to be had without a zone has the region itself as its place.
    """

    name: str
    zones: tuple[str, ...]
    families: dict[str, str]  # a family: last letters of its zones; "*": in all; "": without
    exceptions: dict[str, str] = {}

    def zones_of(self, it: MachineType) -> tuple[str, ...]:
        letters = self.exceptions.get(it.name, self.families.get(it.family))
        if letters is None:
            return ()
        if letters == "*":
            return self.zones or (self.name,)
        if letters == "":
            return (self.name,)
        return tuple(zone for zone in self.zones if zone[-1] in letters)


class PriceList(msgspec.Struct, frozen=True):
    """An hour of each machine type, in one region; `zone` empty: the same in all zones."""

    region: str
    spot: bool
    as_of: date
    source: str
    uusd_per_hour: dict[str, int]
    zone: str = ""


class ExtraPrice(msgspec.Struct, frozen=True):
    """What a VM needs beside itself. `region` "*": the same everywhere."""

    region: str
    as_of: date
    source: str
    disk_uusd_per_gib_month: int | None = None
    address_uusd_per_hour: int | None = None


def extra_price(
    region: str, as_of: date, source: str, disk: int | None, address: int | None
) -> tuple[ExtraPrice, ...]:
    """None where nothing was told."""
    if disk is None and address is None:
        return ()
    return (ExtraPrice(region, as_of, source, disk, address),)


class Facts(msgspec.Struct, frozen=True):
    """A snapshot, or what a refresh found for some regions. `source` is of types and places."""

    cloud: Cloud
    as_of: date
    source: str
    types: tuple[MachineType, ...] = ()
    regions: tuple[Region, ...] = ()
    prices: tuple[PriceList, ...] = ()
    extras: tuple[ExtraPrice, ...] = ()
