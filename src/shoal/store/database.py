"""Engines, transactions and what can go wrong with them.

`run` is one transaction in a thread of a named limiter, committed durably when it returns. Writers
take turns, on both engines from the beginning of the transaction on (SQLite: BEGIN IMMEDIATE;
PostgreSQL: an advisory lock): they wait for each other instead of failing half-way or crossing
each other, and events are numbered in the order of their commits. Reading questions (questions.py)
see one moment and wait for nobody. What the engine says becomes a StoreFault, without credentials.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import anyio.to_thread
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
)
from sqlalchemy.pool import StaticPool

from shoal.errors import InvalidRequest, StoreFault
from shoal.store import migrate
from shoal.store.questions import only_reads

P = ParamSpec("P")
R = TypeVar("R")

Transaction = Connection  # what a question is asked in; handed through by those without SQL

BUSY_TIMEOUT_S = 5.0
_THREADS = 8
_CONNECT_TIMEOUT_S = 10
_FROZEN_S = 60  # a replica that stands still inside a transaction loses its turn
_FACTS_TURN, _SAMPLES_TURN = 7_240_301, 7_240_302  # numbers of PostgreSQL's advisory locks


class Database:
    """The facts, and apart from them the samples."""

    def __init__(self, facts: Engine, disposable: Engine, *, inline: bool) -> None:
        self._facts = facts
        self._samples = disposable
        self._readers = {it: _reader(it) for it in (facts, disposable)}
        self._inline = inline
        self._limiter = anyio.CapacityLimiter(_THREADS)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        samples_url: str | None = None,
        inline: bool = False,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> Self:
        """Made if it is not there, migrated if it is older; StoreFault if it is newer or
        unreadable. `inline`: questions run in the caller's thread (deterministic tests)."""
        facts = _engine(url, busy_timeout_s, precious=True)
        disposable: Engine = facts.execution_options(turn=_SAMPLES_TURN)
        try:
            with _faults(facts.url):
                migrate.upgrade(facts)
            if samples_url is not None:
                disposable = _engine(samples_url, busy_timeout_s, precious=False)
            with _faults(disposable.url):
                migrate.renew_samples(disposable)
        except BaseException:
            facts.dispose()
            disposable.dispose()
            raise
        return cls(facts, disposable, inline=inline)

    @property
    def engine(self) -> Engine:
        return self._facts

    async def run(
        self, question: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        answer: R = await self._run(self._facts, question, args, kwargs)
        return answer

    async def run_samples(
        self, question: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        answer: R = await self._run(self._samples, question, args, kwargs)
        return answer

    async def _run(self, engine: Engine, question: Any, args: Any, kwargs: Any) -> Any:
        asked = self._readers[engine] if only_reads(question) else engine
        call = partial(_transact, asked, question, args, kwargs)
        if self._inline:
            return call()
        return await anyio.to_thread.run_sync(call, limiter=self._limiter)

    def close(self) -> None:
        self._facts.dispose()
        self._samples.dispose()


def masked(url: str) -> str:
    """The URL without its password, wherever in it that stands."""
    return _masked(make_url(url))


def _masked(url: URL) -> str:
    return url.difference_update_query(["password", "sslpassword"]).render_as_string()


def _transact(engine: Engine, question: Any, args: Any, kwargs: Any) -> Any:
    with _faults(engine.url), engine.begin() as tx:
        return question(tx, *args, **kwargs)


def _reader(engine: Engine) -> Engine:
    """The same connections, for transactions that see one moment and write nothing."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(reading=True)
    return engine.execution_options(
        reading=True, isolation_level="REPEATABLE READ", postgresql_readonly=True
    )


def _engine(url: str, busy_timeout_s: float, *, precious: bool) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        match parsed.get_backend_name():
            case "sqlite":
                return _sqlite(parsed, busy_timeout_s, precious=precious)
            case "postgresql":
                return _postgresql(parsed, busy_timeout_s, precious=precious)
            case other:
                raise ArgumentError(other)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise InvalidRequest(
            "The database URL is not understood.", hint="As in postgresql://user@host/shoal."
        ) from error
    except ModuleNotFoundError as error:
        raise InvalidRequest(
            f"The database driver {error.name} is not installed.",
            hint="pip install 'shoal[server,postgres]'",
        ) from error


def _sqlite(url: URL, busy_timeout_s: float, *, precious: bool) -> Engine:
    in_memory = url.database in (None, "", ":memory:")
    arguments = {"timeout": busy_timeout_s, "check_same_thread": False, "isolation_level": None}
    engine = (
        create_engine(url, connect_args=arguments, hide_parameters=True, poolclass=StaticPool)
        if in_memory
        else create_engine(url, connect_args=arguments, hide_parameters=True, pool_size=_THREADS)
    )

    def configure(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA busy_timeout = {int(busy_timeout_s * 1000)}")
        if not in_memory:
            _write_ahead(connection, busy_timeout_s)
            connection.execute(f"PRAGMA synchronous = {'FULL' if precious else 'NORMAL'}")

    def begin(tx: Connection) -> None:
        reads = _reads(tx)
        if reads:
            tx.info["changes"] = _changes(tx)
        tx.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    def commit(tx: Connection) -> None:
        """(Of each PRAGMA, query_only too, SQLite forgets all statements that it has compiled.)"""
        if _reads(tx) and tx.info["changes"] != _changes(tx):
            raise StoreFault("A question that should only read has written; nothing of it is kept.")

    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", begin)
    event.listen(engine, "commit", commit)
    return engine


def _reads(tx: Connection) -> bool:
    return bool(tx.get_execution_options().get("reading", False))


def _changes(tx: Connection) -> int:
    """How many rows this connection ever wrote."""
    driver = tx.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver.total_changes


def _write_ahead(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """For the switch of a new file SQLite does not wait by itself: the busy timeout is not asked
    (sqlite.org/wal.html, "Sometimes queries return SQLITE_BUSY in WAL mode")."""
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _postgresql(url: URL, busy_timeout_s: float, *, precious: bool) -> Engine:
    arguments = {} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_TIMEOUT_S}
    engine = create_engine(
        url,
        connect_args=arguments,
        hide_parameters=True,
        pool_size=_THREADS,
        pool_pre_ping=True,
        execution_options={"turn": _FACTS_TURN if precious else _SAMPLES_TURN},
    )

    def configure(connection: Any, record: object) -> None:
        connection.autocommit = True
        connection.execute(f"SET lock_timeout = '{int(busy_timeout_s * 1000)}ms'")
        connection.execute(f"SET idle_in_transaction_session_timeout = '{_FROZEN_S}s'")
        connection.autocommit = False

    def begin(tx: Connection) -> None:
        if not _reads(tx):
            turn = tx.get_execution_options()["turn"]
            tx.exec_driver_sql(f"SELECT pg_advisory_xact_lock({turn})")

    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", begin)
    return engine


@contextmanager
def _faults(url: URL) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if _is_ours(error):
            raise
        said = str(error.orig).strip().partition("\n")[0].rstrip(".")
        raise StoreFault(
            f"The database {_masked(url)} failed: {said}.", hint=_hint(said)
        ) from error
    except OverflowError as error:  # SQLite; PostgreSQL says so as a DBAPIError
        raise StoreFault(f"The database {_masked(url)} cannot hold a number: {error}.") from error


def _is_ours(error: DBAPIError) -> bool:
    """A question's own business, or our bug; but not a lack of privileges."""
    denied = getattr(error.orig, "sqlstate", None) == "42501"
    return isinstance(error, IntegrityError | ProgrammingError) and not denied


_HINTS = (
    ("locked", "Another process holds it; it is tried again. If it stays so, find that process."),
    ("lock timeout", "Another server holds it; it is tried again. If it stays so, find that one."),
    ("full", "Free some space; nothing that was recorded is lost."),
    ("No space left", "Free some space; nothing that was recorded is lost."),
    ("disk I/O error", "Is the disk full, or failing? Free some space: nothing recorded is lost."),
    ("readonly", "Make the file and its directory writable."),
    ("read-only", "Name the primary server: this one is a standby."),
    ("unable to open", "Does the directory exist, and is it writable?"),
    ("malformed", "Restore it from a backup; running VMs are found by their tags."),
    ("not a database", "Name another file, or restore it from a backup."),
    ("authentication failed", "Check the user and the password in the database URL."),
    ("permission denied", "Grant the user of the database URL all rights on its schema."),
    ("does not exist", "Create it, as in: createdb shoal"),
)


def _hint(said: str) -> str:
    return next((hint for word, hint in _HINTS if word in said), "Is the database server running?")
