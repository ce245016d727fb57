"""One computation: its code, where the time of workers' threads went, its task groups."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from shoal.errors import NotFound
from shoal.server.handlers import telemetry as handlers
from shoal.server.pages import exports
from shoal.server.pages.asked import asked, url
from shoal.server.pages.cluster import asked_of, cluster_view, page
from shoal.server.pages.flame import flame
from shoal.server.pages.frame import Visit
from shoal.server.pages.icicle import WAYS, icicle, seconds
from shoal.server.pages.share import Slice, slices
from shoal.wire.telemetry import PrefixTime, TaskGroupSample

_GROUPS = 200


class ComputationAsked(msgspec.Struct, frozen=True):
    prefix: str = ""  # whose task groups are drawn; empty: all prefixes

    def url(self, **changes: str | None) -> str:
        return url(self, **changes)


class Prefix(msgspec.Struct, frozen=True):
    """All groups of one prefix, and the time of workers' threads that went into them."""

    name: str
    groups: int
    tasks: int
    seconds: float
    compute_s: float
    transfer_s: float
    disk_read_s: float
    disk_write_s: float
    deserialize_s: float
    other_s: float
    bytes: int  # of results


async def computation(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, ComputationAsked)
    found = await handlers.computation(visit.desk, asked_of(visit, None))
    if it.prefix and all(one.prefix != it.prefix for one in found.groups):
        raise NotFound(f"No task of this computation is named {it.prefix!r}.")
    values = {
        "query": it,
        "icicle": icicle(found.groups, it.prefix),
        "computation": found.computation,
        "frames": found.computation.code[::-1],
        "prefixes": prefixes(found.groups),
        "flame": flame(found.computation, found.groups, found.times, visit.desk.clock()),
        "times": activities(found.times),
        "groups": found.groups[:_GROUPS],
        "hidden": len(found.groups) - _GROUPS,
        "exceptions": found.exceptions,
        "now": visit.desk.clock(),
    }
    return page(visit, view, "computation", values)


def prefixes(groups: Sequence[TaskGroupSample]) -> list[Prefix]:
    """Where the workers' time went, the longest first."""
    by: dict[str, list[TaskGroupSample]] = {}
    for it in groups:
        by.setdefault(it.prefix, []).append(it)
    found = [
        Prefix(
            name,
            len(some),
            sum(it.tasks for it in some),
            sum(map(seconds, some)),
            **{field: sum(getattr(it, field) for it in some) for field, _ in WAYS},
            bytes=sum(it.bytes for it in some),
        )
        for name, some in by.items()
    ]
    return sorted(found, key=lambda it: -it.seconds)


class Threads(msgspec.Struct, frozen=True):
    """What the threads did that ran tasks of one prefix."""

    name: str
    seconds: float
    slices: tuple[Slice, ...]
    shared: bool  # with other computations: theirs is counted too


def activities(times: Sequence[PrefixTime]) -> list[Threads]:
    """Of each prefix what its threads did, as Dask's fine metrics say; "" is moving data."""
    sums = [sum(it.seconds.values()) for it in times]
    longest = max(sums, default=0.0) or 1.0
    found = [
        Threads(it.prefix or "(between workers)", whole, slices(it.seconds, longest), it.shared)
        for it, whole in zip(times, sums, strict=True)
    ]
    return sorted(found, key=lambda it: -it.seconds)


async def part(visit: Visit) -> Response:
    """Of a computation: its groups, their sums by prefix, when those ran, what threads did, or
    what was raised, as a file."""
    view, path = await cluster_view(visit), visit.request.path_params
    found = await handlers.computation(visit.desk, asked_of(visit, None))
    parts: dict[str, Sequence[msgspec.Struct]] = {
        "groups": found.groups,
        "prefixes": prefixes(found.groups),
        "exceptions": found.exceptions,
        "timeline": [
            Timed(it.prefix, it.began_s, it.lasted_s, it.busy_s, it.threads, it.tasks)
            for it in flame(found.computation, found.groups, found.times, visit.desk.clock())
        ],
        "activities": [
            Activity(it.prefix, name, seconds, it.shared)
            for it in found.times
            for name, seconds in it.seconds.items()
        ],
    }
    return exports.structs(view.name, path["part"], path["kind"], parts)


class Timed(msgspec.Struct, frozen=True):
    """When tasks of a prefix were at work."""

    prefix: str
    began_s: float  # after the computation's start
    lasted_s: float
    busy_s: float  # summed over threads
    threads: float  # that were busy, on average
    tasks: int


class Activity(msgspec.Struct, frozen=True):
    prefix: str  # "": moving data between workers
    activity: str
    seconds: float
    shared: bool  # other computations ran such tasks too, and their time is in it
