"""What became of a bulk request: how many VMs it made, and why there are not more.

The operation tells both: codes, and counts by place. VMs that it made and that have ended since are
no shortfall.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from shoal.clouds.gcp.errors import launch_error
from shoal.clouds.provider import Shortfall, final
from shoal.core.records import Batch

_NO_REASON = ("STOCKOUT", "fewer VMs were made than were asked for")


def made(operation: Any) -> int:
    """VMs that it created, whatever became of them."""
    places = operation.instances_bulk_insert_operation_metadata.per_location_status
    return sum(it.created_vm_count for it in places.values())


def shortfalls(operation: Any, batch: Batch, now: datetime) -> tuple[Shortfall, ...]:
    """One a reason. Empty while it runs: nothing is known yet."""
    if operation.status.name != "DONE":
        return ()
    missing = batch.count - made(operation)
    if missing <= 0:
        return ()
    told = [(str(it.code), str(it.message)) for it in operation.error.errors]
    return tuple(
        Shortfall(count, final(launch_error(code, said, batch.offers, now=now), batch.offers[0]))
        for (code, said), count in _shared(missing, told or [_NO_REASON])
    )


Reason = tuple[str, str]


def _shared(missing: int, told: Sequence[Reason]) -> Iterator[tuple[Reason, int]]:
    """Reasons by code, the most frequent first. An operation tells an error for each VM, or one
    for many: what is not told of counts as the first."""
    words: dict[str, str] = {}
    for code, said in told:
        words.setdefault(code, said)
    reasons = Counter(code for code, _ in told).most_common()
    first, *others = reasons
    counts = []
    left = missing
    for code, count in [*others]:
        counts.append((code, min(count, max(0, left - 1))))
        left -= counts[-1][1]
    for code, count in [(first[0], left), *counts]:
        if count:
            yield (code, words[code]), count
