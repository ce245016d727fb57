"""At the head: telemetry that the server may ask for, bounded.

A standing item (wire/telemetry.py) replaces what was known under its key; moments queue. The oldest
go first, and whoever has not read that far is told how many.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator

from shoal.wire.telemetry import (
    Chunk,
    ClientEvent,
    Computation,
    HostSample,
    Item,
    PrefixTime,
    SchedulerSample,
    ShuffleEvent,
    TaskException,
    TaskGroupSample,
    WorkerEvent,
)

MOST_STANDING = 5_000
MOST_MOMENTS = 20_000
_MOST_GAPS = 64


class TelemetryBook:
    def __init__(
        self, *, most_standing: int = MOST_STANDING, most_moments: int = MOST_MOMENTS
    ) -> None:
        self._most_standing, self._most_moments = most_standing, most_moments
        self._standing: dict[str, Chunk] = {}  # by seq, as it is told again at the end
        self._moments: deque[Chunk] = deque()
        self.gaps = Gaps()

    def put(self, seq: int, item: Item) -> None:
        key = _key(item)
        if key is None:
            self._moments.append(Chunk(seq, item))
            if len(self._moments) > self._most_moments:
                self.gaps.add(self._moments.popleft().seq, 1)
            return
        self._standing.pop(key, None)
        self._standing[key] = Chunk(seq, item)
        if len(self._standing) > self._most_standing:
            oldest = next(iter(self._standing))
            self.gaps.add(self._standing.pop(oldest).seq, 1)

    def after(self, cursor: int) -> list[Chunk]:
        """All that is newer, oldest first."""
        found = [*_newer(reversed(self._standing.values()), cursor)]
        found += _newer(reversed(self._moments), cursor)
        found.sort(key=lambda it: it.seq)
        return found


class Gaps:
    """How much was lost, and which readers have missed it: those that have read less far."""

    def __init__(self) -> None:
        self._gaps: deque[tuple[int, int]] = deque()  # (cursor, how many were older than it)

    def add(self, cursor: int, count: int) -> None:
        self._gaps.append((cursor, count))
        if len(self._gaps) > _MOST_GAPS:
            _, first = self._gaps.popleft()
            cursor, second = self._gaps.popleft()
            self._gaps.appendleft((cursor, first + second))

    def between(self, after: int, reached: int) -> int:
        return sum(count for cursor, count in self._gaps if after < cursor <= reached)


def _newer(chunks: Iterator[Chunk], cursor: int) -> Iterator[Chunk]:
    return itertools.takewhile(lambda it: it.seq > cursor, chunks)


def _key(item: Item) -> str | None:
    match item:
        case Computation(id=id):
            return f"computation {id}"
        case TaskGroupSample(computation=computation, name=name):
            return f"group {computation} {name}"
        case PrefixTime(computation=computation, prefix=prefix):
            return f"time {computation} {prefix}"
        case TaskException(id=id):
            return f"exception {id}"
        case HostSample() | SchedulerSample() | WorkerEvent() | ShuffleEvent() | ClientEvent():
            return None
