"""What is recorded of computations and machines: samples, as they travel and are shown.

    Dask scheduler --plugin--> head's agent --HeadReport--> server --> store --> readers
    worker's agent --WorkerBeat--> head's agent ---^

Two kinds of item. A *standing* one (computation, task group, time by prefix, exception) has a key
and is told again, whole, when it changed: the newest says all, so losing one of them loses nothing.
A *moment* (sample of the scheduler or a host, worker event, shuffle event) is told once.

Everything here may be dropped, oldest first, rather than slow a computation down; how much was
dropped travels with the rest. Times are aware UTC, sizes bytes, durations seconds, rates a second.
CPU is in percent of one CPU unless it says share.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TypeAlias

import msgspec

from shoal.wire.ids import ClusterId, InstanceId

MAX_ITEMS = 5_000  # in one report, from a head or from a session that watches
MAX_CODE = 20_000  # characters of source lines of one frame
MAX_TRACEBACK = 20_000  # characters, the end is kept
MAX_MESSAGE = 2_000


# -- from the Dask scheduler ----------------------------------------------------------------------


class CodeFrame(msgspec.Struct, frozen=True):
    """One frame of the stack that called compute, persist or submit; the innermost comes last."""

    file: str  # a path, or the name that a notebook gives its cell
    line: int  # in the file, the one that was called
    code: str = ""  # of the function, or of the cell
    first_line: int = 1  # where `code` begins in the file


class Computation(msgspec.Struct, frozen=True, tag_field="item", tag="computation"):
    """What calls of compute, persist or submit asked for while the scheduler had work."""

    id: str
    started_at: datetime
    stopped_at: datetime | None = None  # None: something of it still waits or runs
    code: tuple[CodeFrame, ...] = ()
    tasks: int = 0  # in its graphs
    done: int = 0  # of them: in memory, released or forgotten
    erred: int = 0
    processing: int = 0
    groups: int = 0  # task groups
    graph_bytes: int = 0  # of the largest graph as it was sent; 0: not known
    graph_s: float = 0.0  # how long the scheduler took to take its graphs in
    compute_s: float = 0.0  # summed over workers' threads
    workers: int = 0  # the most that were there
    spans: tuple[str, ...] = ()  # of its groups, each as "outer / inner" (distributed.span)


class TaskGroupSample(msgspec.Struct, frozen=True, tag_field="item", tag="group"):
    """All tasks of one name and token in a computation: a layer of its graph."""

    computation: str
    name: str
    prefix: str  # the name without its token: what is the same in the next run
    started_at: datetime | None = None  # the first task that computed
    stopped_at: datetime | None = None  # the last one
    tasks: int = 0
    states: dict[str, int] = {}  # Dask's words: "memory", "processing", "erred", …
    compute_s: float = 0.0
    transfer_s: float = 0.0
    disk_read_s: float = 0.0  # reading spilled data back
    disk_write_s: float = 0.0  # spilling
    deserialize_s: float = 0.0
    other_s: float = 0.0
    bytes: int = 0  # of results, as they are in memory now or were last
    longest_s: float = 0.0  # mean of a task, or the longest that was seen running
    largest_bytes: int = 0  # of one result, where Dask tells
    depends_on: tuple[str, ...] = ()  # names of groups
    span: tuple[str, ...] = ()


class PrefixTime(msgspec.Struct, frozen=True, tag_field="item", tag="time"):
    """Where workers' threads spent their time, by Dask's fine performance metrics: activities of
    tasks of one prefix ("thread-cpu", "disk-read", …); `prefix` "" is moving data between workers.
    """

    computation: str
    prefix: str
    seconds: dict[str, float]
    shared: bool = False  # others ran tasks of this prefix too: Dask does not tell theirs apart


class TaskException(msgspec.Struct, frozen=True, tag_field="item", tag="exception"):
    """One way in which tasks of a computation failed; the first of its kind is told in full."""

    id: str
    computation: str
    at: datetime  # of the first
    last_at: datetime
    count: int  # tasks that raised it; those that only depend on them are not counted
    type: str  # "ValueError"
    message: str
    traceback: str
    key: str  # of the first task
    prefix: str
    worker: str  # where that ran: name of the Dask worker, an InstanceId where Shoal started it
    retried: int = 0  # how many of them were tried again


class Loss(enum.StrEnum):
    """Why a Dask worker is not there any more."""

    PREEMPTED = "preempted"  # the cloud took a spot VM back
    MEMORY = "killed-for-memory"  # by the kernel, or by its nanny at Dask's limit
    CONNECTION = "connection-lost"  # it vanished; nobody has said why
    RETIRED = "retired"  # it was asked to leave, and handed its data over
    RESTARTED = "restarted"  # by the user, or because a new environment came
    CLOSED = "closed"  # on purpose, by whomever
    CRASHED = "crashed"  # its process ended by a signal or an error of its own


class WorkerEvent(msgspec.Struct, frozen=True, tag_field="item", tag="worker"):
    at: datetime
    worker: str  # name
    address: str
    added: bool  # else it was lost
    reason: Loss | None = None  # of a loss
    detail: str = ""  # in words
    threads: int = 0
    memory_limit_bytes: int = 0
    tasks_lost: int = 0  # results that have to be computed again
    tasks_interrupted: int = 0  # that it was processing


class ShuffleEvent(msgspec.Struct, frozen=True, tag_field="item", tag="shuffle"):
    """A P2P shuffle begins, begins anew (a worker was lost), ends or fails."""

    at: datetime
    id: str
    run: int  # 1: the first attempt
    what: str  # "started", "restarted", "ended", "failed"
    workers: int = 0
    partitions: int = 0
    detail: str = ""


class ClientEvent(msgspec.Struct, frozen=True, tag_field="item", tag="client"):
    """A person's Dask client connects, or is gone. One that was there before the recording began is
    told as of then."""

    at: datetime
    client: str  # Dask's id of it, another one each time
    connected: bool
    name: str = ""  # of `Client(name=…)`
    user: str = ""  # by its certificate, where Shoal gave it one
    address: str = ""  # its own end of the connection


class SchedulerSample(msgspec.Struct, frozen=True, tag_field="item", tag="scheduler"):
    """The Dask scheduler and, by workers' heartbeats, the cluster as a whole."""

    at: datetime
    workers: int = 0
    threads: int = 0
    clients: int = 0
    connections: int = 0
    processing: int = 0  # tasks on workers, running or next
    executing: int = 0  # tasks that run
    queued: int = 0
    waiting: int = 0
    in_memory: int = 0
    erred: int = 0
    no_worker: int = 0
    idle_workers: int = 0
    event_loop_s: float = 0.0  # mean time between two ticks that should be 20 ms apart
    stall_s: float = 0.0  # the longest tick
    scheduler_cpu_percent: float = 0.0
    scheduler_memory_bytes: int = 0
    gil_share: float = 0.0  # of the scheduler's time, 0…1, where gilknocker is installed
    cpu_percent: float = 0.0  # of all Dask workers
    memory_bytes: int = 0  # of all Dask workers' processes
    memory_limit_bytes: int = 0
    managed_bytes: int = 0
    unmanaged_bytes: int = 0
    spilled_bytes: int = 0
    transfer_bps: float = 0.0  # that workers sent: results to each other and to clients, shuffles
    desired_workers: int = 0  # that the load could use (Scheduler.adaptive_target)


