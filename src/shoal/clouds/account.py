"""What `shoal setup` and `shoal doctor` need of a cloud: its account examined, prepared, put back.

They run where the user's own login is (the shell), never in the server. Implementations stand in
the package of their cloud; each is made from a CloudAccount, which may name what does not exist
yet. Nothing here makes a long-lived key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from shoal.core.proposal import Part
from shoal.wire.accounts import CloudAccount
from shoal.wire.specs import Cloud


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `problem` empty: it is in order."""

    what: str  # "permission compute.instances.create"
    found: str = ""  # "24 of 72 vCPU in use"
    problem: str = ""  # a sentence
    fix: str = ""  # the exact command or page
    essential: bool = True  # False: only some clusters suffer


def too_little(left: float, needed: float) -> str:
    """The problem of a quota that a cluster that somebody asks about does not fit in."""
    return f"Only {max(left, 0):g} are left; the cluster takes {needed:g}."


class Step(msgspec.Struct, frozen=True):
    """One thing that `prepare` makes or `remove` takes away."""

    what: str  # "firewall rule shoal-internal: VMs of the network reach each other"
    command: str  # the equivalent command of the vendor's own tool
    done: bool = False  # it is as it should be already


class Permission(msgspec.Struct, frozen=True):
    name: str  # as the cloud calls it
    why: str  # which part of Shoal needs it


@runtime_checkable
class Outlined(Protocol):
    """An account that can say without any login what `prepare` would make."""

    def outline(self, region: str) -> Sequence[Step]:
        """As if nothing were there."""
        ...


class Account(Protocol):
    cloud: Cloud
    account: CloudAccount
    permissions: Sequence[Permission]  # all that the server's identity needs

    async def check(self, region: str, asked: Sequence[Part] = ()) -> Sequence[Finding]:
        """Login, permissions, APIs, quotas (in use, limit), network and images. Quotas are held
        against `asked`, what a cluster is made of; else against a first, small one."""
        ...

    async def plan(self, region: str) -> Sequence[Step]:
        """What `prepare` would do, in order; `done` where there is nothing to be done."""
        ...

    async def prepare(self, region: str) -> CloudAccount:
        """Network, subnet, firewall, the VMs' identity; tagged; idempotent as a whole. The account
        with the names of what is there now."""
        ...

    async def remove(self) -> Sequence[Step]:
        """Everything that `prepare` made, in all regions, and nothing else. Raises Refused while
        VMs still use it."""
        ...

    def role(self) -> str:
        """The server's least privileges, as a role definition of the cloud's own form."""
        ...
