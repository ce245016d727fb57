"""The API as a table: every endpoint with its types, scope and problems.

The server routes by this table, the client calls by it, OpenAPI and the reference are made from
it. `path` parameters are strings; `query` is a struct whose fields are the query parameters.
Problems that any endpoint may answer with (EVERYWHERE) are not repeated.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from shoal import errors
from shoal.wire import accounts, environments, events, limits, requests, telemetry, views

Limit = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Cursor = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]  # without a zone nobody knows which it is


Positive = Annotated[int, msgspec.Meta(gt=0, le=2**53)]


class Page(msgspec.Struct, frozen=True):
    """`page` is what the previous answer called `next_page`."""

    page: str | None = None
    limit: Limit = 100


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


class CostsQuery(msgspec.Struct, frozen=True):
    by: str = "day"  # "day", "user", "cloud", "cluster", "tag", or "tag:KEY"
    since: Instant | None = None  # from the beginning of its UTC day; None: 30 days ago
    until: Instant | None = None  # None: now


class EventQuery(msgspec.Struct, frozen=True):
    cluster: str | None = None
    after: Cursor = 0  # events with a greater seq
    limit: Limit = 1000


class ChangesQuery(msgspec.Struct, frozen=True):
    cluster: str | None = None
    after: Cursor | None = None  # None: from now on
    # Of one cluster: a word besides (`event: record`) when there is news in its record.
    hints: bool = False


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


class OfferQuery(msgspec.Struct, frozen=True):
    """Which machines; what is not given does not matter. Memory in bytes."""

    cloud: str = "local"
    region: str | None = None  # None: the account's own, else the first of the catalog
    zone: str | None = None
    cpu: Positive | None = None
    cpu_most: Positive | None = None  # None: as `cpu`
    memory_bytes: Positive | None = None
    memory_bytes_most: Positive | None = None
    gpu: Annotated[int, msgspec.Meta(ge=0, le=16)] | None = None
    gpu_type: str | None = None
    arm: bool | None = None
    spot: bool | None = None
    why: bool = False  # tell what was left out too


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


class RegionQuery(msgspec.Struct, frozen=True):
    region: str | None = None  # None: the account's own


class EventPage(msgspec.Struct, frozen=True):
    events: tuple[events.Event, ...]
    next_after: int


class EnvironmentList(msgspec.Struct, frozen=True):
    environments: tuple[views.EnvironmentView, ...]  # by name


class TokenList(msgspec.Struct, frozen=True):
    tokens: tuple[views.TokenView, ...]


class Nothing(msgspec.Struct, frozen=True):
    """An empty answer."""


class Endpoint(msgspec.Struct, frozen=True):
    name: str
    method: str
    path: str
    summary: str
    scope: str  # what a token must carry: "clusters", "admin"; "" for everyone
    answer: Any  # the type of the answer
    body: Any = None  # the type of the request's body; bytes for a file
    query: Any = None
    status: int = 200
    stream: bool = False  # server-sent events, each a JSON `answer`
    problems: tuple[type[errors.ShoalError], ...] = ()


EVERYWHERE = (
    errors.NotLoggedIn,
    errors.NotAllowed,
    errors.InvalidRequest,
    errors.StoreFault,
)
_MISSING = (errors.NotFound,)

SERVER = Endpoint(
    "server", "GET", "/v1/server", "What this server is", "clusters", views.ServerInfo
)
STOP_SERVER = Endpoint(
    "stop_server", "POST", "/v1/server/stop", "End the server; clusters go on", "admin", Nothing
)
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
    problems=_MISSING,
)
INSTANCES = Endpoint(
    "instances",
    "GET",
    "/v1/clusters/{cluster}/instances",
    "A cluster's VMs, past ones too",
    "clusters",
    views.InstanceList,
    query=Page,
    problems=_MISSING,
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
STOP_CLUSTER = Endpoint(
    "stop_cluster",
    "POST",
    "/v1/clusters/{cluster}/stop",
    "End a cluster and all its VMs",
    "clusters",
    views.Ended,
    body=requests.StopCluster,
    problems=_MISSING,
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
    problems=_MISSING,
)
COST = Endpoint(
    "cost",
    "GET",
    "/v1/clusters/{cluster}/cost",
    "What a cluster has cost so far, VM by VM",
    "clusters",
    views.CostView,
    problems=_MISSING,
)
COSTS = Endpoint(
    "costs",
    "GET",
    "/v1/costs",
    "What the workspace's clusters have cost: by day, user, cloud, cluster or tag",
    "clusters",
    views.CostReport,
    query=CostsQuery,
)
LOGS = Endpoint(
    "logs",
    "GET",
    "/v1/clusters/{cluster}/logs",
    "Lines of all processes of a cluster, of VMs that are gone too",
    "clusters",
    views.LogPage,
    query=LogQuery,
    problems=_MISSING,
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
COMPUTATIONS = Endpoint(
    "computations",
    "GET",
    "/v1/computations",
    "What ran, newest first, with the code that asked for it; of clusters that are gone too",
    "clusters",
    telemetry.ComputationList,
    query=ComputationQuery,
    problems=_MISSING,
)
COMPUTATION = Endpoint(
    "computation",
    "GET",
    "/v1/clusters/{cluster}/computations/{computation}",
    "One computation: its task groups, where the time went, its exceptions",
    "clusters",
    telemetry.ComputationDetail,
    problems=_MISSING,
)
EXCEPTIONS = Endpoint(
    "exceptions",
    "GET",
    "/v1/clusters/{cluster}/exceptions",
    "What tasks of a cluster raised, with tracebacks, newest first",
    "clusters",
    telemetry.ExceptionList,
    query=NewestQuery,
    problems=_MISSING,
)
WORKER_EVENTS = Endpoint(
    "worker_events",
    "GET",
    "/v1/clusters/{cluster}/worker-events",
    "Dask workers that came and went, and why, newest first",
    "clusters",
    telemetry.WorkerEventList,
    query=NewestQuery,
    problems=_MISSING,
)
SHUFFLES = Endpoint(
    "shuffles",
    "GET",
    "/v1/clusters/{cluster}/shuffles",
    "P2P shuffles that began, began anew, ended or failed, newest first",
    "clusters",
    telemetry.ShuffleList,
    query=NewestQuery,
    problems=_MISSING,
)
CLIENT_EVENTS = Endpoint(
    "client_events",
    "GET",
    "/v1/clusters/{cluster}/client-events",
    "Dask clients that connected and went: whose, when, from where; newest first",
    "clusters",
    telemetry.ClientEventList,
    query=NewestQuery,
    problems=_MISSING,
)
METRICS = Endpoint(
    "metrics",
    "GET",
    "/v1/clusters/{cluster}/metrics",
    "A cluster as a whole over time: tasks, CPU, memory, the scheduler",
    "clusters",
    telemetry.SchedulerSeries,
    query=SeriesQuery,
    problems=_MISSING,
)
HOST_METRICS = Endpoint(
    "host_metrics",
    "GET",
    "/v1/clusters/{cluster}/hosts/{instance}/metrics",
    "One VM over time: CPU, memory, disk, network",
    "clusters",
    telemetry.HostSeries,
    query=SeriesQuery,
    problems=_MISSING,
)
HOSTS = Endpoint(
    "hosts",
    "GET",
    "/v1/clusters/{cluster}/hosts",
    "The newest sample of each of a cluster's VMs",
    "clusters",
    telemetry.HostList,
    problems=_MISSING,
)
SIGNALS = Endpoint(
    "signals",
    "GET",
    "/v1/signals",
    "What deserves attention, with evidence and advice",
    "clusters",
    telemetry.SignalList,
    query=SignalQuery,
    problems=_MISSING,
)
TELEMETRY = Endpoint(
    "telemetry",
    "GET",
    "/v1/clusters/{cluster}/telemetry",
    "How much of a cluster is on record, and how much was dropped",
    "clusters",
    telemetry.Telemetry,
    problems=_MISSING,
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
EVENTS = Endpoint(
    "events",
    "GET",
    "/v1/events",
    "Events of the workspace or of one cluster, oldest first",
    "clusters",
    EventPage,
    query=EventQuery,
    problems=_MISSING,
)
CHANGES = Endpoint(
    "changes",
    "GET",
    "/v1/changes",
    "Events as they happen",
    "clusters",
    events.Event,
    query=ChangesQuery,
    stream=True,
    problems=_MISSING,
)
PUT_ENVIRONMENT = Endpoint(
    "put_environment",
    "PUT",
    "/v1/environments/{environment}",
    "Register an environment; the answer tells which wheels are missing",
    "clusters",
    views.EnvironmentNeeds,
    body=environments.Manifest,
)
ENVIRONMENT = Endpoint(
    "environment",
    "GET",
    "/v1/environments/{environment}",
    "An environment's lock and wheels, by its id or a name that it was given",
    "clusters",
    environments.Manifest,
    problems=_MISSING,
)
ENVIRONMENTS = Endpoint(
    "environments",
    "GET",
    "/v1/environments",
    "Environments that are kept under names, with what was made of them",
    "clusters",
    EnvironmentList,
)
SAVE_ENVIRONMENT = Endpoint(
    "save_environment",
    "PUT",
    "/v1/environment-names/{name}",
    "Keep a registered environment under a name; one given again means the other from now on",
    "clusters",
    views.EnvironmentView,
    body=requests.SaveEnvironment,
    problems=(errors.NotFound, errors.Conflict),
)
FORGET_ENVIRONMENT = Endpoint(
    "forget_environment",
    "DELETE",
    "/v1/environment-names/{name}",
    "Forget the name of an environment; clusters keep what they have",
    "clusters",
    Nothing,
    problems=_MISSING,
)
PUT_WHEEL = Endpoint(
    "put_wheel",
    "PUT",
    "/v1/wheels/{sha256}",
    "Upload a wheel; its content must have this SHA-256",
    "clusters",
    Nothing,
    body=bytes,
)
OFFERS = Endpoint(
    "offers",
    "GET",
    "/v1/offers",
    "Machine types with prices",
    "clusters",
    views.OfferList,
    query=OfferQuery,
    problems=_MISSING,
)
REFRESH_OFFERS = Endpoint(
    "refresh_offers",
    "POST",
    "/v1/offers/{cloud}/refresh",
    "Ask a cloud for its machine types and prices of today, with the server's login",
    "clusters",
    views.Refreshed,
    query=RegionQuery,
    problems=(errors.NotFound, errors.CloudError),
)
LIMITS = Endpoint(
    "limits",
    "GET",
    "/v1/limits",
    "Limits and budgets of the workspace and its users, with what is in use and spent",
    "clusters",
    limits.LimitsView,
)
CHANGE_LIMITS = Endpoint(
    "change_limits",
    "POST",
    "/v1/limits",
    "Set or clear limits of the workspace, of one user or of each user",
    "admin",
    limits.LimitsView,
    body=limits.ChangeLimits,
)
CREATE_TOKEN = Endpoint(
    "create_token",
    "POST",
    "/v1/tokens",
    "Make an API token; its secret is shown once",
    "admin",
    views.NewToken,
    body=requests.CreateToken,
)
TOKENS = Endpoint("tokens", "GET", "/v1/tokens", "API tokens, without secrets", "admin", TokenList)
REVOKE_TOKEN = Endpoint(
    "revoke_token",
    "POST",
    "/v1/tokens/{token}/revoke",
    "End a token at once",
    "admin",
    Nothing,
    problems=_MISSING,
)
ACCOUNTS = Endpoint(
    "accounts",
    "GET",
    "/v1/accounts",
    "The cloud accounts that clusters can go to",
    "clusters",
    accounts.AccountList,
)
PUT_ACCOUNT = Endpoint(
    "put_account",
    "PUT",
    "/v1/accounts/{cloud}",
    "Register a cloud account, or change it; `shoal setup` does it",
    "admin",
    accounts.AccountList,
    body=accounts.CloudAccount,
    problems=(errors.NotPossible, errors.Conflict),
)
REMOVE_ACCOUNT = Endpoint(
    "remove_account",
    "DELETE",
    "/v1/accounts/{cloud}",
    "Forget a cloud account that no cluster uses",
    "admin",
    accounts.AccountList,
    problems=(errors.NotFound, errors.Conflict),
)

ENDPOINTS: tuple[Endpoint, ...] = (
    SERVER,
    STOP_SERVER,
    CREATE_CLUSTER,
    PREVIEW_CLUSTER,
    CLUSTERS,
    CLUSTER,
    INSTANCES,
    SCALE_CLUSTER,
    STOP_CLUSTER,
    CERTIFICATE,
    EXPLAIN,
    COST,
    COSTS,
    LOGS,
    COMPUTATIONS,
    COMPUTATION,
    EXCEPTIONS,
    WORKER_EVENTS,
    SHUFFLES,
    CLIENT_EVENTS,
    METRICS,
    HOST_METRICS,
    HOSTS,
    SIGNALS,
    TELEMETRY,
    WATCH,
    REPORT_WATCHED,
    SYNC_CLUSTER,
    EVENTS,
    CHANGES,
    PUT_ENVIRONMENT,
    ENVIRONMENT,
    ENVIRONMENTS,
    SAVE_ENVIRONMENT,
    FORGET_ENVIRONMENT,
    PUT_WHEEL,
    OFFERS,
    REFRESH_OFFERS,
    LIMITS,
    CHANGE_LIMITS,
    CREATE_TOKEN,
    TOKENS,
    REVOKE_TOKEN,
    ACCOUNTS,
    PUT_ACCOUNT,
    REMOVE_ACCOUNT,
)
