"""What every ring may use: a database of either engine."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import make_url

from shoal.store.database import Database
from tests import postgres

# A shell without job control starts what it puts into the background with SIGINT ignored, and so
# would everything be that is started here, sessions that are interrupted by a test included.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What is imported stays: to look for garbage among it, time and again, is a fifth of the imports.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


# The same examples each time; more of them where SHOAL_TEST_EXAMPLES says "thorough", as in CI.
_SAME = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("quick", _SAME, max_examples=12)
settings.register_profile("thorough", _SAME, max_examples=150)
settings.load_profile(os.environ.get("SHOAL_TEST_EXAMPLES", "quick"))


# Each question on each engine, in CI; while working, PostgreSQL where only it can tell.
ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    try:
        with postgres.running() as server:
            yield server
    except postgres.CannotRun as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL here: {reason}")


@pytest.fixture(params=ENGINES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own with nothing in it, of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shoal.db'}"
    server: postgres.Server = request.getfixturevalue("postgres_server")
    return server.new_database()


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same, with its tables: a copy of one that was migrated once."""
    if request.param == "sqlite":
        file = tmp_path / "shoal.db"
        shutil.copyfile(request.getfixturevalue("migrated_file"), file)
        return f"sqlite:///{file}"
    server: postgres.Server = request.getfixturevalue("postgres_server")
    return server.new_database(request.getfixturevalue("migrated_on_postgres"))


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "shoal.db"
    Database.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture(scope="session")
def migrated_on_postgres(postgres_server: postgres.Server) -> str:
    url = postgres_server.new_database()
    Database.open(url).close()
    return str(make_url(url).database)
