"""A job that fails: it is told once, tried again, and nothing else stops for it."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import looptime
import pytest

from shoal.errors import CloudError, EnvironmentFailed
from shoal.server import jobs, loop
from shoal.server.passes.environments import care_for_environments
from shoal.store import events
from shoal.wire.events import EventKind
from tests.server.browsing import Browser
from tests.server.conftest import Served


def running(served: Served, work: Callable[[], Awaitable[None]], seconds: float) -> None:
    """The job `try it`, every two seconds, for so long."""

    async def run() -> None:
        repeated = jobs.repeat(served.desk, "try it", 2.0, work)
        try:
            async with asyncio.timeout(seconds):
                await repeated
        except TimeoutError:
            return

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(run())


def alarms(served: Served) -> list[str]:
    found = served.now(served.desk.database.run(events.newest, None, 50))
    return [it.why for it in found if it.kind is EventKind.ALARM]


class Work:
    """Fails as often as it is told to, then goes well."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.left, self.done = error, times, 0

    async def __call__(self) -> None:
        if self.left:
            self.left -= 1
            raise self.error
        self.done += 1


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "env-foo/bin/python"),
        RuntimeError("a bug"),
        CloudError("the collector does not answer"),
        ExceptionGroup("both", [ValueError("x"), OSError("y")]),
    ],
    ids=lambda it: type(it).__name__,
)
def test_whatever_a_job_raises_is_an_alarm_and_it_goes_on(served: Served, error: Exception) -> None:
    work = Work(error, times=3)
    running(served, work, 120.0)
    assert work.done > 20
    [told] = alarms(served)
    assert told.startswith("The server failed to try it: ")
    assert str(error) in told
    seen = served.desk.passes.loops["try it"]
    assert (seen.failures, seen.problem) == (3, "")
    assert str(error) in seen.last_problem


def test_the_alarm_shows_on_the_machinery_page(served: Served) -> None:
    running(served, Work(RuntimeError("a bug in the job"), times=99), 10.0)
    browser = Browser(served)
    browser.log_in(served.token("ada", "research", "clusters", "admin"))
    page = browser.get("/machinery").text
    assert page.count("a bug in the job") >= 2  # as the loop's problem, and as an alarm
    assert "try it" in page


def test_a_second_outage_is_a_second_alarm(served: Served) -> None:
    work = Work(RuntimeError("first"), times=2)
    running(served, work, 60.0)
    work.left, work.error = 2, RuntimeError("second")
    running(served, work, 60.0)
    assert [it.split(": ")[2].rstrip() for it in alarms(served)] == [
        "second. The server's log tells more.",
        "first. The server's log tells more.",
    ]


def test_what_fails_for_long_is_tried_less_often_and_never_given_up(served: Served) -> None:
    work = Work(RuntimeError("no"), times=10_000)
    running(served, work, 3600.0)
    assert 60 <= 10_000 - work.left <= 70


def test_a_full_disk_is_told_in_words(served: Served) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/state/environments/x")
    running(served, Work(full, times=1), 10.0)
    assert "No space is left on the disk (/state/environments/x). Free some." in alarms(served)[0]


def test_a_foreign_directory_among_environments_ends_no_server(served: Served) -> None:
    """Seen: `mkdir environments/env-foo` ended the server within seconds."""
    (served.desk.settings.state.software_store / "env-foo").mkdir(parents=True)

    async def run() -> None:
        running = asyncio.ensure_future(loop.run(served.desk))
        while not alarms_of(await served.desk.database.run(events.newest, None, 50)):
            await served.desk.told.after(served.desk.told.count, timeout_s=1.0)
        assert not running.done()
        served.desk.stopping.set()
        await served.desk.wanted.ring()
        await running

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(run())
    assert "env-foo cannot be made ready" in alarms(served)[0]


def alarms_of(found: list[object]) -> list[object]:
    return [it for it in found if it.kind is EventKind.ALARM]  # type: ignore[attr-defined]


def test_one_bad_environment_keeps_none_of_the_others_waiting(tmp_path: Path) -> None:
    (tmp_path / "env-bad").mkdir()
    good = tmp_path / "env-good"
    (good / "bin").mkdir(parents=True)
    (good / ".shoal-compiled").touch()
    half = tmp_path / ".making-x"
    half.mkdir()
    os.utime(half, (0, time.time() - 2 * 86_400))
    with pytest.raises(EnvironmentFailed, match="env-bad cannot be made ready"):
        asyncio.run(care_for_environments(tmp_path, 86_400.0))
    assert len(list(tmp_path.glob(".spare-env-good-*"))) == 3
    assert not half.exists()
