"""What a cluster computed and how its machines fared, on pages: computations, metrics, signals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from starlette.responses import Response

from shoal.errors import InvalidRequest
from shoal.server.desk import Incoming
from shoal.server.handlers import telemetry as handlers
from shoal.server.pages import charts, exports, words, workers
from shoal.server.pages.asked import asked, moment, url
from shoal.server.pages.cluster import asked_of, cluster_view, page
from shoal.server.pages.flame import flame
from shoal.server.pages.frame import Visit
from shoal.server.pages.share import Slice, slices
from shoal.store import signals as signal_rows
from shoal.store import telemetry as telemetry_rows
from shoal.wire.endpoints import ComputationQuery, NewestQuery, SeriesQuery, SignalQuery
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.telemetry import (
    Computation,
    HostSample,
    PrefixTime,
    SchedulerSample,
    Severity,
    SignalView,
    TaskException,
    TaskGroupSample,
)
from shoal.wire.views import ClusterView

_COMPUTATIONS, _GROUPS, _POINTS, _NAMED, _HOSTS = 50, 200, 400, 3, 100
_NEWEST, _RAISED, _SHUFFLES = 5, 3, 50


# -- signals --------------------------------------------------------------------------------------


async def signals_of(visit: Visit, cluster: ClusterId, *, past: bool) -> tuple[SignalView, ...]:
    query = SignalQuery(cluster=cluster, past=past)
    found = await handlers.signals(visit.desk, Incoming(visit.known.caller, {}, query, None))
    return found.signals


class Sign(msgspec.Struct, frozen=True):
    """Of a cluster in a list: the worst of its signals, and how many more there are."""

    title: str
    severity: Severity
    more: int

    @property
    def words(self) -> str:
        return f"{self.severity}: {self.title}" + (f", and {self.more} more" if self.more else "")


async def signs(visit: Visit, clusters: Sequence[ClusterId]) -> Mapping[ClusterId, Sign]:
    """Of those that run what shows now; of those that are over what showed."""
    found = await visit.desk.database.run_samples(signal_rows.of_clusters, clusters)
    return {id: _sign(views) for id, views in found.items()}


def _sign(views: Sequence[SignalView]) -> Sign:
    shown = [it for it in views if it.active] or views
    worst = min(shown, key=lambda it: _WORST_FIRST.index(it.signal.severity)).signal
    return Sign(worst.title, worst.severity, len(shown) - 1)


_WORST_FIRST = (Severity.PROBLEM, Severity.WARNING, Severity.ADVICE)
_SIGNAL_TITLES = (
    *("kind", "severity", "title", "evidence", "advice", "argument", "first_at", "last_at"),
    *("active", "workers", "saves"),
)


async def signals_csv(visit: Visit) -> Response:
    view = await cluster_view(visit)
    rows = [
        (
            it.signal.kind,
            it.signal.severity,
            it.signal.title,
            it.signal.evidence,
            it.signal.advice,
            it.signal.argument,
            it.first_at,
            it.last_at,
            int(it.active),
            ";".join(it.signal.workers),
            it.signal.saves,
        )
        for it in await signals_of(visit, view.id, past=True)
    ]
    return exports.as_csv(f"{view.name}-signals", _SIGNAL_TITLES, rows)


async def signals_json(visit: Visit) -> Response:
    view = await cluster_view(visit)
    found = await signals_of(visit, view.id, past=True)
    return exports.as_json(f"{view.name}-signals", {"signals": found})


# -- computations ---------------------------------------------------------------------------------


class ComputationsAsked(msgspec.Struct, frozen=True):
    q: str = ""
    show: str = ""  # "erred"
    page: str = ""

    def url(self, **changes: str | None) -> str:
        return url(self, **changes)


async def computations(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, ComputationsAsked)
    found = await handlers.computations(visit.desk, _query(visit, view, it, _COMPUTATIONS))
    failures = await handlers.exceptions(visit.desk, asked_of(visit, NewestQuery(limit=20)))
    listed = [one.computation for one in found.computations]
    values = {
        "query": it,
        "computations": listed,
        "names": await _names(visit, view.id, [one.id for one in listed if not one.code]),
        "next_page": found.next_page,
        "exceptions": failures.exceptions,
        "shuffles": await workers.shuffles(visit, _SHUFFLES),
        "now": visit.desk.clock(),
    }
    return page(visit, view, "computations", values)


class Newest(msgspec.Struct, frozen=True):
    """What a cluster's first page tells of its computations."""

    computations: Sequence[Computation]
    names: Mapping[str, str]  # of those without code
    exceptions: Sequence[TaskException]


