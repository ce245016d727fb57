"""Wherever a reconciler dies among a vendor's calls, the next one finds its way: nothing is double,
and in the end nothing is left, by the cloud's own ledger."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from tests.kill.doubled import STORIES, Run, Story
from tests.kill.grounds import GROUNDS
from tests.kill.matrix import spread
from tests.kill.rig import databases

DEATHS = 9  # in each story on each cloud, spread evenly over its points


@pytest.mark.long
@pytest.mark.parametrize("cloud", GROUNDS)
def test_what_nobody_kills_ends_with_nothing_left(cloud: str, tmp_path: Path) -> None:
    with GROUNDS[cloud](tmp_path) as ground, databases(1) as [database]:
        run = Run(ground, database, STORIES[0], 1)
        assert asyncio.run(run.play()) == []
        assert len(run.made) == STORIES[0].most_vms


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("story", STORIES, ids=[it.name for it in STORIES])
@pytest.mark.parametrize("cloud", GROUNDS)
def test_a_death_between_any_two_calls_costs_nothing(
    cloud: str, story: Story, tmp_path: Path
) -> None:
    numbers = itertools.count(1)
    with GROUNDS[cloud](tmp_path) as ground, databases(1) as [database]:
        first = Run(ground, database, story, next(numbers))
        assert asyncio.run(first.play()) == []
        failures = {}
        for point in spread(range(1, first.points + 1), DEATHS):
            run = Run(ground, database, story, next(numbers))
            if complaints := asyncio.run(run.play(dies_at=point)):
                failures[point] = complaints
    assert failures == {}
