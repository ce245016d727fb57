"""At the head: one word about each worker that was lost, from two that know a part each.

The scheduler sees at once that a worker is gone, and what was lost with it, but rarely why. The
agent on that VM knows why its Dask process ended, if the VM is still there. So either waits a
moment for the other; who comes later than that has nothing new to say.
"""

from __future__ import annotations

import msgspec

from shoal.wire.telemetry import Loss, WorkerEvent

WAIT_S = 1.0
_SAME_S = 15.0  # two words about one worker within this are about one loss

_VAGUE = (Loss.CONNECTION, Loss.CLOSED)


class _Heard(msgspec.Struct, frozen=True):
    event: WorkerEvent
    at_s: float


class Losses:
    def __init__(self) -> None:
        self._waiting: dict[str, _Heard] = {}
        self._told: dict[str, float] = {}

    def hear(self, event: WorkerEvent, now_s: float) -> list[WorkerEvent]:
        """What can be told at once."""
        name = event.worker
        if now_s - self._told.get(name, float("-inf")) < _SAME_S:
            return []
        other = self._waiting.pop(name, None)
        if other is None and event.reason in (Loss.RETIRED, Loss.RESTARTED):
            return self._tell(event, now_s)
        if other is None:
            self._waiting[name] = _Heard(event, now_s)
            return []
        return self._tell(_merged(other.event, event), now_s)

    def came(self, name: str) -> list[WorkerEvent]:
        """A worker of that name is there (again): what is lost from now on is another loss."""
        self._told.pop(name, None)
        waiting = self._waiting.pop(name, None)
        return [waiting.event] if waiting else []

    def overdue(self, now_s: float) -> list[WorkerEvent]:
        """Those for which the other has not said a word in time."""
        due = [it.event for it in self._waiting.values() if now_s - it.at_s >= WAIT_S]
        return [told for event in due for told in self._tell(event, now_s)]

    def _tell(self, event: WorkerEvent, now_s: float) -> list[WorkerEvent]:
        self._waiting.pop(event.worker, None)
        self._told = {it: at for it, at in self._told.items() if now_s - at < _SAME_S}
        self._told[event.worker] = now_s
        return [event]


def _merged(one: WorkerEvent, other: WorkerEvent) -> WorkerEvent:
    """The exact reason of one, with the numbers of the other."""
    exact, vague = (other, one) if one.reason in _VAGUE else (one, other)
    return msgspec.structs.replace(
        exact,
        at=min(one.at, other.at),
        address=exact.address or vague.address,
        detail=exact.detail or vague.detail,
        threads=max(one.threads, other.threads),
        memory_limit_bytes=max(one.memory_limit_bytes, other.memory_limit_bytes),
        tasks_lost=max(one.tasks_lost, other.tasks_lost),
        tasks_interrupted=max(one.tasks_interrupted, other.tasks_interrupted),
    )
