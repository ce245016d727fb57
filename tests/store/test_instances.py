"""The edges of an instance's life in the record: compare-and-set, each with its event."""

from __future__ import annotations

from shoal.core.records import EndKind
from shoal.store import clusters, events, instances, world
from shoal.store.database import Database
from shoal.wire.events import EventKind
from shoal.wire.ids import EventSeq
from shoal.wire.specs import Cloud
from shoal.wire.views import InstanceState
from tests.store.asking import ask
from tests.store.samples import NOW, a_batch, a_cluster, a_vm, an_event, later

CLUSTER = a_cluster()
BATCH = a_batch(CLUSTER)
INTENDED = an_event(CLUSTER, EventKind.BATCH_INTENDED)
LAUNCHED = an_event(CLUSTER, EventKind.INSTANCE_LAUNCHED)


def intended(database: Database) -> None:
    ask(database, clusters.create, CLUSTER, an_event(CLUSTER))
    assert ask(database, instances.intend, BATCH, 1, INTENDED)


def test_what_was_intended_is_read_back_whole(database: Database) -> None:
    intended(database)
    rows = ask(database, world.read, Cloud.SIM, NOW)
    assert rows.batches == (BATCH,)
    assert rows.clusters == (CLUSTER,)
    assert [it.id for it in rows.instances] == list(BATCH.instances)
    assert {it.state for it in rows.instances} == {InstanceState.INTENDED}
    assert rows.tallies[CLUSTER.id].instances == 2


def test_the_same_intent_is_recorded_once(database: Database) -> None:
    intended(database)
    assert not ask(database, instances.intend, BATCH, 1, INTENDED)
    assert len(ask(database, instances.all_of_cluster, CLUSTER.id)) == 2


def test_nothing_is_intended_for_another_generation_or_an_ended_cluster(database: Database) -> None:
    ask(database, clusters.create, CLUSTER, an_event(CLUSTER))
    assert not ask(database, instances.intend, BATCH, 2, INTENDED)
    ask(database, clusters.end, CLUSTER.id, EndKind.USER, "enough", NOW, an_event(CLUSTER))
    assert not ask(database, instances.intend, BATCH, 1, INTENDED)
    assert ask(database, instances.all_of_cluster, CLUSTER.id) == []


def test_a_vm_is_bound_to_one_instance_only(database: Database) -> None:
    intended(database)
    first, second = BATCH.instances
    vm = a_vm("i-abc", BATCH)
    assert ask(database, instances.launched, first, vm, NOW, LAUNCHED)
    assert not ask(database, instances.launched, second, vm, NOW, LAUNCHED)
    assert not ask(database, instances.launched, first, a_vm("i-def", BATCH), NOW, LAUNCHED)


def test_edges_are_taken_once_and_told_once(database: Database) -> None:
    intended(database)
    first = BATCH.instances[0]
    assert ask(database, instances.release, [first], later(1), failed=False, why="x") == [first]
    assert ask(database, instances.release, [first], later(2), failed=False, why="y") == []
    assert ask(database, instances.gone, [first], later(3), "z") == [first]
    assert ask(database, instances.gone, [first], later(4), "z") == []
    told = ask(database, events.after, EventSeq(0), cluster=CLUSTER.id)
    kinds = [it.kind for it in told if it.instance == first]
    assert kinds == [EventKind.INSTANCE_RELEASED, EventKind.INSTANCE_GONE]
    assert {it.workspace for it in told} == {CLUSTER.workspace}


def test_gone_needs_a_release(database: Database) -> None:
    intended(database)
    assert ask(database, instances.gone, BATCH.instances, NOW, "z") == []


def test_past_is_what_is_gone_and_not_what_lives(database: Database) -> None:
    intended(database)
    first, second = BATCH.instances
    vm = a_vm("vm-1", BATCH)
    assert ask(database, instances.launched, first, vm, NOW, an_event(CLUSTER))

    def past() -> object:
        return ask(database, instances.past, [first, "other"], ["vm-1", "vm-2"], [BATCH.id, "b"])

    assert past() == frozenset()
    ask(database, instances.release, [first], NOW, failed=False, why="x")
    ask(database, instances.gone, [first], NOW, "z")
    assert past() == {first, "vm-1"}  # its batch has another one
    ask(database, instances.release, [second], NOW, failed=False, why="x")
    ask(database, instances.gone, [second], NOW, "z")
    assert past() == {first, "vm-1", BATCH.id}
