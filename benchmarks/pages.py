"""Pages with 10,000 clusters on record and 1,000 workers in the open one, on both engines.

Server time of one request at a time through the whole app, without a network; and how much the
first page transfers, gzip or not being the proxy's business.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx2
from tests import postgres
from tests.browser import seeded, seeded_record, serving

from benchmarks.table import Row
from shoal.server.desk import Desk
from shoal.server.handlers import HANDLERS
from shoal.server.pages import site
from shoal.server.pages.frame import ASSETS
from shoal.server.routing import app
from shoal.store import ledger
from shoal.wire.views import Stage

CLUSTERS, WORKERS, ASKED = 10_000, 1_000, 40
OPEN = f"/clusters/{seeded.GRID}"
PAGES = {
    "clusters": "/",
    "clusters, filtered by text and tag": "/?q=grid&tag=team=climate",
    "clusters, deep in the past": "/?page=c-0000007000",
    "overview": OPEN,
    "VMs": f"{OPEN}/vms",
    "events": f"{OPEN}/events",
    "metrics": f"{OPEN}/metrics",
    "logs, searched": f"{OPEN}/logs?q=negative",
    "costs by day": "/costs",
    "costs by tag": "/costs?by=tag",
    "machinery": "/machinery",
}


def measure() -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as directory:
        rows += asyncio.run(_measured("SQLite", Path(directory), None))
        with postgres.running() as server:
            state = Path(directory, "postgres")
            state.mkdir()
            rows += asyncio.run(_measured("PostgreSQL", state, server.new_database()))
    return rows


async def _measured(engine: str, state: Path, url: str | None) -> list[Row]:
    desk = await serving.desk_at(state, url)
    try:
        await fill(desk)
        return await _asked(engine, desk)
    finally:
        desk.database.close()


async def fill(desk: Desk) -> None:
    now = serving.now()
    story = seeded.Story(now)
    grid = story.cluster(1, began_s=2700, workers=WORKERS, name="climate-grid")
    story.head(grid)
    for number in range(1, WORKERS + 2):
        stages = tuple((stage, s + number / 50) for stage, s in seeded.WHOLE)
        story.vm(grid, number, stages)
    for number in range(2, 22):
        other = story.cluster(number, began_s=600.0 + number, workers=20)
        story.head(other)
        for vm in range(1, 22):
            story.vm(other, vm, ((Stage.PREPARING, 12.0), (Stage.READY, 19.0)))
    seeded.past(story, CLUSTERS)
    await desk.database.run(story.store)
    while await desk.database.run(ledger.book, now, 1000):
        pass
    lines = seeded.log_lines(seeded.GRID, now, 100_000)
    await desk.database.run_samples(seeded.logs.append, seeded.GRID, lines, now)
    await seeded_record.fill(desk.database, seeded.RESEARCH, seeded.GRID, now)
    if desk.settings.database:
        with desk.database.engine.connect() as connection:  # as autovacuum would have by then
            connection.exec_driver_sql("ANALYZE")


async def _asked(engine: str, desk: Desk) -> list[Row]:
    token = await serving.a_token(desk, "clusters", "admin")
    transport = httpx2.ASGITransport(app=app(desk, HANDLERS, site.routes(desk)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://shoal") as client:
        await client.post("/login", data={"token": token})
        rows = [
            Row(f"{engine}: {name}, p95", await _p95_ms(client, path), "ms", aim="< 100")
            for name, path in PAGES.items()
        ]
        first = await client.get("/")
        assets = sum(len(ASSETS[name].content) for name in ("shoal.css", "shoal.js", "shoal.svg"))
        size = (len(first.content) + assets) / 1000
        return [*rows, Row(f"{engine}: the first page and its assets", size, "kB", aim="< 200")]


async def _p95_ms(client: httpx2.AsyncClient, path: str) -> float:
    taken: list[float] = []
    for _ in range(ASKED):
        began = time.perf_counter()
        answer = await client.get(path)
        taken.append(1000 * (time.perf_counter() - began))
        assert answer.status_code == 200, (path, answer.status_code)
    return _quantile(taken, 0.95)


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[round(share * (len(values) - 1))]
