"""Why a cluster cannot be had: grouped, with what to do about it, for who asked for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from shoal.core.choose import covers, fitting
from shoal.core.records import Cluster, Instance, Observation, Offer, PoolMark
from shoal.wire.ids import InstanceId
from shoal.wire.specs import Role
from shoal.wire.views import InstanceState


def scheduler_lost(every: Sequence[Instance]) -> str:
    reasons = [it.why for it in every if it.role is Role.SCHEDULER and it.why]
    told = f": {reasons[-1]}" if reasons else ""
    return f"the scheduler's VM was lost, and with it what was computed{told}"


def standing_in_the_way(
    cluster: Cluster, offers: Iterable[Offer], marks: Sequence[PoolMark]
) -> list[PoolMark]:
    """The marks on offers that would fit. None if nothing is offered: then nothing is known."""
    known = list(offers)
    fit = [
        it for role in (Role.WORKER, Role.SCHEDULER) for it in fitting(cluster.spec, role, known)
    ]
    return [mark for mark in marks if any(covers(mark, it) for it in fit)]


def cannot_be_had(cluster: Cluster, every: Sequence[Instance], marks: Sequence[PoolMark]) -> str:
    """`17 of 20 workers: no capacity for n2 spot in us-1b (tried us-1b, us-1c); 3: quota …`"""
    asked = cluster.spec.workers.wanted
    refused = Counter(
        it.why
        for it in every
        if it.role is Role.WORKER and it.state is InstanceState.RELEASED and not it.launched_at
    )
    whys = [mark.why for mark in marks]
    parts = [
        f"{min(count, asked)} of {asked} workers: {why}"
        for why, count in refused.most_common()
        if why in whys
    ] or list(dict.fromkeys(whys))
    zones = sorted({mark.zone for mark in marks if mark.zone != "*"})
    if len(zones) > 1:
        parts[0] += f" (tried {', '.join(zones)})"
    hints = dict.fromkeys(mark.hint for mark in marks if mark.hint)
    return "; ".join(parts) + "".join(f" – {hint}" for hint in hints)


def cannot_be_made(
    cluster: Cluster, workers: Sequence[Instance], seen: Mapping[InstanceId, Observation]
) -> str:
    """`3 of 20 workers: mine could not be installed: …`, if what is asked for now cannot be on any
    VM; else empty."""
    told = [seen[it.id] for it in workers if it.id in seen]
    whys = Counter(it.failure for it in told if it.broken == cluster.spec.environment)
    asked = max(cluster.spec.workers.wanted, len(workers))
    parts = [f"{count} of {asked} workers: {why}" for why, count in whys.most_common()]
    return "; ".join(parts)


def waiting_for(every: Sequence[Instance]) -> str:
    """What stands between a cluster and being ready."""
    schedulers = [it for it in every if it.role is Role.SCHEDULER]
    if not schedulers:
        return "no cloud has been asked for its scheduler's VM"
    last = schedulers[-1]
    return f"the scheduler's VM {last.id} is {last.state}: {last.why}"


def likely_in(zone: str, likely: Mapping[str, float]) -> str:
    """What the cloud itself said of the zone that was chosen; empty: nothing."""
    said = likely.get(zone)
    return "" if said is None else f"; the cloud gives spot VMs in {zone} {said:.1f} of 1"
