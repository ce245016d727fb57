"""What a cloud must do for Shoal, and the four ways in which it may say no.

Everything else – retry, failover, cost, limits, clean-up – is core's. Implementations: `sim`,
`local`; every one passes tests/contract.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Protocol, runtime_checkable

import msgspec

from shoal.core.obtainability import Question
from shoal.core.records import Batch, Offer, Timing, Vm
from shoal.errors import CloudError
from shoal.wire.specs import Cloud


class Shortfall(msgspec.Struct, frozen=True):
    """`count` of a batch's VMs were not started and never will be, because of `error`: the last
    word on them, whichever of the four it is. Core releases them, and asks in a new batch."""

    count: int
    error: LaunchError


class Launched(msgspec.Struct, frozen=True):
    """VMs that the cloud has accepted, and why there are not more. Repeating the call with the same
    batch id gives the same VMs and makes no more."""

    vms: tuple[Vm, ...]
    shortfalls: tuple[Shortfall, ...] = ()


class Scope(msgspec.Struct, frozen=True):
    """What to avoid next: "*" is every one. `alone`: it concerns the cluster that asked, since
    what it asked for was wrong, and nobody else."""

    region: str = "*"
    zone: str = "*"
    machine_type: str = "*"
    spot: bool | None = None
    alone: bool = False


class Reach(enum.Enum):
    """How far an error reaches: the scope's name in the table of a cloud's error codes."""

    REQUEST = enum.auto()  # what one cluster asked for
    POOL = enum.auto()  # a type in a zone, as spot or not
    ZONE = enum.auto()
    REGION = enum.auto()
    ACCOUNT = enum.auto()


def scope(reach: Reach, offer: Offer | None, *, spot: bool | None = None) -> Scope:
    """Of an error about that offer. Where none is known, only an account's reaches others."""
    match reach:
        case Reach.ACCOUNT:
            return Scope()
        case Reach.POOL if offer is not None:
            return Scope(offer.region, offer.zone, offer.machine_type, offer.spot)
        case Reach.ZONE if offer is not None:
            return Scope(offer.region, offer.zone, spot=spot)
        case Reach.REGION if offer is not None:
            return Scope(offer.region, spot=spot)
        case _:
            return Scope(alone=True)


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

    def __init__(
        self, message: str, *, scope: Scope, hint: str, also: tuple[Scope, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.scope = scope
        self.also = also


class Throttled(LaunchError):
    """Too many calls; not before `until`."""

    code: ClassVar[str] = "cloud-throttled"

    def __init__(self, message: str, *, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class Unknown(LaunchError):
    """Anything else, a lost answer included. Changes nothing; the same call is made again."""

    code: ClassVar[str] = "cloud-unknown"


def final(error: LaunchError, offer: Offer) -> LaunchError:
    """Of what will not be tried again by the cloud itself, such as a finished operation, "who
    knows" cannot be the last word: the pool is avoided for a while."""
    if isinstance(error, Unknown):
        return NoCapacity(error.message, scope=scope(Reach.POOL, offer), hint=error.hint)
    return error


def answered(vms: tuple[Vm, ...], shortfalls: tuple[Shortfall, ...]) -> Launched:
    """Of a request that is over. What came to nothing for one reason is raised, unless to raise it
    would mean that the same call is made again."""
    if not vms and len(shortfalls) == 1:
        error = shortfalls[0].error
        if isinstance(error, NoCapacity | Refused):
            raise error
    return Launched(vms, shortfalls)


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
class Naming(Protocol):
    """A provider whose network has a DNS of its own, so that a VM can be found before it is there.

    `inside_names`: a VM's name in it, with "{vm}" for its instance id and "{zone}" for its zone;
    empty: there is none.
    """

    @property
    def inside_names(self) -> str: ...


@runtime_checkable
class Adviser(Protocol):
    """A provider that can also say where spot VMs are likely to be had."""

    async def likely(self, asked: Question) -> Mapping[str, float]:
        """By zone, 0 to 1; a zone that it says nothing of is absent. Raises LaunchError."""
        ...
