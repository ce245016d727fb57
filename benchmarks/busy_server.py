"""The server's own app and store on loopback, under the reports of 100 heads; figures as JSON.

The reports are recorded exactly as the attendants of server/heads.py do; only the network between
head and server is left out.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import psutil
import uvicorn

from shoal.core.records import Batch, Cluster, Offer
from shoal.server import gate
from shoal.server.bell import Bell
from shoal.server.clouds import Clouds
from shoal.server.desk import Desk
from shoal.server.handlers import HANDLERS
from shoal.server.routing import app
from shoal.server.settings import Settings
from shoal.software.bundles import Bundles
from shoal.store import clusters, installation, instances, observations, tokens
from shoal.store.database import Database
from shoal.trust.installation_key import create_or_read
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import (
    ClusterId,
    EnvironmentId,
    UserName,
    WorkspaceName,
    batch_id,
    instance_id,
)
from shoal.wire.reports import HeadReport, SchedulerReport, VmReport
from shoal.wire.specs import Cloud, ClusterSpec, Role, Workers
from shoal.wire.views import Stage, TokenView

CLUSTERS, WORKERS, BEAT_S, SECONDS = 100, 100, 5.0, 20.0
WORKSPACE = WorkspaceName("w")


def now() -> datetime:
    return datetime.now(UTC)


async def populate(database: Database) -> list[Batch]:
    offer = Offer(Cloud.LOCAL, "r", "z", "m", False, "x86_64", 4, 1 << 34, 190_000)
    made = []
    for number in range(CLUSTERS):
        spec = ClusterSpec(
            f"n{number}", Cloud.LOCAL, Workers(WORKERS, WORKERS, WORKERS), EnvironmentId("e")
        )
        cluster = Cluster(ClusterId(f"c-{number:010d}"), WORKSPACE, UserName("u"), spec, 1, now())
        event = Event(now(), EventKind.CLUSTER_CREATED, "u", "benchmark", cluster=cluster.id)
        await database.run(clusters.create, cluster, event)
        ids = tuple(instance_id(cluster.id, n) for n in range(1, WORKERS + 1))
        batch = Batch(
            batch_id(cluster.id, 1), cluster.id, Role.WORKER, WORKERS, (offer,), ids, now(), "",
            "", 0, (), 0.0, now(),
        )  # fmt: skip
        await database.run(instances.intend, batch, 1, event)
        made.append(batch)
    return made


def report(batch: Batch, cursor: int) -> HeadReport:
    vms = tuple(
        VmReport(it, Role.WORKER, Stage.READY, now(), heard_at=now(), cpu_percent=float(cursor))
        for it in batch.instances
    )
    scheduler = SchedulerReport("tls://127.0.0.1:8786", clients=1, workers=WORKERS)
    return HeadReport(batch.cluster, batch.created_at, cursor, vms, scheduler)


async def beat(database: Database, batch: Batch, delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    cursor = 0
    while True:
        cursor += 1
        begun = time.monotonic()
        await database.run(observations.record, report(batch, cursor), now())
        await asyncio.sleep(max(0.0, BEAT_S - (time.monotonic() - begun)))


async def latencies(url: str, token: str) -> list[float]:
    seen = []
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers) as client:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            begun = time.perf_counter()
            answer = await client.get(f"/v1/clusters/n{len(seen) % CLUSTERS}")
            assert answer.json()["workers"]["ready"] <= WORKERS
            seen.append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(0.05)
    return seen


async def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(state_dir=Path(directory))
        database = Database.open(settings.database_url)
        key = create_or_read(settings.state.key_file)
        own = await database.run(installation.read, key.fingerprint())
        secret = gate.new_secret()
        token = TokenView("t", UserName("u"), WORKSPACE, ("clusters",), now(), None)
        await database.run(tokens.create, token, gate.hash_of(secret))
        batches = await populate(database)
        desk = Desk(
            settings,
            own,
            database,
            key,
            Clouds.none(),
            Bundles(settings.state.cache),
            now,
            now(),
            Bell(),
            Bell(),
            asyncio.Event(),
        )
        server = uvicorn.Server(
            uvicorn.Config(app(desk, HANDLERS), lifespan="off", log_config=None, access_log=False)
        )
        listening = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(server.serve(sockets=[listening]))]
            for number, batch in enumerate(batches):
                delay_s = BEAT_S * number / CLUSTERS
                tasks.append(group.create_task(beat(database, batch, delay_s)))
            await asyncio.sleep(BEAT_S)
            process = psutil.Process()
            cpu, begun = sum(process.cpu_times()[:2]), time.monotonic()
            seen = await latencies(url, secret)
            spent = sum(process.cpu_times()[:2]) - cpu
            told = {
                "memory_mib": process.memory_info().rss / 2**20,
                "cpu_share": spent / (time.monotonic() - begun),
                "p50_ms": statistics.median(seen),
                "p95_ms": statistics.quantiles(seen, n=20)[-1],
            }
            server.should_exit = True
            for task in tasks[1:]:
                task.cancel()
        database.close()
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main())
