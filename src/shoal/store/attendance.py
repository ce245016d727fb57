"""Which heads the server talks with, and what each is to be told."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, select

from shoal.core.records import Cluster
from shoal.store import clusters, environments, events, tables
from shoal.store.questions import reading
from shoal.store.rows import columns
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.reports import Orders
from shoal.wire.specs import Role
from shoal.wire.views import InstanceState


class Attended(msgspec.Struct, frozen=True):
    cluster: Cluster
    address: str  # host:port of the head's agent
    inside: str = ""  # the same for VMs of its network; empty: as `address`


@reading
def heads(tx: Connection) -> list[Attended]:
    """Clusters whose scheduler's VM is launched and has an address."""
    cluster, instance = tables.cluster, tables.instance
    query = (
        select(*columns(Cluster, cluster), instance.c.address, instance.c.inside)
        .join(instance, instance.c.cluster == cluster.c.id)
        .where(
            cluster.c.settled_at.is_(None),
            instance.c.role == Role.SCHEDULER,  # ix_instance_scheduler
            instance.c.state == InstanceState.LAUNCHED,
            instance.c.address != "",
        )
    )
    return [Attended(Cluster(*row[:-2]), *row[-2:]) for row in tx.execute(query)]


@reading
def bound(tx: Connection, id: ClusterId) -> dict[str, InstanceId]:
    """A cluster's instances by the cloud's own id of their VM."""
    instance = tables.instance
    query = select(instance.c.vm, instance.c.id).where(
        instance.c.cluster == id, instance.c.vm != ""
    )
    return {vm: InstanceId(name) for vm, name in tx.execute(query)}


@reading
def orders(tx: Connection, id: ClusterId) -> Orders:
    """The whole asked state; its version rises with every event."""
    found = clusters.get(tx, id)
    spec = found.spec
    return Orders(
        version=events.latest(tx),
        cluster=id,
        manifest=environments.get(tx, found.workspace, spec.environment),
        dask=spec.dask,
        stop_rules=spec.stop,
        minimum=spec.workers.minimum,
        maximum=spec.workers.maximum,
        created_at=found.created_at,
        retire=tuple(_retiring(tx, id)),
        stop=found.end_reason if found.ended_at else "",
        python_hint=spec.python_hint,
    )


def _retiring(tx: Connection, id: ClusterId) -> Iterable[InstanceId]:
    instance = tables.instance
    query = (
        select(instance.c.id)
        .where(
            instance.c.cluster == id,
            instance.c.retiring_since.is_not(None),
            instance.c.state == InstanceState.LAUNCHED,
        )
        .order_by(instance.c.number)
    )
    return tx.execute(query).scalars()
