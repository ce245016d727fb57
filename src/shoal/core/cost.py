"""What VMs cost, with their disks and addresses: seconds × price, in integer micro-dollars.

Unknown stays unknown. (An extra whose price is not known, though, is left out of the sum: a VM's
price is far larger, and known without it.)

A VM is paid for from when the cloud accepted it until it is gone; between release and gone it may
still be billed, so that time counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from shoal.core.records import Batch, Instance, Offer
from shoal.wire.ids import ClusterId
from shoal.wire.specs import Role
from shoal.wire.views import CostLine, CostView

_HOUR_S = 3600
_MONTH_H = 730  # as the clouds' own calculators have it


def billed_seconds(it: Instance, now: datetime) -> float:
    return _until(it, it.gone_at or now)


def cost_uusd(it: Instance, now: datetime) -> int | None:
    """None where the price is not known and there was something to pay."""
    return _price(it, billed_seconds(it, now))


def _until(it: Instance, end: datetime) -> float:
    return 0.0 if it.launched_at is None else max(0.0, (end - it.launched_at).total_seconds())


def _price(it: Instance, seconds: float) -> int | None:
    if it.price_uusd_per_hour is None:
        return None if seconds else 0
    return round(seconds * (it.price_uusd_per_hour + it.extras_uusd_per_hour) / _HOUR_S)


def price_uusd_per_hour(it: Instance) -> int | None:
    """Of the VM with what it needs beside itself."""
    alone = it.price_uusd_per_hour
    return None if alone is None else alone + it.extras_uusd_per_hour


def extras_uusd_per_hour(batch: Batch) -> int:
    """Of one VM of the batch."""
    return extras_uusd(batch.offers[0], batch.disk_gib, batch.role)


def extras_uusd(offer: Offer, disk_gib: int, role: Role) -> int:
    """An hour: a VM's disk and its address, as far as their prices are known."""
    disk = disk_gib * (offer.disk_uusd_per_gib_month or 0)
    address = offer.address_uusd_per_hour
    if role is Role.SCHEDULER and offer.head_address_uusd_per_hour is not None:
        address = offer.head_address_uusd_per_hour
    return round(disk / _MONTH_H) + (address or 0)


def total_uusd(parts: Iterable[int | None]) -> int | None:
    known = list(parts)
    return None if None in known else sum(part for part in known if part is not None)


def cost_view(cluster: ClusterId, instances: Iterable[Instance], now: datetime) -> CostView:
    lines = tuple(
        CostLine(
            instance=it.id,
            role=it.role,
            machine_type=it.machine_type,
            seconds=round(billed_seconds(it, now), 3),
            cost_uusd=cost_uusd(it, now),
        )
        for it in instances
        if it.launched_at is not None
    )
    return CostView(cluster, total_uusd(line.cost_uusd for line in lines), lines)


class DayCost(msgspec.Struct, frozen=True):
    """What one cluster's VMs cost on one UTC day."""

    day: datetime  # its beginning
    uusd: int  # of what has a price
    seconds: float
    unpriced_s: float = 0.0  # of VMs whose price is not known


def by_day(instances: Iterable[Instance], now: datetime) -> tuple[DayCost, ...]:
    """Second by second; the days of a VM add up to its `cost_uusd`, to the micro-dollar."""
    found: dict[datetime, DayCost] = {}
    for it in instances:
        for part in _days(it, now):
            found[part.day] = plus(found.get(part.day, DayCost(part.day, 0, 0.0)), part)
    return tuple(found[day] for day in sorted(found))


def plus(one: DayCost, other: DayCost) -> DayCost:
    return DayCost(
        one.day,
        one.uusd + other.uusd,
        one.seconds + other.seconds,
        one.unpriced_s + other.unpriced_s,
    )


def start_of_day(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _days(it: Instance, now: datetime) -> Iterator[DayCost]:
    """Differences of the running total, so that rounding loses nothing over the days."""
    if it.launched_at is None:
        return
    end = it.gone_at or now
    day = start_of_day(it.launched_at)
    before, before_s = 0, 0.0
    while day < end:
        until = min(day + timedelta(days=1), end)
        total_s = _until(it, until)
        total = _price(it, total_s)
        spent_s = total_s - before_s
        unpriced_s = spent_s if total is None else 0.0
        yield DayCost(day, (total or 0) - before, spent_s, unpriced_s)
        day, before, before_s = until, total or 0, total_s


class Forecast(msgspec.Struct, frozen=True):
    """Of the UTC month that `now` is in."""

    so_far_uusd: int
    expected_uusd: int
    days_counted: int  # that the expectation rests on


_SPAN = timedelta(days=7)


def forecast(days: Mapping[datetime, int], now: datetime) -> Forecast:
    """What is spent, and for the rest of the month as much a day as in the last seven whole days
    (fewer, where the record is younger). `days`: by their beginnings."""
    today = start_of_day(now)
    month = today.replace(day=1)
    following = (month + timedelta(days=32)).replace(day=1)
    so_far = sum(uusd for day, uusd in days.items() if month <= day <= today)
    recent = {day: uusd for day, uusd in days.items() if today - day <= _SPAN and day < today}
    counted = (today - min(recent)).days if recent else 0
    left = (following - now) / timedelta(days=1)
    a_day = sum(recent.values()) / counted if counted else days.get(today, 0)
    return Forecast(so_far, so_far + round(a_day * left), counted)
