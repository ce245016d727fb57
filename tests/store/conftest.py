from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoal.store.database import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url, inline=True)
    yield opened
    opened.close()
