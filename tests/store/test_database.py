"""Opening, upgrading and failing: a clear word, and nothing half-done."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, insert, text

from shoal.errors import Conflict, NotFound, StoreFault
from shoal.store import clusters, events, installation, logs, observations, tables, world
from shoal.store.database import Database, masked
from shoal.wire.events import EventKind
from shoal.wire.ids import EventSeq, InstanceId
from shoal.wire.reports import HeadReport, LogChunk, SchedulerReport, VmReport
from shoal.wire.specs import Cloud, Role
from shoal.wire.views import LogLine, Stage
from tests.store.samples import NOW, RESEARCH, a_batch, a_cluster, an_event, later


def ask(database: Database, question, *args, **kwargs):  # type: ignore[no-untyped-def]
    return asyncio.run(database.run(question, *args, **kwargs))


def test_migrations_meet_the_declared_schema(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        differences = [
            it for it in compare_metadata(context, tables.facts) if "log_line" not in str(it)
        ]
    assert differences == []


def test_opening_again_changes_nothing(database_url: str) -> None:
    first = Database.open(database_url)
    made = ask(first, installation.read, "key")
    first.close()
    again = Database.open(database_url)
    assert ask(again, installation.read, "key") == made
    again.close()


def test_a_newer_schema_is_refused(database: Database, database_url: str) -> None:
    ask(database, lambda tx: tx.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(StoreFault, match=r"9999.*knows up to"):
        Database.open(database_url)


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


def test_pages_hold_each_cluster_once(database: Database) -> None:
    made = [a_cluster(n, name=f"n{n}") for n in range(7)]
    for it in made:
        ask(database, clusters.create, it, an_event(it))
    seen, page = [], None
    while True:
        found, page = ask(database, clusters.page, RESEARCH, before=page, limit=3)
        seen += [it.id for it in found]
        if page is None:
            break
    assert seen == [it.id for it in reversed(made)]


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


def test_a_password_is_never_told() -> None:
    url = "postgresql://ada:open-sesame@127.0.0.1:1/none"
    with pytest.raises(StoreFault) as told:
        Database.open(url)
    assert "open-sesame" not in str(told.value)
    assert "open-sesame" not in masked(url)


def test_stages_are_told_once_each(database: Database) -> None:
    cluster = a_cluster()
    batch = a_batch(cluster)
    ask(database, clusters.create, cluster, an_event(cluster))
    from shoal.store import instances

    ask(database, instances.intend, batch, 1, an_event(cluster, EventKind.BATCH_INTENDED))
    vm = VmReport(batch.instances[0], Role.WORKER, Stage.READY, NOW)
    stranger = VmReport(InstanceId("shoal-c-other-1"), Role.WORKER, Stage.READY, NOW)
    report = HeadReport(cluster.id, NOW, 1, (vm, stranger), SchedulerReport("tls://h:8786"))
    assert ask(database, observations.record, report, later(1)) == 2
    assert ask(database, observations.record, report, later(2)) == 0
    assert list(ask(database, observations.of_cluster, cluster.id)) == [batch.instances[0]]
    head = ask(database, world.read, Cloud.SIM, NOW).heads[cluster.id]
    assert head.ready_at == later(1)
    assert head.heard_at == later(2)


def test_log_lines_are_kept_once_found_and_bounded(database: Database) -> None:
    cluster = a_cluster()
    chunks = [
        LogChunk(n, LogLine(later(n), InstanceId("shoal-c-1"), "worker", f"line {n} 100%"))
        for n in range(10)
    ]
    for _ in range(2):
        asyncio.run(database.run_samples(logs.append, cluster.id, chunks, NOW))
    page = asyncio.run(database.run_samples(logs.read, cluster.id, limit=4))
    rest = asyncio.run(database.run_samples(logs.read, cluster.id, cursor=page.next_cursor))
    assert [it.text for it in (*page.lines, *rest.lines)] == [it.line.text for it in chunks]
    found = asyncio.run(database.run_samples(logs.read, cluster.id, text="7 100%"))
    assert [it.text for it in found.lines] == ["line 7 100%"]
    asyncio.run(database.run_samples(logs.prune, datetime(2000, 1, 1, tzinfo=UTC), 3))
    kept = asyncio.run(database.run_samples(logs.read, cluster.id))
    assert [it.text for it in kept.lines] == ["line 7 100%", "line 8 100%", "line 9 100%"]
