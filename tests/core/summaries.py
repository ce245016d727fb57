"""What a cluster's VMs come to in numbers, worked out VM by VM: what the store's sums are held
against, and what views in tests are derived from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from shoal.core.cost import cost_uusd, price_uusd_per_hour
from shoal.core.lifecycle import ACTIVE
from shoal.core.records import Instance, Observation
from shoal.core.summary import Alike, Starting, Summary
from shoal.wire.ids import InstanceId
from shoal.wire.specs import Role

_KEYS = ("role", "state", "retiring", "stage", "environment", "unmet")
_SUMS = ("count", "cost_uusd", "unpriced", "uusd_per_hour", "unknown")


def summary_of(
    instances: Iterable[Instance], told: Mapping[InstanceId, Observation], now: datetime
) -> Summary:
    every = list(instances)
    schedulers = [it for it in every if it.role is Role.SCHEDULER and it.state in ACTIVE]
    return Summary(
        tuple(_one(it, told.get(it.id), now) for it in every),
        _starting(schedulers[-1], told.get(schedulers[-1].id)) if schedulers else None,
    )


def _one(it: Instance, seen: Observation | None, now: datetime) -> Alike:
    cost, price = cost_uusd(it, now), price_uusd_per_hour(it)
    return Alike(
        role=it.role,
        state=it.state,
        retiring=it.retiring_since is not None,
        stage=seen.stage if seen else None,
        environment=seen.environment if seen else "",
        unmet=it.why if it.role is Role.WORKER and it.launched_at is None else "",
        count=1,
        first_launched_at=it.launched_at,
        cost_uusd=cost or 0,
        unpriced=int(cost is None),
        uusd_per_hour=price or 0,
        unknown=int(price is None),
    )


def _starting(it: Instance, seen: Observation | None) -> Starting:
    return Starting(it.state, seen.stage if seen else None, seen.detail if seen else "")


def together(summary: Summary) -> dict[tuple[object, ...], Alike]:
    """Alike ones added up, by what makes them alike."""
    found: dict[tuple[object, ...], Alike] = {}
    for it in summary.alike:
        key = tuple(getattr(it, name) for name in _KEYS)
        found[key] = _plus(found[key], it) if key in found else it
    return found


def _plus(one: Alike, other: Alike) -> Alike:
    sums = {name: getattr(one, name) + getattr(other, name) for name in _SUMS}
    times = [it.first_launched_at for it in (one, other) if it.first_launched_at is not None]
    return msgspec.structs.replace(one, first_launched_at=min(times, default=None), **sums)
