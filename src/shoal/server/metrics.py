"""`/metrics` for Prometheus: the server, clusters, workers and costs.

Whoever scrapes shows an API token, as anywhere else: one with the scope "clusters" is told of its
workspace, one with "metrics" alone likewise and can do nothing else. Per-cluster numbers are of
clusters that are not settled: past ones would stay in a time series for ever. Names and meanings
are in docs/reference/metrics.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from shoal.core import status
from shoal.core.cost import DayCost, start_of_day
from shoal.errors import NotAllowed, ShoalError
from shoal.server import gate
from shoal.server.desk import Desk
from shoal.server.exposition import MEDIA_TYPE, Family, Value, text
from shoal.server.gate import Caller
from shoal.server.handlers.limits import view_of
from shoal.server.passes_book import Loop
from shoal.store import ledger, series, sizes, viewing
from shoal.store import signals as signal_rows
from shoal.store.viewing import ClusterFacts
from shoal.version import VERSION
from shoal.wire import problems
from shoal.wire.endpoints import ClusterQuery
from shoal.wire.ids import ClusterId
from shoal.wire.limits import EACH, LimitName, LimitsView
from shoal.wire.telemetry import SchedulerSample
from shoal.wire.views import ClusterView

SCOPE = "metrics"
_MOST = 1_000  # clusters
_USD = 1_000_000
_FRESH = timedelta(seconds=60)


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
            return Response(text(await families(desk, caller)), media_type=MEDIA_TYPE)
        except ShoalError as error:
            problem = problems.from_error(error)
            headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else None
            return Response(f"{problem.detail}\n{problem.hint}\n", problem.status, headers)

    return answer


async def families(desk: Desk, caller: Caller) -> list[Family]:
    run, now, workspace = desk.database.run, desk.clock(), caller.workspace
    seen, _ = await run(viewing.page, workspace, ClusterQuery(limit=_MOST))
    views = [_view(desk, it) for it in seen.facts]
    month = start_of_day(now).replace(day=1)
    days = await run(ledger.paid_by_day, workspace, month, now)
    today = [it for it in days if it.day == start_of_day(now)]
    signals = await desk.database.run_samples(signal_rows.page, workspace, limit=_MOST)
    newest = await desk.database.run_samples(
        series.newest_of_clusters, [it.id for it in views], now - _FRESH
    )
    return [
        _one("shoal_info", "The server's version.", 1, version=VERSION),
        _one("shoal_start_time_seconds", "When the server started.", desk.started_at.timestamp()),
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
    ]


def _one(name: str, help: str, value: float, **labels: str) -> Family:
    return Family(name, "gauge", help, (Value(labels, value),))


def _usd(days: Sequence[DayCost]) -> float:
    return sum(it.uusd for it in days) / 1_000_000


def _view(desk: Desk, it: ClusterFacts) -> ClusterView:
    return status.cluster_view(
        it.cluster,
        it.instances,
        it.observations,
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
