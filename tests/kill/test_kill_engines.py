"""A sample of the matrix on each engine: what a process leaves behind that dies in a transaction,
and what the next one finds, is the engine's business too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from shoal.store.database import Database
from tests.kill.matrix import WEATHERS, Column, Extent, Report, walk
from tests.kill.rig import databases
from tests.kill.stories import STORIES, Story
from tests.postgres import Server

EXTENT = Extent(points=5, torn=4, pairs=1, visits=3)
SAMPLE = {
    "create": "lag, lost answers",
    "delete while launching": "unnamed, late requests",
    "limits": "fine",
    "two replicas": "unnamed, lost requests",
    "two installations": "duplicates",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest) -> Iterator[list[Database]]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield stack.enter_context(databases())
            return
        server: Server = request.getfixturevalue("postgres_server")
        migrated = request.getfixturevalue("migrated_on_postgres")
        urls = [server.new_database(migrated) for _ in range(2)]
        both = [Database.open(it, inline=True) for it in urls]
        for it in both:
            stack.callback(it.close)
        yield both


@pytest.mark.parametrize("story", ["create", pytest.param("two replicas", marks=pytest.mark.long)])
def test_a_run_from_any_step_on_is_the_run_that_nobody_kills(story: str) -> None:
    """Or to die at one of its points is not what it is said to be."""
    told = next(it for it in STORIES if it.name == story)
    with databases(told.sites) as opened:
        column = Column(opened, told, WEATHERS[2])
        assert asyncio.run(column.undisturbed()) is None
        assert asyncio.run(column.again()) == {column.points}


@pytest.mark.long
@pytest.mark.parametrize(
    "story", [it for it in STORIES if it.name in SAMPLE], ids=lambda it: it.name
)
def test_deaths_between_and_inside_transactions_cost_nothing(
    story: Story, opened: list[Database]
) -> None:
    weather = next(it for it in WEATHERS if it.name == SAMPLE[story.name])
    report = Report()
    asyncio.run(walk([Column(opened, story, weather)], EXTENT, report))
    assert report.failures == []
    assert report.deaths >= 9
