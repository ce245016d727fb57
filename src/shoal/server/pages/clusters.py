"""The clusters of a workspace, and one of them: what the API answers, put on pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
from starlette.responses import Response, StreamingResponse

from shoal.errors import NotLoggedIn
from shoal.server.desk import Incoming
from shoal.server.handlers import clusters as handlers
from shoal.server.handlers import events as event_handlers
from shoal.server.pages.forms import checked_form
from shoal.server.pages.frame import Visit, redirect, render
from shoal.server.pages.life import Life, life
from shoal.server.pages.session import visitor
from shoal.store import events as event_rows
from shoal.store import logs as log_rows
from shoal.wire.endpoints import ChangesQuery, ClusterQuery, Page
from shoal.wire.requests import StopCluster
from shoal.wire.specs import Role
from shoal.wire.views import ClusterList, ClusterView, InstanceState, InstanceView

_RUNNING, _PAST, _MACHINES, _EVENTS, _LINES = 100, 50, 200, 100, 200


Q = TypeVar("Q")


class Machine(msgspec.Struct, frozen=True):
    view: InstanceView
    cost_uusd: int | None
    life: Life


async def listed(visit: Visit) -> Response:
    """Those that run, and a page of those that have ended."""
    page = visit.request.query_params.get("page")
    running = await _page(visit, ClusterQuery(limit=_RUNNING))
    both = await _page(visit, ClusterQuery(ended=True, page=page, limit=_PAST))
    open_ids = {it.id for it in running.clusters}
    past = [it for it in both.clusters if it.ended_at is not None and it.id not in open_ids]
    values = {
        "running": () if page else running.clusters,
        "past": past,
        "page": page,
        "next_page": both.next_page,
        "more_running": running.next_page is not None,
    }
    return render(visit, "clusters.html", values)


async def _page(visit: Visit, query: ClusterQuery) -> ClusterList:
    return await handlers.clusters(visit.desk, Incoming(visit.known.caller, {}, query, None))


async def one(visit: Visit) -> Response:
    desk, asked = visit.desk, _asked(visit, None)
    view = await handlers.cluster(desk, asked)
    if visit.request.path_params["cluster"] != view.id:  # asked for by name
        return redirect(f"/clusters/{view.id}", 302)
    machines = await _machines(visit, view)
    values = {
        "cluster": view,
        "machines": machines[:_MACHINES],
        "hidden": len(machines) - _MACHINES,
        "events": await desk.database.run(event_rows.newest, view.id, _EVENTS),
        "lines": await desk.database.run_samples(log_rows.last, view.id, _LINES),
        "live": view.ended_at is None or any(_held(it) for it in machines),
    }
    return render(visit, "cluster.html", values)


def _held(it: Machine) -> bool:
    return it.view.state is not InstanceState.GONE


async def _machines(visit: Visit, cluster: ClusterView) -> list[Machine]:
    """The scheduler's first, then what is had, then what was; the newest first.

    Lives are drawn until now while any is had, else until the last is gone.
    """
    desk, now = visit.desk, visit.desk.clock()
    found = (await handlers.instances(desk, _asked(visit, Page(limit=10_000)))).instances
    costs = {
        it.instance: it.cost_uusd for it in (await handlers.cost(desk, _asked(visit, None))).lines
    }
    newest = sorted(found, key=lambda it: it.created_at or now, reverse=True)
    newest.sort(key=lambda it: (it.state is InstanceState.GONE, it.role is not Role.SCHEDULER))
    end = max((it.gone_at or now for it in found), default=now)
    return [Machine(it, costs.get(it.id, 0), life(it, cluster.created_at, end)) for it in newest]


async def plan(visit: Visit) -> Response:
    """Apart from the cluster's page: it asks the cloud for a listing."""
    view = await handlers.cluster(visit.desk, _asked(visit, None))
    explanation = await handlers.explain(visit.desk, _asked(visit, None))
    return render(visit, "plan.html", {"cluster": view, "explanation": explanation})


async def stop(visit: Visit) -> Response:
    await checked_form(visit)
    body = StopCluster("asked on the cluster's page")
    caller, path = visit.known.caller, visit.request.path_params
    ended = await handlers.stop_cluster(visit.desk, Incoming(caller, path, None, body))
    return redirect(f"/clusters/{ended.cluster}")


async def changes(visit: Visit) -> Response:
    """The API's stream of events, for as long as the session lasts."""
    params = visit.request.query_params
    query = ChangesQuery(cluster=params.get("cluster"))
    asked = Incoming(visit.known.caller, {}, query, None)

    async def while_known() -> AsyncIterator[bytes]:
        async for chunk in event_handlers.changes(visit.desk, asked):
            try:
                await visitor(visit.desk, visit.cookie)
            except NotLoggedIn:
                return
            yield chunk

    return StreamingResponse(while_known(), media_type="text/event-stream")


def _asked(visit: Visit, query: Q) -> Incoming[Q, None]:
    return Incoming(visit.known.caller, visit.request.path_params, query, None)
