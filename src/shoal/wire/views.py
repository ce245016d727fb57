"""What a reader is shown: derived from rows, observations and now; never stored.

Times are aware UTC, money integer micro-dollars (µ$), `None` where a price is not known.
"""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from shoal.wire.ids import (
    BatchId,
    ClusterId,
    EnvironmentId,
    InstallationId,
    InstanceId,
    UserName,
    WorkspaceName,
)
from shoal.wire.specs import ClusterSpec, Role


class ClusterStatus(enum.StrEnum):
    STARTING = "starting"  # the scheduler is not reachable yet
    READY = "ready"  # the scheduler is up and all wanted workers are
    SCALING = "scaling"  # the scheduler is up; workers are on their way
    DEGRADED = "degraded"  # fewer workers than wanted, and something stands in the way
    ENDING = "ending"  # nobody wants it; VMs remain
    ENDED = "ended"  # nothing of it is left
    FAILED = "failed"  # ended because it could not be had


class ClusterPhase(enum.StrEnum):
    """What clusters can be asked for by: coarser than their status, and told by rows alone."""

    RUNNING = "running"  # wanted
    STARTING = "starting"  # wanted, and its scheduler is not reachable yet
    UP = "up"  # wanted, and its scheduler is reachable
    ENDING = "ending"  # not wanted any more; VMs remain
    PAST = "past"  # nothing of it is left
    ENDED = "ended"  # past, as asked or by a rule
    FAILED = "failed"  # could not be had, or its scheduler was lost


