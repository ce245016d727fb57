"""What an OpenTelemetry collector is sent: each thing once, and again if it was not taken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from shoal.errors import CloudError
from shoal.server.passes.export import Exporter
from shoal.store import events, telemetry
from shoal.store.database import Database
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, InstallationId, WorkspaceName
from shoal.wire.telemetry import Chunk, CodeFrame, Computation, TaskException

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=2)
RESEARCH, CLUSTER = WorkspaceName("research"), ClusterId("c-1")


class Collector:
    def __init__(self) -> None:
        self.status = 200
        self.taken: list[tuple[str, Any]] = []

    def client(self) -> httpx2.AsyncClient:
        def answer(request: httpx2.Request) -> httpx2.Response:
            if self.status == 200:
                self.taken.append((request.url.path, json.loads(request.content)))
            return httpx2.Response(self.status)

        return httpx2.AsyncClient(transport=httpx2.MockTransport(answer))


@pytest.fixture
def database(tmp_path: Path) -> Any:
    made = Database.open(f"sqlite:///{tmp_path / 'x.db'}", inline=True)
    yield made
    made.close()


async def happened(database: Database, why: str) -> None:
    event = Event(NOW, EventKind.ALARM, "reconciler", why, workspace=RESEARCH)
    await database.run(events.append, event)


async def computed(
    database: Database, id: str, *, over: bool, began: datetime = NOW, ended: datetime = LATER
) -> None:
    frame = CodeFrame("means.py", 13)
    it = Computation(id, began, ended if over else None, (frame,), tasks=9, erred=1)
    seq = 2 if over else 1
    await database.run_samples(telemetry.append, CLUSTER, RESEARCH, [Chunk(seq, it)])


async def raised(database: Database, computation: str) -> None:
    it = TaskException(
        "e-1", computation, NOW, NOW, 1, "ValueError", "negative depth", "Traceback …", "f-1", "f",
        "w-1",
    )  # fmt: skip
    await database.run_samples(telemetry.append, CLUSTER, RESEARCH, [Chunk(9, it)])


def spans(collector: Collector) -> list[Any]:
    return [
        span
        for path, told in collector.taken
        if path == "/v1/traces"
        for span in told["resourceSpans"][0]["scopeSpans"][0]["spans"]
    ]


def attributes(of: Any) -> dict[str, str]:
    return {it["key"]: it["value"]["stringValue"] for it in of["attributes"]}


def run(
    story: Callable[[Exporter, Collector, httpx2.AsyncClient], Any], database: Database
) -> None:
    async def whole() -> None:
        collector = Collector()
        exporter = Exporter("http://collector:4318/", InstallationId("i-1"), database)
        async with collector.client() as client:
            await story(exporter, collector, client)

    asyncio.run(whole())


def test_events_and_computations_are_sent_once(database: Database) -> None:
    async def story(exporter: Exporter, collector: Collector, client: httpx2.AsyncClient) -> None:
        await happened(database, "before it was set")
        await exporter.export(NOW, client)
        await happened(database, "a fuse stopped the sweep")
        await computed(database, "x", over=False)
        for _ in range(2):
            await exporter.export(NOW, client)
        [(path, logs)] = collector.taken
        [record] = logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        assert path == "/v1/logs"
        assert record["body"] == {"stringValue": "a fuse stopped the sweep"}
        assert record["timeUnixNano"] == str(int(NOW.timestamp()) * 10**9)
        assert record["severityText"] == "WARN"
        await computed(database, "x", over=True)
        for _ in range(2):
            await exporter.export(NOW, client)
        [_, (path, traces)] = collector.taken
        [span] = traces["resourceSpans"][0]["scopeSpans"][0]["spans"]
        assert path == "/v1/traces"
        assert (span["name"], span["status"]) == ("means.py:13", {"code": 2})
        assert (len(span["traceId"]), len(span["spanId"])) == (32, 16)
        assert int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) == 2 * 10**9

    run(story, database)


def test_a_span_tells_its_workspace_and_what_its_tasks_raised(database: Database) -> None:
    async def story(exporter: Exporter, collector: Collector, client: httpx2.AsyncClient) -> None:
        await exporter.export(NOW, client)
        await raised(database, "x")
        await computed(database, "x", over=True)
        await exporter.export(LATER, client)
        [span] = spans(collector)
        assert attributes(span)["shoal.workspace"] == RESEARCH
        [event] = span["events"]
        assert event["name"] == "exception"
        told = attributes(event)
        assert told["exception.type"] == "ValueError"
        assert told["exception.message"] == "negative depth"
        assert told["exception.stacktrace"] == "Traceback …"

    run(story, database)


def test_one_that_began_before_a_thousand_others_is_sent_when_it_ends(database: Database) -> None:
    """Seen: the 500 that began last hid all older ones, and those of more than a day."""

    async def story(exporter: Exporter, collector: Collector, client: httpx2.AsyncClient) -> None:
        days_ago = NOW - timedelta(days=3)
        await computed(database, "long", over=False, began=days_ago)
        await exporter.export(NOW, client)
        others = [Chunk(seq, Computation(f"k-{seq}", NOW, LATER, tasks=1)) for seq in range(620)]
        await database.run_samples(telemetry.append, CLUSTER, RESEARCH, others)
        await computed(database, "long", over=True, began=days_ago)
        for _ in range(2):
            await exporter.export(LATER, client)
        told = [attributes(it)["shoal.computation"] for it in spans(collector)]
        assert len(told) == len(set(told)) == 621
        assert "long" in told

    run(story, database)


def test_one_that_is_heard_of_late_is_sent_and_nothing_before_the_start_is(
    database: Database,
) -> None:
    async def story(exporter: Exporter, collector: Collector, client: httpx2.AsyncClient) -> None:
        await computed(database, "before", over=True)
        await exporter.export(LATER, client)
        await computed(database, "now", over=True, ended=NOW + timedelta(hours=6))
        await exporter.export(NOW + timedelta(hours=6), client)
        await computed(database, "late", over=True)  # its head could not be reached
        await exporter.export(NOW + timedelta(hours=6), client)
        told = [attributes(it)["shoal.computation"] for it in spans(collector)]
        assert told == ["now", "late"]

    run(story, database)


def test_what_was_not_taken_is_sent_again(database: Database) -> None:
    async def story(exporter: Exporter, collector: Collector, client: httpx2.AsyncClient) -> None:
        await exporter.export(NOW, client)
        await happened(database, "told while it was away")
        collector.status = 503
        with pytest.raises(CloudError, match="does not take /v1/logs"):
            await exporter.export(NOW, client)
        collector.status = 200
        await exporter.export(NOW, client)
        assert len(collector.taken) == 1

    run(story, database)
