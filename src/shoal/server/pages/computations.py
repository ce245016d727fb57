"""What a cluster computed, by the lines of code that asked for it: how often, how long, errors.

All of a cluster's computations are looked at, since a line may have asked long ago and just now;
there are 2,000 at most (store/telemetry.py). A page has so many lines, the newest first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from starlette.responses import Response

from shoal.errors import NotFound
from shoal.server.desk import Incoming
from shoal.server.handlers import telemetry as handlers
from shoal.server.pages import exports, words, workers
from shoal.server.pages.asked import asked, url
from shoal.server.pages.cluster import asked_of, cluster_view, page
from shoal.server.pages.frame import Visit
from shoal.server.pages.lines import Line, lines
from shoal.store import telemetry as telemetry_rows
from shoal.wire.endpoints import ComputationQuery, NewestQuery
from shoal.wire.ids import ClusterId
from shoal.wire.telemetry import (
    Computation,
    ComputationList,
    ComputationView,
    TaskException,
)
from shoal.wire.views import ClusterView

_LINES, _NAMED, _NEWEST, _LOOKED, _RAISED, _SHUFFLES = 50, 3, 5, 25, 3, 50


class ComputationsAsked(msgspec.Struct, frozen=True):
    q: str = ""
    show: str = ""  # "erred"
    span: str = ""  # a part of its name
    line: str = ""  # an id: those alone that the same line of code asked for, one by one
    page: str = ""  # the id of the last computation of the page before

    def url(self, **changes: str | None) -> str:
        return url(self, **changes)


async def computations(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, ComputationsAsked)
    found = await _found(visit, view, it)
    failures = await handlers.exceptions(visit.desk, asked_of(visit, NewestQuery(limit=20)))
    shown, more = _page(found, it.page)
    values = {
        "query": it,
        "lines": shown,
        "names": found.names,
        "next_page": shown[-1].newest.id if more else "",
        "line_count": len(found.lines),
        "count": sum(len(one.each) for one in found.lines),
        "exceptions": failures.exceptions,
        "shuffles": await workers.shuffles(visit, _SHUFFLES),
        "now": visit.desk.clock(),
    }
    return page(visit, view, "computations", values)


class Found(msgspec.Struct, frozen=True):
    lines: Sequence[Line]
    names: Mapping[str, str]  # of those without code


async def _found(visit: Visit, view: ClusterView, it: ComputationsAsked) -> Found:
    """All lines; of a chosen one each computation by itself."""
    answer = await handlers.computations(visit.desk, _query(visit, view, it, exports.MAX_ROWS))
    found = [one.computation for one in answer.computations]
    names = await _names(visit, view.id, [one.id for one in found if not one.code])
    by_line = lines(found, names)
    if not it.line:
        return Found(by_line, names)
    for line in by_line:
        if any(one.id == it.line for one in line.each):
            return Found([Line((one,)) for one in line.each], names)
    if it.q or it.span or it.show:
        return Found((), names)
    raise NotFound(f"There is no computation {it.line} of {view.name!r} on record.")


def _page(found: Found, last: str) -> tuple[Sequence[Line], bool]:
    """The lines after that computation's, and whether others follow. One that has been asked for
    again meanwhile is on the first page."""
    begin = 0
    if last:
        known = {one.id: one for line in found.lines for one in line.each}
        if last not in known:
            raise NotFound(f"Computation {last} is not on record any more.")
        before = _order(known[last])
        begin = sum(_order(line.newest) >= before for line in found.lines)
    return found.lines[begin : begin + _LINES], len(found.lines) > begin + _LINES


def _order(it: Computation) -> tuple[datetime, str]:
    return it.started_at, it.id


class Newest(msgspec.Struct, frozen=True):
    """What a cluster's first page tells of its computations."""

    lines: Sequence[Line]
    names: Mapping[str, str]  # of those without code
    exceptions: Sequence[TaskException]


async def newest_work(visit: Visit, view: ClusterView) -> Newest:
    asked = _query(visit, view, ComputationsAsked(), _LOOKED)
    found = [
        one.computation for one in (await handlers.computations(visit.desk, asked)).computations
    ]
    raised = await visit.desk.database.run_samples(
        telemetry_rows.exceptions, view.id, limit=_RAISED
    )
    names = await _names(visit, view.id, [one.id for one in found if not one.code])
    return Newest(lines(found, names)[:_NEWEST], names, raised)


async def _names(visit: Visit, cluster: ClusterId, ids: Sequence[str]) -> dict[str, str]:
    """What stands for computations without code: their tasks' prefixes, the most frequent first."""
    counts: dict[str, Counter[str]] = {}
    for it in await visit.desk.database.run_samples(telemetry_rows.groups, cluster, ids):
        counts.setdefault(it.computation, Counter())[it.prefix] += it.tasks
    return {
        id: ", ".join(name for name, _ in some.most_common(_NAMED)) for id, some in counts.items()
    }


def _query(
    visit: Visit, view: ClusterView, it: ComputationsAsked, limit: int
) -> Incoming[ComputationQuery, None]:
    query = ComputationQuery(
        cluster=view.id,
        text=it.q or None,
        span=it.span or None,
        erred=it.show == "erred",
        limit=limit,
    )
    return Incoming(visit.known.caller, {}, query, None)


_TITLES = (
    *("id", "started_at", "stopped_at", "tasks", "done", "erred", "groups"),
    *("compute_s", "graph_bytes", "graph_s", "workers", "code", "spans"),
)


async def computations_csv(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, ComputationsAsked)
    rows = [_row(one) for one in await _each(visit, view, it)]
    return exports.as_csv(f"{view.name}-computations", _TITLES, rows)


def _row(it: Computation) -> tuple[exports.Cell, ...]:
    return (
        it.id,
        it.started_at,
        it.stopped_at,
        it.tasks,
        it.done,
        it.erred,
        it.groups,
        round(it.compute_s, 3),
        it.graph_bytes,
        round(it.graph_s, 3),
        it.workers,
        words.called(it),
        ";".join(it.spans),
    )


async def computations_json(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, ComputationsAsked)
    found = ComputationList(
        tuple(ComputationView(view.id, one) for one in await _each(visit, view, it))
    )
    return exports.as_json(f"{view.name}-computations", found)


async def _each(visit: Visit, view: ClusterView, it: ComputationsAsked) -> list[Computation]:
    """The newest first."""
    found = [one for line in (await _found(visit, view, it)).lines for one in line.each]
    return sorted(found, key=_order, reverse=True)


_RAISED_TITLES = (
    *("id", "computation", "at", "last_at", "count", "type", "message", "key", "prefix"),
    *("worker", "retried", "traceback"),
)


async def exceptions_csv(visit: Visit) -> Response:
    view = await cluster_view(visit)
    rows = [[getattr(it, name) for name in _RAISED_TITLES] for it in await _raised(visit)]
    return exports.as_csv(f"{view.name}-exceptions", _RAISED_TITLES, rows)


async def exceptions_json(visit: Visit) -> Response:
    view = await cluster_view(visit)
    return exports.as_json(f"{view.name}-exceptions", {"exceptions": await _raised(visit)})


async def _raised(visit: Visit) -> Sequence[TaskException]:
    asked = asked_of(visit, NewestQuery(limit=exports.MAX_ROWS))
    return (await handlers.exceptions(visit.desk, asked)).exceptions
