"""A worker's telemetry that the head does not have yet: few items, the oldest go first."""

from __future__ import annotations

from collections import deque

from shoal.wire.telemetry import HostSample, Item

MOST_ITEMS = 60  # five minutes of samples


class SampleBox:
    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._dropped = 0

    @property
    def urgent(self) -> bool:
        """Something else than samples waits: a head should hear it now."""
        return any(not isinstance(it, HostSample) for it in self._items)

    def put(self, item: Item) -> None:
        self._items.append(item)
        self._bound()

    def take(self) -> tuple[tuple[Item, ...], int]:
        """All, and how many before them were lost; `give_back` what did not arrive."""
        taken, dropped = tuple(self._items), self._dropped
        self._items.clear()
        self._dropped = 0
        return taken, dropped

    def give_back(self, taken: tuple[Item, ...], dropped: int) -> None:
        self._items.extendleft(reversed(taken))
        self._dropped += dropped
        self._bound()

    def _bound(self) -> None:
        while len(self._items) > MOST_ITEMS:
            self._items.popleft()
            self._dropped += 1