async def newest_work(visit: Visit, view: ClusterView) -> Newest:
    asked = _query(visit, view, ComputationsAsked(), _NEWEST)
    found = [
        one.computation for one in (await handlers.computations(visit.desk, asked)).computations
    ]
    raised = await visit.desk.database.run_samples(
        telemetry_rows.exceptions, view.id, limit=_RAISED
    )
    names = await _names(visit, view.id, [one.id for one in found if not one.code])
    return Newest(found, names, raised)


async def _names(visit: Visit, cluster: ClusterId, ids: Sequence[str]) -> dict[str, str]:
    """What stands for computations without code: their tasks' prefixes, the most frequent first."""
    counts: dict[str, Counter[str]] = {}
    for it in await visit.desk.database.run_samples(telemetry_rows.groups, cluster, ids):
        counts.setdefault(it.computation, Counter())[it.prefix] += it.tasks
    return {
        id: ", ".join(name for name, _ in some.most_common(_NAMED)) for id, some in counts.items()
    }


def _query(
    visit: Visit, view: ClusterView, it: ComputationsAsked, limit: int
) -> Incoming[ComputationQuery, None]:
    query = ComputationQuery(
        cluster=view.id,
        text=it.q or None,
        erred=it.show == "erred",
        page=it.page or None,
        limit=limit,
    )
    return Incoming(visit.known.caller, {}, query, None)


_TITLES = (
    *("id", "started_at", "stopped_at", "tasks", "done", "erred", "groups"),
    *("compute_s", "graph_bytes", "graph_s", "workers", "code"),
)


async def computations_csv(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, ComputationsAsked)
    query = _query(visit, view, it, exports.MAX_ROWS)
    found = (await handlers.computations(visit.desk, query)).computations
    rows = [_row(one.computation) for one in found]
    return exports.as_csv(f"{view.name}-computations", _TITLES, rows)


def _row(it: Computation) -> tuple[exports.Cell, ...]:
    return (
        it.id,
        it.started_at,
        it.stopped_at,
        it.tasks,
        it.done,
        it.erred,
        it.groups,
        round(it.compute_s, 3),
        it.graph_bytes,
        round(it.graph_s, 3),
        it.workers,
        words.called(it),
    )


async def computations_json(visit: Visit) -> Response:
    view, it = await cluster_view(visit), asked(visit, ComputationsAsked)
    query = _query(visit, view, it, exports.MAX_ROWS)
    return exports.as_json(
        f"{view.name}-computations", await handlers.computations(visit.desk, query)
    )


_RAISED_TITLES = (
    *("id", "computation", "at", "last_at", "count", "type", "message", "key", "prefix"),
    *("worker", "retried", "traceback"),
)


async def exceptions_csv(visit: Visit) -> Response:
    view = await cluster_view(visit)
    rows = [[getattr(it, name) for name in _RAISED_TITLES] for it in await _raised(visit)]
    return exports.as_csv(f"{view.name}-exceptions", _RAISED_TITLES, rows)


async def exceptions_json(visit: Visit) -> Response:
    view = await cluster_view(visit)
    return exports.as_json(f"{view.name}-exceptions", {"exceptions": await _raised(visit)})


async def _raised(visit: Visit) -> Sequence[TaskException]:
    asked = asked_of(visit, NewestQuery(limit=exports.MAX_ROWS))
    return (await handlers.exceptions(visit.desk, asked)).exceptions


class Prefix(msgspec.Struct, frozen=True):
    """All groups of one prefix."""

    name: str
    groups: int
    tasks: int
    seconds: float
    bytes: int
    slices: tuple[Slice, ...]
    share: float  # of the longest


