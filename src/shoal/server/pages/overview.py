"""A cluster at a glance: how it is, how far, what it costs, and what is worth knowing of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from shoal.server.handlers import clusters as handlers
from shoal.server.pages import computations, exports, samples, signals, workers
from shoal.server.pages.cluster import asked_of, page
from shoal.server.pages.frame import Visit, redirect
from shoal.server.pages.milestones import milestones
from shoal.server.pages.runs import runs
from shoal.store import events as event_rows
from shoal.store import instances as instance_rows
from shoal.store import telemetry as telemetry_rows

_NEWEST, _LOOKED, _LOSSES = 6, 60, 5


async def overview(visit: Visit) -> Response:
    desk = visit.desk
    facts = await handlers.facts_of(desk, asked_of(visit, None))
    view = handlers.view_from(desk, facts)
    if visit.request.path_params["cluster"] != view.id:  # asked for by name
        return redirect(f"/clusters/{view.id}", 302)
    charts, begin, end = await samples.newest(visit, view)
    values = {
        "work": await computations.newest_work(visit, view),
        "losses": await workers.newest_losses(visit, view.id, _LOSSES),
        "missing": await desk.database.run_samples(telemetry_rows.missing, view.id),
        "unable": facts.cluster.unable if view.ended_at is None else "",
        "dashboard_address": facts.head.dashboard_address if facts.head else "",
        "now": desk.clock(),
        "runs": runs(await desk.database.run(event_rows.newest, view.id, _LOOKED))[:_NEWEST],
        "milestones": milestones(view, facts.vms, facts.head),
        "troubles": await desk.database.run(instance_rows.troubles, view.id),
        "clients": facts.head.clients if facts.head else 0,
        "tasks": facts.head.tasks if facts.head else 0,
        "vm_count": facts.vms.vms,
        "held": facts.vms.left > 0,
        "signals": await signals.signals_of(visit, view.id, past=view.ended_at is not None),
        "charts": charts,
        "begin": begin,
        "end": end,
    }
    return page(visit, view, "", values)


async def part(visit: Visit) -> Response:
    """The steps that it has come, or what went wrong with VMs, as a file."""
    desk, path = visit.desk, visit.request.path_params
    facts = await handlers.facts_of(desk, asked_of(visit, None))
    view = handlers.view_from(desk, facts)
    parts: dict[str, Sequence[msgspec.Struct]] = {
        "stages": milestones(view, facts.vms, facts.head),
        "troubles": await desk.database.run(instance_rows.troubles, view.id),
    }
    return exports.structs(view.name, path["part"], path["kind"], parts)
