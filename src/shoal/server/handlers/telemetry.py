"""What was recorded of clusters: computations, exceptions, samples, signals. Reads only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from shoal.core import losses
from shoal.core.records import Cluster
from shoal.errors import NotFound
from shoal.server.desk import Desk, Incoming
from shoal.store import clusters as rows
from shoal.store import instances as instance_rows
from shoal.store import series
from shoal.store import signals as signal_rows
from shoal.store import telemetry as records
from shoal.wire import telemetry as wire
from shoal.wire.endpoints import ComputationQuery, NewestQuery, SeriesQuery, SignalQuery
from shoal.wire.ids import ClusterId, WorkspaceName

_A_WHILE = timedelta(seconds=30)  # a VM's clock may be ahead of the server's


async def computations(desk: Desk, asked: Incoming[ComputationQuery, None]) -> wire.ComputationList:
    query, workspace = asked.query, asked.caller.workspace
    return await desk.database.run_samples(
        records.computations,
        workspace,
        cluster=await _named(desk, workspace, query.cluster),
        text=query.text,
        span=query.span,
        erred=query.erred,
        since=query.since,
        until=query.until,
        before=query.page,
        limit=query.limit,
    )


async def computation(desk: Desk, asked: Incoming[None, None]) -> wire.ComputationDetail:
    cluster, id = await _find(desk, asked), asked.path["computation"]
    found = await desk.database.run_samples(records.computation, cluster.id, id)
    if found is None:
        raise NotFound(
            f"There is no computation {id} of {cluster.spec.name!r} on record.",
            hint=f"See: shoal history --cluster {cluster.spec.name}",
        )
    return found


async def exceptions(desk: Desk, asked: Incoming[NewestQuery, None]) -> wire.ExceptionList:
    cluster, query = await _find(desk, asked), asked.query
    return wire.ExceptionList(
        await desk.database.run_samples(
            records.exceptions, cluster.id, since=query.since, limit=query.limit
        )
    )


async def worker_events(desk: Desk, asked: Incoming[NewestQuery, None]) -> wire.WorkerEventList:
    cluster, query = await _find(desk, asked), asked.query
    found = await desk.database.run_samples(
        records.worker_events, cluster.id, since=query.since, limit=query.limit
    )
    vms = await desk.database.run(instance_rows.some, losses.unclear(found))
    return wire.WorkerEventList(losses.explained(found, vms))


async def shuffles(desk: Desk, asked: Incoming[NewestQuery, None]) -> wire.ShuffleList:
    cluster, query = await _find(desk, asked), asked.query
    return wire.ShuffleList(
        await desk.database.run_samples(
            records.shuffles, cluster.id, since=query.since, limit=query.limit
        )
    )


async def client_events(desk: Desk, asked: Incoming[NewestQuery, None]) -> wire.ClientEventList:
    cluster, query = await _find(desk, asked), asked.query
    return wire.ClientEventList(
        await desk.database.run_samples(
            records.clients, cluster.id, since=query.since, limit=query.limit
        )
    )


async def metrics(desk: Desk, asked: Incoming[SeriesQuery, None]) -> wire.SchedulerSeries:
    cluster, query = await _find(desk, asked), asked.query
    since, until, step_s = _span(desk, cluster, query)
    return await desk.database.run_samples(
        series.of_cluster,
        cluster.id,
        since=since,
        until=until,
        resolution_s=step_s,
        most=query.points * 2,
    )


async def host_metrics(desk: Desk, asked: Incoming[SeriesQuery, None]) -> wire.HostSeries:
    cluster, query = await _find(desk, asked), asked.query
    since, until, step_s = _span(desk, cluster, query)
    return await desk.database.run_samples(
        series.of_host,
        cluster.id,
        asked.path["instance"],
        since=since,
        until=until,
        resolution_s=step_s,
        most=query.points * 2,
    )


def _span(desk: Desk, cluster: Cluster, query: SeriesQuery) -> tuple[Any, Any, int]:
    """From when, until when, at which resolution; of a past cluster, its life."""
    now = desk.clock()
    until = query.until or (cluster.settled_at or cluster.ended_at or now) + _A_WHILE
    since = max(query.since or cluster.created_at, cluster.created_at)
    return since, until, series.resolution(since, until, now, query.points)


async def hosts(desk: Desk, asked: Incoming[None, None]) -> wire.HostList:
    cluster = await _find(desk, asked)
    return wire.HostList(await desk.database.run_samples(series.newest_hosts, cluster.id))


async def signals(desk: Desk, asked: Incoming[SignalQuery, None]) -> wire.SignalList:
    query, workspace = asked.query, asked.caller.workspace
    return wire.SignalList(
        await desk.database.run_samples(
            signal_rows.page,
            workspace,
            cluster=await _named(desk, workspace, query.cluster),
            past=query.past,
            limit=query.limit,
        )
    )


async def telemetry(desk: Desk, asked: Incoming[None, None]) -> wire.Telemetry:
    cluster = await _find(desk, asked)
    return await desk.database.run_samples(records.extent, cluster.id)


async def _find(desk: Desk, asked: Incoming[Any, None]) -> Cluster:
    return await desk.database.run(rows.find, asked.caller.workspace, asked.path["cluster"])


async def _named(desk: Desk, workspace: WorkspaceName, name: str | None) -> ClusterId | None:
    return None if name is None else (await desk.database.run(rows.find, workspace, name)).id
