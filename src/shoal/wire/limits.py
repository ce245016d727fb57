"""Limits and budgets: what a workspace, or one user of it, may have at once and spend in a month.

Each is optional. A limit is of what is there at the same time; a budget is of a calendar month in
UTC. Money is integer micro-dollars, times are seconds.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from shoal.wire.ids import UserName, WorkspaceName

WHOLE = UserName("")  # not one user's: the whole workspace's
EACH = UserName("*")  # every user's who has none of the kind

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Money = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Seconds = Annotated[float, msgspec.Meta(ge=60, le=10 * 365 * 86_400)]


class LimitName(enum.StrEnum):
    """The words of the API, the CLI and the metrics."""

    CLUSTERS = "clusters"  # clusters at once
    WORKERS = "workers"  # workers at once, in all clusters together
    VCPUS = "vcpus"  # vCPUs at once, schedulers' too
    GPUS = "gpus"  # GPUs at once
    PRICE = "price"  # what all VMs cost an hour
    BUDGET = "budget"  # what may be spent in a calendar month (UTC)
    LIFETIME = "lifetime"  # how long one cluster may live


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """None: no such limit."""

    clusters: Count | None = None
    workers: Count | None = None
    vcpus: Count | None = None
    gpus: Count | None = None
    price_uusd_per_hour: Money | None = None
    budget_uusd: Money | None = None
    lifetime_s: Seconds | None = None


FIELDS = dict(zip(LimitName, Limits.__struct_fields__, strict=True))


class ChangeLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`values` are set, those in `clear` are taken away, all others stay. `user`: whose; empty: the
    workspace's; "*": every user's who has none of the kind."""

    values: Limits = Limits()
    clear: tuple[LimitName, ...] = ()
    user: UserName = WHOLE
    why: str = ""


class InUse(msgspec.Struct, frozen=True):
    """What is there now: VMs count from when they are on record until their cloud lacks them."""

    clusters: int = 0
    workers: int = 0
    vcpus: int = 0
    gpus: int = 0
    price_uusd_per_hour: int = 0  # of VMs whose price is known
    unpriced_vms: int = 0  # the others
    month_uusd: int = 0  # spent since the month began
    month_unpriced_s: float = 0.0  # of VMs whose price is not known


class LimitsOf(msgspec.Struct, frozen=True):
    """Of the workspace or of one user, with what is in use now."""

    user: UserName  # empty: the workspace; "*": what holds for every user without own limits
    limits: Limits
    in_use: InUse
    notices: tuple[str, ...] = ()  # what a person should know now: a budget that is nearly spent


class LimitsView(msgspec.Struct, frozen=True):
    workspace: WorkspaceName
    held: tuple[LimitsOf, ...]  # the workspace first
    grace_s: float  # a month's budget is left so long before it is spent, and nothing more starts
