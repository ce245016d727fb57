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
from shoal.wire.telemetry import Chunk, CodeFrame, Computation

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
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


async def computed(database: Database, id: str, *, over: bool) -> None:
    frame = CodeFrame("means.py", 13)
    stopped = NOW + timedelta(seconds=2) if over else None
    it = Computation(id, NOW, stopped, (frame,), tasks=9, erred=1)
    seq = 2 if over else 1
    await database.run_samples(telemetry.append, CLUSTER, RESEARCH, [Chunk(seq, it)])


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
