"""The rows as decisions see them, and what a cloud says it has.

Facts only: what was asked, what was intended, what was observed, and when. Statuses are derived
from these in status.py. Times are aware UTC.
"""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from shoal.wire.ids import BatchId, ClusterId, InstallationId, InstanceId, UserName, WorkspaceName
from shoal.wire.limits import InUse, Limits
from shoal.wire.specs import Cloud, ClusterSpec, Role
from shoal.wire.views import InstanceState, Stage


class EndKind(enum.StrEnum):
    """Who ended a cluster."""

    USER = "user"  # somebody who may
    RULE = "rule"  # a stop rule of the head
    FAILED = "failed"  # it could not be had, or its scheduler was lost
    LIMIT = "limit"  # a limit or a budget


class Cluster(msgspec.Struct, frozen=True):
    """What is asked. `generation` rises with every change of it."""

    id: ClusterId
    workspace: WorkspaceName
    owner: UserName
    spec: ClusterSpec
    generation: int
    created_at: datetime
    ended_at: datetime | None = None  # nobody wants it since; its VMs may still exist
    end_kind: EndKind | None = None
    end_reason: str = ""
    settled_at: datetime | None = None  # ended, and its last VM is gone
    unable: str = ""  # why no VM can be a worker as asked, until something else is asked


class Offer(msgspec.Struct, frozen=True):
    """A machine that can be asked for, in one zone, as spot or not."""

    cloud: Cloud
    region: str
    zone: str
    machine_type: str
    spot: bool
    arch: str  # "x86_64" or "aarch64"
    vcpu: int
    memory_bytes: int
    price_uusd_per_hour: int | None = None  # None: not known, never guessed
    as_of: datetime | None = None
    gpu: int = 0
    gpu_type: str = ""
    disk_gib: int = 0  # local scratch (NVMe) that comes with it
    family: str = ""  # "n2", "m7i", "Dsv6"
    burstable: bool = False  # CPU credits, shared cores
    current: bool = True  # of the vendor's current generation
    source: str = ""  # of the price: "snapshot 2026-11-20", "AWS Price List"
    disk_uusd_per_gib_month: int | None = None  # of the disk it boots from
    address_uusd_per_hour: int | None = None  # of a public address; 0: VMs have none
    head_address_uusd_per_hour: int | None = None  # of a scheduler's; None: as the others'


class Batch(msgspec.Struct, frozen=True):
    """One request to a cloud; nothing in it is left to choose. Its id is the idempotency token."""

    id: BatchId
    cluster: ClusterId
    role: Role
    count: int
    offers: tuple[Offer, ...]  # the frozen alternatives, best first
    instances: tuple[InstanceId, ...]
    cluster_created_at: datetime  # certificates are derived from it
    head_address: str  # host:port of the head's agent; empty for the head's own batch
    image: str
    disk_gib: int
    tags: tuple[tuple[str, str], ...]  # sorted; installation, cluster and batch are added by core
    lifetime_s: float
    created_at: datetime
    ingress: tuple[str, ...] = ()  # CIDRs that may reach a head from outside the network
    preferred: bool = False  # the order of the alternatives is the user's, more than a price's


class Instance(msgspec.Struct, frozen=True):
    """One attempt at one VM. A second try is a second Instance."""

    id: InstanceId
    batch: BatchId
    cluster: ClusterId
    role: Role
    state: InstanceState
    since: datetime  # of the state
    why: str  # of the state
    created_at: datetime
    launched_at: datetime | None = None
    released_at: datetime | None = None
    gone_at: datetime | None = None
    retiring_since: datetime | None = None
    failed: bool = False  # released because something went wrong, not because it was not wanted
    vm: str = ""  # the cloud's own id, once seen
    address: str = ""  # host:port of its agent, once seen; by which the server dials it
    inside: str = ""  # the same for VMs of its network; empty: as `address`
    zone: str = ""
    machine_type: str = ""
    spot: bool = False
    price_uusd_per_hour: int | None = None  # of the VM alone
    extras_uusd_per_hour: int = 0  # of its disk and public address, as far as known

    @property
    def known_inside(self) -> str:
        """host:port of its agent, for VMs of its network."""
        return self.inside or self.address


class Observation(msgspec.Struct, frozen=True):
    """What a VM's agent said last."""

    instance: InstanceId
    stage: Stage
    since: datetime
    heard_at: datetime
    detail: str = ""
    progress: float = 0.0
    dask_address: str = ""
    failure: str = ""
    cpu_percent: float = 0.0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    restarts: int = 0
    notice: str = ""  # the cloud is about to take it back: how it says so
    warning: str = ""  # it may, sooner than others: how it says so
    environment: str = ""  # which its Dask process runs
    broken: str = ""  # which no VM can run, with the options asked for: `failure` says why


