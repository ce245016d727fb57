"""An open page hears at once what it should show: events, deaths, errors, lines of the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from shoal.server import news
from shoal.server.desk import Incoming
from shoal.server.gate import Caller
from shoal.server.handlers.events import changes
from shoal.server.pages.stream import hints
from shoal.store import events as event_rows
from shoal.wire.endpoints import ChangesQuery
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, UserName, WorkspaceName
from shoal.wire.requests import CreateCluster, Watch
from shoal.wire.telemetry import Chunk, Loss, SchedulerSample, WatchedReport, WorkerEvent
from tests.server.conftest import Served
from tests.server.specs import a_spec

NOW = datetime(2026, 11, 1, tzinfo=UTC)
RESEARCH = WorkspaceName("research")
LOST = WorkerEvent(NOW, "w-1", "tcp://h:1", False, Loss.MEMORY)


@pytest.fixture
def cluster(served: Served) -> ClusterId:
    token = served.token("ada", "research", "clusters")
    made = served.ask(token, "POST", "/v1/clusters", CreateCluster(a_spec())).json()
    return ClusterId(made["id"])


async def heard(
    served: Served, cluster: ClusterId | None, happening: Callable[[], Awaitable[object]]
) -> bytes:
    """The first hint that a page gets after something happened."""
    stream: AsyncIterator[bytes] = hints(served.desk, RESEARCH, cluster)
    assert await anext(stream) == b": connected\n\n"
    following = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await happening()
    async with asyncio.timeout(5):
        return await following


def test_a_death_is_told_at_once(served: Served, cluster: ClusterId) -> None:
    about = news.subjects(cluster, [Chunk(1, LOST)], logs=False)
    told = asyncio.run(heard(served, cluster, lambda: served.desk.told.ring(*about)))
    assert told == b"data: look\n\n"


def test_lines_of_the_log_are_told_apart(served: Served, cluster: ClusterId) -> None:
    about = news.subjects(cluster, [Chunk(1, SchedulerSample(NOW))], logs=True)
    told = asyncio.run(heard(served, cluster, lambda: served.desk.told.ring(*about)))
    assert told == b"data: log\n\n"


def test_nothing_is_told_of_samples_or_of_another_cluster(
    served: Served, cluster: ClusterId
) -> None:
    assert news.subjects(cluster, [Chunk(1, SchedulerSample(NOW))], logs=False) == ()
    other = news.subjects(ClusterId("c-other"), [Chunk(1, LOST)], logs=True)

    async def both() -> bytes:
        async def rings() -> None:
            await served.desk.told.ring(*other)
            await served.desk.told.ring(news.of_log(cluster))

        return await heard(served, cluster, rings)

    assert asyncio.run(both()) == b"data: log\n\n"


def told(served: Served, cluster: ClusterId, *, hints: bool) -> list[bytes]:
    """What a session is told of: a death, then the cluster's end."""
    about = news.subjects(cluster, [Chunk(1, LOST)], logs=False)
    ended = Event(NOW, EventKind.CLUSTER_ENDED, "ada", "enough", cluster=cluster)
    caller = Caller(UserName("ada"), RESEARCH, frozenset({"clusters"}))
    query = ChangesQuery(cluster=cluster, hints=hints)

    async def work() -> list[bytes]:
        stream = changes(served.desk, Incoming(caller, {}, query, None))
        heard = [await anext(stream)]
        await served.desk.told.ring(*about)
        if hints:
            heard.append(await anext(stream))
        following = asyncio.ensure_future(anext(stream))
        await served.desk.told.ring(news.of_log(cluster))
        await served.desk.database.run(event_rows.append, ended)
        return [*heard, await following]

    async def in_time() -> list[bytes]:
        async with asyncio.timeout(10):
            return await work()

    return asyncio.run(in_time())


def test_a_session_that_asks_for_hints_hears_once_of_news_in_the_record(
    served: Served, cluster: ClusterId
) -> None:
    connected, hint, end = told(served, cluster, hints=True)
    assert connected == b": connected\n\n"
    assert hint == b"event: record\ndata: {}\n\n"
    assert b"event:" not in end
    assert b"cluster.ended" in end


def test_others_hear_of_events_alone(served: Served, cluster: ClusterId) -> None:
    connected, end = told(served, cluster, hints=False)
    assert connected == b": connected\n\n"
    assert b"event:" not in end


def test_what_the_record_lacks_is_news(cluster: ClusterId) -> None:
    assert news.subjects(cluster, (), logs=False, lost=True) == (news.of_record(cluster),)


def test_a_watched_clusters_death_rings_too(served: Served) -> None:
    token = served.token("ada", "research", "clusters")
    made = served.ask(token, "POST", "/v1/watched", Watch("on-hpc", "Scheduler-1")).json()
    report = WatchedReport(NOW, "tcp://h:1", chunks=(Chunk(1, LOST),))
    served.ask(token, "POST", f"/v1/watched/{made['id']}/report", report)
    assert served.desk.told.last(news.of_record(made["id"])) == served.desk.told.count
