"""Which instances went wrong, or are done: each with why.

Two independent witnesses speak of a VM, the cloud's listing and its agent. Either may say that it
is over; that one is silent is believed only after long, and never while the silence may be our own:
a server that was away, or a head that cannot be reached and with it all its workers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from shoal.core.actions import Action, Avoid, End, Release, Retire
from shoal.core.lifecycle import ACTIVE
from shoal.core.matching import Matched
from shoal.core.records import Cluster, EndKind, Instance, Observation, PoolMark, World
from shoal.wire.ids import InstanceId
from shoal.wire.specs import Role
from shoal.wire.views import InstanceState, Stage

_WORKED = frozenset({Stage.READY, Stage.DRAINING, Stage.DRAINED, Stage.STOPPING})


def ailments(
    world: World, matched: Matched, cluster: Cluster, instances: Sequence[Instance]
) -> Iterator[Action]:
    """Releases, grouped by why; marks on pools that preempted; the end of a cluster whose
    scheduler's VM says that it cannot be."""
    groups: dict[tuple[bool, str], list[InstanceId]] = defaultdict(list)
    preempted: dict[tuple[str, str], Instance] = {}
    at_risk: dict[tuple[str, str], Avoid] = {}
    taken_back: dict[str, list[InstanceId]] = defaultdict(list)
    speaking = _head_speaks(world, cluster)
    for it in instances:
        if it.state not in ACTIVE:
            continue
        seen = world.observations.get(it.id)
        if seen is not None and seen.stage is Stage.FAILED and it.role is Role.SCHEDULER:
            said = seen.failure or "its agent does not say why"
            yield End(cluster.id, EndKind.FAILED, f"the scheduler's VM failed: {said}")
        why = _wrong(world, matched, it, seen, head_speaks=speaking)
        if why is not None:
            groups[seen is None or seen.stage not in _WORKED, why].append(it.id)
            if it.spot and it.id in matched.vanished:
                preempted[it.zone, it.machine_type] = it
        elif seen is not None and seen.notice and it.retiring_since is None:
            taken_back[_why_retired(seen)].append(it.id)
            if it.spot:
                preempted[it.zone, it.machine_type] = it
        elif it.retiring_since is not None and (done := _drained(world, it, seen)) is not None:
            groups[False, done].append(it.id)
        if seen is not None and seen.warning and it.spot and not _marked(world, it):
            at_risk[it.zone, it.machine_type] = _avoid(world, it, seen.warning)
    for (failed, why), ids in groups.items():
        yield Release(cluster.id, tuple(ids), failed, why)
    for why, ids in taken_back.items():
        yield Retire(cluster.id, tuple(ids), why)
    for it in preempted.values():
        yield _avoid(world, it, "was preempted")
    for place, action in at_risk.items():
        if place not in preempted:
            yield action


def _wrong(
    world: World,
    matched: Matched,
    it: Instance,
    seen: Observation | None,
    *,
    head_speaks: bool,
) -> str | None:
    if it.state is InstanceState.INTENDED:
        return None
    if it.id in matched.vanished:
        return "the cloud does not have it any more: it was preempted, or ended by itself"
    if seen is None:
        return _never_heard(world, it) if head_speaks or it.role is Role.SCHEDULER else None
    if seen.stage is Stage.FAILED:
        return seen.failure or "its agent says that it failed, and not why"
    return _silent(world, it, seen, head_speaks=head_speaks)


def _never_heard(world: World, it: Instance) -> str | None:
    patience = world.timing.boot_timeout_s
    if _waited(world, it.launched_at or it.since) <= patience:
        return None
    return f"its agent was not heard of within {patience:.0f} s of its launch"


def _silent(world: World, it: Instance, seen: Observation, *, head_speaks: bool) -> str | None:
    """The cloud says that it runs, its agent says nothing."""
    heard_at = seen.heard_at
    if it.role is Role.SCHEDULER:
        head = world.heads.get(it.cluster)
        heard_at = max(heard_at, head.heard_at) if head else heard_at
    elif not head_speaks:
        return None  # its silence is the head's
    patience = world.timing.silence_timeout_s
    if _waited(world, heard_at) <= patience:
        return None
    return f"its agent is silent for {patience:.0f} s, though the cloud says that it runs"


def _drained(world: World, it: Instance, seen: Observation | None) -> str | None:
    if seen is None or seen.stage is Stage.DRAINED:
        return f"{_why_retired(seen)}; it holds nothing"
    if it.retiring_since and _waited(world, it.retiring_since) > world.timing.drain_timeout_s:
        return f"{_why_retired(seen)}; it did not drain in time"
    return None


def _why_retired(seen: Observation | None) -> str:
    if seen is not None and seen.notice:
        return f"the cloud takes it back: {seen.notice}"
    return "it is not wanted any more"


def _head_speaks(world: World, cluster: Cluster) -> bool:
    head = world.heads.get(cluster.id)
    if head is None:
        return False
    return (world.now - head.heard_at).total_seconds() < world.timing.silence_timeout_s / 4


def _waited(world: World, since: datetime) -> float:
    """Seconds, counted from when this server could hear: nobody was heard while it was away."""
    trusted = world.clock_trusted_since
    return (world.now - (since if trusted is None else max(since, trusted))).total_seconds()


def _marked(world: World, it: Instance) -> bool:
    kind = (it.zone, it.machine_type, True)
    return any((mark.zone, mark.machine_type, mark.spot) == kind for mark in world.marks)


def _avoid(world: World, it: Instance, what: str) -> Avoid:
    """A pool that just preempted stays empty for a while; one that is about to is no place for new
    VMs. Those that run there go on: most warnings are followed by nothing for long."""
    until = world.now + timedelta(seconds=world.timing.preempted_mark_s)
    why = f"{it.machine_type} spot in {it.zone} {what}"
    return Avoid(PoolMark(world.cloud, "*", it.zone, it.machine_type, True, until, why), why)
