"""Where the money went: what clusters have cost, counted for days, people, clouds and tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from shoal.core.cost import DayCost, forecast
from shoal.wire.ids import ClusterId, UserName
from shoal.wire.views import CostReport, CostShare

WAYS = ("day", "user", "cloud", "cluster", "tag")  # and "tag:KEY"


class Payer(msgspec.Struct, frozen=True):
    """Whom money is counted for; what is not asked for stays empty."""

    cluster: ClusterId = ClusterId("")
    name: str = ""
    owner: UserName = UserName("")
    cloud: str = ""
    tags: Mapping[str, str] = {}


class Paid(msgspec.Struct, frozen=True):
    """What clusters' VMs have cost in the time that is asked for."""

    payer: Payer
    uusd: int
    seconds: float
    unpriced_s: float = 0.0
    clusters: int = 1


def is_way(by: str) -> bool:
    return by in WAYS or (by.startswith("tag:") and len(by) > len("tag:"))


def report(
    by: str,
    paid: Sequence[Paid],
    days: Sequence[DayCost],
    month: Sequence[DayCost],
    *,
    since: datetime,
    until: datetime,
    now: datetime,
) -> CostReport:
    """`days`: the whole workspace from `since` on; `month`: from its first day or the last week."""
    expected = forecast({it.day: it.uusd for it in month}, now)
    daily = _by_day(days)
    lines = daily if by == "day" else _dearest_first(_shares(by, paid))
    return CostReport(
        by=by,
        since=since,
        until=until,
        uusd=sum(it.uusd for it in days),
        unpriced_s=sum(it.unpriced_s for it in days),
        lines=tuple(lines),
        days=tuple(daily),
        month_uusd=expected.so_far_uusd,
        month_expected_uusd=expected.expected_uusd,
        expected_from_days=expected.days_counted,
    )


def _by_day(days: Iterable[DayCost]) -> list[CostShare]:
    return [CostShare(f"{it.day:%Y-%m-%d}", it.uusd, it.seconds, it.unpriced_s) for it in days]


def _shares(by: str, paid: Iterable[Paid]) -> list[CostShare]:
    found: dict[str, CostShare] = {}
    for it in paid:
        for key in keys(by, it.payer):
            known = found.get(key, CostShare(key, 0, 0.0))
            found[key] = CostShare(
                key,
                known.uusd + it.uusd,
                known.seconds + it.seconds,
                known.unpriced_s + it.unpriced_s,
                known.clusters + it.clusters,
                it.payer.name if by == "cluster" else "",
            )
    return list(found.values())


def keys(by: str, payer: Payer) -> Iterator[str]:
    """What a cluster counts under; "(none)" without any tag, or without the tag asked for."""
    match by:
        case "user":
            yield payer.owner
        case "cloud":
            yield payer.cloud
        case "cluster":
            yield payer.cluster
        case "tag":
            yield from [f"{key}={value}" for key, value in payer.tags.items()] or ["(none)"]
        case _:
            yield payer.tags.get(by.removeprefix("tag:"), "(none)")


def _dearest_first(shares: Iterable[CostShare]) -> list[CostShare]:
    return sorted(shares, key=lambda it: (-it.uusd, -it.seconds, it.key))
