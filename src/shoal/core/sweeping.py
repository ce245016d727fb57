"""What carries our tag and has no living record: ended, unless there is implausibly much of it.

A restored backup, or a second server with a copy of the record, would see a whole fleet of
strangers. The fuse leaves them alone and asks for a person.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from shoal.core.records import Vm, World

if TYPE_CHECKING:
    from shoal.core.matching import Matched

FUSE_LEAST = 3  # so many strangers are always plausible
FUSE_SHARE = 0.25  # of all that is listed


class Verdict(msgspec.Struct, frozen=True):
    vms: tuple[Vm, ...] = ()
    alarm: str = ""


def judge(world: World, matched: Matched) -> Verdict:
    """`world.past` names those whose instance or batch is on record, and gone: always ended."""
    if world.listing is None:
        return Verdict()
    past = [it for it in matched.strangers if _is_past(world, it)]
    unknown = [it for it in matched.strangers if not _is_past(world, it) and _old(world, it)]
    if len(unknown) > max(FUSE_LEAST, FUSE_SHARE * len(world.listing.vms)):
        return Verdict(
            tuple(it for it in past if it.running),
            f"{len(unknown)} of {len(world.listing.vms)} VMs with this installation's tag are not "
            "on record. None was ended. Is this an old copy of the database, or does another "
            "server use the same one?",
        )
    return Verdict(tuple(it for it in (*past, *unknown) if it.running))


def absence_counts(world: World) -> bool:
    """Not soon after a jump of the clock: what seems long ago may have just happened."""
    if world.listing is None:
        return False
    if world.clock_trusted_since is None:
        return True
    return world.listing.begun_at >= world.clock_trusted_since


def _is_past(world: World, vm: Vm) -> bool:
    return vm.name in world.past if vm.name else vm.batch in world.past


def _old(world: World, vm: Vm) -> bool:
    """Younger ones may belong to a row that was committed after the listing."""
    assert world.listing is not None
    lag = timedelta(seconds=world.timing.listing_lag_s)
    return world.listing.begun_at > vm.created_at + lag and absence_counts(world)
