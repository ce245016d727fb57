"""A wanted cluster's scheduler: there is one, in a zone where the workers are to be had.

Lost before it was ready, it is tried again; lost afterwards, what was computed is lost with it, and
so is the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shoal.core import holding, words
from shoal.core.actions import Action, End, Release
from shoal.core.batches import intend, tally_of
from shoal.core.choose import choose, home_zone, paused
from shoal.core.patience import must_wait
from shoal.core.records import Cluster, EndKind, Instance, World
from shoal.wire.specs import Role

TRIES = 3


def provide(
    world: World, cluster: Cluster, workers: Sequence[Instance], every: Sequence[Instance]
) -> Iterator[Action]:
    """No scheduler is active. `every`: instances that are not gone, for their reasons."""
    head, tally = world.heads.get(cluster.id), tally_of(world, cluster)
    if head is not None and head.ready_at is not None:
        yield End(cluster.id, EndKind.FAILED, words.scheduler_lost(every))
        return
    if tally.failures_in_a_row >= TRIES:
        why = f"the scheduler's VM failed {tally.failures_in_a_row} times: {tally.last_failure}"
        yield End(cluster.id, EndKind.FAILED, why)
        return
    if workers:
        ids = tuple(it.id for it in workers)
        yield Release(cluster.id, ids, False, "its scheduler was lost before it was ready")
    if paused(world.marks) or must_wait(world, tally, tally.failures_in_a_row):
        return
    likely = world.likely.get(cluster.id, {})
    zone = home_zone(cluster, world.offers, world.marks, likely)
    offers = choose(cluster, Role.SCHEDULER, world.offers, world.marks, zone=zone)
    if zone is not None and offers:
        count, told = holding.allowed(world, cluster, Role.SCHEDULER, offers, 1)
        yield from told
        if count:
            why = "the scheduler's VM is missing" + words.likely_in(zone, likely)
            yield intend(world, cluster, Role.SCHEDULER, 1, offers, "", why)
    elif marks := words.standing_in_the_way(cluster, world.offers, world.marks):
        yield End(cluster.id, EndKind.FAILED, words.cannot_be_had(cluster, every, marks))


def too_late(world: World, cluster: Cluster, every: Sequence[Instance]) -> End | None:
    """A cluster that does not get ready in time is given up, with what it waits for."""
    head = world.heads.get(cluster.id)
    if head is not None and head.ready_at is not None:
        return None
    since = max(cluster.created_at, world.clock_trusted_since or cluster.created_at)
    patience = cluster.spec.creation_timeout_s
    if (world.now - since).total_seconds() <= patience:
        return None
    limit = world.holds.get(cluster.id)
    waited_for = f"{limit} held it back" if limit else words.waiting_for(every)
    why = f"it was not ready within {patience / 60:.0f} minutes: {waited_for}"
    return End(cluster.id, EndKind.LIMIT if limit else EndKind.FAILED, why)
