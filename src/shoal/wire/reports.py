"""What agents and the control plane tell each other: reports upwards, orders downwards.

    worker agent --POST /v1/join, /v1/beat--> head <--GET /v1/report, PUT /v1/orders-- server

Orders are the whole asked state, with a version; repeating one changes nothing. A report carries
what changed since the reader's cursor, so a lost answer loses nothing: the reader asks again.
Unknown fields are ignored, so that an agent a version older is still understood.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from shoal.wire.environments import Manifest
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.specs import DaskOptions, Role, StopRules
from shoal.wire.telemetry import Chunk, Item
from shoal.wire.views import LogLine, Stage

# Logged by an agent once its metadata service has answered; `shoal doctor --live` looks for it.
NO_NOTICE = "the metadata service answers: no notice of preemption"


class PhaseTime(msgspec.Struct, frozen=True):
    """A part of making an environment on a VM."""

    phase: str  # "wheels", "waiting", "python", "conda", "installing", "compiling", "cloning"
    seconds: float


class VmReport(msgspec.Struct, frozen=True):
    """One VM's agent: where it stands. `progress` is 0…1 within the stage."""

    instance: InstanceId
    role: Role
    stage: Stage
    since: datetime
    detail: str = ""  # a sentence: "installing 12 of 36 packages"
    progress: float = 0.0
    heard_at: datetime | None = None  # by the head; None in a worker's own report
    dask_address: str = ""
    cpu_percent: float = 0.0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    restarts: int = 0  # of the Dask process
    failure: str = ""  # why the stage is failed, with the installer's or kernel's words
    notice: str = ""  # the cloud is about to take the VM back: how it says so
    warning: str = ""  # it may, sooner than others: how it says so
    environment: str = ""  # which the Dask process runs
    moves_to: str = ""  # made, and waits until the scheduler lets go of what runs
    broken: str = ""  # which no VM can run, with the options asked for: `failure` says why
    made_in: tuple[PhaseTime, ...] = ()  # the environment, by this agent; none: it was there


class SchedulerReport(msgspec.Struct, frozen=True):
    """The Dask scheduler as its plugin sees it."""

    address: str
    dashboard_address: str = ""
    clients: int = 0
    workers: int = 0
    tasks: int = 0  # not yet finished
    idle_since: datetime | None = None
    adaptive_target: int | None = None
    closable: tuple[InstanceId, ...] = ()  # cheapest to close first


class StopNotice(msgspec.Struct, frozen=True):
    """The head ends its cluster: by which rule, in a sentence."""

    rule: str
    why: str
    at: datetime


class LogChunk(msgspec.Struct, frozen=True):
    seq: int  # per head, rising; what was stored once is not stored twice
    line: LogLine


class HeadReport(msgspec.Struct, frozen=True):
    cluster: ClusterId
    head_started_at: datetime  # another start: the cursor begins anew
    cursor: int
    vms: tuple[VmReport, ...] = ()
    scheduler: SchedulerReport | None = None
    stop: StopNotice | None = None
    logs: tuple[LogChunk, ...] = ()
    logs_dropped: int = 0
    orders_version: int = 0
    missing_wheels: tuple[str, ...] = ()  # SHA-256 of those it needs from the server
    sent_at: datetime | None = None  # by the head's clock, which all times in it are of
    telemetry: tuple[Chunk, ...] = ()
    telemetry_dropped: int = 0  # items


class Orders(msgspec.Struct, frozen=True):
    """Everything a head must know, from the server. `version` is the cluster's generation plus
    what changes under way (retirements), and rises."""

    version: int
    cluster: ClusterId
    manifest: Manifest
    dask: DaskOptions
    stop_rules: StopRules
    minimum: int
    maximum: int
    created_at: datetime
    retire: tuple[InstanceId, ...] = ()
    stop: str = ""  # not empty: end the cluster, for this reason
    python_hint: str = ""  # an interpreter on the VM that may serve as the base
    python_mirror: str = ""  # URL where uv finds Pythons to download; empty: its own


class OrdersTaken(msgspec.Struct, frozen=True):
    version: int
    missing_wheels: tuple[str, ...] = ()


class JoinRequest(msgspec.Struct, frozen=True):
    instance: InstanceId
    secret: str
    request_pem: str  # a certificate signing request; the key stays on the VM

    def __repr__(self) -> str:
        return f"JoinRequest(instance={self.instance!r}, …)"


class WorkerOrders(msgspec.Struct, frozen=True):
    """What a worker's agent must know. Long-polled by version."""

    version: int
    manifest: Manifest
    dask: DaskOptions
    scheduler_address: str = ""  # empty until the scheduler listens
    retire: bool = False
    stop: str = ""
    python_hint: str = ""
    python_mirror: str = ""


class JoinAnswer(msgspec.Struct, frozen=True):
    """`orders` is None while the head itself has none; the worker long-polls."""

    certificate_pem: str
    orders: WorkerOrders | None = None


class WorkerBeat(msgspec.Struct, frozen=True):
    vm: VmReport
    logs: tuple[LogLine, ...] = ()
    logs_dropped: int = 0
    telemetry: tuple[Item, ...] = ()  # of this VM: host samples, and why its worker was lost
    telemetry_dropped: int = 0


class BeatAnswer(msgspec.Struct, frozen=True):
    orders_version: int
