"""What of a report an open page should show at once, rather than when it looks next.

Samples move charts, which look by themselves; what a person waits for is that a worker died, that
a task failed, that a computation is over, and the next line of a log.
"""

from __future__ import annotations

from collections.abc import Iterable

from shoal.wire.ids import ClusterId
from shoal.wire.telemetry import (
    Chunk,
    ClientEvent,
    Computation,
    ShuffleEvent,
    TaskException,
    WorkerEvent,
)

_TOLD = (Computation, TaskException, WorkerEvent, ShuffleEvent, ClientEvent)


def of_record(cluster: ClusterId) -> str:
    return f"record of {cluster}"


def of_log(cluster: ClusterId) -> str:
    return f"log of {cluster}"


def subjects(
    cluster: ClusterId, items: Iterable[Chunk], *, logs: bool, lost: bool = False
) -> tuple[str, ...]:
    """What to ring the bell about. `lost`: the record lacks something from now on."""
    record = lost or any(isinstance(it.item, _TOLD) for it in items)
    return (*([of_record(cluster)] if record else ()), *([of_log(cluster)] if logs else ()))
