"""Records to store, with every field that matters filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shoal.core.records import Batch, Cluster, Offer, Vm
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import (
    ClusterId,
    EnvironmentId,
    UserName,
    WorkspaceName,
    batch_id,
    instance_id,
)
from shoal.wire.specs import Cloud, ClusterSpec, Role, Workers

NOW = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
RESEARCH = WorkspaceName("research")


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def an_offer(**changes: object) -> Offer:
    fields: dict[str, object] = {
        "cloud": Cloud.SIM,
        "region": "r1",
        "zone": "r1-a",
        "machine_type": "m4",
        "spot": False,
        "arch": "x86_64",
        "vcpu": 4,
        "memory_bytes": 16 << 30,
        "price_uusd_per_hour": 190_000,
    }
    return Offer(**(fields | changes))  # type: ignore[arg-type]


def a_cluster(number: int = 1, *, name: str = "etl", workers: int = 2) -> Cluster:
    spec = ClusterSpec(name, Cloud.SIM, Workers(workers, workers, workers), EnvironmentId("env-1"))
    return Cluster(ClusterId(f"c-{number:010d}"), RESEARCH, UserName("ada"), spec, 1, later(number))


def a_batch(cluster: Cluster, number: int = 1, *, count: int = 2, first: int = 1) -> Batch:
    return Batch(
        id=batch_id(cluster.id, number),
        cluster=cluster.id,
        role=Role.WORKER,
        count=count,
        offers=(an_offer(),),
        instances=tuple(instance_id(cluster.id, n) for n in range(first, first + count)),
        cluster_created_at=cluster.created_at,
        head_address="10.0.0.1:8788",
        image="",
        disk_gib=30,
        tags=(("team", "research"),),
        lifetime_s=0.0,
        created_at=NOW,
    )


def a_vm(id: str, batch: Batch, **changes: object) -> Vm:
    fields: dict[str, object] = {
        "id": id,
        "name": id,
        "batch": batch.id,
        "cluster": batch.cluster,
        "created_at": NOW,
        "address": "10.0.0.2:8788",
        "zone": "r1-a",
        "machine_type": "m4",
        "price_uusd_per_hour": 190_000,
    }
    return Vm(**(fields | changes))  # type: ignore[arg-type]


def an_event(cluster: Cluster, kind: EventKind = EventKind.CLUSTER_CREATED) -> Event:
    return Event(NOW, kind, "ada", "because", cluster=cluster.id)
