"""What became of a bulk request: how many VMs it made, and why there are not more.

The operation tells both: codes, and counts by place. VMs that it made and that have ended since are
no shortfall.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shoal.clouds.gcp.errors import CAPACITY, launch_error
from shoal.clouds.provider import LaunchError, NoCapacity, Scope, Shortfall
from shoal.core.records import Batch, Offer


def made(operation: Any) -> int:
    """VMs that it created, whatever became of them."""
    places = operation.instances_bulk_insert_operation_metadata.per_location_status
    return sum(it.created_vm_count for it in places.values())


def shortfalls(operation: Any, batch: Batch, now: datetime) -> tuple[Shortfall, ...]:
    """Empty while it runs: nothing is known yet."""
    if operation.status.name != "DONE":
        return ()
    missing = batch.count - made(operation)
    if missing <= 0:
        return ()
    return (Shortfall(missing, why(operation, batch, now)),)


def why(operation: Any, batch: Batch, now: datetime) -> LaunchError:
    """The first reason that is none of capacity; else all of the alternatives were empty."""
    told = [(it.code, it.message) for it in operation.error.errors]
    for code, said in told:
        if code not in CAPACITY:
            return launch_error(code, said, batch.offers[0], now=now)
    said = told[0][1] if told else "fewer VMs were made than were asked for"
    tried = list(dict.fromkeys(map(_scope, batch.offers)))
    places = ", ".join(dict.fromkeys(it.zone for it in batch.offers))
    types = ", ".join(dict.fromkeys(it.machine_type for it in batch.offers))
    words = f"no capacity for {types} in {places}: {' '.join(said.split())[:300]}"
    return NoCapacity(words, scope=tried[0], also=tuple(tried[1:]))


def _scope(offer: Offer) -> Scope:
    return Scope(offer.region, offer.zone, offer.machine_type, offer.spot)
