"""Migrations: they meet the declared schema, keep what is there, and refuse what they don't know.

The model is procrastinate's test_migration: two databases, one migrated and one made as declared,
must have equal catalogs. (Alembic's own comparison sees neither partial nor expression indexes.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Timer

import pytest
from sqlalchemy import Connection, create_engine, make_url, text

from shoal.core.records import Instance
from shoal.errors import StoreFault
from shoal.store import (
    clusters,
    environments,
    installation,
    instances,
    ledger,
    listing,
    logs,
    migrate,
    tables,
    world,
)
from shoal.store.database import Database
from shoal.wire.endpoints import ClusterQuery
from shoal.wire.ids import ClusterId, EnvironmentId
from shoal.wire.specs import Cloud
from shoal.wire.views import InstanceState
from tests.store.asking import ask, ask_samples
from tests.store.samples import NOW, RESEARCH, a_batch, a_cluster, an_event

Catalog = set[tuple[object, ...]]


def catalog(tx: Connection) -> Catalog:
    """Every column, index and constraint, as the engine itself describes it."""
    questions = _POSTGRESQL if tx.dialect.name == "postgresql" else _SQLITE
    found = {tuple(row) for question in questions for row in tx.execute(text(question))}
    return {it for it in found if "alembic_version" not in str(it)}


_SQLITE = (
    """SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk
       FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c WHERE m.type = 'table'""",
    """SELECT m.name, f."from", f."table", f."to"
       FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'""",
    """SELECT m.name, i."unique", i.origin, i.partial, c.seqno, c.name
       FROM sqlite_master m JOIN pragma_index_list(m.name) i JOIN pragma_index_info(i.name) c""",
    """SELECT name, replace(replace(sql, char(10), ''), '"', '')
       FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL""",
    "SELECT name, sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE type = 'table'",
)
_POSTGRESQL = (
    """SELECT table_name, column_name, data_type, is_nullable, column_default
       FROM information_schema.columns WHERE table_schema = 'public'""",
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    """SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
       WHERE connamespace = 'public'::regnamespace""",
)


def test_migrations_meet_the_declared_schema(database: Database) -> None:
    with database.engine.begin() as tx:
        migrated = catalog(tx)
        tables.facts.drop_all(tx)
        tables.facts.create_all(tx)
        declared = catalog(tx)
    assert migrated - declared == set()
    assert declared - migrated == set()
    assert len(declared) > 100


# As the first release of the schema would have written them.
_OLD_ROWS = (
    "INSERT INTO installation VALUES ('i-abcdefghij', 'fingerprint')",
    """INSERT INTO cluster (id, workspace, owner, spec, generation, created_at, name, cloud) VALUES
       ('c-old', 'research', 'ada', '{"name":"etl","cloud":"sim","workers":
       {"minimum":1,"wanted":1,"maximum":1},"environment":"env-1"}', 3, 1793534400000000,
       'etl', 'sim')""",
    """INSERT INTO environment (id, manifest) VALUES ('env-1', '{"id":"env-1","lock":"l",
       "python":"3.11.7","platform":"x"}'), ('env-2', '{}')""",
    """INSERT INTO batch (id, cluster, record) VALUES ('c-old-b1', 'c-old', '{"id":"c-old-b1",
       "cluster":"c-old","role":"worker","count":1,"offers":[],"instances":["shoal-c-old-1"],
       "cluster_created_at":"2026-11-01T12:00:00Z","head_address":"","image":"","disk_gib":30,
       "tags":[],"lifetime_s":0.0,"created_at":"2026-11-01T12:00:00Z"}')""",
    """INSERT INTO instance (id, batch, cluster, role, state, since, why, created_at, failed, vm,
       spot, number, cloud) VALUES ('shoal-c-old-1', 'c-old-b1', 'c-old', 'worker', 'launched',
       1793534400000001, 'accepted', 1793534400000000, false, 'vm-1', true, 1, 'sim')""",
)


def older(url: str, revision: str, rows: Sequence[str]) -> None:
    """A database as an earlier version left it."""
    engine = create_engine(make_url(url.replace("postgresql:", "postgresql+psycopg:")))
    migrate.upgrade(engine, revision)
    with engine.begin() as tx:
        for row in rows:
            tx.exec_driver_sql(row)
    engine.dispose()


