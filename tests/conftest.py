"""What every ring may use: a database of either engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import postgres

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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    try:
        with postgres.running() as server:
            yield server
    except postgres.CannotRun as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL here: {reason}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of its own, of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shoal.db'}"
    server: postgres.Server = request.getfixturevalue("postgres_server")
    return server.new_database()
