"""The clusters of a workspace, running and past: as a page, and as a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from starlette.responses import Response

from shoal.errors import InvalidRequest
from shoal.server.desk import Incoming
from shoal.server.handlers import clusters as handlers
from shoal.server.pages import exports, limits
from shoal.server.pages.asked import SPANS, ListAsked, asked, cluster_query
from shoal.server.pages.forms import checked_form
from shoal.server.pages.frame import Visit, redirect, render
from shoal.server.pages.signals import signs
from shoal.store import listing
from shoal.store import signals as signal_rows
from shoal.wire.endpoints import ClusterQuery
from shoal.wire.ids import ClusterId, UserName
from shoal.wire.requests import StopCluster
from shoal.wire.views import ClusterList, ClusterOrder, ClusterPhase, ClusterView

_RUNNING, _PAST, _SIGNALLED = 100, 50, 1000
_SIGNALS = (("", "any or none"), ("any", "with signals"))

_STATES = [
    ("", "all"),
    (ClusterPhase.RUNNING, "running"),
    (ClusterPhase.STARTING, "starting"),
    (ClusterPhase.UP, "up"),
    (ClusterPhase.ENDING, "ending"),
    (ClusterPhase.PAST, "past"),
    (ClusterPhase.ENDED, "ended"),
    (ClusterPhase.FAILED, "failed"),
]
_ORDERS = [
    (ClusterOrder.NEWEST, "newest first"),
    (ClusterOrder.OLDEST, "oldest first"),
    (ClusterOrder.NAME, "by name"),
    (ClusterOrder.OWNER, "by owner"),
    (ClusterOrder.LAST_ENDED, "last ended first"),
    (ClusterOrder.COST, "by cost"),
    (ClusterOrder.DURATION, "by duration"),
]
_TITLES = ("id", "name", "status", "owner", "cloud", "region", "workers_ready", "workers_wanted")
_MORE_TITLES = ("created_at", "ended_at", "end_reason", "usd", "usd_per_hour", "tags")


async def listed(visit: Visit) -> Response:
    """Those that have not come to their end (on the first page), and a page of those that have."""
    it = asked(visit, ListAsked)
    query = cluster_query(it, visit, limit=_PAST)
    among = await _among(visit, it)
    running, past = await _both(visit, query, among)
    shown = [one.id for one in (*running.clusters, *past.clusters)]
    values: Mapping[str, object] = {
        "here": "/",
        "query": it,
        "running": running.clusters,
        "past": past.clusters,
        "next_page": past.next_page,
        "more_running": running.next_page is not None,
        "now_uusd": sum(it.price_uusd_per_hour or 0 for it in running.clusters),
        "states": _STATES,
        "orders": _ORDERS,
        "owners": await _owners(visit, it.owner),
        "clouds": [("", "all"), *((it, it) for it in _clouds(visit, it.cloud))],
        "spans": [("", "any"), *((it, f"last {it}") for it in SPANS)],
        "signals": await signs(visit, shown),
        "signal_ways": _SIGNALS,
        "limit_notices": await limits.notices(visit),
    }
    return render(visit, "clusters.html", values)


async def _owners(visit: Visit, chosen: str) -> list[tuple[str, str]]:
    caller = visit.known.caller
    names = await visit.desk.database.run(listing.owners, caller.workspace)
    others = [it for it in names if it != caller.user]
    if chosen and chosen not in ("me", *names):
        others.append(UserName(chosen))
    return [("", "all"), ("me", f"me ({caller.user})"), *((it, it) for it in others)]


async def _among(visit: Visit, it: ListAsked) -> Collection[ClusterId] | None:
    """Which clusters alone may be shown; None: any."""
    if not it.signals:
        return None
    if it.signals not in dict(_SIGNALS):
        raise InvalidRequest(f"{it.signals!r} is no filter of signals.", hint="Take any.")
    workspace = visit.known.caller.workspace
    return await visit.desk.database.run_samples(signal_rows.clusters, workspace, _SIGNALLED)


def _clouds(visit: Visit, chosen: str) -> list[str]:
    return sorted({*visit.desk.providers, *([chosen] if chosen else [])})


async def _both(
    visit: Visit, query: ClusterQuery, among: Collection[ClusterId] | None
) -> tuple[ClusterList, ClusterList]:
    nothing = ClusterList(())
    if query.state in (ClusterPhase.PAST, ClusterPhase.ENDED):
        return nothing, await _page(visit, query, among)
    unsettled = msgspec.structs.replace(query, ended=False, limit=_RUNNING)
    if query.state is not None and query.state is not ClusterPhase.FAILED:
        found = await _page(visit, msgspec.structs.replace(query, limit=_RUNNING), among)
        return found, ClusterList((), found.next_page)
    past = msgspec.structs.replace(query, state=query.state or ClusterPhase.PAST)
    running = nothing if query.page or query.state else await _page(visit, unsettled, among)
    if query.sort is ClusterOrder.COST:
        by_cost = sorted(running.clusters, key=lambda it: -(it.cost_uusd or 0))
        running = ClusterList(tuple(by_cost), running.next_page)
    return running, await _page(visit, past, among)


async def _page(
    visit: Visit, query: ClusterQuery, among: Collection[ClusterId] | None
) -> ClusterList:
    asked = Incoming(visit.known.caller, {}, query, None)
    return await handlers.clusters_among(visit.desk, asked, among)


async def as_csv(visit: Visit) -> Response:
    rows = [_row(it) for it in (await _all(visit)).clusters]
    return exports.as_csv("clusters", (*_TITLES, *_MORE_TITLES), rows)


async def as_json(visit: Visit) -> Response:
    return exports.as_json("clusters", await _all(visit))


async def _all(visit: Visit) -> ClusterList:
    """All that match, as far as a file may go."""
    it = asked(visit, ListAsked)
    query = cluster_query(it, visit, limit=exports.MAX_ROWS)
    return await _page(visit, query, await _among(visit, it))


def _row(it: ClusterView) -> tuple[exports.Cell, ...]:
    tags = ";".join(f"{key}={value}" for key, value in it.spec.tags.items())
    return (
        it.id,
        it.name,
        it.status,
        it.owner,
        it.spec.cloud,
        it.spec.region,
        it.workers.ready,
        it.workers.wanted,
        it.created_at,
        it.ended_at,
        it.end_reason,
        exports.dollars(it.cost_uusd),
        exports.dollars(it.price_uusd_per_hour),
        tags,
    )


async def stop(visit: Visit) -> Response:
    await checked_form(visit)
    body = StopCluster("asked on the cluster's page")
    caller, path = visit.known.caller, visit.request.path_params
    ended = await handlers.stop_cluster(visit.desk, Incoming(caller, path, None, body))
    return redirect(f"/clusters/{ended.cluster}")