class ClusterOrder(enum.StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"
    OWNER = "owner"
    LAST_ENDED = "last-ended"  # those that have not come first
    COST = "cost"  # the most first; before them those whose cost is not settled
    DURATION = "duration"  # the longest first; before them those that still run


class InstanceState(enum.StrEnum):
    """What the cloud owns. The edges are in core/lifecycle.py."""

    INTENDED = "intended"  # on record; the cloud has not answered for it
    LAUNCHED = "launched"  # the cloud has accepted it
    RELEASED = "released"  # not wanted any more; ended until a listing lacks it
    GONE = "gone"  # seen to be absent; the row stays


class Stage(enum.StrEnum):
    """What the VM is doing, as observed through its agent."""

    BOOTING = "booting"  # nothing heard yet
    PREPARING = "preparing"  # the agent speaks; the environment is being realised
    STARTING = "starting"  # Dask is starting
    READY = "ready"  # Dask computes there
    DRAINING = "draining"  # asked to leave; data and tasks are moving away
    DRAINED = "drained"  # nothing is left on it
    STOPPING = "stopping"  # it is about to end
    FAILED = "failed"  # it cannot do what it was asked; the detail says why


class InstanceView(msgspec.Struct, frozen=True):
    id: InstanceId
    role: Role
    state: InstanceState
    stage: Stage
    since: datetime
    why: str
    detail: str = ""
    zone: str = ""
    machine_type: str = ""
    spot: bool = False
    price_uusd_per_hour: int | None = None
    address: str = ""
    dask_address: str = ""
    created_at: datetime | None = None
    launched_at: datetime | None = None
    gone_at: datetime | None = None
    released_at: datetime | None = None
    vm: str = ""  # the cloud's own id of it
    environment: str = ""  # which its Dask process runs
    broken: str = ""  # which no VM can run; the detail says why


class WorkerCounts(msgspec.Struct, frozen=True):
    wanted: int
    launching: int
    preparing: int
    ready: int
    draining: int


class ClusterView(msgspec.Struct, frozen=True):
    id: ClusterId
    name: str
    workspace: WorkspaceName
    owner: UserName
    status: ClusterStatus
    sentence: str  # the status in words, with what stands in the way
    spec: ClusterSpec
    workers: WorkerCounts
    created_at: datetime
    scheduler_address: str = ""
    details_url: str = ""
    cost_uusd: int | None = None
    price_uusd_per_hour: int | None = None
    ended_at: datetime | None = None
    end_reason: str = ""
    event_seq: int = 0  # the cursor this view is as fresh as


class ClusterList(msgspec.Struct, frozen=True):
    clusters: tuple[ClusterView, ...]
    next_page: str | None = None


class InstanceList(msgspec.Struct, frozen=True):
    instances: tuple[InstanceView, ...]
    next_page: str | None = None


class PlannedAction(msgspec.Struct, frozen=True):
    action: str
    subject: str
    why: str


class Explanation(msgspec.Struct, frozen=True):
    """What the next pass would do and why; nothing is performed."""

    cluster: ClusterId
    sentence: str
    actions: tuple[PlannedAction, ...]


class ClientCertificate(msgspec.Struct, frozen=True):
    """What a Dask client needs to speak with a cluster's scheduler. Not to be logged."""

    scheduler_address: str
    ca_pem: str
    certificate_pem: str
    key_pem: str

    def __repr__(self) -> str:
        return f"ClientCertificate(scheduler_address={self.scheduler_address!r}, …)"


class LogLine(msgspec.Struct, frozen=True):
    at: datetime
    instance: InstanceId
    process: str  # "agent", "scheduler", "worker", "kernel", "environment" (its making)
    text: str


class LogPage(msgspec.Struct, frozen=True):
    lines: tuple[LogLine, ...]
    next_cursor: int
    dropped: int = 0  # lines of this cluster that were lost on the way, all in all
    previous_cursor: int = 0  # of the first line: `before` it are older ones


class CostLine(msgspec.Struct, frozen=True):
    instance: InstanceId
    role: Role
    machine_type: str
    seconds: float
    cost_uusd: int | None


class CostView(msgspec.Struct, frozen=True):
    cluster: ClusterId
    cost_uusd: int | None
    lines: tuple[CostLine, ...]


class CostShare(msgspec.Struct, frozen=True):
    """One line of a report."""

    key: str  # a day ("2026-11-01"), a user, a cloud, a cluster's id, "team=research", "team="
    uusd: int  # of what has a price
    seconds: float  # of VMs
    unpriced_s: float = 0.0  # of VMs whose price is not known
    clusters: int = 0
    name: str = ""  # of a cluster


class CostReport(msgspec.Struct, frozen=True):
    """Money from VMs' lives, second by second. A cluster with two tags counts under both, so lines
    by tag may add up to more than the total."""

    by: str
    since: datetime
    until: datetime
    uusd: int
    unpriced_s: float
    lines: tuple[CostShare, ...]  # days in their order, all else the dearest first
    days: tuple[CostShare, ...]  # of the whole, whatever it is counted by
    month_uusd: int  # the running UTC month so far
    month_expected_uusd: int  # and by its end, if the days to come are like the last seven
    expected_from_days: int  # how many days that rests on; 0: today alone


class OfferView(msgspec.Struct, frozen=True):
    cloud: str
    region: str
    zone: str
    machine_type: str
    vcpu: int
    memory_bytes: int
    arch: str
    spot: bool
    gpu: int
    gpu_type: str
    price_uusd_per_hour: int | None
    as_of: datetime | None
    source: str = ""  # of the price
    family: str = ""
    burstable: bool = False
    current: bool = True
    scratch_gib: int = 0  # local disks that come with it


class LeftOutView(msgspec.Struct, frozen=True):
    machine_type: str
    why: str


class PreviewRow(msgspec.Struct, frozen=True):
    """One role of a cluster: how many VMs of what, best first, as the launch asks for them."""

    role: Role
    count: int  # that it begins with
    most: int  # that it may grow to
    offers: tuple[OfferView, ...]
    extras_uusd_per_hour: tuple[int, ...] = ()  # of each offer's disk and address, as far as known


class Preview(msgspec.Struct, frozen=True):
    """What a cluster would be made of and cost, and whether limits allow it; nothing is made."""

    rows: tuple[PreviewRow, ...]
    price_uusd_per_hour: int | None  # as it begins, of the best offers; None: not known
    most_uusd_per_hour: int | None  # with all workers it may grow to
    refused: str = ""  # asked, in use and limit, where a limit is in the way
    hint: str = ""
    notices: tuple[str, ...] = ()  # what it means for budgets, and what is not known


class Refreshed(msgspec.Struct, frozen=True):
    """What a cloud was asked for just now."""

    cloud: str
    region: str
    types: int
    prices: int


class OfferList(msgspec.Struct, frozen=True):
    """Cheapest first, unknown prices last."""

    offers: tuple[OfferView, ...]
    region: str = ""
    left_out: tuple[LeftOutView, ...] = ()
    types_source: str = ""  # where the machine types and places come from
    types_as_of: str = ""  # a date


class EnvironmentView(msgspec.Struct, frozen=True):
    """An environment that is kept under a name, and what was made of it."""

    name: str
    id: EnvironmentId
    packages: int
    wheels_bytes: int  # of the wheels that travel; what indexes have is not counted
    python: str
    platform: str
    saved_at: datetime
    saved_by: UserName
    last_used_at: datetime | None  # when a cluster was last asked for with it
    clusters: int  # ever
    running: int


class EnvironmentNeeds(msgspec.Struct, frozen=True):
    """Which wheels (by SHA-256) the server lacks; empty: the environment is complete."""

    environment: EnvironmentId
    missing: tuple[str, ...]


class TokenView(msgspec.Struct, frozen=True):
    id: str
    user: UserName
    workspace: WorkspaceName
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None


class NewToken(msgspec.Struct, frozen=True):
    """The only time the secret is shown."""

    token: TokenView
    secret: str

    def __repr__(self) -> str:
        return f"NewToken(token={self.token!r}, …)"


class ServerInfo(msgspec.Struct, frozen=True):
    version: str
    installation: InstallationId
    database: str  # dialect and place, without credentials
    embedded: bool
    clusters: int  # not ended
    pid: int
    started_at: datetime
    user: UserName
    workspace: WorkspaceName


class Ended(msgspec.Struct, frozen=True):
    cluster: ClusterId
    already: bool


class BatchView(msgspec.Struct, frozen=True):
    id: BatchId
    count: int
    why: str
