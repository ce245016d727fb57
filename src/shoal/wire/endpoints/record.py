"""What clusters computed and how it went, watched ones' too."""

from __future__ import annotations

from typing import Annotated

import msgspec

from shoal import errors
from shoal.wire import requests, telemetry, views
from shoal.wire.endpoints.kinds import MISSING, Endpoint, Instant, Limit


class SeriesQuery(msgspec.Struct, frozen=True):
    """`until` None: now; `since` None: from the beginning, as far as it is kept."""

    since: Instant | None = None
    until: Instant | None = None
    points: Annotated[int, msgspec.Meta(ge=1, le=5_000)] = 500  # at most about as many samples


class ComputationQuery(msgspec.Struct, frozen=True):
    """Of all clusters of the workspace, or of one."""

    cluster: str | None = None
    text: str | None = None  # in its code
    span: str | None = None  # in the names of its spans
    erred: bool = False  # only those with tasks that failed
    since: Instant | None = None
    until: Instant | None = None
    page: str | None = None
    limit: Limit = 100


class NewestQuery(msgspec.Struct, frozen=True):
    since: Instant | None = None
    limit: Limit = 200


class SignalQuery(msgspec.Struct, frozen=True):
    """Of all clusters of the workspace, or of one."""

    cluster: str | None = None
    past: bool = False  # those that do not show any more, too
    limit: Limit = 200


COMPUTATIONS = Endpoint(
    "computations",
    "GET",
    "/v1/computations",
    "What ran, newest first, with the code that asked for it; of clusters that are gone too",
    "clusters",
    telemetry.ComputationList,
    query=ComputationQuery,
    problems=MISSING,
)

COMPUTATION = Endpoint(
    "computation",
    "GET",
    "/v1/clusters/{cluster}/computations/{computation}",
    "One computation: its task groups, where the time went, its exceptions",
    "clusters",
    telemetry.ComputationDetail,
    problems=MISSING,
)

EXCEPTIONS = Endpoint(
    "exceptions",
    "GET",
    "/v1/clusters/{cluster}/exceptions",
    "What tasks of a cluster raised, with tracebacks, newest first",
    "clusters",
    telemetry.ExceptionList,
    query=NewestQuery,
    problems=MISSING,
)

WORKER_EVENTS = Endpoint(
    "worker_events",
    "GET",
    "/v1/clusters/{cluster}/worker-events",
    "Dask workers that came and went, and why, newest first",
    "clusters",
    telemetry.WorkerEventList,
    query=NewestQuery,
    problems=MISSING,
)

SHUFFLES = Endpoint(
    "shuffles",
    "GET",
    "/v1/clusters/{cluster}/shuffles",
    "P2P shuffles that began, began anew, ended or failed, newest first",
    "clusters",
    telemetry.ShuffleList,
    query=NewestQuery,
    problems=MISSING,
)

CLIENT_EVENTS = Endpoint(
    "client_events",
    "GET",
    "/v1/clusters/{cluster}/client-events",
    "Dask clients that connected and went: whose, when, from where; newest first",
    "clusters",
    telemetry.ClientEventList,
    query=NewestQuery,
    problems=MISSING,
)

METRICS = Endpoint(
    "metrics",
    "GET",
    "/v1/clusters/{cluster}/metrics",
    "A cluster as a whole over time: tasks, CPU, memory, the scheduler",
    "clusters",
    telemetry.SchedulerSeries,
    query=SeriesQuery,
    problems=MISSING,
)

HOST_METRICS = Endpoint(
    "host_metrics",
    "GET",
    "/v1/clusters/{cluster}/hosts/{instance}/metrics",
    "One VM over time: CPU, memory, disk, network",
    "clusters",
    telemetry.HostSeries,
    query=SeriesQuery,
    problems=MISSING,
)

HOSTS = Endpoint(
    "hosts",
    "GET",
    "/v1/clusters/{cluster}/hosts",
    "The newest sample of each of a cluster's VMs",
    "clusters",
    telemetry.HostList,
    problems=MISSING,
)

SIGNALS = Endpoint(
    "signals",
    "GET",
    "/v1/signals",
    "What deserves attention, with evidence and advice",
    "clusters",
    telemetry.SignalList,
    query=SignalQuery,
    problems=MISSING,
)

TELEMETRY = Endpoint(
    "telemetry",
    "GET",
    "/v1/clusters/{cluster}/telemetry",
    "How much of a cluster is on record, and how much was dropped",
    "clusters",
    telemetry.Telemetry,
    problems=MISSING,
)

WATCH = Endpoint(
    "watch",
    "POST",
    "/v1/watched",
    "Record a Dask cluster that Shoal did not start, or go on doing so",
    "clusters",
    views.ClusterView,
    body=requests.Watch,
    problems=(errors.Conflict,),
)

REPORT_WATCHED = Endpoint(
    "report_watched",
    "POST",
    "/v1/watched/{cluster}/report",
    "What a watched cluster did since the last report",
    "clusters",
    telemetry.Taken,
    body=telemetry.WatchedReport,
    problems=(errors.NotFound, errors.Conflict),
)
