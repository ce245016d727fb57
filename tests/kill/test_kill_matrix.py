"""Wherever a reconciler dies, the next one finds its way: nothing leaks, nothing is double, and
what was asked for comes true."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from tests.kill.matrix import WEATHERS, Column, Extent, Report, walk
from tests.kill.rig import databases
from tests.kill.stories import STORIES, Story

SAMPLE = Extent(points=4, pairs=2, visits=4)
WHOLE = Extent(pairs=26)
PARTS = 10  # of the whole matrix, of about the same size, which may run side by side
LEAST_RUNS = 1_000  # in each part: ten thousand together
QUICK = ("create", "delete while launching")


NUMBERED = [
    pytest.param(number, it, id=it.name, marks=[] if it.name in QUICK else [pytest.mark.long])
    for number, it in enumerate(STORIES)
]


@pytest.mark.parametrize(("number", "story"), NUMBERED)
def test_a_story_survives_a_sample_of_deaths(number: int, story: Story) -> None:
    weathers = WEATHERS[number % 5 :: 5]  # over the stories, each of them
    report = Report()
    with databases(story.sites) as opened:
        asyncio.run(walk((Column(opened, story, it) for it in weathers), SAMPLE, report))
    assert report.runs > 20
    assert report.failures == []


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_story_in_every_weather_survives_death_at_every_point(
    part: int, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report()
    every = list(itertools.product(STORIES, WEATHERS))
    random.Random(0).shuffle(every)
    columns = every[part::PARTS]
    with databases() as opened:
        asyncio.run(walk((Column(opened, *it) for it in columns), WHOLE, report))
    with capsys.disabled():
        print(
            f"\n{report.runs} runs with {report.deaths} deaths in {len(columns)} columns "
            f"with {report.points} I/O points: {len(report.failures)} failures"
        )
    assert report.failures[:5] == []
    assert report.runs >= LEAST_RUNS


@pytest.mark.long
def test_a_vm_that_another_replica_binds_meanwhile_is_left_alone() -> None:
    """It was swept: it is in the listing, not in the rows that were read, and bound before the
    question whether it is of the past."""
    story = next(it for it in STORIES if it.name == "two replicas")
    weather = next(it for it in WEATHERS if it.name == "unnamed, lost answers")
    report = Report()
    with databases(1) as opened:
        asyncio.run(walk([Column(opened, story, weather)], Extent(points=0), report))
    assert report.runs > 20
    assert report.failures == []
