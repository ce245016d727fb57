"""A wanted cluster's scheduler and workers: what is missing is intended, what is too much leaves.

One attempt is one Instance: a second try is intended like the first, so failover is not a path of
its own. A pool without capacity is marked, and the next pass finds another offer or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta

from shoal.core.actions import Action, Avoid, End, Intend, Release, Retire, Scale
from shoal.core.choose import Choice, best_zone, choose
from shoal.core.records import (
    Batch,
    Cluster,
    EndKind,
    HeadObservation,
    Instance,
    PoolMark,
    Tally,
    World,
)
from shoal.core.scale import adapted, leaving
from shoal.wire.ids import batch_id, instance_id
from shoal.wire.specs import Role
from shoal.wire.views import InstanceState

MAX_BATCH = 1000  # VMs in one request to a cloud
SCHEDULER_TRIES = 3
WORKER_ROUNDS = 3  # of failures of all workers, with none ever ready


def wanted(
    world: World, cluster: Cluster, living: Sequence[Instance], every: Sequence[Instance]
) -> Iterator[Action]:
    """`living`: what counts; `every`: what is not gone, for its reasons."""
    head = world.heads.get(cluster.id)
    scheduler = next((it for it in living if it.role is Role.SCHEDULER), None)
    if scheduler is None:
        yield from _scheduler(world, cluster, head, every)
        return
    target = adapted(cluster, head, world.now)
    if target is not None:
        yield Scale(
            cluster.id,
            cluster.generation,
            target,
            f"Dask has work for {head.adaptive_target if head else target} workers",
        )
        return
    having = [it for it in living if it.role is Role.WORKER and it.retiring_since is None]
    missing = cluster.spec.workers.wanted - len(having)
    if missing > 0:
        yield from _more(world, cluster, scheduler, having, missing, every)
    elif missing < 0:
        yield from _fewer(world, cluster, having, -missing)


def avoid_preempted(world: World, it: Instance) -> Action:
    """A pool that just preempted stays empty for a while."""
    until = world.now + timedelta(seconds=world.timing.preempted_mark_s)
    why = f"{it.machine_type} spot in {it.zone} was preempted"
    return Avoid(PoolMark(world.cloud, "*", it.zone, it.machine_type, True, until, why), why)


def throttled(world: World) -> bool:
    return any(it.zone == it.machine_type == it.region == "*" for it in world.marks)


def _scheduler(
    world: World, cluster: Cluster, head: HeadObservation | None, every: Sequence[Instance]
) -> Iterator[Action]:
    tally = _tally(world, cluster)
    if head is not None and head.ready_at is not None:
        reasons = [it.why for it in every if it.role is Role.SCHEDULER and it.why]
        why = f"The scheduler's VM is lost, and with it what was computed: {' '.join(reasons[-1:])}"
        yield End(cluster.id, EndKind.FAILED, why.removesuffix(": "))
        return
    if tally.failures_in_a_row >= SCHEDULER_TRIES:
        why = f"The scheduler's VM failed {tally.failures_in_a_row} times: {tally.last_failure}"
        yield End(cluster.id, EndKind.FAILED, why)
        return
    if _must_wait(world, tally, 1):
        return
    zone = best_zone(cluster, world.offers, world.marks)
    choice = choose(cluster, Role.SCHEDULER, world.offers, world.marks, zone=zone)
    if zone is None or not choice.offers:
        if not throttled(world):
            marks = (*choice.marks, *_worker_marks(world, cluster))
            yield End(cluster.id, EndKind.FAILED, _cannot(cluster, every, marks))
        return
    yield _intend(world, cluster, tally, Role.SCHEDULER, 1, choice, "", "the scheduler's VM")


def _worker_marks(world: World, cluster: Cluster) -> Sequence[PoolMark]:
    return choose(cluster, Role.WORKER, world.offers, world.marks, zone=None).marks


def _more(
    world: World,
    cluster: Cluster,
    scheduler: Instance,
    having: Sequence[Instance],
    missing: int,
    every: Sequence[Instance],
) -> Iterator[Action]:
    tally = _tally(world, cluster)
    rounds = -(-tally.failures_in_a_row // max(1, cluster.spec.workers.wanted))
    if rounds >= WORKER_ROUNDS and not _any_ready(world, having):
        why = f"{tally.failures_in_a_row} VMs failed in a row: {tally.last_failure}"
        yield End(cluster.id, EndKind.FAILED, why)
        return
    if not scheduler.address or _must_wait(world, tally, rounds):
        return
    zone = None if cluster.spec.allow_cross_zone else scheduler.zone
    choice = choose(cluster, Role.WORKER, world.offers, world.marks, zone=zone)
    if choice.offers:
        count = min(missing, MAX_BATCH)
        why = f"{count} of {cluster.spec.workers.wanted} workers are missing"
        yield _intend(world, cluster, tally, Role.WORKER, count, choice, scheduler.address, why)
    elif not having and not tally.workers_launched and not throttled(world):
        yield from _elsewhere(world, cluster, scheduler, choice, every)


def _elsewhere(
    world: World,
    cluster: Cluster,
    scheduler: Instance,
    choice: Choice,
    every: Sequence[Instance],
) -> Iterator[Action]:
    """Nothing was computed yet, and this zone has no workers for us."""
    other = best_zone(cluster, world.offers, world.marks)
    if other is not None and other != scheduler.zone:
        why = f"{scheduler.zone} has no workers for it; beginning again in {other}"
        yield Release(cluster.id, (scheduler.id,), False, why)
    else:
        marks = (*choice.marks, *_worker_marks(world, cluster))
        yield End(cluster.id, EndKind.FAILED, _cannot(cluster, every, marks))


def _fewer(
    world: World, cluster: Cluster, having: Sequence[Instance], count: int
) -> Iterator[Action]:
    head = world.heads.get(cluster.id)
    gone = leaving(having, count, world.observations, head)
    why = f"{cluster.spec.workers.wanted} workers are wanted, {len(having)} are there"
    if gone.release:
        yield Release(cluster.id, gone.release, False, why)
    if gone.retire:
        yield Retire(cluster.id, gone.retire, why)


def _intend(
    world: World,
    cluster: Cluster,
    tally: Tally,
    role: Role,
    count: int,
    choice: Choice,
    head_address: str,
    why: str,
) -> Intend:
    spec = cluster.spec
    id = batch_id(cluster.id, tally.batches + 1)
    tags = {**spec.tags, "shoal-installation": world.installation, "shoal-batch": id}
    tags |= {"shoal-cluster": cluster.id, "shoal-name": spec.name}
    hardware = spec.scheduler if role is Role.SCHEDULER else spec.worker
    batch = Batch(
        id=id,
        cluster=cluster.id,
        role=role,
        count=count,
        offers=choice.offers,
        instances=tuple(instance_id(cluster.id, tally.instances + n) for n in range(1, count + 1)),
        cluster_created_at=cluster.created_at,
        head_address=head_address,
        image="",
        disk_gib=hardware.disk_gib or 0,
        tags=tuple(sorted(tags.items())),
        lifetime_s=spec.stop.cluster_timeout_s or 0.0,
        created_at=world.now,
    )
    return Intend(batch, cluster.generation, why)


def _tally(world: World, cluster: Cluster) -> Tally:
    return world.tallies.get(cluster.id) or Tally(cluster.id)


def _must_wait(world: World, tally: Tally, rounds: int) -> bool:
    """After a failure: twice as long each time."""
    if not rounds or not tally.failures_in_a_row or tally.last_failure_at is None:
        return False
    timing = world.timing
    delay = min(timing.retry_s * 2 ** min(rounds - 1, 20), timing.retry_most_s)
    return world.now < tally.last_failure_at + timedelta(seconds=delay)


def _any_ready(world: World, having: Sequence[Instance]) -> bool:
    ready = (world.observations.get(it.id) for it in having if it.state is InstanceState.LAUNCHED)
    return any(it is not None and it.stage == "ready" for it in ready)


def _cannot(cluster: Cluster, every: Sequence[Instance], marks: Sequence[PoolMark]) -> str:
    """What stood in the way, grouped, with what to do."""
    refused = Counter(it.why for it in every if it.launched_at is None and it.why)
    asked = cluster.spec.workers.wanted
    parts = [
        f"{count} of {asked} workers: {why}" if it_is_worker else why
        for (why, count), it_is_worker in _by_role(refused, every)
    ]
    parts = parts or list(dict.fromkeys(mark.why for mark in marks))
    hints = dict.fromkeys(mark.hint for mark in marks if mark.hint)
    return "; ".join([*parts, *hints]) or "No machine can be had for it now"


def _by_role(
    refused: Counter[str], every: Sequence[Instance]
) -> Iterator[tuple[tuple[str, int], bool]]:
    of_workers = {it.why for it in every if it.role is Role.WORKER}
    for why, count in refused.most_common():
        yield (why, count), why in of_workers
