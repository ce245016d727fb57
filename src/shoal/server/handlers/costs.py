"""What the workspace's clusters have cost."""

from __future__ import annotations

from datetime import timedelta

from shoal.core import spending
from shoal.core.cost import start_of_day
from shoal.errors import InvalidRequest
from shoal.server.desk import Desk, Incoming
from shoal.store import ledger
from shoal.wire.endpoints import CostsQuery
from shoal.wire.views import CostReport

_DAYS = 30
_WEEK = timedelta(days=7)


async def costs(desk: Desk, asked: Incoming[CostsQuery, None]) -> CostReport:
    query, workspace, now = asked.query, asked.caller.workspace, desk.clock()
    if not spending.is_way(query.by):
        raise InvalidRequest(
            f"Costs are not counted by {query.by!r}.",
            hint=f"Ask by {', '.join(spending.WAYS)}, or tag:KEY.",
        )
    until = min(query.until or now, now)
    since = start_of_day(query.since or now - timedelta(days=_DAYS))
    if since > until:
        raise InvalidRequest("The time asked for ends before it begins.")
    run = desk.database.run
    paid, days = await run(ledger.spent, workspace, since, until, query.by)
    recent = min(now.replace(day=1), now - _WEEK)
    month = days if since <= recent and until == now else ()
    month = month or await run(ledger.paid_by_day, workspace, recent, now)
    return spending.report(query.by, paid, days, month, since=since, until=until, now=now)
