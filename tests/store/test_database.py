"""Opening, upgrading and failing: a clear word, and nothing half-done."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, insert, make_url, text
from sqlalchemy.exc import IntegrityError

from shoal.core.records import Tally
from shoal.errors import Conflict, InvalidRequest, NotFound, StoreFault
from shoal.store import clusters, events, installation, instances, observations, tables, world
from shoal.store.database import Database, masked
from shoal.wire.events import EventKind
from shoal.wire.ids import EventSeq, InstanceId
from shoal.wire.reports import HeadReport, SchedulerReport, VmReport
from shoal.wire.specs import Cloud, Role
from shoal.wire.views import Stage
from tests.store.asking import ask
from tests.store.samples import NOW, RESEARCH, a_batch, a_cluster, an_event, later


def test_opening_again_changes_nothing(database_url: str) -> None:
    first = Database.open(database_url)
    made = ask(first, installation.read, "key")
    first.close()
    again = Database.open(database_url)
    assert ask(again, installation.read, "key") == made
    again.close()


def test_another_key_is_refused(database: Database) -> None:
    ask(database, installation.read, "mine")
    with pytest.raises(StoreFault, match="installation key"):
        ask(database, installation.read, "another")


def test_a_name_is_wanted_once_in_a_workspace(database: Database) -> None:
    ask(database, clusters.create, a_cluster(1), an_event(a_cluster(1)))
    with pytest.raises(Conflict, match="'etl'"):
        ask(database, clusters.create, a_cluster(2), an_event(a_cluster(2)))
    assert [it.id for it in ask(database, clusters.unsettled, None)] == [a_cluster(1).id]


def test_clusters_of_another_workspace_are_not_found(database: Database) -> None:
    ask(database, clusters.create, a_cluster(), an_event(a_cluster()))
    with pytest.raises(NotFound):
        ask(database, clusters.find, "other", "etl")


def test_a_failed_question_leaves_nothing(database: Database) -> None:
    def half(tx: Connection) -> None:
        clusters.create(tx, a_cluster(), an_event(a_cluster()))
        raise RuntimeError("killed here")

    with pytest.raises(RuntimeError):
        ask(database, half)
    assert ask(database, clusters.unsettled, None) == []
    assert ask(database, events.after, EventSeq(0)) == []


def test_a_locked_database_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shoal.db'}"
    database = Database.open(url, busy_timeout_s=0.05)
    other = sqlite3.connect(tmp_path / "shoal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFault, match="locked"):
        ask(database, clusters.create, a_cluster(), an_event(a_cluster()))
    other.execute("ROLLBACK")
    other.close()
    ask(database, clusters.create, a_cluster(), an_event(a_cluster()))
    database.close()


def test_a_full_disk_says_so_and_corrupts_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shoal.db'}"
    database = Database.open(url, inline=True)
    ask(database, clusters.create, a_cluster(), an_event(a_cluster()))

    def fill(tx: Connection) -> None:
        pages = tx.execute(text("PRAGMA page_count")).scalar()
        tx.execute(text(f"PRAGMA max_page_count = {pages}"))
        row = {"at": NOW, "kind": EventKind.ALARM, "why": "x" * 1000, "count": 1}
        tx.execute(insert(tables.event), [row] * 1000)

    with pytest.raises(StoreFault, match="full"):
        ask(database, fill)
    assert [it.id for it in ask(database, clusters.unsettled, None)] == [a_cluster().id]
    check = ask(database, lambda tx: tx.execute(text("PRAGMA integrity_check")).scalar())
    assert check == "ok"
    database.close()


def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "shoal.db").write_text("not a database at all, " * 100)
    with pytest.raises(StoreFault, match="not a database"):
        Database.open(f"sqlite:///{tmp_path / 'shoal.db'}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:open-sesame@127.0.0.1:1/none",
        "postgresql://127.0.0.1:1/none?user=ada&password=open-sesame",
    ],
)
def test_a_password_is_never_told(url: str) -> None:
    with pytest.raises(StoreFault) as told:
        Database.open(url)
    assert "open-sesame" not in str(told.value)
    assert "open-sesame" not in masked(url)


def test_stages_are_told_once_each(database: Database) -> None:
    cluster = a_cluster()
    batch = a_batch(cluster)
    ask(database, clusters.create, cluster, an_event(cluster))
    ask(database, instances.intend, batch, 1, an_event(cluster, EventKind.BATCH_INTENDED))
    vm = VmReport(batch.instances[0], Role.WORKER, Stage.READY, NOW)
    stranger = VmReport(InstanceId("shoal-c-other-1"), Role.WORKER, Stage.READY, NOW)
    report = HeadReport(cluster.id, NOW, 1, (vm, stranger), SchedulerReport("tls://h:8786"))
    assert ask(database, observations.record, report, later(1)) == 2
    assert ask(database, observations.record, report, later(2)) == 0
    assert list(ask(database, observations.of_instances, batch.instances)) == [batch.instances[0]]
    head = ask(database, world.read, Cloud.SIM, NOW).heads[cluster.id]
    assert head.ready_at == later(1)
    assert head.heard_at == later(2)


def test_a_head_with_a_wrong_clock_does_not_seem_silent(database: Database) -> None:
    cluster = a_cluster()
    batch = a_batch(cluster)
    ask(database, clusters.create, cluster, an_event(cluster))
    ask(database, instances.intend, batch, 1, an_event(cluster, EventKind.BATCH_INTENDED))
    an_hour_ago = later(-3600)
    heard_at = later(-3603)
    vm = VmReport(batch.instances[0], Role.WORKER, Stage.READY, heard_at, heard_at=heard_at)
    report = HeadReport(cluster.id, an_hour_ago, 1, (vm,), sent_at=an_hour_ago)
    ask(database, observations.record, report, NOW)
    kept = ask(database, observations.of_instances, [vm.instance])[vm.instance]
    assert kept.heard_at == kept.since == later(-3)


def test_of_targets_that_flicker_the_highest_of_late_is_kept(database: Database) -> None:
    cluster = a_cluster()
    ask(database, clusters.create, cluster, an_event(cluster))

    def peak(target: int, seconds: float) -> int | None:
        told = SchedulerReport("tls://h:8786", adaptive_target=target)
        report = HeadReport(cluster.id, NOW, 1, (), told)
        ask(database, observations.record, report, later(seconds))
        return ask(database, world.read, Cloud.SIM, NOW).heads[cluster.id].adaptive_peak

    flickering = [(3, 10), (4, 20), (3, 30), (4, 41), (3, 50), (4, 60), (3, 69)]
    assert [peak(10, 0), *(peak(*it) for it in flickering)] == [10, 10, 10, 10, 4, 4, 4, 4]


def test_another_lack_of_a_database_says_what_to_do(tmp_path: Path) -> None:
    missing = f"sqlite:///{tmp_path / 'nowhere' / 'shoal.db'}"
    with pytest.raises(StoreFault, match="unable to open") as told:
        Database.open(missing)
    assert "directory" in told.value.hint
    with pytest.raises(StoreFault, match="failed: connection"):
        Database.open(f"postgresql://ada@/shoal?host={tmp_path}")


@pytest.mark.parametrize(
    "url", ["mysql+nothing://x", "no url", "mysql://x", "postgresql://h:port/x"]
)
def test_a_url_that_is_none_is_refused_before_anything_exists(url: str) -> None:
    with pytest.raises(InvalidRequest) as told:
        Database.open(url)
    assert told.value.hint


def test_a_file_that_may_not_be_written_says_so(tmp_path: Path) -> None:
    file = tmp_path / "shoal.db"
    Database.open(f"sqlite:///{file}").close()
    database = Database.open(f"sqlite:///file:{file}?mode=ro&uri=true")
    assert ask(database, clusters.unsettled, None) == []
    with pytest.raises(StoreFault, match="readonly") as told:
        ask(database, clusters.create, a_cluster(), an_event(a_cluster()))
    assert "writable" in told.value.hint
    database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_connection_that_was_cut_is_replaced(database: Database) -> None:
    def cut(tx: Connection) -> None:
        clusters.create(tx, a_cluster(), an_event(a_cluster()))
        tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(StoreFault, match="terminating connection"):
        ask(database, cut)
    assert ask(database, clusters.unsettled, None) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_standby_is_not_written_to_and_says_so(database: Database, database_url: str) -> None:
    name = make_url(database_url).database
    read_only = text(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    ask(database, lambda tx: tx.execute(read_only))
    standby = Database.open(database_url)
    with pytest.raises(StoreFault, match="read-only") as told:
        ask(standby, clusters.create, a_cluster(), an_event(a_cluster()))
    assert "primary" in told.value.hint
    standby.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_user_without_rights_is_told_so(database: Database, database_url: str) -> None:
    user = f"guest_{make_url(database_url).database}"
    ask(database, lambda tx: tx.execute(text(f"CREATE USER {user}")))
    with pytest.raises(StoreFault, match="permission denied") as told:
        Database.open(make_url(database_url).set(username=user).render_as_string())
    assert "Grant" in told.value.hint
    ask(database, lambda tx: tx.execute(text(f"DROP USER {user}")))


def test_a_number_that_no_database_holds_is_a_fault_of_the_question(database: Database) -> None:
    number = insert(tables.event).values(at=NOW, kind=EventKind.ALARM, count=2**70)
    with pytest.raises(StoreFault):
        ask(database, lambda tx: tx.execute(number))
    assert ask(database, events.after, EventSeq(0)) == []


def test_a_name_with_odd_characters_is_just_not_found(database: Database) -> None:
    for name in ("a\0b", "\ud800", "x" * 100_000, "'; DROP TABLE cluster; --", "%"):
        with pytest.raises(NotFound):
            ask(database, clusters.find, RESEARCH, name)


def test_what_an_agent_prints_is_kept_whatever_it_is(database: Database) -> None:
    cluster, batch = a_cluster(), a_batch(a_cluster())
    ask(database, clusters.create, cluster, an_event(cluster))
    ask(database, instances.intend, batch, 1, an_event(cluster, EventKind.BATCH_INTENDED))
    said = "pip said: \0 and \udcff"
    vm = VmReport(batch.instances[0], Role.WORKER, Stage.FAILED, NOW, failure=said)
    assert ask(database, observations.record, HeadReport(cluster.id, NOW, 1, (vm,)), NOW) == 1
    kept = ask(database, observations.of_instances, [vm.instance])[vm.instance]
    assert kept.failure == "pip said: \ufffd and \ufffd"


def test_parameters_of_a_failed_statement_are_not_told(database: Database) -> None:
    """They may be a token's hash or a user's environment variables."""
    secret = insert(tables.token).values(id="t", user=None, sha256="open-sesame")
    with pytest.raises(IntegrityError) as told:
        ask(database, lambda tx: tx.execute(secret))
    assert "[SQL parameters hidden" in str(told.value)


def test_a_world_takes_as_many_statements_for_many_clusters_as_for_one(database: Database) -> None:
    def asked() -> int:
        statements: list[str] = []

        def note(tx: object, cursor: object, statement: str, *rest: object) -> None:
            statements.append(statement)

        event.listen(database.engine, "before_cursor_execute", note)
        rows = ask(database, world.read, Cloud.SIM, NOW)
        event.remove(database.engine, "before_cursor_execute", note)
        assert {it.failures_in_a_row for it in rows.tallies.values()} == {2}
        return len(statements)

    def fail(number: int) -> None:
        cluster = a_cluster(number, name=f"n{number}")
        batch = a_batch(cluster)
        ask(database, clusters.create, cluster, an_event(cluster))
        ask(database, instances.intend, batch, 1, an_event(cluster))
        ask(database, instances.release, batch.instances, NOW, failed=True, why="it broke")

    fail(1)
    once = asked()
    for number in range(2, 12):
        fail(number)
    assert asked() == once


def test_failures_in_a_row_end_with_one_that_became_ready(database: Database) -> None:
    cluster = a_cluster()
    batch = a_batch(cluster, count=4)
    first, second, third, fourth = batch.instances
    ask(database, clusters.create, cluster, an_event(cluster))
    ask(database, instances.intend, batch, 1, an_event(cluster))

    def tally() -> Tally:
        return ask(database, world.read, Cloud.SIM, NOW).tallies[cluster.id]  # type: ignore[no-any-return]

    ask(database, instances.release, [first], later(1), failed=True, why="one")
    ask(database, instances.release, [second], later(2), failed=True, why="two")
    assert (tally().failures_in_a_row, tally().last_failure) == (2, "two")
    ready = VmReport(third, Role.WORKER, Stage.READY, later(3))
    ask(database, observations.record, HeadReport(cluster.id, NOW, 1, (ready,)), later(3))
    assert (tally().failures_in_a_row, tally().workers_ready) == (0, 1)
    ask(database, instances.release, [fourth], later(4), failed=True, why="four")
    assert tally() == Tally(
        cluster.id,
        batches=1,
        instances=4,
        failures_in_a_row=1,
        last_failure_at=later(4),
        last_failure="four",
        workers_ready=1,
    )