# -- from the hosts -------------------------------------------------------------------------------


class HostSample(msgspec.Struct, frozen=True, tag_field="item", tag="host"):
    """One VM at one moment, by its agent; Dask's own numbers are added by the head. For a cluster
    that is only watched, what workers' heartbeats tell."""

    at: datetime
    instance: InstanceId  # of a watched cluster: the Dask worker's name
    cpus: int = 0
    cpu_user_percent: float = 0.0  # these: share of all CPUs of the VM, 0…100
    cpu_system_percent: float = 0.0
    cpu_iowait_percent: float = 0.0
    cpu_steal_percent: float = 0.0  # taken by the hypervisor
    memory_used_bytes: int = 0
    memory_limit_bytes: int = 0  # the control group's, else the machine's
    managed_bytes: int = 0  # results, by Dask's count
    unmanaged_bytes: int = 0  # the rest of the Dask process
    spilled_bytes: int = 0  # results on disk
    disk_used_bytes: int = 0  # where Dask spills
    disk_total_bytes: int = 0
    disk_read_bps: float = 0.0
    disk_write_bps: float = 0.0
    net_in_bps: float = 0.0
    net_out_bps: float = 0.0
    gpu_percent: float = 0.0
    gpu_memory_used_bytes: int = 0
    gpu_memory_total_bytes: int = 0
    oom_kills: int = 0  # by the kernel, since the agent began
    processing: int = 0  # tasks on it
    executing: int = 0


Item: TypeAlias = (
    Computation
    | TaskGroupSample
    | PrefixTime
    | TaskException
    | WorkerEvent
    | ShuffleEvent
    | ClientEvent
    | SchedulerSample
    | HostSample
)


class Chunk(msgspec.Struct, frozen=True):
    """`seq` is per sender and rising: what was stored once is not stored twice."""

    seq: int
    item: Item


class WorkerUse(msgspec.Struct, frozen=True):
    """What the scheduler knows of one worker: the head adds it to that host's sample."""

    managed_bytes: int = 0
    unmanaged_bytes: int = 0
    spilled_bytes: int = 0
    processing: int = 0
    executing: int = 0


class DaskBatch(msgspec.Struct, frozen=True):
    """What the scheduler's plugin hands over at one time."""

    items: tuple[Item, ...] = ()
    uses: dict[str, WorkerUse] = {}  # by worker name
    dropped: int = 0  # items that never left it


class WatchedReport(msgspec.Struct, frozen=True):
    """From a session that watches a scheduler; `started_at` is the plugin's start."""

    started_at: datetime
    scheduler_address: str
    dashboard_address: str = ""
    clients: int = 0
    workers: int = 0
    tasks: int = 0
    chunks: tuple[Chunk, ...] = ()
    dropped: int = 0


