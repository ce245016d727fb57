"""What goes on beside the scheduler cannot harm it."""

from __future__ import annotations

import asyncio
import logging

import looptime
import pytest

from shoal.plugins.beside import unharmed


def test_a_part_that_fails_begins_anew_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    begun = 0

    async def fails_twice() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise KeyError("a worker that has just left")
        await asyncio.sleep(1000)

    async def scenario() -> None:
        running = asyncio.create_task(unharmed(fails_twice))
        await asyncio.sleep(10)
        running.cancel()

    with caplog.at_level(logging.ERROR), asyncio.Runner(loop_factory=looptime.new_event_loop) as it:
        it.run(scenario())
    assert begun == 3
    assert [str(it.exc_info[1]) for it in caplog.records if it.exc_info] == [
        "'a worker that has just left'"
    ] * 2
