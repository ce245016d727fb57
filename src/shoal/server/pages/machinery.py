"""How the server itself is: its loops and their last passes, alarms, the size of its record."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from shoal.server.pages.frame import Visit, render
from shoal.store import events as event_rows
from shoal.store import sizes
from shoal.store.database import masked
from shoal.wire.events import EventKind

_ALARMS = 50
_LATE = 5  # times its interval, and a loop stands still


async def machinery(visit: Visit) -> Response:
    desk, now = visit.desk, visit.desk.clock()
    loops = sorted(desk.passes.loops.values(), key=lambda it: it.name)
    late = {
        it.name
        for it in loops
        if it.began_at and now - it.began_at > timedelta(seconds=_LATE * it.every_s + 60)
    }
    alarms = await desk.database.run(
        event_rows.newest,
        None,
        _ALARMS,
        workspace=None if "admin" in visit.known.caller.scopes else visit.known.caller.workspace,
        kinds=(EventKind.ALARM, EventKind.VM_SWEPT, EventKind.BATCH_REFUSED),
    )
    values = {
        "here": "/machinery",
        "loops": loops,
        "late": late,
        "alarms": alarms,
        "facts": await desk.database.run(sizes.facts),
        "samples": await desk.database.run_samples(sizes.samples),
        "database": masked(desk.settings.database_url),
        "started_at": desk.started_at,
        "clouds": sorted(desk.providers),
        "installation": desk.installation,
        "now": now,
    }
    return render(visit, "machinery.html", values)
