"""Dask clients on a page: who is connected to a cluster's scheduler, who was, and for how long.

A notebook that loses its network comes back as another client: its stays are told one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from starlette.responses import Response

from shoal.server.handlers import telemetry as handlers
from shoal.server.pages import exports
from shoal.server.pages.cluster import asked_of, cluster_view, page
from shoal.server.pages.frame import Visit
from shoal.wire.endpoints import NewestQuery
from shoal.wire.telemetry import ClientEvent

_SHOWN = 200


class Stay(msgspec.Struct, frozen=True):
    """One client, from its connection until it was gone."""

    client: str  # Dask's id of it
    name: str
    user: str
    address: str
    since: datetime | None  # None: before what is on record
    until: datetime | None  # None: it is still there


def stays(events: Iterable[ClientEvent], ended_at: datetime | None) -> list[Stay]:
    """Those that are there first, then who came last. Nobody outlasts the cluster."""
    begun: dict[str, ClientEvent] = {}
    found: list[Stay] = []
    for it in sorted(events, key=lambda it: (it.at, it.connected)):
        if it.connected:
            begun.setdefault(it.client, it)
        else:
            found.append(_stay(begun.pop(it.client, None), it, it.at))
    found += [_stay(it, it, ended_at) for it in begun.values()]
    return sorted(found, key=_newest_first, reverse=True)


def _stay(came: ClientEvent | None, told: ClientEvent, until: datetime | None) -> Stay:
    full = came or told
    since = came.at if came else None
    return Stay(told.client, full.name, full.user, full.address, since, until)


def _newest_first(it: Stay) -> tuple[bool, datetime]:
    moment = it.since or it.until
    assert moment is not None
    return it.until is None, moment


async def clients(visit: Visit) -> Response:
    view = await cluster_view(visit)
    found = stays(await _events(visit), view.ended_at)
    values = {
        "stays": found[:_SHOWN],
        "hidden": len(found) - _SHOWN,
        "there": sum(it.until is None for it in found),
        "users": sorted({it.user for it in found if it.user}),
        "whole": len(found),
        "now": visit.desk.clock(),
    }
    return page(visit, view, "clients", values)


async def _events(visit: Visit) -> Sequence[ClientEvent]:
    asked = asked_of(visit, NewestQuery(limit=exports.MAX_ROWS))
    return (await handlers.client_events(visit.desk, asked)).events


async def clients_file(visit: Visit) -> Response:
    """The events as they were recorded."""
    view, kind = await cluster_view(visit), visit.request.path_params["kind"]
    return exports.structs(view.name, "clients", kind, {"clients": await _events(visit)})