def test_an_older_database_is_upgraded_and_keeps_its_rows(empty_url: str) -> None:
    older(empty_url, "0001", _OLD_ROWS)
    database = Database.open(empty_url)
    rows = ask(database, world.read, Cloud.SIM, NOW)
    [instance] = ask(database, instances.all_of_cluster, ClusterId("c-old"))
    own = ask(database, installation.read)
    manifest = ask(database, environments.get, RESEARCH, EnvironmentId("env-1"))
    kept = ask(database, lambda tx: tx.execute(text("SELECT workspace, id FROM environment")).all())
    database.close()
    assert [(it.id, it.generation, it.spec.name) for it in rows.clusters] == [("c-old", 3, "etl")]
    assert [it.id for it in rows.batches] == ["c-old-b1"]
    assert rows.instances == (instance,)
    assert isinstance(instance, Instance)
    assert (instance.state, instance.vm) == (InstanceState.LAUNCHED, "vm-1")
    assert instance.since.isoformat() == "2026-11-01T12:00:00.000001+00:00"
    assert own == "i-abcdefghij"
    assert manifest.lock == "l"
    assert kept == [("research", "env-1")]  # the other was no workspace's


_BOOKED_ROWS = (
    """INSERT INTO cluster (id, workspace, owner, spec, generation, created_at, ended_at, end_kind,
       settled_at, name, cloud) VALUES ('c-old', 'research', 'ada', '{"name":"etl","cloud":"sim",
       "workers":{"wanted":2,"minimum":2,"maximum":2},"environment":"env-1",
       "tags":{"team":"red"}}', 3, 1793534400000000, 1793538000000000, 'user', 1793538000000000,
       'etl', 'sim')""",
    """INSERT INTO ledger (cluster, day, uusd, seconds, unpriced_s)
       VALUES ('c-old', 1793491200000000, 190000, 3600, 0)""",
)


def test_what_was_booked_says_whose_it_is(empty_url: str) -> None:
    """Lines of the ledger did not say so before 0014."""
    older(empty_url, "0013", _BOOKED_ROWS)
    database = Database.open(empty_url)
    span = (RESEARCH, NOW - timedelta(days=1), NOW + timedelta(days=1))
    by_tag, days = ask(database, ledger.spent, *span, "tag:team")
    by_user, _ = ask(database, ledger.spent, *span, "user")
    found, _ = ask(database, listing.page, RESEARCH, ClusterQuery(ended=True, tag="team=red"))
    again = ask(database, ledger.book, NOW)
    database.close()
    assert [(it.payer.tags, it.uusd) for it in by_tag] == [({"team": "red"}, 190_000)]
    assert [(it.payer.owner, it.clusters) for it in by_user] == [("ada", 1)]
    assert [it.uusd for it in days] == [190_000]
    assert [it.id for it in found] == ["c-old"]
    assert again == 0


def test_a_newer_schema_is_refused_and_left_alone(database: Database, database_url: str) -> None:
    ask(database, lambda tx: tx.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(StoreFault, match=r"newer Shoal: it has schema 9999.*knows up to 00"):
        Database.open(database_url)
    version = text("SELECT version_num FROM alembic_version")
    assert ask(database, lambda tx: tx.execute(version).scalar()) == "9999"


def test_servers_that_start_at_once_make_one_record(empty_url: str) -> None:
    count = 4
    together = Barrier(count)

    def start(_: int) -> object:
        together.wait()
        database = Database.open(empty_url)
        own = ask(database, installation.read, "key")
        database.close()
        return own

    with ThreadPoolExecutor(count) as pool:
        assert len(set(pool.map(start, range(count)))) == 1


def test_there_is_one_installation_even_for_those_who_try(database: Database) -> None:
    ask(database, installation.read, "key")
    row = "INSERT INTO installation (id, key_fingerprint) VALUES ('i-other', 'key')"
    with pytest.raises(Exception, match=r"(?i)unique"):
        ask(database, lambda tx: tx.execute(text(row)))


def test_samples_of_another_layout_are_made_anew_and_facts_are_not(empty_url: str) -> None:
    first = Database.open(empty_url)
    ask(first, lambda tx: tx.execute(text("ALTER TABLE log_line RENAME COLUMN text TO words")))
    cluster = a_cluster()
    ask(first, clusters.create, cluster, an_event(cluster))
    ask(first, instances.intend, a_batch(cluster), 1, an_event(cluster))
    first.close()
    again = Database.open(empty_url)
    assert ask_samples(again, logs.read, cluster.id).lines == ()
    assert len(ask(again, instances.all_of_cluster, cluster.id)) == 2
    again.close()


def test_the_first_start_waits_for_who_looks_into_the_new_file(tmp_path: Path) -> None:
    """SQLite itself does not wait when a file is switched to write-ahead logging."""
    other = sqlite3.connect(tmp_path / "shoal.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    leaving = Timer(0.2, other.execute, ["ROLLBACK"])
    leaving.start()
    Database.open(f"sqlite:///{tmp_path / 'shoal.db'}").close()
    leaving.join()
    other.close()
