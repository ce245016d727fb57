"""Clusters that Shoal did not start: a session that watches one makes it known, then reports.

Such a cluster has no VM of ours, so nothing of it is planned; it is over when its session says so,
or has been silent (server/passes/watched.py).
"""

from __future__ import annotations

from shoal.core import defaults
from shoal.core.records import Cluster, EndKind
from shoal.errors import Conflict
from shoal.server import news
from shoal.server.desk import Desk, Incoming
from shoal.server.handlers.clusters import new_id, tell_all, view_of
from shoal.store import clusters as rows
from shoal.store import observations
from shoal.store import telemetry as records
from shoal.wire import telemetry as wire
from shoal.wire import views
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import EnvironmentId
from shoal.wire.reports import HeadReport, SchedulerReport
from shoal.wire.requests import Watch
from shoal.wire.specs import Cloud, ClusterSpec, DaskOptions, Workers


async def watch(desk: Desk, asked: Incoming[None, Watch]) -> views.ClusterView:
    caller, body = asked.caller, asked.body
    defaults.check_name(body.name)
    existing = await desk.database.run(rows.running, caller.workspace, body.name)
    if existing is not None:
        if existing.spec.cloud is not Cloud.WATCHED:
            raise Conflict(
                f"A cluster of Shoal's own is running under the name {body.name!r}.",
                hint="It is recorded already. Give another name= for this one.",
            )
        if _scheduler(existing) == body.scheduler:
            return await view_of(desk, existing)
        await _end(desk, existing, "another scheduler is watched under its name")
    now = desk.clock()
    made = Cluster(new_id(), caller.workspace, caller.user, _spec(body), 1, now)
    why = f"{caller.user} watches the Dask scheduler {body.scheduler}"
    event = Event(
        now,
        EventKind.CLUSTER_CREATED,
        caller.user,
        why,
        workspace=caller.workspace,
        cluster=made.id,
    )
    await desk.database.run(rows.create, made, event)
    await tell_all(desk)
    return await view_of(desk, made)


async def report_watched(desk: Desk, asked: Incoming[None, wire.WatchedReport]) -> wire.Taken:
    found = await desk.database.run(rows.find, asked.caller.workspace, asked.path["cluster"])
    report, now = asked.body, desk.clock()
    if found.spec.cloud is not Cloud.WATCHED:
        raise Conflict(
            f"{found.spec.name!r} was started by Shoal.", hint="Its own head reports of it."
        )
    cursor = max((it.seq for it in report.chunks), default=0)
    if found.ended_at is not None:
        return wire.Taken(cursor, watching=False)
    told = await desk.database.run(observations.record, _as_head(found, report, cursor), now)
    run = desk.database.run_samples
    await run(records.append, found.id, found.workspace, report.chunks)
    if report.dropped:
        await run(records.lost, found.id, cursor, now, items=report.dropped, log_lines=0)
    if told:
        await tell_all(desk)
    lost = report.dropped > 0
    if about := news.subjects(found.id, report.chunks, logs=False, lost=lost):
        await desk.told.ring(*about)
    return wire.Taken(cursor, watching=True)


def _spec(body: Watch) -> ClusterSpec:
    """Nothing is wanted; Dask's id of the scheduler is kept where its options are."""
    return ClusterSpec(
        body.name,
        Cloud.WATCHED,
        Workers(0, 0, 0),
        EnvironmentId(""),
        dask=DaskOptions(scheduler_options={"id": body.scheduler}),
        tags=body.tags,
    )


def _scheduler(cluster: Cluster) -> str:
    return str(cluster.spec.dask.scheduler_options.get("id", ""))


def _as_head(cluster: Cluster, report: wire.WatchedReport, cursor: int) -> HeadReport:
    scheduler = SchedulerReport(
        address=report.scheduler_address,
        dashboard_address=report.dashboard_address,
        clients=report.clients,
        workers=report.workers,
        tasks=report.tasks,
    )
    return HeadReport(cluster.id, report.started_at, cursor, scheduler=scheduler)


async def _end(desk: Desk, cluster: Cluster, why: str) -> None:
    now = desk.clock()
    event = Event(now, EventKind.CLUSTER_ENDING, "server", why, cluster=cluster.id)
    await desk.database.run(rows.end, cluster.id, EndKind.USER, why, now, event)
