"""What VMs cost: seconds × price, in integer micro-dollars. Unknown stays unknown.

A VM is paid for from when the cloud accepted it until it is gone; between release and gone it may
still be billed, so that time counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from shoal.core.records import Instance
from shoal.wire.ids import ClusterId
from shoal.wire.views import CostLine, CostView

_HOUR_S = 3600


def billed_seconds(it: Instance, now: datetime) -> float:
    if it.launched_at is None:
        return 0.0
    return max(0.0, ((it.gone_at or now) - it.launched_at).total_seconds())


def cost_uusd(it: Instance, now: datetime) -> int | None:
    """None where the price is not known and there was something to pay."""
    seconds = billed_seconds(it, now)
    if it.price_uusd_per_hour is None:
        return None if seconds else 0
    return round(seconds * it.price_uusd_per_hour / _HOUR_S)


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
