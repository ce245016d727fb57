"""A cluster's log on a page: searched, filtered, followed line by line."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from starlette.responses import Response

from shoal.core.records import Instance
from shoal.errors import InvalidRequest
from shoal.server.pages import exports
from shoal.server.pages.asked import asked, moment, url
from shoal.server.pages.cluster import cluster_view, number, page
from shoal.server.pages.frame import Visit, render
from shoal.store import instances as instance_rows
from shoal.store import logs as log_rows
from shoal.store import telemetry as telemetry_rows
from shoal.store.logs import Level
from shoal.wire.ids import ClusterId
from shoal.wire.specs import Role

_LINES = 500
_VMS = 500
PROCESSES = ("agent", "scheduler", "worker", "kernel", "environment")
SPANS = {
    "5m": timedelta(minutes=5),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
}


class LogsAsked(msgspec.Struct, frozen=True):
    """`span`: a key of SPANS, back from now; `from` and `to` go before it."""

    q: str = ""
    vm: str = ""
    process: str = ""
    level: str = ""
    span: str = ""
    since: str = msgspec.field(default="", name="from")
    until: str = msgspec.field(default="", name="to")
    before: str = ""
    after: str = ""

    @property
    def filtered(self) -> bool:
        return bool(self.q or self.level or self.narrowed)

    @property
    def narrowed(self) -> bool:
        """By what stands behind "Filters"."""
        return any((self.vm, self.process, self.span, self.since, self.until))

    def url(self, **changes: str | None) -> str:
        return url(self, **changes)


async def logs(visit: Visit) -> Response:
    desk, view, it = visit.desk, await cluster_view(visit), asked(visit, LogsAsked)
    tail = await _tail(visit, view.id, it, _LINES)
    vms, _ = await desk.database.run(instance_rows.of_cluster, view.id, limit=_VMS)
    values = {
        "query": it,
        "tail": tail,
        "missing": await desk.database.run_samples(telemetry_rows.missing, view.id),
        "vms": [("", "all"), *((vm.id, _vm_name(vm)) for vm in vms)],
        "processes": [("", "all"), *((p, p) for p in PROCESSES)],
        "levels": [("", "All"), (Level.WARNING, "Warnings and errors"), (Level.ERROR, "Errors")],
        "spans": [("", "any time"), *((key, f"last {key}") for key in SPANS)],
        "follows": view.ended_at is None and not it.before and not it.until,
    }
    return page(visit, view, "logs", values)


async def more(visit: Visit) -> Response:
    """Rows that came after the last that an open page has: the page follows with these."""
    view, it = await cluster_view(visit), asked(visit, LogsAsked)
    tail = await _tail(visit, view.id, it, _LINES)
    values = {"query": it, "cluster": view, "tail": tail}
    answer = render(visit, "log_rows.html", values)
    answer.headers["X-After"] = str(tail.after)
    return answer


async def _tail(visit: Visit, cluster: ClusterId, it: LogsAsked, limit: int) -> log_rows.Tail:
    return await visit.desk.database.run_samples(
        log_rows.tail,
        cluster,
        limit,
        instance=it.vm or None,
        process=it.process or None,
        text=it.q or None,
        before=number(it.before) if it.before else None,
        after=number(it.after) if it.after else None,
        since=_since(it, visit.desk.clock()),
        until=moment(it.until),
        level=_level(it.level),
    )


def _since(it: LogsAsked, now: datetime) -> datetime | None:
    if it.since or not it.span:
        return moment(it.since)
    if it.span not in SPANS:
        raise InvalidRequest(
            f"{it.span!r} is no span of time here.", hint=f"Take {', '.join(SPANS)}."
        )
    return now - SPANS[it.span]


def _level(word: str) -> Level | None:
    if not word:
        return None
    if word not in list(Level):
        raise InvalidRequest(f"{word!r} is no level.", hint=f"Take {', '.join(Level)}.")
    return Level(word)


def _vm_name(vm: Instance) -> str:
    number = vm.id.rpartition("-")[2]
    return f"{number} ({'scheduler' if vm.role is Role.SCHEDULER else 'worker'})"


async def logs_text(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, LogsAsked)
    tail = await _tail(visit, view.id, it, exports.MAX_ROWS)
    lines = [
        f"{line.at.isoformat()} {line.instance} {line.process}: {line.text}\n"
        for line in tail.lines
    ]
    return exports.as_text(f"{view.name}.log", "".join(lines))


async def logs_csv(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, LogsAsked)
    tail = await _tail(visit, view.id, it, exports.MAX_ROWS)
    rows = [(line.at, line.instance, line.process, line.text) for line in tail.lines]
    return exports.as_csv(f"{view.name}-log", ("at", "vm", "process", "text"), rows)


async def logs_json(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, LogsAsked)
    return exports.as_json(f"{view.name}-log", await _tail(visit, view.id, it, exports.MAX_ROWS))
