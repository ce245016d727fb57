"""What a scene's databases hold, of either engine: asked, saved, put back, and cut off from whoever
uses them, as the death of a process does."""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Iterable
from typing import Any, LiteralString, Protocol

import psycopg
from sqlalchemy import insert, make_url

from shoal.store import tables
from shoal.store.database import Database


class Found(Protocol):
    def __iter__(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Rows(Protocol):
    def execute(self, query: LiteralString) -> Found:
        """The oracle's own questions."""
        ...

    def changes(self) -> int:
        """Another number after something was written."""
        ...

    def save(self) -> bytes: ...

    def restore(self, saved: bytes) -> None: ...

    def begin(self, number: int) -> None:
        """Nothing is there but the row of this installation."""
        ...

    def cut(self) -> None:
        """A process that used it is no more, and said no goodbye."""
        ...


def rows(database: Database) -> Rows:
    if database.engine.dialect.name == "sqlite":
        return SqliteRows(rows_of(database))
    return PostgresRows(database.engine.url.render_as_string(hide_password=False))


class SqliteRows:
    """Of a database in memory, all at once. Its one connection is everybody's: none is cut."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, query: LiteralString) -> Found:
        return self._connection.execute(query)

    def changes(self) -> int:
        return self._connection.total_changes

    def save(self) -> bytes:
        return self._connection.serialize()

    def restore(self, saved: bytes) -> None:
        self._connection.deserialize(saved)
        self._connection.execute("PRAGMA foreign_keys = ON")

    def begin(self, number: int) -> None:
        self.restore(template(number))

    def cut(self) -> None:
        pass


class PostgresRows:
    """Of a database with its tables, by a connection of its own: each table's rows as JSON."""

    def __init__(self, url: str) -> None:
        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection = psycopg.connect(plain, autocommit=True)
        weakref.finalize(self, self._connection.close)
        self._tables = [it.name for it in tables.facts.sorted_tables]

    def execute(self, query: LiteralString) -> Found:
        return self._connection.execute(query)

    def changes(self) -> int:
        """Whoever writes takes a number."""
        query = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
        return int(self._one(query))

    def save(self) -> bytes:
        each = ", ".join(
            f"'{name}', (SELECT json_agg(t) FROM \"{name}\" t)" for name in self._tables
        )
        return self._one(f"SELECT json_build_object({each})::text").encode()

    def restore(self, saved: bytes) -> None:
        held = json.loads(saved)
        with self._connection.transaction():
            self._delete(reversed(self._tables))
            for name in self._tables:
                if held.get(name):
                    self._connection.execute(
                        f'INSERT INTO "{name}" SELECT * FROM '
                        f'json_populate_recordset(NULL::"{name}", %s)'.encode(),
                        (json.dumps(held[name]),),
                    )

    def begin(self, number: int) -> None:
        self.restore(json.dumps({"installation": [_installation(number)]}).encode())

    def cut(self) -> None:
        self._one(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def _delete(self, names: Iterable[str]) -> None:
        self._connection.execute("; ".join(f'DELETE FROM "{it}"' for it in names).encode())

    def _one(self, query: str) -> Any:
        [found] = self._connection.execute(query.encode()).fetchall()
        return found[0]


def rows_of(database: Database) -> sqlite3.Connection:
    """For a test's own questions."""
    connection = database.engine.raw_connection()
    driver = connection.driver_connection
    connection.close()  # a StaticPool keeps it
    assert isinstance(driver, sqlite3.Connection)
    return driver


_templates: dict[int, bytes] = {}


def template(number: int) -> bytes:
    """A migrated database with its installation row, made once."""
    if number not in _templates:
        database = Database.open("sqlite://", inline=True)
        with database.engine.begin() as tx:
            tx.execute(insert(tables.installation).values(_installation(number)))
        _templates[number] = rows_of(database).serialize()
        database.close()
    return _templates[number]


def _installation(number: int) -> dict[str, str]:
    return {"id": f"i-{number:010d}", "key_fingerprint": ""}
