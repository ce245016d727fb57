"""`/metrics` for Prometheus: the server, clusters, workers and costs.

Whoever scrapes shows an API token, as anywhere else: one with the scope "clusters" is told of its
workspace, one with "metrics" alone likewise and can do nothing else. Per-cluster numbers are of
clusters that are not settled: past ones would stay in a time series for ever. Names and meanings
are in docs/reference/metrics.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta

import psutil
from starlette.requests import Request
from starlette.responses import Response

from shoal.core import status
from shoal.core.cost import DayCost, start_of_day
from shoal.errors import InvalidRequest, NotAllowed, ShoalError
from shoal.server import gate
from shoal.server.desk import Desk
from shoal.server.exposition import MEDIA_TYPE, Family, Value, text
from shoal.server.gate import Caller
from shoal.server.handlers.limits import view_of
from shoal.server.passes_book import Loop
from shoal.server.request_book import BOUNDS_S
from shoal.store import ledger, series, sizes, telemetry, viewing
from shoal.store import signals as signal_rows
from shoal.store.viewing import ClusterFacts
from shoal.version import VERSION
from shoal.wire import problems
from shoal.wire.endpoints import ClusterQuery
from shoal.wire.ids import ClusterId
from shoal.wire.limits import EACH, LimitName, LimitsView
from shoal.wire.telemetry import HostSample, SchedulerSample
from shoal.wire.views import ClusterView

SCOPE = "metrics"
_MOST = 1_000  # clusters
_USD = 1_000_000
_FRESH = timedelta(seconds=60)
WORKERS, MOST_WORKERS = 100, 10_000  # VMs that are told one by one


def page(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            caller = await gate.caller(
                desk.database, request.headers.get("authorization"), desk.clock()
            )
            if not {SCOPE, "clusters"} & caller.scopes:
                raise NotAllowed(
                    f"{caller.user}'s token may not read metrics.",
                    hint="Make one that may: shoal token create prometheus --scope metrics",
                )
            return Response(
                text(await families(desk, caller, _workers_wanted(request))), media_type=MEDIA_TYPE
            )
        except ShoalError as error:
            problem = problems.from_error(error)
            headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else None
            return Response(f"{problem.detail}\n{problem.hint}\n", problem.status, headers)

    return answer


def _workers_wanted(request: Request) -> int:
    """`/metrics?workers=500`: of so many workers at most each is told."""
    try:
        return min(max(int(request.query_params.get("workers", WORKERS)), 0), MOST_WORKERS)
    except ValueError as error:
        raise InvalidRequest(
            "`workers` is not a number.", hint=f"Say how many: /metrics?workers={WORKERS}"
        ) from error


async def families(desk: Desk, caller: Caller, workers: int = WORKERS) -> list[Family]:
    run, now, workspace = desk.database.run, desk.clock(), caller.workspace
    seen, _ = await run(viewing.page, workspace, ClusterQuery(limit=_MOST), now)
    views = [_view(desk, it) for it in seen.facts]
    month = start_of_day(now).replace(day=1)
    days = await run(ledger.paid_by_day, workspace, month, now)
    today = [it for it in days if it.day == start_of_day(now)]
    signals = await desk.database.run_samples(signal_rows.page, workspace, limit=_MOST)
    newest = await desk.database.run_samples(
        series.newest_of_clusters, [it.id for it in views], now - _FRESH
    )
    ids = [it.id for it in views]
    fresh = now - _FRESH
    hosts = await desk.database.run_samples(series.newest_hosts_of_clusters, ids, fresh)
    lost = await desk.database.run_samples(telemetry.dropped_of_clusters, ids)
    return [
        _one("shoal_info", "The server's version.", 1, version=VERSION),
        _one("shoal_start_time_seconds", "When the server started.", desk.started_at.timestamp()),
        *_process(),
        _requests(desk),
        *_loops(desk.passes.loops.values()),
        *await _sizes(desk),
        *_clusters(views),
        *_limits(await view_of(desk, caller)),
        _one("shoal_cost_today_dollars", "Cost of the UTC day so far.", _usd(today)),
        _one("shoal_cost_month_dollars", "Cost of the UTC month so far.", _usd(days)),
        Family(
            "shoal_signals",
            "gauge",
            "Signals that show now.",
            tuple(
                Value(
                    {
                        "cluster": it.cluster,
                        "kind": it.signal.kind,
                        "severity": it.signal.severity,
                    },
                    1,
                )
                for it in signals
            ),
        ),
        *_schedulers(views, newest),
        *_workers(views, hosts, workers),
        *_dropped(views, lost),
    ]


def _one(name: str, help: str, value: float, **labels: str) -> Family:
    return Family(name, "gauge", help, (Value(labels, value),))


def _process() -> list[Family]:
    process = psutil.Process()
    cpu = process.cpu_times()
    name = "shoal_server_cpu_seconds_total"
    return [
        Family(
            name, "counter", "CPU of the server's process.", (Value({}, cpu.user + cpu.system),)
        ),
        _one("shoal_server_memory_bytes", "Its resident memory.", process.memory_info().rss),
    ]


def _requests(desk: Desk) -> Family:
    values: list[Value] = []
    for (kind, answered), taken in sorted(desk.requests.taken.items()):
        labels = {"kind": kind, "status": answered}
        bounds = [*(f"{it:g}" for it in BOUNDS_S), "+Inf"]
        counts = taken.cumulative
        values += [
            Value({**labels, "le": bound}, count, "_bucket")
            for bound, count in zip(bounds, counts, strict=True)
        ]
        values += [Value(labels, taken.total_s, "_sum"), Value(labels, counts[-1], "_count")]
    return Family("shoal_request_seconds", "histogram", "How long requests took.", tuple(values))


def _usd(days: Sequence[DayCost]) -> float:
    return sum(it.uusd for it in days) / 1_000_000


def _view(desk: Desk, it: ClusterFacts) -> ClusterView:
    return status.cluster_view(
        it.cluster,
        it.vms,
        it.head,
        it.marks,
        now=desk.clock(),
        url="",
        seq=it.seq,
        hold=it.hold,
    )


def _loops(loops: Iterable[Loop]) -> list[Family]:
    known = sorted(loops, key=lambda it: it.name)

    def family(name: str, kind: str, help: str, values: Iterable[float]) -> Family:
        found = tuple(
            Value({"loop": it.name}, value) for it, value in zip(known, values, strict=True)
        )
        return Family(f"shoal_loop_{name}", kind, help, found)

    began = (it.began_at.timestamp() if it.began_at else 0.0 for it in known)
    failures, slowest = (it.failures for it in known), (it.slowest_s for it in known)
    return [
        family("passes_total", "counter", "Passes begun.", (it.passes for it in known)),
        family("failures_total", "counter", "Passes that went wrong.", failures),
        family("last_begin_seconds", "gauge", "When the last pass began.", began),
        family("slowest_seconds", "gauge", "The slowest of 60 passes.", slowest),
    ]


async def _sizes(desk: Desk) -> list[Family]:
    facts = await desk.database.run(sizes.facts)
    samples = await desk.database.run_samples(sizes.samples)
    values = (Value({"part": "facts"}, facts.bytes), Value({"part": "samples"}, samples.bytes))
    return [Family("shoal_database_bytes", "gauge", "Size of the record.", values)]


def _clusters(views: Sequence[ClusterView]) -> list[Family]:
    counts: dict[str, int] = {}
    for it in views:
        counts[it.status] = counts.get(it.status, 0) + 1
    by_status = tuple(Value({"status": key}, n) for key, n in sorted(counts.items()))
    workers = tuple(
        Value({**_labels(it), "state": state}, getattr(it.workers, state))
        for it in views
        for state in ("wanted", "launching", "preparing", "ready", "draining")
    )
    cost = tuple(Value(_labels(it), (it.cost_uusd or 0) / 1e6) for it in views)
    price = tuple(Value(_labels(it), (it.price_uusd_per_hour or 0) / 1e6) for it in views)
    return [
        Family("shoal_clusters", "gauge", "Clusters that are not past, by status.", by_status),
        Family("shoal_cluster_workers", "gauge", "Workers, by state.", workers),
        Family("shoal_cluster_cost_dollars", "gauge", "What a cluster has cost so far.", cost),
        Family("shoal_cluster_price_dollars_per_hour", "gauge", "What it costs now.", price),
    ]


def _limits(view: LimitsView) -> list[Family]:
    """Of the workspace (user="") and its users; dollars and seconds. What has no limit is told as
    used all the same."""
    most: list[Value] = []
    used: list[Value] = []
    for it in view.held:
        if it.user == EACH:
            continue
        use, limits = it.in_use, it.limits
        for name, limit, now, unit in (
            (LimitName.CLUSTERS, limits.clusters, use.clusters, 1),
            (LimitName.WORKERS, limits.workers, use.workers, 1),
            (LimitName.VCPUS, limits.vcpus, use.vcpus, 1),
            (LimitName.GPUS, limits.gpus, use.gpus, 1),
            (LimitName.PRICE, limits.price_uusd_per_hour, use.price_uusd_per_hour, _USD),
            (LimitName.BUDGET, limits.budget_uusd, use.month_uusd, _USD),
        ):
            labels = {"user": it.user, "limit": name.value}
            used.append(Value(labels, now / unit))
            if limit is not None:
                most.append(Value(labels, limit / unit))
    return [
        Family("shoal_limit", "gauge", "What may be in use, or spent in the month.", tuple(most)),
        Family("shoal_limit_use", "gauge", "What is in use, or spent this month.", tuple(used)),
    ]


def _labels(it: ClusterView) -> dict[str, str]:
    return {"cluster": it.id, "name": it.name, "owner": it.owner, "cloud": it.spec.cloud}


_SCHEDULER = {
    "tasks_processing": ("processing", "Tasks on workers."),
    "tasks_queued": ("queued", "Tasks that wait for a worker."),
    "memory_bytes": ("memory_bytes", "Memory of all Dask workers."),
    "memory_limit_bytes": ("memory_limit_bytes", "What they may use."),
    "spilled_bytes": ("spilled_bytes", "Results on disk."),
    "cpu_percent": ("cpu_percent", "CPU of all Dask workers; 100 is one core."),
    "gil_share": ("gil_share", "Of the scheduler's time, Python's lock held (gilknocker)."),
    "event_loop_seconds": ("event_loop_s", "Mean tick of the scheduler's event loop."),
}


def _schedulers(
    views: Sequence[ClusterView], newest: Mapping[ClusterId, SchedulerSample]
) -> list[Family]:
    return [
        Family(
            f"shoal_dask_{name}",
            "gauge",
            help,
            tuple(
                Value(_labels(it), getattr(newest[it.id], field)) for it in views if it.id in newest
            ),
        )
        for name, (field, help) in _SCHEDULER.items()
    ]


def _workers(
    views: Sequence[ClusterView],
    hosts: Mapping[ClusterId, Sequence[HostSample]],
    most: int,
) -> list[Family]:
    """One by one, but of no more than `most`: those closest to their memory limit."""
    known = {it.id: it for it in views}
    every = [(known[id], it) for id, told in hosts.items() for it in told]
    every.sort(key=lambda it: it[1].memory_used_bytes / (it[1].memory_limit_bytes or 1))
    shown = [
        ({"cluster": view.id, "name": view.name, "vm": it.instance}, it)
        for view, it in reversed(every)
    ][:most]

    def family(name: str, help: str, value: Callable[[HostSample], float]) -> Family:
        values = tuple(Value(labels, value(it)) for labels, it in shown)
        return Family(f"shoal_vm_{name}", "gauge", help, values)

    return [
        family(
            "cpu_percent",
            "CPU of a VM; 100 is all of its cores.",
            lambda it: it.cpu_user_percent + it.cpu_system_percent,
        ),
        family("memory_bytes", "Memory of a VM in use.", lambda it: it.memory_used_bytes),
        family("memory_limit_bytes", "What it may use.", lambda it: it.memory_limit_bytes),
        family("spilled_bytes", "Dask results on its disk.", lambda it: it.spilled_bytes),
        _one(
            "shoal_vms_untold",
            "VMs beyond those that are told one by one.",
            len(every) - len(shown),
        ),
    ]


def _dropped(
    views: Sequence[ClusterView], lost: Mapping[ClusterId, tuple[int, int]]
) -> list[Family]:
    def family(name: str, help: str, part: int) -> Family:
        values = tuple(Value(_labels(it), lost.get(it.id, (0, 0))[part]) for it in views)
        return Family(f"shoal_dropped_{name}_total", "counter", help, values)

    return [
        family("items", "Items of telemetry that were lost on their way to the server.", 0),
        family("log_lines", "Log lines that were.", 1),
    ]
