"""Sums of VMs are those that one gets VM by VM, whatever became of each, on both engines."""

from __future__ import annotations

import itertools

from msgspec.structs import replace
from sqlalchemy import Connection, insert

from shoal.core.records import Cluster, Instance, Observation
from shoal.core.summary import Summary
from shoal.store import clusters, summaries, tables
from shoal.store.database import Database
from shoal.store.rows import values
from shoal.wire.ids import instance_id
from shoal.wire.specs import Cloud, Role
from shoal.wire.views import InstanceState, Stage
from tests.core.summaries import summary_of, together
from tests.store.asking import ask
from tests.store.samples import NOW, a_batch, a_cluster, an_event, later

_STAGES = (None, Stage.PREPARING, Stage.READY, Stage.DRAINING)
_PRICES = (None, 0, 190_001)


def every_kind(cluster: Cluster) -> list[tuple[Instance, Observation | None]]:
    """Two of each that there can be, and some that there cannot."""
    kinds = itertools.product(
        Role, InstanceState, (True, False), (True, False), _STAGES, _PRICES, range(2)
    )
    return [
        one(cluster, number, *kind)
        for number, (*kind, _) in enumerate(kinds, start=1)  # type: ignore[arg-type]
    ]


def one(
    cluster: Cluster,
    number: int,
    role: Role,
    state: InstanceState,
    launched: bool,
    retiring: bool,
    stage: Stage | None,
    price: int | None,
) -> tuple[Instance, Observation | None]:
    it = Instance(
        id=instance_id(cluster.id, number),
        batch=a_batch(cluster).id,
        cluster=cluster.id,
        role=role,
        state=state,
        since=NOW,
        why=f"reason {number % 3}",
        created_at=NOW,
        launched_at=later(number / 7) if launched else None,
        gone_at=later(500 + number / 3) if state is InstanceState.GONE else None,
        retiring_since=later(300) if retiring else None,
        price_uusd_per_hour=price,
        extras_uusd_per_hour=7_013 if number % 2 else 0,
    )
    if stage is None:
        return it, None
    environment = f"env-{number % 2}" if stage is Stage.READY else ""
    return it, Observation(it.id, stage, NOW, NOW, f"word {number}", environment=environment)


def put(tx: Connection, cluster: Cluster, vms: list[tuple[Instance, Observation | None]]) -> None:
    clusters.create(tx, cluster, an_event(cluster))
    batch = a_batch(cluster)
    tx.execute(insert(tables.batch).values(id=batch.id, cluster=cluster.id, record=batch))
    rows = [values(it, number=n, cloud=Cloud.SIM, ready_at=None) for n, (it, _) in enumerate(vms)]
    tx.execute(insert(tables.instance), rows)
    told = [values(seen) for _, seen in vms if seen is not None]
    tx.execute(insert(tables.observation), told)


def test_the_sums_are_those_of_each_vm(database: Database) -> None:
    first, other, bare = (a_cluster(n, name=f"n{n}") for n in (1, 2, 3))
    vms, few = every_kind(first), every_kind(other)[::50]
    ask(database, put, first, vms)
    ask(database, put, other, few)
    ask(database, clusters.create, bare, an_event(bare))
    now = later(1000.5)
    ids = [first.id, other.id, bare.id]
    found = ask(database, summaries.of_clusters, ids, now, starting=ids)
    for cluster, there in ((first, vms), (other, few)):
        told = {seen.instance: seen for _, seen in there if seen is not None}
        meant = summary_of([it for it, _ in there], told, now)
        assert together(found[cluster.id]) == together(meant)
        assert len(found[cluster.id].alike) == len(together(meant))
        assert found[cluster.id].scheduler == meant.scheduler
    assert found[bare.id] == Summary()


def test_cost_and_price_are_whole_micro_dollars_or_unknown(database: Database) -> None:
    cluster = a_cluster()
    vm, _ = one(cluster, 1, Role.WORKER, InstanceState.LAUNCHED, True, False, None, 190_001)
    ask(database, put, cluster, [(vm, Observation(vm.id, Stage.READY, NOW, NOW))])
    assert vm.launched_at is not None
    hour = later(3600 + 1 / 7)
    seen = ask(database, summaries.of_clusters, [cluster.id], hour)[cluster.id]
    assert (seen.cost_uusd, seen.price_uusd_per_hour) == (197_014, 197_014)
    assert seen.scheduler is None
    assert replace(seen, alike=()).cost_uusd == 0
