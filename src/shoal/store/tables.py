"""The declared schema. Migrations meet it, on both engines: a test proves it.

Columns stand in the order of the fields of the structs in core/records.py, so that a row is a
struct's arguments; columns that only the store needs come after them.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import fields
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)

from shoal.core.records import Batch, EndKind
from shoal.store.columns import Json, Moment, Prose, Word
from shoal.wire.accounts import CloudAccount
from shoal.wire.environments import Manifest
from shoal.wire.events import EventKind
from shoal.wire.limits import Limits
from shoal.wire.reports import PhaseTime
from shoal.wire.specs import Cloud, ClusterSpec, Role
from shoal.wire.telemetry import (
    ClientEvent,
    Computation,
    HostSample,
    PrefixTime,
    SchedulerSample,
    ShuffleEvent,
    Signal,
    SignalKind,
    TaskException,
    TaskGroupSample,
    WorkerEvent,
)
from shoal.wire.views import InstanceState, Stage

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
facts = MetaData(naming_convention=NAMING)
samples = MetaData(naming_convention=NAMING)

# SQLite counts rows up only in a column that is exactly INTEGER.
_Counter = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Prose, nullable=False, server_default="")


def _partial_index(
    name: str, *columns: Column[Any], where: str, on_postgresql: str = "", unique: bool = False
) -> None:
    """Of the rows of which `where` is true; an engine finds it by a question's same words."""
    postgresql_where = text(on_postgresql or where)
    Index(
        name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=postgresql_where
    )


installation = Table(
    "installation",
    facts,
    Column("id", Prose, primary_key=True),
    Column("key_fingerprint", Prose, nullable=False),
    Index("uq_installation_only", text("(1)"), unique=True),  # one row, no more
)

