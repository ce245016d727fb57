"""The words that users see, derived from rows, observations and now; stored nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from shoal.core.cost import cost_uusd, total_uusd
from shoal.core.records import (
    Cluster,
    EndKind,
    HeadObservation,
    Instance,
    Observation,
    PoolMark,
)
from shoal.wire.ids import InstanceId
from shoal.wire.specs import Role
from shoal.wire.views import (
    ClusterStatus,
    ClusterView,
    InstanceState,
    InstanceView,
    Stage,
    WorkerCounts,
)

_ACTIVE = (InstanceState.INTENDED, InstanceState.LAUNCHED)


def cluster_view(
    cluster: Cluster,
    instances: Sequence[Instance],
    observations: Mapping[InstanceId, Observation],
    head: HeadObservation | None,
    marks: Sequence[PoolMark],
    *,
    now: datetime,
    url: str,
    seq: int,
) -> ClusterView:
    counts = worker_counts(cluster, instances, observations)
    status = _status(cluster, counts, head, marks)
    up = head is not None and cluster.ended_at is None
    return ClusterView(
        id=cluster.id,
        name=cluster.spec.name,
        workspace=cluster.workspace,
        owner=cluster.owner,
        status=status,
        sentence=_sentence(cluster, status, counts, instances, observations, marks),
        spec=cluster.spec,
        workers=counts,
        created_at=cluster.created_at,
        scheduler_address=head.scheduler_address if head is not None and up else "",
        details_url=f"{url}/clusters/{cluster.id}" if url else "",
        cost_uusd=total_uusd(cost_uusd(it, now) for it in instances),
        price_uusd_per_hour=total_uusd(
            it.price_uusd_per_hour for it in instances if it.state is InstanceState.LAUNCHED
        ),
        ended_at=cluster.ended_at,
        end_reason=cluster.end_reason,
        event_seq=seq,
    )


def instance_view(it: Instance, seen: Observation | None, now: datetime) -> InstanceView:
    stage, since, detail = Stage.BOOTING, it.since, ""
    if seen is not None:
        stage, since, detail = seen.stage, seen.since, seen.failure or seen.detail
    if it.state not in _ACTIVE:
        stage, since = Stage.STOPPING, it.since
    elif it.retiring_since is not None and stage is Stage.READY:
        stage = Stage.DRAINING
    return InstanceView(
        id=it.id,
        role=it.role,
        state=it.state,
        stage=stage,
        since=min(since, now),
        why=it.why,
        detail=detail,
        zone=it.zone,
        machine_type=it.machine_type,
        spot=it.spot,
        price_uusd_per_hour=it.price_uusd_per_hour,
        address=it.address,
        dask_address=seen.dask_address if seen else "",
        created_at=it.created_at,
        launched_at=it.launched_at,
        gone_at=it.gone_at,
    )


def worker_counts(
    cluster: Cluster,
    instances: Iterable[Instance],
    observations: Mapping[InstanceId, Observation],
) -> WorkerCounts:
    counts: Counter[str] = Counter()
    for it in instances:
        if it.role is Role.WORKER and it.state in _ACTIVE:
            counts[_standing(it, observations.get(it.id))] += 1
    wanted = cluster.spec.workers.wanted if cluster.ended_at is None else 0
    return WorkerCounts(
        wanted=wanted,
        launching=counts["launching"],
        preparing=counts["preparing"],
        ready=counts["ready"],
        draining=counts["draining"],
    )


def _standing(it: Instance, seen: Observation | None) -> str:
    if it.retiring_since is not None:
        return "draining"
    if seen is None or it.state is InstanceState.INTENDED:
        return "launching"
    return "ready" if seen.stage is Stage.READY else "preparing"


def _status(
    cluster: Cluster,
    counts: WorkerCounts,
    head: HeadObservation | None,
    marks: Sequence[PoolMark],
) -> ClusterStatus:
    if cluster.ended_at is not None:
        if cluster.end_kind is EndKind.FAILED:
            return ClusterStatus.FAILED
        return ClusterStatus.ENDED if cluster.settled_at else ClusterStatus.ENDING
    if head is None or not head.scheduler_address:
        return ClusterStatus.STARTING
    if counts.ready >= counts.wanted:
        return ClusterStatus.READY
    on_their_way = counts.ready + counts.launching + counts.preparing
    if on_their_way < counts.wanted and marks:
        return ClusterStatus.DEGRADED
    return ClusterStatus.SCALING


def _sentence(
    cluster: Cluster,
    status: ClusterStatus,
    counts: WorkerCounts,
    instances: Sequence[Instance],
    observations: Mapping[InstanceId, Observation],
    marks: Sequence[PoolMark],
) -> str:
    workers = f"{counts.ready} of {counts.wanted} workers are ready"
    match status:
        case ClusterStatus.FAILED | ClusterStatus.ENDED:
            return f"{status}: {cluster.end_reason}"
        case ClusterStatus.ENDING:
            left = sum(it.state is not InstanceState.GONE for it in instances)
            return f"ending: {cluster.end_reason}; {left} VMs remain"
        case ClusterStatus.STARTING:
            return f"starting: {_scheduler_words(instances, observations)}"
        case ClusterStatus.READY:
            return f"ready: {workers}"
        case ClusterStatus.SCALING:
            return f"scaling: {workers}"
        case ClusterStatus.DEGRADED:
            missing = counts.wanted - counts.ready - counts.launching - counts.preparing
            why = "; ".join(dict.fromkeys(it.why for it in marks))
            return f"degraded: {missing} of {counts.wanted} workers cannot be had: {why}"


def _scheduler_words(
    instances: Sequence[Instance], observations: Mapping[InstanceId, Observation]
) -> str:
    for it in instances:
        if it.role is Role.SCHEDULER and it.state in _ACTIVE:
            seen = observations.get(it.id)
            said = f", {seen.detail}" if seen and seen.detail else ""
            return f"the scheduler's VM is {seen.stage if seen else it.state}{said}"
    return "the scheduler's VM is about to be asked for"
