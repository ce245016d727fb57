"""A cluster's VMs in numbers: what its view is derived from, whether it has three or thousands.

The store sums them up (store/summaries.py), so that looking at a cluster of a thousand workers does
not read a thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from shoal.core.lifecycle import ACTIVE
from shoal.wire.specs import Role
from shoal.wire.views import InstanceState, Stage


class Alike(msgspec.Struct, frozen=True):
    """VMs of a cluster between which its view makes no difference."""

    role: Role
    state: InstanceState
    retiring: bool
    stage: Stage | None  # None: nothing was heard of them
    environment: str  # which their Dask processes run
    unmet: str  # why of those that were never launched
    count: int
    first_launched_at: datetime | None
    cost_uusd: int  # so far, of those whose price is known
    unpriced: int  # how many cost something that is not known
    uusd_per_hour: int  # of those whose price is known
    unknown: int  # whose price is not


class Starting(msgspec.Struct, frozen=True):
    """The scheduler's VM, before anybody heard of its scheduler."""

    state: InstanceState
    stage: Stage | None
    detail: str


class Summary(msgspec.Struct, frozen=True):
    alike: tuple[Alike, ...] = ()
    scheduler: Starting | None = None  # None as well where the scheduler was heard of

    @property
    def vms(self) -> int:
        """There are, or were."""
        return sum(it.count for it in self.alike)

    @property
    def left(self) -> int:
        """Those that no cloud is known to lack."""
        return sum(it.count for it in self.alike if it.state is not InstanceState.GONE)

    @property
    def cost_uusd(self) -> int | None:
        """None: not all of it has a known price."""
        unpriced = any(it.unpriced for it in self.alike)
        return None if unpriced else sum(it.cost_uusd for it in self.alike)

    @property
    def price_uusd_per_hour(self) -> int | None:
        """Of those that are launched."""
        launched = [it for it in self.alike if it.state is InstanceState.LAUNCHED]
        unknown = any(it.unknown for it in launched)
        return None if unknown else sum(it.uusd_per_hour for it in launched)

    def workers(self) -> Iterator[Alike]:
        """That count as had."""
        return (it for it in self.alike if it.role is Role.WORKER and it.state in ACTIVE)

    def first_launched_at(self, role: Role) -> datetime | None:
        launched = (it.first_launched_at for it in self.alike if it.role is role)
        return min((it for it in launched if it is not None), default=None)