cluster = Table(
    "cluster",
    facts,
    Column("id", Prose, primary_key=True),
    Column("workspace", Prose, nullable=False),
    Column("owner", Prose, nullable=False),
    Column("spec", Json(ClusterSpec), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("end_kind", Word(EndKind)),
    _text("end_reason"),
    Column("settled_at", Moment),
    Column("name", Prose, nullable=False),
    Column("cloud", Word(Cloud), nullable=False),
    _text("unable"),
    Column("tags", Json(dict[str, str]), nullable=False, server_default="{}"),
    Column("booked_at", Moment),  # what it cost is in the ledger
)
_partial_index("ix_cluster_unbooked", cluster.c.workspace, where="booked_at IS NULL")
_partial_index(
    "uq_cluster_wanted_name",
    cluster.c.workspace,
    cluster.c.name,
    where="ended_at IS NULL",
    unique=True,
)
_partial_index("ix_cluster_unsettled", cluster.c.cloud, where="settled_at IS NULL")
Index("ix_cluster_workspace_owner", cluster.c.workspace, cluster.c.owner)
Index("ix_cluster_workspace_created_at", cluster.c.workspace, cluster.c.created_at)
Index("ix_cluster_settled_at", cluster.c.settled_at)
Index(
    "ix_cluster_workspace_name_created_at",
    cluster.c.workspace,
    cluster.c.name,
    cluster.c.created_at,
)

batch = Table(
    "batch",
    facts,
    Column("id", Prose, primary_key=True),
    Column("cluster", Prose, ForeignKey("cluster.id"), nullable=False, index=True),
    Column("record", Json(Batch), nullable=False),
    # What one VM of it takes at most, whichever alternative the cloud picks: for limits.
    Column("vcpus", Integer, nullable=False, server_default="0"),
    Column("gpus", Integer, nullable=False, server_default="0"),
    Column("ceiling_uusd_per_hour", BigInteger),  # NULL: not known
)

instance = Table(
    "instance",
    facts,
    Column("id", Prose, primary_key=True),
    Column("batch", Prose, ForeignKey("batch.id"), nullable=False, index=True),
    Column("cluster", Prose, ForeignKey("cluster.id"), nullable=False),
    Column("role", Word(Role), nullable=False),
    Column("state", Word(InstanceState), nullable=False),
    Column("since", Moment, nullable=False),
    _text("why"),
    Column("created_at", Moment, nullable=False),
    Column("launched_at", Moment),
    Column("released_at", Moment),
    Column("gone_at", Moment),
    Column("retiring_since", Moment),
    Column("failed", Boolean, nullable=False),
    _text("vm"),
    _text("address"),
    _text("inside"),
    _text("zone"),
    _text("machine_type"),
    Column("spot", Boolean, nullable=False),
    Column("price_uusd_per_hour", BigInteger),
    Column("extras_uusd_per_hour", BigInteger, nullable=False, server_default="0"),
    Column("number", Integer, nullable=False),  # the n-th of its cluster
    Column("cloud", Word(Cloud), nullable=False),
    Column("ready_at", Moment),  # its agent said so for the first time
)
Index("ix_instance_cluster_number", instance.c.cluster, instance.c.number)
_partial_index("ix_instance_not_gone", instance.c.cloud, where="state != 'gone'")
# A VM is bound to one instance at most.
_partial_index("uq_instance_vm", instance.c.vm, instance.c.cloud, where="vm != ''", unique=True)
_partial_index(
    "ix_instance_scheduler", instance.c.cluster, where="role = 'scheduler' AND state = 'launched'"
)
_partial_index(
    "ix_instance_failed",
    instance.c.cluster,
    instance.c.released_at,
    where="failed = 1",
    on_postgresql="failed",
)

observation = Table(
    "observation",
    facts,
    Column("instance", Prose, ForeignKey("instance.id"), primary_key=True),
    Column("stage", Word(Stage), nullable=False),
    Column("since", Moment, nullable=False),
    Column("heard_at", Moment, nullable=False),
    _text("detail"),
    Column("progress", Float, nullable=False),
    _text("dask_address"),
    _text("failure"),
    Column("cpu_percent", Float, nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("memory_limit_bytes", BigInteger, nullable=False),
    Column("restarts", Integer, nullable=False),
    _text("notice"),
    _text("warning"),
    _text("environment"),
    _text("broken"),
    Column("made_in", Json(tuple[PhaseTime, ...]), nullable=False, server_default="[]"),
)

head = Table(
    "head",
    facts,
    Column("cluster", Prose, ForeignKey("cluster.id"), primary_key=True),
    Column("heard_at", Moment, nullable=False),
    _text("scheduler_address"),
    _text("dashboard_address"),
    Column("clients", Integer, nullable=False),
    Column("workers", Integer, nullable=False),
    Column("tasks", BigInteger, nullable=False),
    Column("idle_since", Moment),
    Column("adaptive_target", Integer),
    Column("adaptive_peak", Integer),
    Column("adaptive_since", Moment),
    Column("closable", Json(tuple[str, ...]), nullable=False),
    Column("ready_at", Moment),
)

pool = Table(
    "pool",
    facts,
    Column("cloud", Word(Cloud), primary_key=True),
    Column("region", Prose, primary_key=True),
    Column("zone", Prose, primary_key=True),
    Column("machine_type", Prose, primary_key=True),
    Column("spot", Integer, primary_key=True, autoincrement=False),  # 0, 1; -1: both
    Column("cluster", Prose, primary_key=True, server_default=""),  # empty: everybody
    Column("until", Moment, nullable=False),
    _text("why"),
    _text("hint"),
)

event = Table(
    "event",
    facts,
    Column("at", Moment, nullable=False),
    Column("kind", Word(EventKind), nullable=False),
    _text("actor"),
    _text("why"),
    Column("seq", _Counter, primary_key=True, autoincrement=True),
    Column("workspace", Prose),
    Column("cluster", Prose),
    Column("instance", Prose),
    _text("before"),
    _text("after"),
    Column("count", Integer, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_event_cluster_seq", event.c.cluster, event.c.seq)
Index("ix_event_workspace_seq", event.c.workspace, event.c.seq)
# Few among thousands of others, and looked for without a cluster.
ALARMING = "kind IN ('alarm', 'batch.refused', 'vm.swept')"
_partial_index("ix_event_alarming", event.c.seq, where=ALARMING)
_partial_index("ix_event_instance_seq", event.c.instance, event.c.seq, where="instance IS NOT NULL")

token = Table(
    "token",
    facts,
    Column("id", Prose, primary_key=True),
    Column("user", Prose, nullable=False),
    Column("workspace", Prose, nullable=False),
    Column("scopes", Json(tuple[str, ...]), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("sha256", Prose, nullable=False, unique=True),
)

account = Table(
    "account",
    facts,
    Column("cloud", Word(Cloud), primary_key=True),
    Column("record", Json(CloudAccount), nullable=False),
)

environment = Table(
    "environment",
    facts,
    Column("workspace", Prose, primary_key=True),
    Column("id", Prose, primary_key=True),
    Column("manifest", Json(Manifest), nullable=False),
    Column("used_at", Moment, nullable=False),  # roughly: looked at every hour
)

environment_name = Table(
    "environment_name",
    facts,
    Column("workspace", Prose, primary_key=True),
    Column("name", Prose, primary_key=True),
    Column("environment", Prose, nullable=False),
    Column("saved_at", Moment, nullable=False),
    Column("saved_by", Prose, nullable=False),
)

# What clusters that are settled have cost, by day: money that does not change any more.
ledger = Table(
    "ledger",
    facts,
    Column("cluster", Prose, ForeignKey("cluster.id"), primary_key=True),
    Column("day", Moment, primary_key=True, autoincrement=False),  # its beginning, UTC
    Column("uusd", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("unpriced_s", Float, nullable=False),
    # Whose it is, as the cluster has it for good: sums of thousands need no other table.
    _text("workspace"),
    _text("owner"),
    _text("name"),
    Column("cloud", Word(Cloud), nullable=False, server_default=""),
    Column("tags", Json(dict[str, str]), nullable=False, server_default="{}"),
)
Index("ix_ledger_workspace_day", ledger.c.workspace, ledger.c.day)

# `user` empty: the workspace's; "*": every user's who has none of the kind.
limits = Table(
    "limits",
    facts,
    Column("workspace", Prose, primary_key=True),
    Column("user", Prose, primary_key=True),
    Column("record", Json(Limits), nullable=False),
)

# Clusters that a limit holds back: why they have fewer VMs than they want.
hold = Table(
    "hold",
    facts,
    Column("cluster", Prose, ForeignKey("cluster.id"), primary_key=True),
    Column("reason", Prose, nullable=False),
    Column("since", Moment, nullable=False),
)

# Marks of a month's budget that were told: each once.
budget_mark = Table(
    "budget_mark",
    facts,
    Column("workspace", Prose, primary_key=True),
    Column("user", Prose, primary_key=True),
    Column("month", Moment, primary_key=True, autoincrement=False),  # its beginning, UTC
    Column("mark", Prose, primary_key=True),
    Column("at", Moment, nullable=False),
)

# Disposable, and apart from the facts: lost or dropped, nothing but history is missing.
log = Table(
    "log_line",
    samples,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("cluster", Prose, nullable=False),
    Column("head_started_at", Moment, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", Moment, nullable=False),
    Column("instance", Prose, nullable=False),
    Column("process", Prose, nullable=False),
    Column("text", Prose, nullable=False),
    UniqueConstraint("cluster", "head_started_at", "seq"),
    sqlite_autoincrement=True,
)
Index("ix_log_line_cluster_id", log.c.cluster, log.c.id)
Index("ix_log_line_at", log.c.at)
# Few, and the first of a cluster's lines: a page that shows them reads no others.
_partial_index("ix_log_line_environment", log.c.cluster, log.c.id, where="process = 'environment'")

# Standing items: the one that was told last (the greatest seq) is kept.
computation = Table(
    "computation",
    samples,
    Column("cluster", Prose, primary_key=True),
    Column("id", Prose, primary_key=True),
    Column("workspace", Prose, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("stopped_at", Moment),
    Column("erred", Integer, nullable=False),
    _text("code"),  # what is searched: files and source lines
    Column("record", Json(Computation), nullable=False),
)
Index("ix_computation_workspace", computation.c.workspace, computation.c.started_at)
Index("ix_computation_stopped_at", computation.c.stopped_at)
Index("ix_computation_cluster", computation.c.cluster, computation.c.started_at)

task_group = Table(
    "task_group",
    samples,
    Column("cluster", Prose, primary_key=True),
    Column("computation", Prose, primary_key=True),
    Column("name", Prose, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("record", Json(TaskGroupSample), nullable=False),
)

prefix_time = Table(
    "prefix_time",
    samples,
    Column("cluster", Prose, primary_key=True),
    Column("computation", Prose, primary_key=True),
    Column("prefix", Prose, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("record", Json(PrefixTime), nullable=False),
)

task_exception = Table(
    "task_exception",
    samples,
    Column("cluster", Prose, primary_key=True),
    Column("id", Prose, primary_key=True),
    Column("computation", Prose, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("record", Json(TaskException), nullable=False),
)
Index("ix_task_exception_computation", task_exception.c.cluster, task_exception.c.computation)

# Moments: told once.
dask_event = Table(
    "dask_event",
    samples,
    Column("cluster", Prose, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Prose, nullable=False),  # "worker", "shuffle", "client"
    Column("at", Moment, nullable=False),
    Column("record", Json(WorkerEvent | ShuffleEvent | ClientEvent), nullable=False),
)
Index("ix_dask_event_at", dask_event.c.cluster, dask_event.c.kind, dask_event.c.at)

series = Table(
    "series",
    samples,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("cluster", Prose, nullable=False),
    Column("instance", Prose, nullable=False),
    Column("seen_at", Moment, nullable=False),  # roughly: written every few minutes
    UniqueConstraint("cluster", "instance"),
    sqlite_autoincrement=True,
)
Index("ix_series_seen_at", series.c.seen_at)

_NUMBERS: dict[type, type[Float[float]] | type[BigInteger]] = {float: Float, int: BigInteger}


def _measured(kind: type[Struct]) -> list[Column[Any]]:
    """A column for each number of a sample."""
    return [
        Column(it.name, _NUMBERS[it.type], nullable=False)
        for it in fields(kind)
        if it.type in _NUMBERS
    ]


# `resolution_s` 0: as it was told.
host_sample = Table(
    "host_sample",
    samples,
    Column("series", BigInteger, primary_key=True, autoincrement=False),
    Column("resolution_s", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, primary_key=True, autoincrement=False),
    *_measured(HostSample),
    sqlite_with_rowid=False,
)

scheduler_sample = Table(
    "scheduler_sample",
    samples,
    Column("cluster", Prose, primary_key=True),
    Column("resolution_s", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, primary_key=True, autoincrement=False),
    *_measured(SchedulerSample),
    sqlite_with_rowid=False,
)

signal = Table(
    "signal",
    samples,
    Column("cluster", Prose, primary_key=True),
    Column("kind", Word(SignalKind), primary_key=True),
    Column("workspace", Prose, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("record", Json(Signal), nullable=False),
)
Index("ix_signal_workspace", signal.c.workspace, signal.c.last_at)

# What was lost on the way, by the cursor of the report that told so.
gap = Table(
    "gap",
    samples,
    Column("cluster", Prose, primary_key=True),
    Column("cursor", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("lost", Integer, nullable=False),  # items of telemetry
    Column("log_lines", Integer, nullable=False),
)

# What went before its time, because all samples together took too much.
forgotten = Table(
    "forgotten",
    samples,
    Column("cluster", Prose, primary_key=True),
    Column("at", Moment, nullable=False),  # the last time
    Column("items", BigInteger, nullable=False),
    Column("log_lines", BigInteger, nullable=False),
)
