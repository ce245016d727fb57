"""Several servers on one record: writers take turns, readers wait for nobody, one racer wins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from shoal.core.records import EndKind
from shoal.errors import Conflict, StoreFault
from shoal.store import clusters, events, instances, tables
from shoal.store.database import Database
from shoal.store.questions import reading
from shoal.wire.events import EventKind
from shoal.wire.ids import EnvironmentId, EventSeq
from shoal.wire.specs import Workers
from tests.store.asking import ask, ask_inside
from tests.store.samples import NOW, RESEARCH, a_batch, a_cluster, a_vm, an_event, later

CLUSTER = a_cluster()
BATCH = a_batch(CLUSTER)
EVENT = an_event(CLUSTER)
FIRST, SECOND = BATCH.instances


@pytest.fixture
def both(database_url: str) -> Iterator[tuple[Database, Database]]:
    """Two servers. The second one has little patience."""
    opened = Database.open(database_url, inline=True)
    hasty = Database.open(database_url, inline=True, busy_timeout_s=0.05)
    yield opened, hasty
    opened.close()
    hasty.close()


def test_a_writer_waits_for_the_one_before_it(both: tuple[Database, Database]) -> None:
    """Also on PostgreSQL, and from the beginning: so no two can wait for each other."""
    database, hasty = both

    def slow(tx: Connection) -> None:
        with pytest.raises(StoreFault, match="lock"):
            ask_inside(hasty, clusters.create, CLUSTER, EVENT)
        clusters.create(tx, CLUSTER, EVENT)

    ask(database, slow)
    assert [it.id for it in ask(hasty, clusters.unsettled, None)] == [CLUSTER.id]


def test_a_reader_waits_for_no_writer(both: tuple[Database, Database]) -> None:
    database, hasty = both

    def slow(tx: Connection) -> None:
        clusters.create(tx, CLUSTER, EVENT)
        assert ask_inside(hasty, clusters.unsettled, None) == []
        assert ask_inside(hasty, events.after, EventSeq(0)) == []

    ask(database, slow)


def test_a_writer_waits_for_no_reader_who_sees_one_moment(both: tuple[Database, Database]) -> None:
    database, hasty = both

    @reading
    def long(tx: Connection) -> list[int]:
        before = len(clusters.unsettled(tx, None))
        ask_inside(hasty, clusters.create, CLUSTER, EVENT)
        return [before, len(clusters.unsettled(tx, None)), events.latest(tx)]

    assert ask(database, long) == [0, 0, 0]
    assert ask(database, events.latest) > 0


def test_a_question_that_says_it_reads_cannot_write(database: Database) -> None:
    @reading
    def liar(tx: Connection) -> None:
        clusters.create(tx, CLUSTER, EVENT)

    with pytest.raises(StoreFault):
        ask(database, liar)
    assert ask(database, clusters.unsettled, None) == []
    ask(database, clusters.create, CLUSTER, EVENT)  # on the same connection


def test_a_reader_of_events_by_number_misses_none(database_url: str) -> None:
    """Events are numbered in the order of their commits, whoever writes at the same time."""
    writers, each = 4, 15
    databases = [Database.open(database_url) for _ in range(writers + 1)]
    *writing, tailing = databases

    def write(database: Database) -> None:
        for _ in range(each):
            ask(database, events.append_all, [EVENT, EVENT])

    seen: list[int] = []
    with ThreadPoolExecutor(writers) as pool:
        running = [pool.submit(write, it) for it in writing]
        while len(seen) < 2 * writers * each:
            last = EventSeq(seen[-1] if seen else 0)
            done = all(it.done() for it in running)
            found = [it.seq for it in ask(tailing, events.after, last)]
            assert found or not done, "an event was committed behind the reader's back"
            seen += found
    assert seen == sorted(set(seen))
    for it in databases:
        it.close()


Race = Callable[[Database, int], Any]


def _create(database: Database, racer: int) -> bool:
    try:
        ask(database, clusters.create, a_cluster(100 + racer, name="other"), EVENT)
    except Conflict:
        return False
    return True


def _intend(database: Database, racer: int) -> bool:
    return bool(ask(database, instances.intend, a_batch(CLUSTER, 2, first=3), 1, EVENT))


def _launch(database: Database, racer: int) -> bool:
    """One VM, two instances: as a cloud that names nobody shows it to two replicas."""
    vm, id = a_vm("i-abc", BATCH), BATCH.instances[racer]
    return bool(ask(database, instances.launched, id, vm, NOW, EVENT))


def _retire(database: Database, racer: int) -> list[str]:
    return list(ask(database, instances.retire, [FIRST], NOW, "x"))


def _release(database: Database, racer: int) -> list[str]:
    return list(ask(database, instances.release, [FIRST], NOW, failed=bool(racer), why="x"))


def _scale(database: Database, racer: int) -> object:
    return ask(database, clusters.change_workers, CLUSTER.id, 1, Workers(0, racer, 9), EVENT)


def _end(database: Database, racer: int) -> object:
    return ask(database, clusters.end, CLUSTER.id, EndKind.USER, str(racer), NOW, EVENT)


@pytest.mark.parametrize("race", [_create, _intend, _launch, _retire, _release, _scale, _end])
def test_of_two_who_change_the_same_one_wins_and_tells(database_url: str, race: Race) -> None:
    both = [Database.open(database_url), Database.open(database_url)]
    ask(both[0], clusters.create, CLUSTER, EVENT)
    ask(both[0], instances.intend, BATCH, 1, EVENT)
    told = len(ask(both[0], events.after, EventSeq(0)))
    together = Barrier(2)

    def run(racer: int) -> bool:
        together.wait()
        return bool(race(both[racer], racer))

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(run, range(2))) == [False, True]
    assert len(ask(both[0], events.after, EventSeq(0))) == told + 1
    for it in both:
        it.close()


def test_a_lost_change_changes_nothing(database: Database) -> None:
    ask(database, clusters.create, CLUSTER, EVENT)
    ask(database, clusters.end, CLUSTER.id, EndKind.RULE, "idle", later(1), EVENT)
    before = ask(database, clusters.get, CLUSTER.id)
    workers, other = Workers(1, 1, 1), EnvironmentId("env-2")
    assert ask(database, clusters.change_workers, CLUSTER.id, None, workers, EVENT) is None
    assert ask(database, clusters.change_environment, CLUSTER.id, other, EVENT) is None
    assert not ask(database, clusters.end, CLUSTER.id, EndKind.USER, "x", later(2), EVENT)
    assert ask(database, clusters.get, CLUSTER.id) == before
    assert len(ask(database, events.after, EventSeq(0))) == 2


def test_a_cluster_settles_once_and_only_after_its_end(database: Database) -> None:
    ask(database, clusters.create, CLUSTER, EVENT)
    assert not ask(database, clusters.settle, CLUSTER.id, NOW, EVENT)
    ask(database, clusters.end, CLUSTER.id, EndKind.USER, "x", NOW, EVENT)
    assert ask(database, clusters.settle, CLUSTER.id, later(1), EVENT)
    assert not ask(database, clusters.settle, CLUSTER.id, later(2), EVENT)
    assert ask(database, clusters.get, CLUSTER.id).settled_at == later(1)


def test_a_name_is_free_again_after_the_end_and_then_means_the_newest(database: Database) -> None:
    ask(database, clusters.create, CLUSTER, EVENT)
    ask(database, clusters.end, CLUSTER.id, EndKind.USER, "x", later(5), EVENT)
    assert ask(database, clusters.running, RESEARCH, "etl") is None
    assert ask(database, clusters.find, RESEARCH, "etl").id == CLUSTER.id
    second = a_cluster(2)
    ask(database, clusters.create, second, an_event(second))
    assert ask(database, clusters.find, RESEARCH, "etl").id == second.id
    assert ask(database, clusters.find, RESEARCH, CLUSTER.id).id == CLUSTER.id


def test_events_are_told_in_the_order_they_were_appended(database: Database) -> None:
    kinds = [EventKind.ALARM, EventKind.VM_SWEPT, EventKind.CLUSTER_CREATED, EventKind.ALARM]
    ask(database, events.append_all, [an_event(CLUSTER, it) for it in kinds])
    found = ask(database, events.after, EventSeq(0))
    assert [it.kind for it in found] == kinds
    assert ask(database, events.after, found[1].seq) == found[2:]
    assert ask(database, events.latest) == found[-1].seq
    assert [it.seq for it in ask(database, events.newest, CLUSTER.id, 2)] == [
        found[3].seq,
        found[2].seq,
    ]


def test_an_event_number_is_never_used_again(database: Database) -> None:
    """Else a reader that remembers it would miss what is told next."""
    ask(database, events.append, EVENT)
    last = ask(database, events.latest)
    ask(database, lambda tx: tx.execute(tables.event.delete()))
    ask(database, events.append, EVENT)
    assert ask(database, events.latest) > last


def test_a_failed_write_leaves_its_turn_to_the_next(both: tuple[Database, Database]) -> None:
    database, hasty = both

    def broken(tx: Connection) -> None:
        tx.execute(insert(tables.cluster), {"id": "c-1"})

    with pytest.raises(Exception, match=r"(?i)null"):
        ask(database, broken)
    ask(hasty, clusters.create, CLUSTER, EVENT)
