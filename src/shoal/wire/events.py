"""Facts as they are told: append-only, each with who, what, on what, before → after, and why.

Event kinds are the words of the API, the database and the docs (docs/reference/events.md).
"""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from shoal.wire.ids import ClusterId, EventSeq, InstanceId, WorkspaceName


class EventKind(enum.StrEnum):
    CLUSTER_CREATED = "cluster.created"  # somebody asked for a cluster
    CLUSTER_SCALED = "cluster.scaled"  # what is wanted changed: by a user, adaptively, by a limit
    CLUSTER_SYNCED = "cluster.synced"  # another environment is wanted
    CLUSTER_READY = "cluster.ready"  # the scheduler accepts clients
    CLUSTER_UNABLE = "cluster.unable"  # no VM can be one of its workers; no more are tried
    CLUSTER_ENDING = "cluster.ending"  # nobody wants it any more; `why` says who or which rule
    CLUSTER_ENDED = "cluster.ended"  # its last VM is gone
    BATCH_INTENDED = "batch.intended"  # VMs are on record, before a cloud is asked
    BATCH_REFUSED = "batch.refused"  # a cloud said no: no capacity, quota, permission
    INSTANCE_LAUNCHED = "instance.launched"  # the cloud has accepted a VM
    INSTANCE_STAGE = "instance.stage"  # its agent reports another stage of life
    INSTANCE_ENVIRONMENT = "instance.environment"  # a worker has changed it, or cannot
    INSTANCE_RETIRING = "instance.retiring"  # a worker is asked to leave, its data first
    INSTANCE_RELEASED = "instance.released"  # a VM is not wanted any more, or went wrong
    INSTANCE_GONE = "instance.gone"  # a listing late enough lacks the VM
    ACCOUNT_SET = "account.set"  # a cloud account was registered, or changed
    ACCOUNT_REMOVED = "account.removed"  # no cluster goes there any more
    LIMITS_SET = "limits.set"  # somebody changed the limits or the budget of a workspace or a user
    LIMIT_REACHED = "limit.reached"  # a limit or a budget holds VMs back that a cluster wants
    LIMIT_LIFTED = "limit.lifted"  # it does not any more
    BUDGET_REACHED = "budget.reached"  # 50, 80 or 100 % of a month's budget are spent, told once
    BUDGET_ENDING = "budget.ending"  # a budget's rest lasts less than the grace: clusters end then
    VM_SWEPT = "vm.swept"  # a VM (disk, address) of ours without a record was ended
    ALARM = "alarm"  # a person should look


class Event(msgspec.Struct, frozen=True):
    """`seq` is 0 until stored. `actor` is a user's name, "reconciler", "head" or "agent"."""

    at: datetime
    kind: EventKind
    actor: str
    why: str
    seq: EventSeq = EventSeq(0)
    workspace: WorkspaceName | None = None
    cluster: ClusterId | None = None
    instance: InstanceId | None = None
    before: str = ""
    after: str = ""
    count: int = 1  # how many things the event is about (a batch of 40)
