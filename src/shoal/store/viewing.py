"""What a view of a cluster is derived from, read at one moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from shoal.core.records import Cluster, HeadObservation, Instance, Observation, PoolMark
from shoal.core.summary import Summary
from shoal.store import clusters, events, ledger, limits, listing, observations, pools, summaries
from shoal.store import instances as instance_rows
from shoal.store.questions import reading
from shoal.wire.endpoints import ClusterQuery
from shoal.wire.ids import ClusterId, EventSeq, InstanceId, WorkspaceName


class ClusterFacts(msgspec.Struct, frozen=True):
    cluster: Cluster
    vms: Summary
    head: HeadObservation | None
    marks: tuple[PoolMark, ...]  # of its cloud, expired ones too
    seq: EventSeq
    hold: str = ""  # the limit that holds it back


class Several(msgspec.Struct, frozen=True):
    """Clusters as a list shows them. What is booked needs no VMs."""

    facts: tuple[ClusterFacts, ...]
    booked: dict[ClusterId, int | None]  # settled ones, and what they have cost


class InstancePage(msgspec.Struct, frozen=True):
    instances: tuple[Instance, ...]
    observations: dict[InstanceId, Observation]
    following: str | None


@reading
def cluster(tx: Connection, id: ClusterId, now: datetime) -> ClusterFacts:
    return _facts(tx, clusters.get(tx, id), now)


@reading
def found(tx: Connection, workspace: WorkspaceName, id_or_name: str, now: datetime) -> ClusterFacts:
    """NotFound if the workspace has no such cluster."""
    return _facts(tx, clusters.find(tx, workspace, id_or_name), now)


def _facts(tx: Connection, found: Cluster, now: datetime) -> ClusterFacts:
    id = found.id
    head = observations.head(tx, id)
    vms = summaries.of_clusters(tx, [id], now, starting=_starting([found], {id: head}))
    return ClusterFacts(
        cluster=found,
        vms=vms[id],
        head=head,
        marks=tuple(pools.current(tx, found.spec.cloud, found.created_at)),
        seq=events.latest(tx),
        hold=limits.holds(tx, [id]).get(id, ""),
    )


def _starting(
    clusters: Sequence[Cluster], heads: Mapping[ClusterId, HeadObservation | None]
) -> list[ClusterId]:
    """Those of which no scheduler was heard of yet."""
    wanted = (it.id for it in clusters if it.ended_at is None)
    return [id for id in wanted if (head := heads.get(id)) is None or not head.scheduler_address]


@reading
def page(
    tx: Connection,
    workspace: WorkspaceName,
    query: ClusterQuery,
    now: datetime,
    among: Collection[ClusterId] | None = None,
) -> tuple[Several, str | None]:
    """A page of clusters, as of one moment, and what the next one is to be asked with."""
    found, following = listing.page(tx, workspace, query, among)
    return several(tx, found, now), following


@reading
def several(tx: Connection, found: Sequence[Cluster], now: datetime) -> Several:
    """As many statements for a hundred clusters as for one."""
    if not found:
        return Several((), {})
    booked = ledger.booked(tx, [it.id for it in found if it.settled_at is not None])
    open = [it for it in found if it.id not in booked]
    rest = [it.id for it in open]
    heads = observations.heads(tx, rest)
    vms = summaries.of_clusters(tx, rest, now, starting=_starting(open, heads))
    oldest = min(it.created_at for it in found)
    marks = {it: tuple(pools.current(tx, it, oldest)) for it in {it.spec.cloud for it in found}}
    holds = limits.holds(tx, rest)
    seq = events.latest(tx)
    facts = tuple(
        ClusterFacts(
            cluster=it,
            vms=vms.get(it.id, Summary()),
            head=heads.get(it.id),
            marks=marks[it.spec.cloud],
            seq=seq,
            hold=holds.get(it.id, ""),
        )
        for it in found
    )
    return Several(facts, booked)


@reading
def instances(
    tx: Connection, id: ClusterId, *, after: str | None, limit: int, had: bool | None = None
) -> InstancePage:
    found, following = instance_rows.of_cluster(tx, id, after=after, limit=limit, had=had)
    seen = observations.of_instances(tx, [it.id for it in found])
    return InstancePage(tuple(found), seen, following)
