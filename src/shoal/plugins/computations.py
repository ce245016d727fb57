"""Which computations changed: read now and then from the counters that Dask keeps anyway.

The problem: a computation may have a million tasks, so nothing may be done for each. A scheduler
counts states, durations and bytes by task group, and lists the groups of each computation
(distributed/scheduler.py, Computation and TaskGroup, 2026.8); a computation that was told as
finished is not looked at again unless a worker was lost.

A group belongs to the computation that came first. One that only adds tasks to groups of another
(a loop of `submit` with one function) has none of its own; for that one some tasks are counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from .values import LONG, Item, moment, text

_MOST_GROUPS = 500  # told of one computation: those that took longest
_MOST_FRAMES = 8
_MOST_KEYS = 1_000  # of a computation without groups
_LOOKED_AT = 2_000  # results whose sizes are compared, at a time
_WORTH_SEEING_S = 0.1
_MOST_SEEN = 2_000
_HEARD_WITHIN_S = 30.0  # workers' heartbeats about one that is over
_DONE = ("memory", "released", "forgotten")
_OWN = {
    "compute": "compute_s",
    "transfer": "transfer_s",
    "disk-read": "disk_read_s",
    "disk-write": "disk_write_s",
    "deserialize": "deserialize_s",
}


class Computations:
    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._newest: tuple[Any, str] = (None, "")
        self._told: dict[str, Item] = {}  # by key, what was told last
        self._finished: dict[str, float] = {}  # since when
        self._graphs: defaultdict[str, Graphs] = defaultdict(Graphs)
        self._keys: dict[str, list[Any]] = {}
        self._erred: dict[str, int] = {}
        self._longest: dict[Any, float] = {}  # by task group: a task's time, as far as seen
        self.dropped = 0

    def newest(self) -> str:
        """The computation that work of just now belongs to. Asked with each graph: its id is
        written out once."""
        known = self._scheduler.computations
        newest = known[-1] if known else None
        if newest is not self._newest[0]:
            self._newest = (newest, str(newest.id) if newest else "")
        return self._newest[1]

    def live(self, now: float) -> list[Any]:
        """Those that workers may still tell of, the oldest first."""
        since = now - _HEARD_WITHIN_S
        return [
            it
            for it in list(self._scheduler.computations)
            if self._finished.get(str(it.id), now) >= since
        ]

    def graph(self, size_bytes: int, took_s: float) -> None:
        """A graph has been taken in, for the newest computation."""
        graphs = self._graphs[self.newest()]
        graphs.largest_bytes = max(graphs.largest_bytes, size_bytes)
        graphs.took_s += took_s

    def asked(self, tasks: Iterable[Any]) -> None:
        """These tasks belong to the newest computation."""
        known = self._scheduler.computations
        if known and not known[-1].groups:
            keys = self._keys.setdefault(self.newest(), [])
            keys += islice(tasks, max(_MOST_KEYS - len(keys), 0))

    def erred(self) -> str:
        """A task of the newest computation has failed for good."""
        id = self.newest()
        self._erred[id] = self._erred.get(id, 0) + 1
        return id

    def look_at_all(self) -> None:
        """What was finished may be computed again."""
        self._finished.clear()

    def changed(self, now: float) -> Iterator[Item]:
        """What has to be told, the newest computation last."""
        largest = self._largest()
        self._see_running()
        known = list(self._scheduler.computations)
        for computation in known:
            id = str(computation.id)
            if id not in self._finished:
                yield from self._changed(id, computation, largest, now)
        self._forget({str(it.id) for it in known})

    def _changed(
        self, id: str, computation: Any, largest: dict[str, int], now: float
    ) -> Iterator[Item]:
        groups = sorted(computation.groups, key=lambda it: -it.duration)
        self.dropped += len(groups[_MOST_GROUPS:])
        for group in groups[:_MOST_GROUPS]:
            longest_s, largest_bytes = self._longest.get(group, 0.0), largest.get(group.name, 0)
            yield from self._if_new(
                _group(id, group, self._scheduler, longest_s=longest_s, largest_bytes=largest_bytes)
            )
        states = _states(groups) if groups else self._states(self._keys.get(id, []))
        if not groups and not states:
            return  # nothing is known of it
        told = _computation(id, computation, groups, states, now)
        told["erred"] = max(told["erred"], min(self._erred.get(id, 0), told["tasks"]))
        told["done"] = min(told["done"], told["tasks"] - told["erred"])
        graphs = self._graphs.get(id, Graphs())
        told["spans"] = sorted({it for it in map(self._span_name, groups[:_MOST_GROUPS]) if it})
        told["graph_bytes"], told["graph_s"] = graphs.largest_bytes, round(graphs.took_s, 3)
        before = self._told.get(_key(told), {})
        told["workers"] = max(len(self._scheduler.workers), before.get("workers", 0))
        if told["stopped_at"] is not None:
            told["workers"] = before.get("workers", told["workers"])
            self._finished[id] = now
        yield from self._if_new(told)

    def _span_name(self, group: Any) -> str:
        return text(" / ".join(_span(group, self._scheduler)))

    def _states(self, keys: Iterable[Any]) -> dict[str, int]:
        """One that is not known any more was computed, and nobody needs it."""
        states: dict[str, int] = {}
        for key in keys:
            task = self._scheduler.tasks.get(key)
            state = "forgotten" if task is None else task.state
            states[state] = states.get(state, 0) + 1
        return states

    def _if_new(self, item: Item) -> Iterator[Item]:
        key = _key(item)
        if self._told.get(key) != item:
            self._told[key] = item
            yield item

    def _largest(self) -> dict[str, int]:
        """Of the results in memory, by task group: some of them, a few of each worker."""
        found: dict[str, int] = {}
        workers = list(self._scheduler.workers.values())
        each = max(_LOOKED_AT // (len(workers) or 1), 1)
        for ws in workers[:_LOOKED_AT]:
            for task in islice(ws.has_what, each):
                name = task.group.name
                if task.nbytes > found.get(name, 0):
                    found[name] = task.nbytes
        return found

    def _see_running(self) -> None:
        """How long tasks have run that run now. Dask itself keeps the longest only by prefix, for
        as long as the scheduler lives: one straggler would mark every later group of that name."""
        for ws in list(self._scheduler.workers.values()):
            for task, seconds in ws.executing.items():
                if seconds > self._longest.get(task.group, _WORTH_SEEING_S):
                    self._longest[task.group] = seconds

    def _forget(self, known: set[str]) -> None:
        """Dask forgets old computations; so do we, or a session of a month would fill up."""
        if len(self._longest) > _MOST_SEEN:
            there = {it for one in self._scheduler.computations for it in one.groups}
            self._longest = {it: s for it, s in self._longest.items() if it in there}
        self._finished = {id: at for id, at in self._finished.items() if id in known}
        self._told = {key: it for key, it in self._told.items() if _owner(it) in known}
        for kept in (self._graphs, self._keys, self._erred):
            for id in kept.keys() - known:
                del kept[id]


class Graphs:
    """Those of one computation."""

    def __init__(self) -> None:
        self.largest_bytes = 0
        self.took_s = 0.0


def _owner(item: Item) -> str:
    return str(item["computation"] if item["item"] == "group" else item["id"])


def _key(item: Item) -> str:
    return f"{_owner(item)} {item.get('name', '')}"


def _states(groups: Iterable[Any]) -> dict[str, int]:
    states: dict[str, int] = {}
    for group in groups:
        for state, number in group.states.items():
            states[state] = states.get(state, 0) + number
    return states


def _computation(
    id: str, computation: Any, groups: list[Any], states: dict[str, int], now: float
) -> Item:
    compute_s = sum(group.all_durations.get("compute", 0.0) for group in groups)
    stop = max((group.stop for group in groups), default=0.0)
    done = sum(states.get(it, 0) for it in _DONE)
    tasks, erred = sum(states.values()), states.get("erred", 0)
    over = done + erred == tasks
    return {
        "item": "computation",
        "id": id,
        "started_at": moment(computation.start),
        "stopped_at": moment(max(stop, computation.start) if stop else now) if over else None,
        "code": list(_frames(computation.code)),
        "tasks": tasks,
        "done": done,
        "erred": erred,
        "processing": states.get("processing", 0),
        "groups": len(groups),
        "compute_s": round(compute_s, 3),
    }


def _frames(code: Iterable[Iterable[Any]]) -> Iterator[Item]:
    """The frames of each call that belongs to it; a frame that several share is told once."""
    seen: set[Any] = set()
    for frame in islice((it for call in code for it in call), 4 * _MOST_FRAMES):
        if frame in seen or len(seen) == _MOST_FRAMES:
            continue
        seen.add(frame)
        yield {
            "file": text(frame.filename),
            "line": frame.lineno_frame,
            "code": text(frame.code, LONG),
            "first_line": frame.lineno_frame - frame.lineno_relative,
        }


def _group(
    computation: str, group: Any, scheduler: Any, *, longest_s: float, largest_bytes: int
) -> Item:
    durations = dict(group.all_durations)
    own = {field: round(durations.pop(action, 0.0), 3) for action, field in _OWN.items()}
    states = {state: number for state, number in group.states.items() if number}
    tasks = sum(states.values())
    prefix = group.prefix
    return {
        "item": "group",
        "computation": computation,
        "name": text(group.name),
        "prefix": text(prefix.name),
        "started_at": moment(group.start) if group.start else None,
        "stopped_at": moment(group.stop) if group.stop else None,
        "tasks": tasks,
        "states": states,
        **own,
        "other_s": round(sum(durations.values()), 3),
        "bytes": max(int(group.nbytes_total), 0),
        "longest_s": round(max(longest_s, own["compute_s"] / (tasks or 1)), 3),
        "largest_bytes": largest_bytes,
        "depends_on": sorted(text(it.name) for it in islice(group.dependencies, 50)),
        "span": [text(it) for it in _span(group, scheduler)],
    }


def _span(group: Any, scheduler: Any) -> tuple[str, ...]:
    spans = getattr(scheduler.extensions.get("spans"), "spans", {})
    span = spans.get(getattr(group, "span_id", None))
    name = tuple(span.name) if span is not None else ()
    return () if name == ("default",) else name
