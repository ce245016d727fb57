"""What a view of a cluster is derived from, read at one moment."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from shoal.core.records import Cluster, HeadObservation, Instance, Observation, PoolMark
from shoal.store import clusters, events, observations, pools
from shoal.store import instances as instance_rows
from shoal.store.questions import reading
from shoal.wire.ids import ClusterId, EventSeq, InstanceId


class ClusterFacts(msgspec.Struct, frozen=True):
    cluster: Cluster
    instances: tuple[Instance, ...]
    observations: dict[InstanceId, Observation]
    head: HeadObservation | None
    marks: tuple[PoolMark, ...]  # of its cloud, expired ones too
    seq: EventSeq


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
    )


@reading
def instances(tx: Connection, id: ClusterId, *, after: str | None, limit: int) -> InstancePage:
    found, following = instance_rows.of_cluster(tx, id, after=after, limit=limit)
    return InstancePage(tuple(found), observations.of_cluster(tx, id), following)
