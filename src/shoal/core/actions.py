"""What a plan asks to be done: at execution nothing is left to choose.

Each action carries `why`, a sentence for a person. server/passes/reconcile.py performs them.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from shoal.core.records import Batch, EndKind, PoolMark, Vm
from shoal.wire.ids import ClusterId, InstanceId, UserName, WorkspaceName


class Intend(msgspec.Struct, frozen=True, tag=True):
    """Commit a batch and its instances, if the cluster is still of this generation and wanted."""

    batch: Batch
    generation: int
    why: str


class Launch(msgspec.Struct, frozen=True, tag=True):
    """Ask the cloud for a batch that is on record; repeated until it is answered."""

    batch: Batch
    why: str
    waiting: tuple[InstanceId, ...] = ()  # those of it that no VM is known for
    bound: tuple[str, ...] = ()  # VMs that are instances of it already


class Bind(msgspec.Struct, frozen=True, tag=True):
    """A listed VM is this instance: intended → launched; or it has an address now."""

    instance: InstanceId
    vm: Vm
    why: str


class Retire(msgspec.Struct, frozen=True, tag=True):
    """Ask the head to drain these workers before they are released."""

    cluster: ClusterId
    instances: tuple[InstanceId, ...]
    why: str


class Release(msgspec.Struct, frozen=True, tag=True):
    """These instances are not wanted any more (or went wrong): → released."""

    cluster: ClusterId
    instances: tuple[InstanceId, ...]
    failed: bool
    why: str


class Terminate(msgspec.Struct, frozen=True, tag=True):
    """End VMs whose instances are released. Asked again each pass until a listing lacks them."""

    vms: tuple[Vm, ...]
    why: str


class Sweep(msgspec.Struct, frozen=True, tag=True):
    """End what carries our tag and has no living record."""

    vms: tuple[Vm, ...]
    why: str


class Gone(msgspec.Struct, frozen=True, tag=True):
    """A listing late enough lacks them: released → gone."""

    cluster: ClusterId
    instances: tuple[InstanceId, ...]
    why: str


class Scale(msgspec.Struct, frozen=True, tag=True):
    """Adaptive: change how many workers are wanted, if the cluster is still of this generation."""

    cluster: ClusterId
    generation: int
    wanted: int
    why: str


class GiveUp(msgspec.Struct, frozen=True, tag=True):
    """No VM can be a worker of this cluster, if it is still of this generation: none is tried."""

    cluster: ClusterId
    generation: int
    why: str


class End(msgspec.Struct, frozen=True, tag=True):
    """Nobody can use this cluster any more."""

    cluster: ClusterId
    kind: EndKind
    why: str


class Settle(msgspec.Struct, frozen=True, tag=True):
    """An ended cluster whose last instance is gone."""

    cluster: ClusterId
    why: str


class Hold(msgspec.Struct, frozen=True, tag=True):
    """A limit is in the way of what a cluster wants; `limit` empty: not any more."""

    cluster: ClusterId
    limit: str
    why: str


class Warn(msgspec.Struct, frozen=True, tag=True):
    """Tell, once, that a mark of a month's budget is passed; `over` False: it is not any more."""

    workspace: WorkspaceName
    user: UserName
    mark: str
    over: bool
    clusters: tuple[ClusterId, ...]  # that will end, told each of it
    why: str


class Avoid(msgspec.Struct, frozen=True, tag=True):
    """Mark a pool."""

    mark: PoolMark
    why: str


class Alarm(msgspec.Struct, frozen=True, tag=True):
    """A person should look. Repeated passes raise it once."""

    key: str
    why: str
    at: datetime


Call = Launch | Terminate | Sweep  # of a provider
Write = (  # into the record
    Intend
    | Bind
    | Retire
    | Release
    | Gone
    | Scale
    | GiveUp
    | End
    | Settle
    | Hold
    | Warn
    | Avoid
    | Alarm
)
Action = Call | Write