async def computation(visit: Visit) -> Response:
    view = await cluster_view(visit)
    found = await handlers.computation(visit.desk, asked_of(visit, None))
    values = {
        "computation": found.computation,
        "frames": found.computation.code[::-1],
        "prefixes": prefixes(found.groups),
        "flame": flame(found.computation, found.groups, found.times, visit.desk.clock()),
        "times": activities(found.times),
        "groups": found.groups[:_GROUPS],
        "hidden": len(found.groups) - _GROUPS,
        "exceptions": found.exceptions,
        "now": visit.desk.clock(),
    }
    return page(visit, view, "computation", values)


_WAYS = (
    ("compute_s", "computing"),
    ("transfer_s", "moving data"),
    ("disk_read_s", "reading spilled data"),
    ("disk_write_s", "spilling"),
    ("deserialize_s", "deserialising"),
    ("other_s", "other"),
)


def prefixes(groups: Sequence[TaskGroupSample]) -> list[Prefix]:
    """Where the workers' time went, the longest first."""
    by: dict[str, list[TaskGroupSample]] = {}
    for it in groups:
        by.setdefault(it.prefix, []).append(it)
    sums = {
        name: {way: sum(getattr(it, field) for it in some) for field, way in _WAYS}
        for name, some in by.items()
    }
    longest = max((sum(it.values()) for it in sums.values()), default=0.0) or 1.0
    found = [
        Prefix(
            name,
            len(some),
            sum(it.tasks for it in some),
            sum(sums[name].values()),
            sum(it.bytes for it in some),
            slices(sums[name], longest),
            sum(sums[name].values()) / longest,
        )
        for name, some in by.items()
    ]
    return sorted(found, key=lambda it: -it.seconds)


def activities(times: Sequence[PrefixTime]) -> list[tuple[str, float, tuple[Slice, ...]]]:
    """Of each prefix what its threads did, as Dask's fine metrics say; "" is moving data."""
    whole = [(it.prefix or "(between workers)", sum(it.seconds.values()), it) for it in times]
    longest = max((seconds for _, seconds, _ in whole), default=0.0) or 1.0
    ordered = sorted(whole, key=lambda it: -it[1])
    return [(name, seconds, slices(it.seconds, longest)) for name, seconds, it in ordered]


async def computation_part(visit: Visit) -> Response:
    """Of a computation: its groups, their sums by prefix, or what threads did, as a file."""
    view, path = await cluster_view(visit), visit.request.path_params
    found = await handlers.computation(visit.desk, asked_of(visit, None))
    parts: dict[str, Sequence[msgspec.Struct]] = {
        "groups": found.groups,
        "prefixes": prefixes(found.groups),
        "activities": [
            Activity(it.prefix, name, seconds)
            for it in found.times
            for name, seconds in it.seconds.items()
        ],
    }
    return exports.structs(view.name, path["part"], path["kind"], parts)


class Activity(msgspec.Struct, frozen=True):
    prefix: str  # "": moving data between workers
    activity: str
    seconds: float


async def hosts_file(visit: Visit) -> Response:
    view = await cluster_view(visit)
    found = (await handlers.hosts(visit.desk, asked_of(visit, None))).hosts
    return exports.structs(view.name, "hosts", visit.request.path_params["kind"], {"hosts": found})


# -- metrics --------------------------------------------------------------------------------------


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
    hosts = (await handlers.hosts(visit.desk, asked_of(visit, None))).hosts
    dropped, _ = await visit.desk.database.run_samples(telemetry_rows.dropped, view.id)
    values = {
        "query": it,
        "dropped": dropped,
        "ranges": [("", "Whole life"), *((key, f"Last {key}") for key in RANGES)],
        "charts": charts.group(samples, plans) if len(samples) > 1 else [],
        "begin": samples[0].at if samples else None,
        "end": samples[-1].at if samples else None,
        "resolution_s": step_s,
        "hosts": sorted(hosts, key=lambda one: _order(one.instance)),
        "fullest": sorted(hosts, key=_fullness, reverse=True)[:_HOSTS],
    }
    return page(visit, view, "metrics", values)


def _fullness(it: HostSample) -> float:
    return it.memory_used_bytes / (it.memory_limit_bytes or 1)


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
        return told.samples, told.resolution_s, charts.CLUSTER
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
