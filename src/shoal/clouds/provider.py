"""What a cloud must do for Shoal, and the four ways in which it may say no.

Everything else – retry, failover, cost, limits, clean-up – is core's. Implementations: `sim`,
`local`; every one passes tests/contract.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Protocol, runtime_checkable

import msgspec

from shoal.core.obtainability import Question
from shoal.core.records import Batch, Offer, Timing, Vm
from shoal.errors import CloudError
from shoal.wire.specs import Cloud


class Shortfall(msgspec.Struct, frozen=True):
    """`count` of a batch's VMs were not started, because of `error`."""

    count: int
    error: LaunchError


class Launched(msgspec.Struct, frozen=True):
    """VMs that the cloud has accepted, and why there are not more. Repeating the call with the same
    batch id gives the same VMs and makes no more."""

    vms: tuple[Vm, ...]
    shortfalls: tuple[Shortfall, ...] = ()


class Scope(msgspec.Struct, frozen=True):
    """What to avoid next: "*" is every one."""

    region: str = "*"
    zone: str = "*"
    machine_type: str = "*"
    spot: bool | None = None


class LaunchError(CloudError):
    """One of the four; raised alone, or told in a Shortfall."""


class NoCapacity(LaunchError):
    """The pool is empty (or a preempted pool, which stays so longer)."""

    code: ClassVar[str] = "no-capacity"

    def __init__(
        self, message: str, *, scope: Scope, hint: str = "", also: tuple[Scope, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.scope = scope
        self.also = also  # other alternatives of the batch that were tried, and are empty too


class Refused(LaunchError):
    """Quota or permission; `hint` is the fix."""

    code: ClassVar[str] = "cloud-refused"

    def __init__(self, message: str, *, scope: Scope, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.scope = scope


class Throttled(LaunchError):
    """Too many calls; not before `until`."""

    code: ClassVar[str] = "cloud-throttled"

    def __init__(self, message: str, *, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class Unknown(LaunchError):
    """Anything else, a lost answer included. Changes nothing; the same call is made again."""

    code: ClassVar[str] = "cloud-unknown"


class Provider(Protocol):
    """One account of one cloud, of one installation: it sees and touches only what it tagged."""

    cloud: Cloud
    timing: Timing

    async def offers(self, region: str | None) -> Sequence[Offer]:
        """Priced, all zones of the region (None: the account's default region)."""
        ...

    async def launch(self, batch: Batch, boot_text: str) -> Launched:
        """Idempotent by batch id; returns on acceptance; may be partial. Raises LaunchError when
        nothing was started for one reason; several reasons are told as shortfalls."""
        ...

    async def list(self) -> Sequence[Vm]:
        """All of this installation's in all enabled regions, leftovers too; or raise Unknown or
        Throttled. Never partial."""
        ...

    async def terminate(self, vms: Collection[Vm]) -> None:
        """Absent is success; success means "asked"."""
        ...


@runtime_checkable
class Adviser(Protocol):
    """A provider that can also say where spot VMs are likely to be had."""

    async def likely(self, asked: Question) -> Mapping[str, float]:
        """By zone, 0 to 1; a zone that it says nothing of is absent. Raises LaunchError."""
        ...
