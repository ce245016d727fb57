"""What a cluster computed, as a list: code, how long, errors. The newest are on its first page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from starlette.responses import Response

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
from shoal.wire.telemetry import Computation, TaskException
from shoal.wire.views import ClusterView

_COMPUTATIONS, _NAMED, _NEWEST, _LOOKED, _RAISED, _SHUFFLES = 50, 3, 5, 25, 3, 50


class ComputationsAsked(msgspec.Struct, frozen=True):
    q: str = ""
    show: str = ""  # "erred"
    span: str = ""  # a part of its name
    page: str = ""

    def url(self, **changes: str | None) -> str:
        return url(self, **changes)


async def computations(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, ComputationsAsked)
    found = await handlers.computations(visit.desk, _query(visit, view, it, _COMPUTATIONS))
    failures = await handlers.exceptions(visit.desk, asked_of(visit, NewestQuery(limit=20)))
    listed = [one.computation for one in found.computations]
    names = await _names(visit, view.id, [one.id for one in listed if not one.code])
    values = {
        "query": it,
        "lines": lines(listed, names),
        "names": names,
        "next_page": found.next_page,
        "exceptions": failures.exceptions,
        "shuffles": await workers.shuffles(visit, _SHUFFLES),
        "now": visit.desk.clock(),
    }
    return page(visit, view, "computations", values)


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
        page=it.page or None,
        limit=limit,
    )
    return Incoming(visit.known.caller, {}, query, None)


_TITLES = (
    *("id", "started_at", "stopped_at", "tasks", "done", "erred", "groups"),
    *("compute_s", "graph_bytes", "graph_s", "workers", "code", "spans"),
)


async def computations_csv(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, ComputationsAsked)
    query = _query(visit, view, it, exports.MAX_ROWS)
    found = (await handlers.computations(visit.desk, query)).computations
    rows = [_row(one.computation) for one in found]
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
    query = _query(visit, view, it, exports.MAX_ROWS)
    return exports.as_json(
        f"{view.name}-computations", await handlers.computations(visit.desk, query)
    )


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