# -- as they are shown ----------------------------------------------------------------------------


class SignalKind(enum.StrEnum):
    ALL_IDLE = "all-idle"  # workers are there and nothing is to be done
    LOW_CPU = "low-cpu"  # tasks run, and the CPUs wait
    MEMORY_PRESSURE = "memory-pressure"  # workers are close to their limit
    SPILLING = "spilling"  # results are moved to disk for want of memory
    KILLED_FOR_MEMORY = "killed-for-memory"  # workers were ended at their limit
    UNMANAGED_GROWTH = "unmanaged-growth"  # memory that Dask does not know of grows
    TINY_TASKS = "tiny-tasks"  # tasks are shorter than what Dask needs to run one
    HUGE_GRAPH = "huge-graph"  # a graph that takes long to send and to take in
    SKEW = "skew"  # few partitions are much larger, or fewer than there are threads
    TRANSFER = "transfer"  # more time goes into moving data than into computing
    SCHEDULER_SATURATED = "scheduler-saturated"  # its event loop or its CPU is the bottleneck
    ERRED_RETRIED = "erred-retried"  # tasks failed and were tried again
    SHUFFLE_RESTARTS = "shuffle-restarts"  # P2P shuffles began anew after losing a worker
    OVERSIZED = "oversized"  # the cluster is much larger than what is used of it
    CROSS_ZONE = "cross-zone"  # data travels between zones or regions, which is slow and charged
    SLOW_START = "slow-start"  # workers took long to come, and where the time went


class Severity(enum.StrEnum):
    ADVICE = "advice"  # it works, and could be cheaper or faster
    WARNING = "warning"  # it will go wrong, or is much slower than need be
    PROBLEM = "problem"  # it went wrong


class Signal(msgspec.Struct, frozen=True):
    """Something worth knowing of a cluster: what, how that shows, and what to change."""

    kind: SignalKind
    severity: Severity
    title: str  # a few words: "Workers are spilling"
    evidence: str  # a sentence with the numbers
    advice: str  # a sentence that names the argument to change
    argument: str  # of shoal.Cluster, or of Dask: "worker_memory"
    since: datetime  # the span that the evidence is from
    until: datetime
    workers: tuple[str, ...] = ()  # at most 20 of those that show it
    numbers: dict[str, float] = {}  # what was measured, beside its threshold
    saves: str = ""  # what the advice would save, in words; empty: not known
    saves_uusd_per_hour: int | None = None


class SignalView(msgspec.Struct, frozen=True):
    """A signal of a cluster, now or then."""

    cluster: ClusterId
    signal: Signal
    first_at: datetime  # when it was seen first, and last
    last_at: datetime
    active: bool  # still, as of the last look


class SignalList(msgspec.Struct, frozen=True):
    signals: tuple[SignalView, ...]  # active ones first, then the worst


class ComputationView(msgspec.Struct, frozen=True):
    cluster: ClusterId
    computation: Computation


class ComputationList(msgspec.Struct, frozen=True):
    """Newest first."""

    computations: tuple[ComputationView, ...]
    next_page: str | None = None


class ComputationDetail(msgspec.Struct, frozen=True):
    computation: Computation
    groups: tuple[TaskGroupSample, ...]  # most of the time first
    times: tuple[PrefixTime, ...]
    exceptions: tuple[TaskException, ...]


class ExceptionList(msgspec.Struct, frozen=True):
    exceptions: tuple[TaskException, ...]  # newest first


class WorkerEventList(msgspec.Struct, frozen=True):
    events: tuple[WorkerEvent, ...]  # newest first


class ShuffleList(msgspec.Struct, frozen=True):
    events: tuple[ShuffleEvent, ...]  # newest first


class ClientEventList(msgspec.Struct, frozen=True):
    events: tuple[ClientEvent, ...]  # newest first


class SchedulerSeries(msgspec.Struct, frozen=True):
    """Oldest first, `resolution_s` apart. In rolled-up samples rates and shares are means; levels
    (memory, disk, tasks, stalls) the largest."""

    resolution_s: int
    samples: tuple[SchedulerSample, ...]
    dropped: int = 0  # items of this cluster that were lost on the way, all in all


class HostSeries(msgspec.Struct, frozen=True):
    """Of one VM; as SchedulerSeries."""

    resolution_s: int
    samples: tuple[HostSample, ...]


class HostList(msgspec.Struct, frozen=True):
    """The newest sample of each VM."""

    hosts: tuple[HostSample, ...]


class Telemetry(msgspec.Struct, frozen=True):
    """How much of a cluster is on record."""

    computations: int
    exceptions: int
    samples: int
    log_lines: int
    dropped: int  # items that were lost on the way
    logs_dropped: int  # lines that were
    forgotten: int = 0  # items that went before their time, as all samples took too much room
    logs_forgotten: int = 0  # lines that did


class Taken(msgspec.Struct, frozen=True):
    """What the server has of a watched cluster: items up to `cursor` need not be sent again."""

    cursor: int
    watching: bool  # False: the cluster is over, stop sending
