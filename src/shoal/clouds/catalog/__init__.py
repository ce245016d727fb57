"""Machine types, places and prices of all clouds: what there is to choose from, unasked.

A dated snapshot comes with the package and works without an account; what a refresh found for a
region is newer and wins, fact by fact. Where a price is not known it is None, and its source empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from pathlib import Path

import msgspec

from shoal.clouds.catalog import files
from shoal.clouds.catalog.facts import ExtraPrice, Facts, MachineType, PriceList, Region
from shoal.core.records import Offer
from shoal.wire.specs import Cloud

_MIB = 1 << 20
CLOUDS = (Cloud.GCP, Cloud.AWS, Cloud.AZURE)


class Age(msgspec.Struct, frozen=True):
    """Where the types of a region come from, and when they were true."""

    as_of: date
    source: str


class Catalog:
    """`refreshed`: the directory of what refreshes found; None: the snapshot alone."""

    def __init__(self, refreshed: Path | None = None) -> None:
        self._refreshed = refreshed

    def regions(self, cloud: Cloud) -> tuple[str, ...]:
        return tuple(sorted({it.name for facts in self._facts(cloud) for it in facts.regions}))

    def home(self, cloud: Cloud) -> str:
        """The region to look at where none is named: one whose prices are known."""
        lists = [it.region for part in self._facts(cloud) for it in part.prices]
        return next(iter(lists), "") or next(iter(self.regions(cloud)), "")

    def offers(self, cloud: Cloud, region: str) -> tuple[Offer, ...]:
        """Every type × zone × spot or not of a region; empty for one that is not known."""
        facts = self._facts(cloud)
        place = next((it for part in facts for it in part.regions if it.name == region), None)
        if place is None:
            return ()
        prices, extras = _Prices(region, facts), self.extras(cloud, region)
        plain = Offer(cloud, region, "", "", False, "", 0, 0)
        if extras is not None:
            plain = msgspec.structs.replace(
                plain,
                disk_uusd_per_gib_month=extras.disk_uusd_per_gib_month,
                address_uusd_per_hour=extras.address_uusd_per_hour,
            )
        return tuple(
            _offer(plain, zone, it, prices, spot=spot)
            for it in _types(facts, place)
            for zone in place.zones_of(it)
            for spot in ((False, True) if it.spot else (False,))
        )

    def age(self, cloud: Cloud, region: str) -> Age | None:
        for part in self._facts(cloud):
            if any(it.name == region for it in part.regions):
                return Age(part.as_of, part.source)
        return None

    def extras(self, cloud: Cloud, region: str) -> ExtraPrice | None:
        """What disks and public addresses cost there: each as the newest says that knows it of
        the region, else of all regions. Dated by the disk's."""
        every = [it for part in self._facts(cloud) for it in part.extras]
        known = [it for place in (region, "*") for it in every if it.region == place]
        disk = next((it for it in known if it.disk_uusd_per_gib_month is not None), None)
        address = next((it for it in known if it.address_uusd_per_hour is not None), None)
        told = disk or address
        if told is None:
            return None
        return msgspec.structs.replace(
            told,
            disk_uusd_per_gib_month=disk.disk_uusd_per_gib_month if disk else None,
            address_uusd_per_hour=address.address_uusd_per_hour if address else None,
        )

    def _facts(self, cloud: Cloud) -> list[Facts]:
        """The newest first; the snapshot last among those of one day."""
        if cloud not in CLOUDS:
            return []
        newer = list(files.refreshed(self._refreshed, cloud)) if self._refreshed else []
        return sorted([*newer, files.snapshot(cloud)], key=lambda it: it.as_of, reverse=True)


def _types(facts: Iterable[Facts], place: Region) -> list[MachineType]:
    """By name, the newest shape of each. A refreshed region names its own types."""
    found: dict[str, MachineType] = {}
    for part in facts:
        for it in part.types:
            found.setdefault(it.name, it)
    return [found[name] for name in sorted(found) if place.zones_of(found[name])]


class _Prices:
    """A region's prices: the newest list that knows a type."""

    def __init__(self, region: str, facts: Iterable[Facts]) -> None:
        lists = [it for part in facts for it in part.prices if it.region == region]
        self._lists = sorted(lists, key=lambda it: it.as_of, reverse=True)

    def find(self, machine_type: str, zone: str, *, spot: bool) -> tuple[int, PriceList] | None:
        for it in self._lists:
            if it.spot is spot and it.zone in ("", zone) and machine_type in it.uusd_per_hour:
                return it.uusd_per_hour[machine_type], it
        return None


def _offer(plain: Offer, zone: str, it: MachineType, prices: _Prices, *, spot: bool) -> Offer:
    """`plain`: the cloud and region, and what is the same for all of its machines."""
    found = prices.find(it.name, zone, spot=spot)
    return msgspec.structs.replace(
        plain,
        zone=zone,
        machine_type=it.name,
        spot=spot,
        arch=it.arch,
        vcpu=it.vcpu,
        memory_bytes=it.memory_mib * _MIB,
        price_uusd_per_hour=found[0] if found else None,
        as_of=datetime.combine(found[1].as_of, time(), UTC) if found else None,
        gpu=it.gpu,
        gpu_type=it.gpu_type,
        disk_gib=it.scratch_gib,
        family=it.family,
        burstable=it.burstable,
        current=it.current,
        source=found[1].source if found else "",
    )
