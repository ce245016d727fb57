"""A wanted cluster's workers: what is missing is intended, what is too much leaves.

One attempt is one Instance: a second try is intended like the first, so failover is not a path of
its own. A pool without capacity is marked, and the next pass finds another offer or none. What runs
is counted, never what was asked for: a worker that is leaving is not had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shoal.core import holding, words
from shoal.core.actions import Action, End, GiveUp, Release, Retire, Scale
from shoal.core.batches import intend, tally_of
from shoal.core.choose import choose, home_zone, paused
from shoal.core.patience import must_wait, rounds
from shoal.core.records import Cluster, EndKind, HeadObservation, Instance, Tally, World
from shoal.core.scale import adapted, leaving
from shoal.wire.boot import AGENT_PORT
from shoal.wire.ids import InstanceId
from shoal.wire.specs import Role

MAX_BATCH = 1000  # VMs in one request to a cloud
TRIES = 5  # so many failures before any worker was ready are a cluster's end


def provide(
    world: World,
    cluster: Cluster,
    scheduler: Instance,
    workers: Sequence[Instance],
    every: Sequence[Instance],
) -> Iterator[Action]:
    """`workers`: those that are active; `every`: instances that are not gone, for their reasons."""
    why = words.cannot_be_made(cluster, workers_of(every), world.observations)
    if why and not tally_of(world, cluster).workers_ready:
        yield End(cluster.id, EndKind.FAILED, why)
        return
    if why and not cluster.unable:
        yield GiveUp(cluster.id, cluster.generation, why)
        return
    orphans = set(_orphans(world, scheduler, workers))
    if orphans:
        ids = tuple(it.id for it in workers if it.id in orphans)
        yield Release(cluster.id, ids, False, "it was born for a scheduler that is no more")
    head = world.heads.get(cluster.id)
    target = adapted(cluster, head, world.now)
    if target is not None:
        asked = head.adaptive_target if head else target
        why = f"Dask has work for {asked} workers; {cluster.spec.workers.wanted} were wanted"
        yield Scale(cluster.id, cluster.generation, target, why)
        return
    having = [it for it in workers if it.retiring_since is None and it.id not in orphans]
    missing = cluster.spec.workers.wanted - len(having)
    if missing > 0 and not cluster.unable:
        yield from _more(world, cluster, scheduler, having, missing, every)
        return
    yield from holding.unheld(world, cluster)
    if missing < 0:
        yield from _fewer(world, cluster, head, having, -missing)


def workers_of(instances: Sequence[Instance]) -> list[Instance]:
    return [it for it in instances if it.role is Role.WORKER]


class _Home(NamedTuple):
    """Where a cluster's head is. `address`: by which workers dial it; empty: not known yet."""

    address: str
    name: str
    zone: str


def _home(world: World, scheduler: Instance) -> _Home:
    """A network's own DNS knows a scheduler before it has an address: where there is one, workers
    are launched beside it. Known by its address, it is dialled by that."""
    batch = next((it for it in world.batches if it.id == scheduler.batch), None)
    zones = {it.zone for it in batch.offers} if batch else set()
    zone = scheduler.zone or (zones.pop() if len(zones) == 1 else "")
    name = ""
    if world.inside_names and zone:
        name = f"{world.inside_names.format(vm=scheduler.id, zone=zone)}:{AGENT_PORT}"
    return _Home(scheduler.known_inside or name, name, zone)


def _orphans(
    world: World, scheduler: Instance, workers: Sequence[Instance]
) -> Iterator[InstanceId]:
    """Their boot text names another head: they can never join this one."""
    home = _home(world, scheduler)
    if not workers or not home.address:
        return
    known = {"", home.address, home.name}
    elsewhere = {
        it.id
        for it in world.batches
        if it.cluster == scheduler.cluster and it.head_address not in known
    }
    yield from (it.id for it in workers if it.batch in elsewhere)


def _more(
    world: World,
    cluster: Cluster,
    scheduler: Instance,
    having: Sequence[Instance],
    missing: int,
    every: Sequence[Instance],
) -> Iterator[Action]:
    tally = tally_of(world, cluster)
    if _hopeless(tally, cluster, having):
        why = f"{tally.failures_in_a_row} VMs failed in a row, none got ready: {tally.last_failure}"
        yield End(cluster.id, EndKind.FAILED, why)
        return
    home = _home(world, scheduler)
    if not home.address or paused(world.marks):
        return
    if must_wait(world, tally, rounds(tally, missing)):
        return
    zone = None if cluster.spec.allow_cross_zone else home.zone
    offers = choose(cluster, Role.WORKER, world.offers, world.marks, zone=zone)
    if offers:
        most = min(missing, MAX_BATCH)
        count, told = holding.allowed(world, cluster, Role.WORKER, offers, most)
        yield from told
        if count:
            why = f"{missing} of {cluster.spec.workers.wanted} workers are missing"
            yield intend(world, cluster, Role.WORKER, count, offers, home.address, why)
    elif not having and not tally.workers_launched and _beginning(world, cluster):
        yield from _elsewhere(world, cluster, scheduler, home, every)


def _hopeless(tally: Tally, cluster: Cluster, having: Sequence[Instance]) -> bool:
    """Nothing that is under way speaks for another outcome."""
    if tally.workers_ready or tally.failures_in_a_row < TRIES:
        return False
    return not having or tally.failures_in_a_row >= TRIES + cluster.spec.workers.wanted


def _beginning(world: World, cluster: Cluster) -> bool:
    """Nobody has used the scheduler yet."""
    head = world.heads.get(cluster.id)
    return head is None or head.ready_at is None


def _elsewhere(
    world: World,
    cluster: Cluster,
    scheduler: Instance,
    home: _Home,
    every: Sequence[Instance],
) -> Iterator[Action]:
    """Nothing was computed yet, and this zone has no workers for us."""
    other = home_zone(cluster, world.offers, world.marks, world.likely.get(cluster.id))
    if other is not None and other != home.zone:
        why = f"{home.zone} has no workers for it; it begins again in {other}"
        yield Release(cluster.id, (scheduler.id,), False, why)
    elif marks := words.standing_in_the_way(cluster, world.offers, world.marks):
        yield End(cluster.id, EndKind.FAILED, words.cannot_be_had(cluster, every, marks))


def _fewer(
    world: World,
    cluster: Cluster,
    head: HeadObservation | None,
    having: Sequence[Instance],
    count: int,
) -> Iterator[Action]:
    going = leaving(having, count, world.observations, head)
    why = f"{cluster.spec.workers.wanted} workers are wanted, {len(having)} are there"
    if going.release:
        yield Release(cluster.id, going.release, False, why)
    if going.retire:
        yield Retire(cluster.id, going.retire, why)
