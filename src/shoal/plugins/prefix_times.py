"""Where workers' time went, by Dask's fine performance metrics, of each computation.

The problem: a scheduler sums what workers' heartbeats tell by prefix and by span, not by
computation (distributed/spans.py, 2026.8). What is added belongs to the computation that has tasks
of that prefix in that span; where several have, or where Dask does not say for whom (moving data
between workers), it is told of the newest of them as shared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from .values import Item, text

_MOST = 2_000  # sums that are remembered
_MOST_SPANS = 5_000
_OF_SPANS = ("execute", "p2p")  # contexts whose metrics are kept by span
_SENT = {
    ("get-data", "memory-read", "bytes"),
    ("get-data", "disk-read", "bytes"),
    ("p2p", "background-comms", "process", "bytes"),
}


class PrefixTimes:
    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._seconds: dict[tuple[str, str], dict[str, float]] = {}
        self._shared: set[tuple[str, str]] = set()
        self.sent_bytes = 0.0  # by workers: results to others, shuffled data
        self._before: dict[str, dict[Any, float]] = {}
        for span, sums in self._sums(self._spans().keys()):
            self._before[span] = dict(sums)

    def changed(self, live: list[Any]) -> list[Item]:
        """`live`: computations that workers may tell of, the oldest first."""
        owners = _owners(live)
        touched: set[tuple[str, str]] = set()
        for span, name, added in self._added({span for span, _ in owners}):
            if tuple(name) in _SENT:
                self.sent_bytes += added
            context, *prefix, activity, unit = name
            if unit != "seconds" or not live:
                continue
            of = str(prefix[0]) if prefix and context == "execute" else ""
            found = owners.get((span, of)) or [str(it.id) for it in live]
            key = (found[-1], text(of))
            if len(found) > 1:
                self._shared.add(key)
            spent = self._seconds.setdefault(key, {})
            named = text(activity if context == "execute" else f"{context}: {activity}")
            spent[named] = spent.get(named, 0.0) + added
            touched.add(key)
        self._forget({str(it.id) for it in live})
        return [self._told(key) for key in sorted(touched)]

    def _added(self, spans: set[str]) -> Iterator[tuple[str, Any, float]]:
        """By span, "" where Dask does not keep it by span: what came since the last time."""
        for span, sums in self._sums(spans):
            before = self._before.setdefault(span, {})
            for name, value in sums.items():
                added = value - before.get(name, 0.0)
                if added:
                    before[name] = value
                    yield span, name, added

    def _sums(self, ids: Any) -> Iterator[tuple[str, dict[Any, float]]]:
        spans = self._spans()
        every = self._scheduler.cumulative_worker_metrics
        yield (
            "",
            {
                name: value
                for name, value in list(every.items())
                if isinstance(name, tuple) and not (spans and name[0] in _OF_SPANS)
            },
        )
        for id in list(ids):
            if id in spans:
                yield id, dict(spans[id]._cumulative_worker_metrics)

    def _spans(self) -> dict[str, Any]:
        extension = self._scheduler.extensions.get("spans")
        return getattr(extension, "spans", {})

    def _told(self, key: tuple[str, str]) -> Item:
        seconds = {activity: round(spent, 4) for activity, spent in self._seconds[key].items()}
        return {
            "item": "time",
            "computation": key[0],
            "prefix": key[1],
            "seconds": seconds,
            "shared": key in self._shared,
        }

    def _forget(self, live: set[str]) -> None:
        if len(self._seconds) > _MOST:
            self._seconds = {it: s for it, s in self._seconds.items() if it[0] in live}
            self._shared &= self._seconds.keys()
        while len(self._before) > _MOST_SPANS:
            oldest = next(it for it in self._before if it)
            del self._before[oldest]


def _owners(live: list[Any]) -> dict[tuple[str, str], list[str]]:
    """By span and prefix: computations with tasks of it, the oldest first. Without spans ("") by
    prefix alone."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for computation in live:
        id = str(computation.id)
        keys = {
            (span, str(group.prefix.name))
            for group in computation.groups
            for span in ("", getattr(group, "span_id", None) or "")
        }
        for key in keys:
            found[key].append(id)
    return found
