"""What a view of a cluster is derived from, read at one moment."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import Connection

from shoal.core.records import Cluster, HeadObservation, Instance, Observation, PoolMark
from shoal.store import clusters, events, ledger, limits, listing, observations, pools
from shoal.store import instances as instance_rows
from shoal.store.questions import reading
from shoal.wire.endpoints import ClusterQuery
from shoal.wire.ids import ClusterId, EventSeq, InstanceId, WorkspaceName


class ClusterFacts(msgspec.Struct, frozen=True):
    cluster: Cluster
    instances: tuple[Instance, ...]
    observations: dict[InstanceId, Observation]
    head: HeadObservation | None
    marks: tuple[PoolMark, ...]  # of its cloud, expired ones too
    seq: EventSeq
    hold: str = ""  # the limit that holds it back


class Several(msgspec.Struct, frozen=True):
    """Clusters as a list shows them. What is booked needs no instances."""

    facts: tuple[ClusterFacts, ...]
    booked: dict[ClusterId, int | None]  # settled ones, and what they have cost


class InstancePage(msgspec.Struct, frozen=True):
    instances: tuple[Instance, ...]
    observations: dict[InstanceId, Observation]
    following: str | None


@reading
def cluster(tx: Connection, id: ClusterId) -> ClusterFacts:
    found = clusters.get(tx, id)
    return ClusterFacts(
        cluster=found,
        instances=tuple(instance_rows.all_of_cluster(tx, id)),
        observations=observations.of_cluster(tx, id),
        head=observations.head(tx, id),
        marks=tuple(pools.current(tx, found.spec.cloud, found.created_at)),
        seq=events.latest(tx),
        hold=limits.holds(tx, [id]).get(id, ""),
    )


@reading
def page(
    tx: Connection,
    workspace: WorkspaceName,
    query: ClusterQuery,
    among: Collection[ClusterId] | None = None,
) -> tuple[Several, str | None]:
    """A page of clusters, as of one moment, and what the next one is to be asked with."""
    found, following = listing.page(tx, workspace, query, among)
    return several(tx, found), following


@reading
def several(tx: Connection, found: Sequence[Cluster]) -> Several:
    """As many statements for a hundred clusters as for one."""
    if not found:
        return Several((), {})
    booked = ledger.booked(tx, [it.id for it in found if it.settled_at is not None])
    rest = [it.id for it in found if it.id not in booked]
    lives = instance_rows.of_clusters(tx, rest)
    seen = observations.of_clusters(tx, rest)
    heads = observations.heads(tx, rest)
    oldest = min(it.created_at for it in found)
    marks = {it: tuple(pools.current(tx, it, oldest)) for it in {it.spec.cloud for it in found}}
    holds = limits.holds(tx, rest)
    seq = events.latest(tx)
    facts = tuple(
        ClusterFacts(
            cluster=it,
            instances=tuple(lives.get(it.id, ())),
            observations=seen.get(it.id, {}),
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
