"""What carries our tag and has no living record: ended, unless there is implausibly much of it.

A restored backup, or a second server with a copy of the record, would see a whole fleet of
strangers. The fuse leaves them alone and asks for a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from shoal.core.actions import Action, Alarm, Sweep
from shoal.core.matching import Matched, absence_counts
from shoal.core.records import Vm, World

FUSE_LEAST = 3  # so many strangers are always plausible
FUSE_SHARE = 0.25  # of all that is listed


def sweep(world: World, matched: Matched) -> Iterator[Action]:
    """Those on record, and gone by it, are always ended: nobody wants them, that is known."""
    if world.listing is None:
        return
    past = tuple(it for it in matched.strangers if _is_past(world, it))
    unknown = tuple(it for it in matched.strangers if not _is_past(world, it))
    if past:
        yield Sweep(past, "its instance is gone by the record, and it is there all the same")
    most = max(FUSE_LEAST, FUSE_SHARE * len(world.listing.vms))
    if sum(it.kind == "vm" for it in unknown) > most:
        yield Alarm("sweep-fuse", _fuse_words(world, unknown), world.now)
    elif old := tuple(it for it in unknown if _old(world, it)):
        yield Sweep(old, "it carries this installation's tag, and is not on record")


def _is_past(world: World, vm: Vm) -> bool:
    return vm.id in world.past or (vm.name or vm.batch) in world.past


def _old(world: World, vm: Vm) -> bool:
    assert world.listing is not None
    lag = timedelta(seconds=world.timing.listing_lag_s)
    return absence_counts(world) and world.listing.begun_at > vm.created_at + lag


def _fuse_words(world: World, unknown: tuple[Vm, ...]) -> str:
    listed = len(world.listing.vms) if world.listing else 0
    return (
        f"{len(unknown)} of the {listed} that carry this installation's tag are not on record. "
        "None was ended. Is this an old copy of the database, or does another server use the same "
        "one?"
    )
