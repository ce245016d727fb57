from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoal.store.database import Database
from tests.passes.site import Site


@pytest.fixture
def site(database_url: str) -> Iterator[Site]:
    """On SQLite and on PostgreSQL, as a server has it: questions in threads."""
    database = Database.open(database_url)
    yield Site(database)
    database.close()
