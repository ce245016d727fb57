"""Dask workers on a page: who came, who was lost and why; and P2P shuffles, which losses break."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec
from starlette.responses import Response

from shoal.errors import InvalidRequest
from shoal.server.desk import Incoming
from shoal.server.handlers import telemetry as handlers
from shoal.server.pages import exports, words
from shoal.server.pages.asked import asked, url
from shoal.server.pages.charts import Mark
from shoal.server.pages.cluster import asked_of, cluster_view, page
from shoal.server.pages.frame import Visit
from shoal.wire.endpoints import NewestQuery
from shoal.wire.ids import ClusterId
from shoal.wire.specs import Cloud
from shoal.wire.telemetry import Loss, ShuffleEvent, WorkerEvent

_EVENTS, _HOSTS = 200, 200
_WHOLE = NewestQuery(limit=exports.MAX_ROWS)

# What nobody asked for; the other losses were somebody's wish.
UNWANTED = frozenset({Loss.PREEMPTED, Loss.MEMORY, Loss.CONNECTION, Loss.CRASHED})
_KINDS = (("", "all"), ("lost", "lost"), ("arrived", "arrived"), ("unwanted", "lost unasked"))


class WorkersAsked(msgspec.Struct, frozen=True):
    q: str = ""
    show: str = ""  # "lost", "arrived", "unwanted", or a reason

    def url(self, **changes: str | None) -> str:
        return url(self, **changes)


async def workers(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, WorkersAsked)
    told = (await handlers.worker_events(visit.desk, asked_of(visit, _WHOLE))).events
    found = chosen(told, it)
    hosts = await _hosts(visit) if view.spec.cloud is Cloud.WATCHED else ()
    values = {
        "query": it,
        "events": found[:_EVENTS],
        "hidden": len(found) - _EVENTS,
        "told": len(told),
        "arrivals": sum(one.added for one in told),
        "losses": Counter(words.loss(one) for one in told if not one.added).most_common(),
        "tasks_lost": sum(one.tasks_lost for one in told),
        "kinds": [*_KINDS, *((reason, words.reason(reason)) for reason in Loss)],
        "hosts": hosts,
    }
    return page(visit, view, "workers", values)


async def _hosts(visit: Visit) -> Sequence[object]:
    found = (await handlers.hosts(visit.desk, asked_of(visit, None))).hosts
    return sorted(found, key=lambda it: it.instance)[:_HOSTS]


def chosen(events: Sequence[WorkerEvent], it: WorkersAsked) -> list[WorkerEvent]:
    """InvalidRequest for what no event can be."""
    known = {key for key, _ in _KINDS} | set(Loss)
    if it.show not in known:
        raise InvalidRequest(
            f"{it.show!r} is nothing that can happen to a worker.",
            hint=f"Take {', '.join(sorted(known - {''}))}.",
        )
    wanted = it.q.lower()
    return [one for one in events if _shown(one, it.show) and wanted in _text(one)]


def _shown(it: WorkerEvent, show: str) -> bool:
    match show:
        case "":
            return True
        case "arrived":
            return it.added
        case "lost":
            return not it.added
        case "unwanted":
            return it.reason in UNWANTED
        case _:
            return it.reason == show


def _text(it: WorkerEvent) -> str:
    return f"{it.worker} {it.address} {it.detail}".lower()


async def newest_losses(visit: Visit, cluster: ClusterId, limit: int) -> tuple[WorkerEvent, ...]:
    """For a cluster's first page: of those that nobody asked for."""
    path = {**visit.request.path_params, "cluster": cluster}
    asked = Incoming(visit.known.caller, path, NewestQuery(limit=200), None)
    found = (await handlers.worker_events(visit.desk, asked)).events
    return tuple(it for it in found if it.reason in UNWANTED)[:limit]


_TITLES = (
    *("at", "worker", "address", "what", "reason", "detail"),
    *("tasks_lost", "tasks_interrupted", "threads", "memory_limit_bytes"),
)


async def workers_csv(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, WorkersAsked)
    told = (await handlers.worker_events(visit.desk, asked_of(visit, _WHOLE))).events
    return exports.as_csv(f"{view.name}-workers", _TITLES, map(_row, chosen(told, it)))


def _row(it: WorkerEvent) -> tuple[exports.Cell, ...]:
    return (
        it.at,
        it.worker,
        it.address,
        "arrived" if it.added else "lost",
        it.reason,
        it.detail,
        it.tasks_lost,
        it.tasks_interrupted,
        it.threads,
        it.memory_limit_bytes,
    )


async def workers_json(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, WorkersAsked)
    told = (await handlers.worker_events(visit.desk, asked_of(visit, _WHOLE))).events
    return exports.as_json(f"{view.name}-workers", {"events": chosen(told, it)})


# -- shuffles -------------------------------------------------------------------------------------


async def shuffles(visit: Visit, limit: int) -> tuple[ShuffleEvent, ...]:
    asked = asked_of(visit, NewestQuery(limit=limit))
    return (await handlers.shuffles(visit.desk, asked)).events


async def shuffles_csv(visit: Visit) -> Response:
    view = await cluster_view(visit)
    titles = ("at", "id", "run", "what", "workers", "partitions", "detail")
    rows = [
        (it.at, it.id, it.run, it.what, it.workers, it.partitions, it.detail)
        for it in await shuffles(visit, exports.MAX_ROWS)
    ]
    return exports.as_csv(f"{view.name}-shuffles", titles, rows)


async def shuffles_json(visit: Visit) -> Response:
    view = await cluster_view(visit)
    found = await shuffles(visit, exports.MAX_ROWS)
    return exports.as_json(f"{view.name}-shuffles", {"events": found})


# -- marks on charts ------------------------------------------------------------------------------


async def marks(visit: Visit, since: datetime, until: datetime) -> list[Mark]:
    """Losses that nobody asked for, and shuffles that began anew or failed."""
    lost = (await handlers.worker_events(visit.desk, asked_of(visit, _marked(since)))).events
    shuffled = (await handlers.shuffles(visit.desk, asked_of(visit, _marked(since)))).events
    found = [
        (it.at, f"{words.vm(it.worker)} {words.loss(it)}") for it in lost if it.reason in UNWANTED
    ]
    found += [
        (it.at, f"shuffle {it.what}") for it in shuffled if it.what in ("restarted", "failed")
    ]
    return [Mark(at.timestamp(), told) for at, told in sorted(found) if since <= at <= until]


def _marked(since: datetime) -> NewestQuery:
    return NewestQuery(since=since, limit=500)
