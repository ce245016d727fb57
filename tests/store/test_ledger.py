"""Money by day: the same before and after a cluster is booked, and booked once."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from sqlalchemy import Connection, insert

from shoal.core.records import EndKind, Instance
from shoal.core.spending import Paid, keys
from shoal.store import clusters, ledger, listing, tables
from shoal.store.database import Database
from shoal.store.rows import values
from shoal.wire.endpoints import ClusterQuery
from shoal.wire.ids import WorkspaceName, instance_id
from shoal.wire.specs import Cloud, Role
from shoal.wire.views import ClusterOrder, InstanceState
from tests.store.asking import ask
from tests.store.samples import NOW, RESEARCH, a_batch, a_cluster, an_event

HOUR = timedelta(hours=1)


def lived(database: Database, number: int, *, hours: float, price: int | None, over: bool) -> None:
    """A cluster of one VM, launched at noon."""
    cluster = a_cluster(number, name=f"n{number}")
    cluster = msgspec.structs.replace(
        cluster, spec=msgspec.structs.replace(cluster.spec, tags={"team": "red"})
    )
    batch = a_batch(cluster, count=1)
    gone_at = NOW + hours * HOUR
    vm = Instance(
        id=instance_id(cluster.id, 1),
        batch=batch.id,
        cluster=cluster.id,
        role=Role.WORKER,
        state=InstanceState.GONE if over else InstanceState.LAUNCHED,
        since=NOW,
        why="",
        created_at=NOW,
        launched_at=NOW,
        gone_at=gone_at if over else None,
        price_uusd_per_hour=price,
    )

    def store(tx: Connection) -> None:
        tx.execute(insert(tables.batch).values(id=batch.id, cluster=cluster.id, record=batch))
        row = values(vm, number=1, cloud=Cloud.SIM, ready_at=None)
        tx.execute(insert(tables.instance), [row])

    ask(database, clusters.create, cluster, an_event(cluster))
    ask(database, store)
    if over:
        ask(database, clusters.end, cluster.id, EndKind.USER, "", gone_at, an_event(cluster))
        ask(database, clusters.settle, cluster.id, gone_at, an_event(cluster))


def test_what_has_cost_nothing_is_last_by_cost(database: Database) -> None:
    """A cluster that never had a VM has no line in the ledger; nor has one that is not booked."""
    for number, hours in ((1, 1.0), (2, 0.0), (3, 30.0)):
        lived(database, number, hours=hours, price=1_000_000, over=True)
    never = a_cluster(4, name="n4")
    ask(database, clusters.create, never, an_event(never))
    ask(database, clusters.end, never.id, EndKind.FAILED, "", NOW, an_event(never))
    ask(database, clusters.settle, never.id, NOW, an_event(never))
    query = ClusterQuery(ended=True, sort=ClusterOrder.COST)
    assert ask(database, ledger.book, NOW + 40 * HOUR) == 4
    lived(database, 5, hours=1, price=1_000_000, over=False)
    found, _ = ask(database, listing.page, RESEARCH, query)
    assert [it.spec.name for it in found[:3]] == ["n5", "n3", "n1"]
    assert {it.spec.name for it in found[3:]} == {"n2", "n4"}


def test_booking_changes_no_sum(database: Database) -> None:
    lived(database, 1, hours=30, price=1_000_000, over=True)
    lived(database, 2, hours=1, price=None, over=True)
    lived(database, 3, hours=0, price=500_000, over=False)
    now = NOW + 40 * HOUR

    def asked() -> tuple[list[Paid], object]:
        paid, _ = ask(database, ledger.spent, RESEARCH, NOW, now, "cluster")
        return sorted(paid, key=lambda it: it.payer.name), ask(
            database, ledger.paid_by_day, RESEARCH, NOW, now
        )

    before = asked()
    assert [(it.payer.name, it.uusd, it.unpriced_s) for it in before[0]] == [
        ("n1", 30_000_000, 0.0),
        ("n2", 0, 3600.0),
        ("n3", 20_000_000, 0.0),
    ]
    assert ask(database, ledger.book, now) == 2
    assert ask(database, ledger.book, now) == 0
    assert asked() == before
    booked = ask(database, ledger.booked, [it.payer.cluster for it in before[0]])
    assert list(booked.values()) == [30_000_000, None]


WAYS = {"user": "ada", "cloud": "sim", "tag": "team=red", "tag:team": "red"}


def test_clusters_that_are_alike_are_one_sum(database: Database) -> None:
    for number in (1, 2):
        lived(database, number, hours=3, price=1_000_000, over=True)
    lived(database, 3, hours=0, price=500_000, over=False)
    now = NOW + 4 * HOUR
    ask(database, ledger.book, now)
    for by, key in WAYS.items():
        paid, days = ask(database, ledger.spent, RESEARCH, NOW, now, by)
        assert {it for one in paid for it in keys(by, one.payer)} == {key}
        assert sum(it.uusd for it in paid) == sum(it.uusd for it in days) == 8_000_000
        assert sum(it.clusters for it in paid) == 3


def test_days_before_the_first_are_left_out(database: Database) -> None:
    lived(database, 1, hours=30, price=1_000_000, over=True)
    now = NOW + 40 * HOUR
    for _ in range(2):  # from the VMs' lives, then from the ledger
        days = ask(database, ledger.paid_by_day, RESEARCH, NOW + 24 * HOUR, now)
        [paid], _ = ask(database, ledger.spent, RESEARCH, NOW + 24 * HOUR, now, "user")
        assert (
            sum(it.uusd for it in days) == paid.uusd == 18_000_034
        )  # from midnight to 18:00:00.12
        ask(database, ledger.book, now)


def test_another_workspace_pays_nothing(database: Database) -> None:
    lived(database, 1, hours=1, price=1_000_000, over=True)
    other = WorkspaceName("other")
    for _ in range(2):
        assert ask(database, ledger.spent, other, NOW, NOW + HOUR, "cloud") == ((), ())
        assert ask(database, ledger.paid_by_day, other, NOW, NOW + HOUR) == ()
        ask(database, ledger.book, NOW)


def test_a_cluster_that_never_had_a_vm_is_booked_all_the_same(database: Database) -> None:
    cluster = a_cluster()
    ask(database, clusters.create, cluster, an_event(cluster))
    ask(database, clusters.end, cluster.id, EndKind.USER, "", NOW, an_event(cluster))
    ask(database, clusters.settle, cluster.id, NOW, an_event(cluster))
    assert ask(database, ledger.book, NOW) == 1
    assert ask(database, ledger.book, NOW) == 0
    assert ask(database, ledger.booked, [cluster.id]) == {cluster.id: 0}
