"""Money on a page: by day, person, tag, cloud or cluster, and what the month will come to."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from starlette.responses import Response

from shoal.core.cost import start_of_day
from shoal.server.desk import Incoming
from shoal.server.handlers import costs as handlers
from shoal.server.pages import exports
from shoal.server.pages.asked import SPANS, asked, since, url
from shoal.server.pages.frame import Visit, render
from shoal.wire.endpoints import CostsQuery
from shoal.wire.views import CostReport, CostShare

_ROWS = 200
_WAYS = (
    ("day", "Day"),
    ("user", "Person"),
    ("cluster", "Cluster"),
    ("cloud", "Cloud"),
    ("tag", "Tag"),
)


class CostsAsked(msgspec.Struct, frozen=True):
    by: str = "day"
    since: str = "30d"

    def url(self, **changes: str | None) -> str:
        return url(self, **changes)


class Bar(msgspec.Struct, frozen=True):
    """A day of the chart, in shares of its height."""

    day: str
    uusd: int
    share: float
    today: bool


async def costs(visit: Visit) -> Response:
    it = asked(visit, CostsAsked)
    report = await _report(visit, it)
    most = max((line.uusd for line in report.lines), default=0) or 1
    lines = report.lines[::-1] if it.by == "day" else report.lines
    values = {
        "here": "/costs",
        "query": it,
        "ways": _ways(it.by),
        "spans": [(key, f"last {key}") for key in SPANS],
        "report": report,
        "lines": lines[:_ROWS],
        "hidden": len(lines) - _ROWS,
        "most": most,
        "bars": bars(report.days, report.since, visit.desk.clock()),
        "links": {line.key: _link(it.by, line.key) for line in lines[:_ROWS]},
    }
    return render(visit, "costs.html", values)


def _ways(by: str) -> list[tuple[str, str]]:
    own = [(by, f"Tag {by.removeprefix('tag:')}")] if by.startswith("tag:") else []
    return [*_WAYS, *own]


async def _report(visit: Visit, it: CostsAsked) -> CostReport:
    query = CostsQuery(by=it.by, since=since(it.since, visit.desk.clock()))
    return await handlers.costs(visit.desk, Incoming(visit.known.caller, {}, query, None))


def bars(lines: tuple[CostShare, ...], since: datetime, now: datetime) -> list[Bar]:
    """Every day from the first to today, those without a VM too."""
    costs = {it.key: it.uusd for it in lines}
    most = max(costs.values(), default=0) or 1
    first, today = start_of_day(since), start_of_day(now)
    days = [first + timedelta(days=n) for n in range((today - first).days + 1)]
    keys = [f"{it:%Y-%m-%d}" for it in days]
    return [Bar(key, costs.get(key, 0), costs.get(key, 0) / most, key == keys[-1]) for key in keys]


def _link(by: str, key: str) -> str:
    match by:
        case "cluster":
            return f"/clusters/{key}"
        case "tag" if key != "(none)":
            return "/costs" + CostsAsked(by=f"tag:{key.partition('=')[0]}").url()
        case _:
            return ""


async def costs_csv(visit: Visit) -> Response:
    it = asked(visit, CostsAsked)
    titles = ("key", "name", "clusters", "vm_hours", "unpriced_vm_hours", "usd")
    rows = [
        (
            line.key,
            line.name,
            line.clusters or None,
            round(line.seconds / 3600, 4),
            round(line.unpriced_s / 3600, 4),
            exports.dollars(line.uusd),
        )
        for line in (await _report(visit, it)).lines
    ]
    return exports.as_csv("costs", titles, rows)


async def costs_json(visit: Visit) -> Response:
    it = asked(visit, CostsAsked)
    return exports.as_json("costs", await _report(visit, it))
