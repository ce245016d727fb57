"""Why a worker was lost, when only the cloud knows: a spot VM that was taken back.

The scheduler sees a connection end, and the agent that could say why is gone with its VM. The
record knows more a moment later: a listing lacked that VM, and it was spot. Derived when it is
shown, never stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import msgspec

from shoal.core.records import Instance
from shoal.wire.telemetry import Loss, WorkerEvent

_BEFORE, _AFTER = timedelta(minutes=1), timedelta(minutes=15)  # around the loss


def explained(
    events: Iterable[WorkerEvent], instances: Iterable[Instance]
) -> tuple[WorkerEvent, ...]:
    """The same events, in their order."""
    taken: dict[str, Instance] = {it.id: it for it in instances if vanished(it)}
    return tuple(_explained(it, taken.get(it.worker)) for it in events)


def unclear(events: Iterable[WorkerEvent]) -> set[str]:
    """Workers of whose loss only the cloud knows why."""
    return {it.worker for it in events if it.reason is Loss.CONNECTION}


def vanished(it: Instance) -> bool:
    """Nobody asked it to leave, and it is not wanted any more since the cloud does not have it."""
    return it.spot and it.released_at is not None and it.retiring_since is None and not it.failed


def _explained(event: WorkerEvent, instance: Instance | None) -> WorkerEvent:
    if event.reason is not Loss.CONNECTION or instance is None or instance.released_at is None:
        return event
    if not event.at - _BEFORE <= instance.released_at <= event.at + _AFTER:
        return event
    place = f" in {instance.zone}" if instance.zone else ""
    detail = f"the cloud took the spot VM{place} back"
    return msgspec.structs.replace(event, reason=Loss.PREEMPTED, detail=event.detail or detail)
