"""Clusters: asked for, looked at, changed, ended; their VMs, and what their processes said."""

from __future__ import annotations

import msgspec

from shoal import errors
from shoal.wire import requests, views
from shoal.wire.endpoints.kinds import MISSING, Cursor, Endpoint, Instant, Limit, Page


class ClusterQuery(msgspec.Struct, frozen=True):
    name: str | None = None
    ended: bool = False  # include those that have ended
    page: str | None = None
    limit: Limit = 100
    state: views.ClusterPhase | None = None  # goes before `ended`
    owner: str | None = None
    cloud: str | None = None
    tag: str | None = None  # "key" or "key=value"
    text: str | None = None  # in the name, the id, the owner or the reason for its end
    since: Instant | None = None  # it was there after this
    until: Instant | None = None  # it was created before this
    sort: views.ClusterOrder = views.ClusterOrder.NEWEST


class LogQuery(msgspec.Struct, frozen=True):
    instance: str | None = None
    process: str | None = None
    text: str | None = None  # lines that contain it
    cursor: Cursor = 0
    limit: Limit = 1000
    any_case: bool = False  # find `text` in capitals and small letters
    since: Instant | None = None
    until: Instant | None = None
    before: Cursor | None = None  # the newest lines before this one, instead of those after cursor


CREATE_CLUSTER = Endpoint(
    "create_cluster",
    "POST",
    "/v1/clusters",
    "Ask for a cluster, or join the running one of that name",
    "clusters",
    views.ClusterView,
    body=requests.CreateCluster,
    problems=(errors.Conflict, errors.NotPossible, errors.LimitExceeded, errors.NotFound),
)

PREVIEW_CLUSTER = Endpoint(
    "preview_cluster",
    "POST",
    "/v1/preview",
    "What a cluster would be made of and cost, and whether limits allow it; nothing is made",
    "clusters",
    views.Preview,
    body=requests.PreviewCluster,
    problems=(errors.NotPossible, errors.CloudError),
)

CLUSTERS = Endpoint(
    "clusters",
    "GET",
    "/v1/clusters",
    "Clusters of the workspace, newest first",
    "clusters",
    views.ClusterList,
    query=ClusterQuery,
)

CLUSTER = Endpoint(
    "cluster",
    "GET",
    "/v1/clusters/{cluster}",
    "One cluster, by id or by the name of a running one",
    "clusters",
    views.ClusterView,
    problems=MISSING,
)

INSTANCES = Endpoint(
    "instances",
    "GET",
    "/v1/clusters/{cluster}/instances",
    "A cluster's VMs, past ones too",
    "clusters",
    views.InstanceList,
    query=Page,
    problems=MISSING,
)

SCALE_CLUSTER = Endpoint(
    "scale_cluster",
    "PUT",
    "/v1/clusters/{cluster}/workers",
    "Change how many workers are wanted",
    "clusters",
    views.ClusterView,
    body=requests.ScaleCluster,
    problems=(errors.NotFound, errors.Conflict, errors.LimitExceeded),
)

SYNC_CLUSTER = Endpoint(
    "sync_cluster",
    "PUT",
    "/v1/clusters/{cluster}/environment",
    "Move a running cluster to another environment, by the difference",
    "clusters",
    views.ClusterView,
    body=requests.UpdateEnvironment,
    problems=(errors.NotFound, errors.Conflict),
)

STOP_CLUSTER = Endpoint(
    "stop_cluster",
    "POST",
    "/v1/clusters/{cluster}/stop",
    "End a cluster and all its VMs",
    "clusters",
    views.Ended,
    body=requests.StopCluster,
    problems=MISSING,
)

CERTIFICATE = Endpoint(
    "certificate",
    "POST",
    "/v1/clusters/{cluster}/certificate",
    "What a Dask client needs to reach the scheduler",
    "clusters",
    views.ClientCertificate,
    problems=(errors.NotFound, errors.Conflict),
)

EXPLAIN = Endpoint(
    "explain",
    "GET",
    "/v1/clusters/{cluster}/explanation",
    "What the next pass would do and why, without doing it",
    "clusters",
    views.Explanation,
    problems=MISSING,
)

LOGS = Endpoint(
    "logs",
    "GET",
    "/v1/clusters/{cluster}/logs",
    "Lines of all processes of a cluster, of VMs that are gone too",
    "clusters",
    views.LogPage,
    query=LogQuery,
    problems=MISSING,
)
