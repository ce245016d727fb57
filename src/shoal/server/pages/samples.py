"""How a cluster's machines fared: series of samples as charts, and the newest sample of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from starlette.responses import Response

from shoal.errors import InvalidRequest
from shoal.server.desk import Incoming
from shoal.server.handlers import telemetry as handlers
from shoal.server.pages import charts, exports, workers
from shoal.server.pages.asked import asked, moment, url
from shoal.server.pages.cluster import asked_of, cluster_view, page
from shoal.server.pages.frame import Visit
from shoal.store import series
from shoal.store import telemetry as telemetry_rows
from shoal.wire.endpoints import SeriesQuery
from shoal.wire.ids import InstanceId
from shoal.wire.telemetry import HostSample, SchedulerSample
from shoal.wire.views import ClusterView

_POINTS, _HOSTS = 400, 100
RANGES = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}


class MetricsAsked(msgspec.Struct, frozen=True):
    """`from`, `to`: moments; `last`: a key of RANGES, back from now or the cluster's end. None of
    them: the cluster's life."""

    vm: str = ""
    last: str = ""
    since: str = msgspec.field(default="", name="from")
    until: str = msgspec.field(default="", name="to")

    def url(self, **changes: str | None) -> str:
        return url(self, **changes)


async def metrics(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, MetricsAsked)
    samples, step_s, plans = await _samples(visit, view, it, _POINTS)
    newest = await visit.desk.database.run_samples(
        series.fullest_hosts, view.id, 0 if it.vm else _HOSTS
    )
    values = {
        "query": it,
        "missing": await visit.desk.database.run_samples(telemetry_rows.missing, view.id),
        "ranges": [("", "Whole life"), *((key, f"Last {key}") for key in RANGES)],
        "has_gil": charts.GIL[0] in plans,
        "charts": charts.group(samples, plans) if len(samples) > 1 else [],
        "begin": samples[0].at if samples else None,
        "end": samples[-1].at if samples else None,
        "resolution_s": step_s,
        "vms": sorted(newest.vms, key=_order),
        "fullest": newest.hosts,
    }
    return page(visit, view, "metrics", values)


def _order(id: InstanceId) -> tuple[int, str]:
    number = id.rpartition("-")[2]
    return (int(number) if number.isdigit() else 0, id)


async def _samples(
    visit: Visit, view: ClusterView, it: MetricsAsked, points: int
) -> tuple[Sequence[SchedulerSample | HostSample], int, tuple[charts.Plan, ...]]:
    since, until = _span(it, view.ended_at or visit.desk.clock())
    query = SeriesQuery(since=since, until=until, points=points)
    if not it.vm:
        told = await handlers.metrics(visit.desk, asked_of(visit, query))
        gil = charts.GIL if any(one.gil_share for one in told.samples) else ()
        return told.samples, told.resolution_s, (*charts.CLUSTER, *gil)
    path = {**visit.request.path_params, "instance": it.vm}
    of_host = await handlers.host_metrics(
        visit.desk, Incoming(visit.known.caller, path, query, None)
    )
    gpu = charts.GPU if any(one.gpu_memory_total_bytes for one in of_host.samples) else ()
    return of_host.samples, of_host.resolution_s, (*charts.HOST, *gpu)


def _span(it: MetricsAsked, end: datetime) -> tuple[datetime | None, datetime | None]:
    since, until = moment(it.since), moment(it.until)
    if since is not None and until is not None and since >= until:
        raise InvalidRequest("The time asked for ends before it begins.")
    if since is not None or until is not None or not it.last:
        return since, until
    if it.last not in RANGES:
        raise InvalidRequest(f"{it.last!r} is no span of time here.", hint=f"Take {_RANGE_WORDS}.")
    return end - RANGES[it.last], None


_RANGE_WORDS = ", ".join(RANGES)


async def numbers(visit: Visit) -> Response:
    """For the charts that can be zoomed; and as a file for whoever wants it."""
    view, it = await cluster_view(visit), asked(visit, MetricsAsked)
    samples, step_s, plans = await _samples(visit, view, it, 2 * _POINTS)
    marks = await workers.marks(visit, samples[0].at, samples[-1].at) if samples else []
    made = charts.numbers(plans, samples, step_s, marks, live=view.ended_at is None)
    return exports.as_json(f"{view.name}-metrics", made)


async def metrics_csv(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, MetricsAsked)
    samples, _, plans = await _samples(visit, view, it, 5_000)
    fields = list(dict.fromkeys(line.field for plan in plans for line in plan.lines))
    rows = [(one.at, *(getattr(one, field) for field in fields)) for one in samples]
    return exports.as_csv(f"{view.name}-metrics", ("at", *fields), rows)


async def newest(
    visit: Visit, view: ClusterView
) -> tuple[list[charts.Chart], datetime | None, datetime | None]:
    """For a cluster's first page: the charts that say most."""
    samples, _, _ = await _samples(visit, view, MetricsAsked(), _POINTS)
    if len(samples) < 2:
        return [], None, None
    return charts.group(samples, charts.CLUSTER[:4]), samples[0].at, samples[-1].at


async def hosts_file(visit: Visit) -> Response:
    view = await cluster_view(visit)
    found = (await handlers.hosts(visit.desk, asked_of(visit, None))).hosts
    return exports.structs(view.name, "hosts", visit.request.path_params["kind"], {"hosts": found})
