"""The words that users see, derived from rows, observations and now; stored nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from shoal.core.lifecycle import ACTIVE
from shoal.core.records import (
    Cluster,
    EndKind,
    HeadObservation,
    Instance,
    Observation,
    PoolMark,
)
from shoal.core.summary import Alike, Starting, Summary
from shoal.wire.specs import Cloud
from shoal.wire.views import (
    ClusterStatus,
    ClusterView,
    InstanceState,
    InstanceView,
    Stage,
    WorkerCounts,
)


class Booked(msgspec.Struct, frozen=True):
    """What a settled cluster has cost; None: not all of it has a known price."""

    uusd: int | None


def cluster_view(
    cluster: Cluster,
    vms: Summary,
    head: HeadObservation | None,
    marks: Sequence[PoolMark],
    *,
    now: datetime,
    url: str,
    seq: int,
    booked: Booked | None = None,
    hold: str = "",
) -> ClusterView:
    """`vms`: past ones too, unless the cost is `booked`; `marks`: of the cluster's cloud, expired
    ones too; `hold`: the limit that holds it back."""
    watched = cluster.spec.cloud is Cloud.WATCHED
    counts = _watched_counts(cluster, head) if watched else worker_counts(cluster, vms)
    hindered = (*held_back(hold), *hindrances(vms, marks, now))
    behind = _behind(cluster, vms)
    status = _status(cluster, counts, head, hindered, behind)
    wanted = cluster.ended_at is None
    return ClusterView(
        id=cluster.id,
        name=cluster.spec.name,
        workspace=cluster.workspace,
        owner=cluster.owner,
        status=status,
        sentence=_sentence(cluster, status, counts, hindered, vms, behind),
        spec=cluster.spec,
        workers=counts,
        created_at=cluster.created_at,
        scheduler_address=head.scheduler_address if head is not None and wanted else "",
        details_url=f"{url}/clusters/{cluster.id}" if url else "",
        cost_uusd=None if watched else booked.uusd if booked else vms.cost_uusd,
        price_uusd_per_hour=vms.price_uusd_per_hour,
        ended_at=cluster.ended_at,
        end_reason=cluster.end_reason,
        event_seq=seq,
    )


def instance_view(it: Instance, seen: Observation | None, now: datetime) -> InstanceView:
    stage = _stage(it, seen)
    told = seen if seen is not None and seen.stage is stage else None
    return InstanceView(
        id=it.id,
        role=it.role,
        state=it.state,
        stage=stage,
        since=min(told.since if told else it.since, now),
        why=it.why,
        detail=(seen.failure or seen.detail) if seen else "",
        zone=it.zone,
        machine_type=it.machine_type,
        spot=it.spot,
        price_uusd_per_hour=it.price_uusd_per_hour,
        address=it.address,
        dask_address=seen.dask_address if seen else "",
        created_at=it.created_at,
        launched_at=it.launched_at,
        gone_at=it.gone_at,
        released_at=it.released_at,
        vm=it.vm,
        environment=seen.environment if seen else "",
        broken=seen.broken if seen else "",
    )


def worker_counts(cluster: Cluster, vms: Summary) -> WorkerCounts:
    """What is active, once each; nothing is wanted of a cluster that has ended."""
    counts: Counter[str] = Counter()
    for it in vms.workers():
        counts[_standing(it)] += it.count
    return WorkerCounts(
        wanted=cluster.spec.workers.wanted if cluster.ended_at is None else 0,
        launching=counts["launching"],
        preparing=counts["preparing"],
        ready=counts["ready"],
        draining=counts["draining"],
    )


def _watched_counts(cluster: Cluster, head: HeadObservation | None) -> WorkerCounts:
    """Nobody here wants anything of it: those that are there are those that are wanted."""
    there = head.workers if head is not None and cluster.ended_at is None else 0
    return WorkerCounts(wanted=there, launching=0, preparing=0, ready=there, draining=0)


class Hindrance(msgspec.Struct, frozen=True):
    """Why some workers cannot be had for now."""

    why: str
    hint: str = ""
    is_limit: bool = False


def hindrances(vms: Summary, marks: Iterable[PoolMark], now: datetime) -> tuple[Hindrance, ...]:
    """Marks that stand, and that this cluster's own attempts ran into."""
    met = {it.unmet for it in vms.alike}
    found = {it.why: it.hint for it in marks if it.until > now and it.why in met}
    return tuple(Hindrance(why, hint) for why, hint in found.items())


