"""Engines, transactions and what can go wrong with them.

`run` is one transaction in a thread of a named limiter, committed durably when it returns. SQLite
takes the write lock at the beginning (BEGIN IMMEDIATE), so that two writers wait for each other
instead of failing half-way. What the engine says becomes a StoreFault, without credentials.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import anyio.to_thread
from sqlalchemy import Connection, Engine, create_engine, event
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
from shoal.store.tables import samples

P = ParamSpec("P")
R = TypeVar("R")

Transaction = Connection  # what a question is asked in; handed through by those without SQL

BUSY_TIMEOUT_S = 5.0
_THREADS = 8


class Database:
    """The facts, and apart from them the samples."""

    def __init__(self, facts: Engine, disposable: Engine, *, inline: bool) -> None:
        self._facts = facts
        self._samples = disposable
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
        facts = _engine(url, busy_timeout_s)
        disposable = facts if samples_url is None else _engine(samples_url, busy_timeout_s)
        try:
            with _faults(url):
                migrate.upgrade(facts)
                samples.create_all(disposable)
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
        call = partial(_transact, engine, question, args, kwargs)
        if self._inline:
            return call()
        return await anyio.to_thread.run_sync(call, limiter=self._limiter)

    def close(self) -> None:
        self._facts.dispose()
        self._samples.dispose()


def masked(url: str) -> str:
    """The URL without its password."""
    return make_url(url).render_as_string(hide_password=True)


def _transact(engine: Engine, question: Any, args: Any, kwargs: Any) -> Any:
    with _faults(str(engine.url)), engine.begin() as tx:
        return question(tx, *args, **kwargs)


def _engine(url: str, busy_timeout_s: float) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed.render_as_string(hide_password=False), busy_timeout_s)
        return create_engine(parsed, pool_size=_THREADS, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise InvalidRequest(
            "The database URL is not understood.", hint="As in postgresql://user@host/shoal."
        ) from error
    except ModuleNotFoundError as error:
        raise InvalidRequest(
            f"The database driver {error.name} is not installed.",
            hint="pip install 'shoal[server,postgres]'",
        ) from error


def _sqlite(url: str, busy_timeout_s: float) -> Engine:
    in_memory = url in ("sqlite://", "sqlite:///:memory:")
    arguments = {"timeout": busy_timeout_s, "check_same_thread": False, "isolation_level": None}
    engine = (
        create_engine(url, connect_args=arguments, poolclass=StaticPool)
        if in_memory
        else create_engine(url, connect_args=arguments, pool_size=_THREADS)
    )

    def configure(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA busy_timeout = {int(busy_timeout_s * 1000)}")
        if not in_memory:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")

    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", lambda tx: tx.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


@contextmanager
def _faults(url: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, IntegrityError | ProgrammingError):
            raise  # a question's own business, or our bug
        sentence, hint = _words(error, url)
        raise StoreFault(sentence, hint=hint) from error


_HINTS = (
    ("locked", "Another process holds it; it is tried again. If it stays so, find that process."),
    ("full", "Free some space; nothing that was recorded is lost."),
    ("readonly", "Make the file and its directory writable."),
    ("unable to open", "Does the directory exist, and is it writable?"),
    ("malformed", "Restore it from a backup; running VMs are found by their tags."),
    ("not a database", "Name another file, or restore it from a backup."),
)


def _words(error: DBAPIError, url: str) -> tuple[str, str]:
    said = str(error.orig).strip().partition("\n")[0]
    hint = next((hint for word, hint in _HINTS if word in said), "Is the database server running?")
    return f"The database {masked(url)} does not answer: {said}.", hint
