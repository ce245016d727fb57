"""Pages with 10,000 clusters on record and 1,000 workers in the open one, on both engines.

Server time of one request at a time through the whole app, without a network; and how much the
first page transfers, gzip or not being the proxy's business.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
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
from shoal.store import ledger, series, telemetry
from shoal.wire.ids import instance_id
from shoal.wire.telemetry import HostSample
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
    "logs as CSV": f"{OPEN}/logs.csv",
    "computations": f"{OPEN}/computations",
    "computations as CSV": f"{OPEN}/computations.csv",
    "one computation": f"{OPEN}/computations/{{computation}}",
    "workers that came and went": f"{OPEN}/workers",
    "software": f"{OPEN}/software",
    "metrics of one VM": f"{OPEN}/metrics?vm={{vm}}",
    "metrics.json": f"{OPEN}/metrics.json",
    "metrics as CSV": f"{OPEN}/metrics.csv",
    "VMs as CSV": f"{OPEN}/vms.csv",
    "events as CSV": f"{OPEN}/events.csv",
    "clusters as CSV": "/clusters.csv",
    "settings": "/settings",
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
    await _hosts(desk, now)
    if desk.settings.database:
        engine = desk.database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:  # as autovacuum would have by then
            connection.exec_driver_sql("VACUUM (ANALYZE)")


async def _hosts(desk: Desk, now: datetime) -> None:
    """Each worker's samples of half an hour, as often as a large cluster tells them."""
    run, every_s = desk.database.run_samples, WORKERS / 40
    names = [instance_id(seeded.GRID, n) for n in range(1, WORKERS + 1)]
    for step in range(int(1800 / every_s)):
        at = now - timedelta(seconds=every_s * step)
        told = [
            HostSample(
                at, name, 4, (7 * n + step) % 100, 3.0, 0.1, 0.0, (n + step) << 20, 16 << 30,
                (n + step) << 19, 1 << 28, n << 10, 20 << 30, 100 << 30, 1e6, 2e6, 3e6, 4e6,
            )
            for n, name in enumerate(names)
        ]  # fmt: skip
        await run(series.append, seeded.GRID, told, [])
    for minutes in range(30, -1, -5):
        await run(series.roll_up, now - timedelta(minutes=minutes))


async def _paths(desk: Desk) -> dict[str, str]:
    """With the names of a computation and a VM."""
    ran = await desk.database.run_samples(
        telemetry.computations, seeded.RESEARCH, cluster=seeded.GRID, limit=1
    )
    known = {
        "computation": ran.computations[0].computation.id,
        "vm": instance_id(seeded.GRID, 500),
    }
    return {name: path.format(**known) for name, path in PAGES.items()}


async def _asked(engine: str, desk: Desk) -> list[Row]:
    gc.collect()
    gc.freeze()  # as the server does when it has started
    token = await serving.a_token(desk, "clusters", "admin")
    transport = httpx2.ASGITransport(app=app(desk, HANDLERS, site.routes(desk)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://shoal") as client:
        await client.post("/login", data={"token": token})
        rows = [
            row
            for name, path in (await _paths(desk)).items()
            for row in await _rows(engine, name, client, path)
        ]
        first = await client.get("/")
        assets = sum(len(ASSETS[name].content) for name in ("shoal.css", "shoal.js", "shoal.svg"))
        size = (len(first.content) + assets) / 1000
        return [*rows, Row(f"{engine}: the first page and its assets", size, "kB", aim="< 200")]


async def _rows(engine: str, name: str, client: httpx2.AsyncClient, path: str) -> list[Row]:
    taken: list[float] = []
    used: list[float] = []
    for _ in range(ASKED):
        began, cpu = time.perf_counter(), time.process_time()
        answer = await client.get(path)
        taken.append(1000 * (time.perf_counter() - began))
        used.append(1000 * (time.process_time() - cpu))
        assert answer.status_code == 200, (path, answer.status_code)
    return [
        Row(f"{engine}: {name}, p95", _quantile(taken, 0.95), "ms", aim="< 100"),
        Row("  the server's own CPU, median", _quantile(used, 0.5), "ms"),
    ]


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[round(share * (len(values) - 1))]