def held_back(hold: str) -> tuple[Hindrance, ...]:
    return (Hindrance(hold, "see: shoal limits show", is_limit=True),) if hold else ()


def _standing(it: Alike) -> str:
    if it.retiring:
        return "draining"
    if it.stage is None or it.state is InstanceState.INTENDED:
        return "launching"
    if it.stage is Stage.DRAINING:
        return "draining"
    return "ready" if it.stage is Stage.READY else "preparing"


def _stage(it: Instance, seen: Observation | None) -> Stage:
    if it.state not in ACTIVE:
        return Stage.FAILED if it.failed else Stage.STOPPING
    if seen is None:
        return Stage.BOOTING
    if it.retiring_since is not None and seen.stage is Stage.READY:
        return Stage.DRAINING
    return seen.stage


def _status(
    cluster: Cluster,
    counts: WorkerCounts,
    head: HeadObservation | None,
    hindered: Sequence[Hindrance],
    behind: int,
) -> ClusterStatus:
    if cluster.ended_at is not None:
        if cluster.end_kind is EndKind.FAILED:
            return ClusterStatus.FAILED
        return ClusterStatus.ENDED if cluster.settled_at else ClusterStatus.ENDING
    if head is None or not head.scheduler_address:
        return ClusterStatus.STARTING
    if cluster.unable:
        return ClusterStatus.DEGRADED
    if counts.ready >= counts.wanted:
        return ClusterStatus.SCALING if behind else ClusterStatus.READY
    return ClusterStatus.DEGRADED if _missing(counts) and hindered else ClusterStatus.SCALING


def _behind(cluster: Cluster, vms: Summary) -> int:
    """Workers that run another environment than the one that is asked for."""
    return sum(
        it.count
        for it in vms.workers()
        if it.stage is Stage.READY and it.environment not in ("", cluster.spec.environment)
    )


def _missing(counts: WorkerCounts) -> int:
    """Wanted, and nobody is on the way."""
    return max(0, counts.wanted - counts.ready - counts.launching - counts.preparing)


def _sentence(
    cluster: Cluster,
    status: ClusterStatus,
    counts: WorkerCounts,
    hindered: Sequence[Hindrance],
    vms: Summary,
    behind: int,
) -> str:
    workers = f"{counts.ready} of {counts.wanted} workers are ready"
    match status:
        case ClusterStatus.FAILED | ClusterStatus.ENDED:
            return f"{status}: {cluster.end_reason}"
        case ClusterStatus.ENDING:
            left = f"{vms.left} {'VM is' if vms.left == 1 else 'VMs are'} left"
            return f"ending: {cluster.end_reason}; {left}"
        case ClusterStatus.STARTING if cluster.spec.cloud is Cloud.WATCHED:
            return "starting: its first report is on the way"
        case ClusterStatus.STARTING:
            waits = "".join(f"; {it.why} holds it back" for it in hindered if it.is_limit)
            return f"starting: {_scheduler_words(vms.scheduler)}{waits}"
        case ClusterStatus.READY:
            return f"ready: {workers}"
        case ClusterStatus.SCALING:
            still = f"; {behind} still with the environment from before" if behind else ""
            return f"scaling: {workers}{still}"
        case ClusterStatus.DEGRADED if cluster.unable:
            kept = f"; {behind} go on with the environment from before" if behind else ""
            return (
                f"degraded: {workers}{kept}; no VM can be a worker as asked, so no more are tried: "
                f"{cluster.unable}"
            )
        case ClusterStatus.DEGRADED:
            why = "; ".join(it.why + (f" – {it.hint}" if it.hint else "") for it in hindered)
            return f"degraded: {workers}; {_missing(counts)} cannot be had now: {why}"


def _scheduler_words(it: Starting | None) -> str:
    if it is None:
        return "the scheduler's VM is about to be asked for"
    if it.stage is None:
        known = "is asked for" if it.state is InstanceState.INTENDED else "boots"
        return f"the scheduler's VM {known}"
    return f"the scheduler's VM is {it.stage}{f', {it.detail}' if it.detail else ''}"
