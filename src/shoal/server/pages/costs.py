"""Money on a page: by day, person, tag, cloud or cluster, and what the month will come to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from starlette.responses import Response

from shoal.core.cost import start_of_day
from shoal.errors import InvalidRequest
from shoal.server.desk import Incoming
from shoal.server.handlers import costs as handlers
from shoal.server.pages import exports
from shoal.server.pages.asked import SPANS, ListAsked, asked, since, url
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


_MONTHS = (("month", "this month"), ("last-month", "last month"))


class CostsAsked(msgspec.Struct, frozen=True):
    """`since`: a key of SPANS, or of _MONTHS; `from` and `to`, days of UTC, go before it."""

    by: str = "day"
    since: str = "30d"
    first: str = msgspec.field(default="", name="from")
    last: str = msgspec.field(default="", name="to")

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
        "spans": [*_MONTHS, *((key, f"last {key}") for key in SPANS)],
        "last_day": report.until - timedelta(microseconds=1),
        "report": report,
        "lines": lines[:_ROWS],
        "hidden": len(lines) - _ROWS,
        "most": most,
        "bars": bars(report.days, report.since, report.until, visit.desk.clock()),
        "links": {line.key: _link(it, line.key) for line in lines[:_ROWS]},
    }
    return render(visit, "costs.html", values)


def _ways(by: str) -> list[tuple[str, str]]:
    own = [(by, f"Tag {by.removeprefix('tag:')}")] if by.startswith("tag:") else []
    return [*_WAYS, *own]


async def _report(visit: Visit, it: CostsAsked) -> CostReport:
    begin, end = span(it, visit.desk.clock())
    query = CostsQuery(by=it.by, since=begin, until=end)
    return await handlers.costs(visit.desk, Incoming(visit.known.caller, {}, query, None))


def span(it: CostsAsked, now: datetime) -> tuple[datetime | None, datetime | None]:
    """From when, and until when (None: now)."""
    if it.first or it.last:
        end = _day(it.last) + timedelta(days=1) if it.last else None
        return (_day(it.first) if it.first else None), end
    month = start_of_day(now).replace(day=1)
    match it.since:
        case "month":
            return month, None
        case "last-month":
            return (month - timedelta(days=1)).replace(day=1), month
        case _:
            return since(it.since, now), None


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidRequest(f"{text!r} is no day.", hint="As 2026-11-01.") from error


def bars(
    lines: tuple[CostShare, ...], since: datetime, until: datetime, now: datetime
) -> list[Bar]:
    """Every day of the span, those without a VM too."""
    costs = {it.key: it.uusd for it in lines}
    most = max(costs.values(), default=0) or 1
    first = start_of_day(since)
    last = start_of_day(min(until - timedelta(microseconds=1), now))
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    today = start_of_day(now)
    return [
        Bar(key, costs.get(key, 0), costs.get(key, 0) / most, day == today)
        for day, key in ((it, f"{it:%Y-%m-%d}") for it in days)
    ]


def _link(it: CostsAsked, key: str) -> str:
    """To what a line is made of."""
    match it.by:
        case "cluster":
            return f"/clusters/{key}"
        case "user":
            return "/" + ListAsked(owner=key).url()
        case "cloud":
            return "/" + ListAsked(cloud=key).url()
        case "day":
            return "/costs" + CostsAsked(by="cluster", first=key, last=key).url()
        case "tag" if key != "(none)":
            return "/costs" + it.url(by=f"tag:{key.partition('=')[0]}")
        case by if by.startswith("tag:") and key != "(none)":
            return "/" + ListAsked(tag=key).url()
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
