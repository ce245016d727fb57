"""What signals are looked for in, read from both databases: a scene's facts, and its samples."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from shoal.core import losses
from shoal.core.records import Cluster, Instance
from shoal.core.signals import Scene, Start
from shoal.core.signals.scene import COMPUTATIONS, HISTORY, WINDOW
from shoal.store import clusters, instances, series, starts, telemetry
from shoal.store.questions import reading
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.specs import Role
from shoal.wire.telemetry import HostSample

_FINELY = timedelta(seconds=150)
_HOSTS = timedelta(minutes=11)
_EVENTS = 500


class Facts(msgspec.Struct, frozen=True):
    cluster: Cluster
    instances: tuple[Instance, ...]
    starts: tuple[Start, ...]


@reading
def facts(tx: Connection, cluster: ClusterId, now: datetime) -> Facts:
    return Facts(
        clusters.get(tx, cluster),
        tuple(instances.all_of_cluster(tx, cluster)),
        starts.of_cluster(tx, cluster, now - HISTORY),
    )


@reading
def scene(tx: Connection, known: Facts, now: datetime) -> Scene:
    """`known` is from the other database."""
    cluster, begun = known.cluster, now - HISTORY
    ran = telemetry.computations(tx, cluster.workspace, cluster=cluster.id, limit=COMPUTATIONS)
    ids = [it.computation.id for it in ran.computations]
    return Scene(
        now=now,
        spec=cluster.spec,
        instances=known.instances,
        samples=series.of_cluster(
            tx, cluster.id, since=now - WINDOW, until=now, resolution_s=series.TOLD
        ).samples,
        hosts=_of_workers(
            series.recent_hosts(tx, cluster.id, since=now - _HOSTS, finely_since=now - _FINELY),
            known.instances,
        ),
        computations=tuple(it.computation for it in ran.computations),
        groups=telemetry.groups(tx, cluster.id, ids),
        times=telemetry.times(tx, cluster.id, ids),
        exceptions=telemetry.exceptions(tx, cluster.id, since=begun),
        worker_events=losses.explained(
            telemetry.worker_events(tx, cluster.id, since=begun, limit=_EVENTS), known.instances
        ),
        shuffles=telemetry.shuffles(tx, cluster.id, since=begun, limit=_EVENTS),
        starts=known.starts,
    )


def _of_workers(
    hosts: Mapping[InstanceId, tuple[HostSample, ...]], known: tuple[Instance, ...]
) -> dict[InstanceId, tuple[HostSample, ...]]:
    schedulers = {it.id for it in known if it.role is Role.SCHEDULER}
    return {name: samples for name, samples in hosts.items() if name not in schedulers}
