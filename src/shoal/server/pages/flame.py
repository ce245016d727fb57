"""A computation over time: when tasks of each prefix ran, and beneath it what their threads did.

Dask tells of a task group when its first task began and its last ended, and how long its tasks took
in all; so a bar is as long as its prefix was at work, and as dark as it was busy. Beneath it stands
what the time consisted of, to scale within the bar: how long, not when.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shoal.server.pages.icicle import WAYS
from shoal.server.pages.share import WIDTH, colour
from shoal.wire.telemetry import Computation, PrefixTime, TaskGroupSample

_LEAST = 3.0  # units: what is shorter can still be seen
_MOST = 40  # prefixes


class Cell(msgspec.Struct, frozen=True):
    name: str
    seconds: float
    share: float  # of the prefix's time
    x: float
    width: float
    colour: int


class Row(msgspec.Struct, frozen=True):
    """A prefix: from when until when, and what its threads' time went into."""

    prefix: str
    began_s: float  # after the computation's start
    lasted_s: float
    busy_s: float  # summed over threads
    tasks: int
    x: float
    width: float
    threads: float  # that it kept busy, on average
    cells: tuple[Cell, ...]


def flame(
    computation: Computation,
    groups: Sequence[TaskGroupSample],
    times: Sequence[PrefixTime],
    now: datetime,
) -> tuple[Row, ...]:
    """In the order in which the prefixes began; none of them where no group says when it ran."""
    begin, end = computation.started_at, computation.stopped_at or now
    by: dict[str, list[TaskGroupSample]] = {}
    for it in groups:
        if it.started_at is not None:
            by.setdefault(it.prefix, []).append(it)
    fine = {it.prefix: it.seconds for it in times}
    whole_s = max((end - begin).total_seconds(), 0.001)
    rows = [_row(name, some, fine.get(name, {}), begin, end, whole_s) for name, some in by.items()]
    longest = sorted(rows, key=lambda it: -it.busy_s)[:_MOST]
    return tuple(sorted(longest, key=lambda it: (it.began_s, -it.lasted_s)))


def _row(
    prefix: str,
    groups: Sequence[TaskGroupSample],
    fine: dict[str, float],
    begin: datetime,
    end: datetime,
    whole_s: float,
) -> Row:
    first = min(it.started_at for it in groups if it.started_at is not None)
    last = max((it.stopped_at or end for it in groups), default=end)
    began_s = min(max((first - begin).total_seconds(), 0.0), whole_s)
    lasted_s = min(max((last - first).total_seconds(), 0.0), whole_s - began_s)
    coarse = {way: sum(getattr(it, field) for it in groups) for field, way in WAYS}
    parts = fine or coarse
    busy_s = sum(coarse.values())
    x = min(WIDTH * began_s / whole_s, WIDTH - _LEAST)
    width = max(WIDTH * lasted_s / whole_s, _LEAST)
    return Row(
        prefix,
        began_s,
        lasted_s,
        busy_s,
        sum(it.tasks for it in groups),
        round(x, 1),
        round(width, 1),
        busy_s / lasted_s if lasted_s > 0 else 0.0,
        _cells(parts, x, width),
    )


def _cells(parts: dict[str, float], x: float, width: float) -> tuple[Cell, ...]:
    whole = sum(parts.values())
    found: list[Cell] = []
    for name, seconds in sorted(parts.items(), key=lambda it: -it[1]):
        if seconds <= 0:
            continue
        wide = width * seconds / whole
        share = seconds / whole
        found.append(Cell(name, seconds, share, round(x, 1), round(wide, 1), colour(name)))
        x += wide
    return tuple(found)
