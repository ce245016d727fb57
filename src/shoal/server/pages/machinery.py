"""How the server itself is: its loops and their last passes, alarms, the size of its record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from starlette.responses import Response

from shoal.server.pages import exports
from shoal.server.pages.frame import Visit, render
from shoal.server.passes import forgetting
from shoal.server.passes_book import Loop
from shoal.store import events as event_rows
from shoal.store import sizes
from shoal.store.database import masked
from shoal.wire.events import Event, EventKind

_ALARMS = 50
_RECENT = timedelta(days=1)  # an alarm is shown on top for so long
_LATE = 5  # times its interval, and a loop stands still


async def machinery(visit: Visit) -> Response:
    desk, now = visit.desk, visit.desk.clock()
    loops = sorted(desk.passes.loops.values(), key=lambda it: it.name)
    late = {
        it.name
        for it in loops
        if it.began_at and now - it.began_at > timedelta(seconds=_LATE * it.every_s + 60)
    }
    alarms = await _alarms(visit, _ALARMS)
    recent = [it for it in alarms if it.kind is EventKind.ALARM and now - it.at < _RECENT]
    values = {
        "here": "/machinery",
        "loops": loops,
        "late": late,
        "alarms": alarms,
        "recent": recent,
        "facts": await desk.database.run(sizes.facts),
        "samples": await desk.database.run_samples(sizes.samples),
        "wheels": await asyncio.to_thread(forgetting.kept, desk.settings.state),
        "environment_days": desk.settings.environment_days,
        "database": masked(desk.settings.database_url),
        "started_at": desk.started_at,
        "clouds": sorted(desk.providers),
        "installation": desk.installation,
        "now": now,
    }
    return render(visit, "machinery.html", values)


async def _alarms(visit: Visit, limit: int) -> list[Event]:
    caller = visit.known.caller
    return await visit.desk.database.run(
        event_rows.alarms,
        limit,
        workspace=None if "admin" in caller.scopes else caller.workspace,
    )


class LoopTold(msgspec.Struct, frozen=True):
    name: str
    every_s: float
    passes: int
    began_at: datetime | None
    slowest_s: float
    last_problem: str
    problem_at: datetime | None


def _told(it: Loop) -> LoopTold:
    return LoopTold(
        it.name, it.every_s, it.passes, it.began_at, it.slowest_s, it.last_problem, it.problem_at
    )


async def part(visit: Visit) -> Response:
    """One of the lists as a file."""
    desk, path = visit.desk, visit.request.path_params
    facts, samples = (
        await desk.database.run(sizes.facts),
        await desk.database.run_samples(sizes.samples),
    )
    lists: dict[str, Sequence[msgspec.Struct]] = {
        "loops": [_told(it) for it in desk.passes.loops.values()],
        "alarms": await _alarms(visit, exports.MAX_ROWS),
        "record": (*facts.tables, *samples.tables),
    }
    return exports.structs("machinery", path["part"], path["kind"], lists)