class HeadObservation(msgspec.Struct, frozen=True):
    """What a cluster's head said last of the Dask scheduler."""

    cluster: ClusterId
    heard_at: datetime
    scheduler_address: str = ""
    dashboard_address: str = ""
    clients: int = 0
    workers: int = 0
    tasks: int = 0
    idle_since: datetime | None = None
    adaptive_target: int | None = None
    adaptive_peak: int | None = None  # the highest of the targets that were told lately,
    adaptive_since: datetime | None = None  # and when it was told last
    closable: tuple[InstanceId, ...] = ()
    ready_at: datetime | None = None  # the first time the scheduler accepted clients


class PoolMark(msgspec.Struct, frozen=True):
    """Do not ask there until then. "*" matches every zone, type; `spot` None matches both.
    `cluster`: whom alone it concerns; empty: everybody."""

    cloud: Cloud
    region: str
    zone: str
    machine_type: str
    spot: bool | None
    until: datetime
    why: str
    hint: str = ""
    cluster: str = ""


class Tally(msgspec.Struct, frozen=True):
    """A cluster's past in numbers, so that its gone instances need not be read each pass."""

    cluster: ClusterId
    batches: int = 0  # ever; the next batch's number
    instances: int = 0  # ever; the next instance's number
    workers_launched: int = 0  # ever
    failures_in_a_row: int = 0  # failed instances since the last one that became ready
    last_failure_at: datetime | None = None
    last_failure: str = ""
    workers_ready: int = 0  # ever: instances whose agent said so once, workers only


class Vm(msgspec.Struct, frozen=True):
    """What a cloud says it has, of ours. `kind` other than "vm": what a VM may leave behind."""

    id: str  # the cloud's own id
    name: str  # the Instance id where the cloud lets us name it, else ""
    batch: str  # from its tag
    cluster: str  # from its tag
    created_at: datetime
    running: bool = True  # False: ending or preempted, still listed
    address: str = ""  # host:port of its agent, for the server
    inside: str = ""  # the same for VMs of its network; empty: as `address`
    region: str = ""
    zone: str = ""
    machine_type: str = ""
    spot: bool = False
    price_uusd_per_hour: int | None = None
    kind: str = "vm"  # "vm", "disk", "address", "interface"


class Listing(msgspec.Struct, frozen=True):
    """All of ours in a cloud; what is not in it was not there when the listing began, less lag."""

    begun_at: datetime
    vms: tuple[Vm, ...]


class Timing(msgspec.Struct, frozen=True):
    """How patient a cloud asks us to be. Seconds."""

    listing_lag_s: float = 60.0  # a listing may lack, or still show, what changed this recently
    listing_s: float = 5.0  # between two listings, at least
    listing_each_vm_s: float = 0.0  # and so much more for each VM listed: pages are calls
    boot_timeout_s: float = 600.0  # launched and never heard from
    silence_timeout_s: float = 600.0  # heard from once, then nothing (its own dead man is as long)
    drain_timeout_s: float = 600.0
    farewell_s: float = 0.0  # an ended cluster's head may speak its last words for so long
    capacity_mark_s: float = 180.0
    preempted_mark_s: float = 900.0
    retry_s: float = 2.0  # first delay after a failed instance; doubles up to retry_most_s
    retry_most_s: float = 300.0


class Held(msgspec.Struct, frozen=True):
    """The limits of a workspace or of one user, and what is in use of them."""

    workspace: WorkspaceName
    user: UserName  # empty: the workspace's
    limits: Limits
    use: InUse
    told: frozenset[str] = frozenset()  # marks of this month's budget that were told

    @property
    def whose(self) -> str:
        return f"user {self.user}" if self.user else f"workspace {self.workspace}"


class World(msgspec.Struct, frozen=True):
    """Everything one pass decides on. Listing first, rows after it."""

    now: datetime
    installation: InstallationId
    cloud: Cloud
    timing: Timing
    clusters: tuple[Cluster, ...]  # not settled
    batches: tuple[Batch, ...]  # those with instances that are not gone
    instances: tuple[Instance, ...]  # not gone
    observations: dict[InstanceId, Observation]
    heads: dict[ClusterId, HeadObservation]
    tallies: dict[ClusterId, Tally]
    marks: tuple[PoolMark, ...]  # not yet expired
    offers: tuple[Offer, ...]
    listing: Listing | None  # the newest complete one
    past: frozenset[str] = frozenset()  # names, ids or batches of listed VMs whose rows are gone
    clock_trusted_since: datetime | None = None  # start, or the last time the clock jumped
    inside_names: str = ""  # what a network's own DNS calls a VM: "{vm}.{zone}.…"; empty: nothing
    likely: dict[ClusterId, dict[str, float]] = {}  # what the cloud says of zones, see `home_zone`
    held: dict[ClusterId, tuple[Held, ...]] = {}  # the limits that each wanted cluster is under
    holds: dict[ClusterId, str] = {}  # clusters on record as held back, and by which limit
    grace_s: float = 900.0  # what is left of a budget must last so long
