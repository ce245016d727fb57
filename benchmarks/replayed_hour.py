"""`replayed_hour.py WORKERS MINUTES`: what a cluster's record costs the server, replayed at speed.

Reports as a head sends them, one every five seconds of replayed time: all VMs' states, forty host
samples a second, the scheduler's samples, task groups that change. Another process plays the head:
it makes them and serves them over HTTPS with mutual TLS, as the agent does. This one does what
server/heads.py does with each (fetch, decode, record, say what is new), and the roll-ups, the
ageing and the signals at their times. Counted is all the CPU that it uses.

Left out: orders to the head, which change when somebody asks for something; the translation of VM
names, which only EC2 needs; pages that are open. Prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import msgspec
import psutil
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shoal.core.records import Batch, Cluster, Offer
from shoal.core.signals import signals
from shoal.server import news
from shoal.store import clusters, instances, observations, samples, scenes, series, telemetry
from shoal.store import signals as signal_rows
from shoal.store.database import Database
from shoal.trust import asgi_peer, authority
from shoal.trust.contexts import dialer, listener
from shoal.trust.installation_key import InstallationKey
from shoal.trust.names import Role as Peer
from shoal.trust.names import host_name
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
from shoal.wire.telemetry import (
    Chunk,
    CodeFrame,
    Computation,
    HostSample,
    Item,
    SchedulerSample,
    TaskGroupSample,
)
from shoal.wire.views import Stage

CLUSTER, WORKSPACE = ClusterId("c-aaaaaaaaaa"), WorkspaceName("w")
KEY = InstallationKey(bytes(range(32)))
EVERY_S, HOSTS_A_SECOND = 5, 40
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


class Head:
    """Makes reports; one for each time that it is asked."""

    def __init__(self, workers: int) -> None:
        self.names = [instance_id(CLUSTER, n) for n in range(1, workers + 1)]
        self.seq = self.next_host = self.made = self.step = 0

    def serve(self) -> None:
        """Until killed; prints the port."""
        identity = authority.head_identity(KEY, CLUSTER, datetime.now(UTC))
        listening = socket.create_server(("127.0.0.1", 0))
        print(listening.getsockname()[1], flush=True)
        app = Starlette(routes=[Route("/v1/report", self._answer)])
        config = asgi_peer.config(
            app, listener(identity, certificate_required=True), log_config=None, lifespan="off",
            access_log=False,
        )  # fmt: skip
        asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))

    async def _answer(self, _: Request) -> Response:
        now = BEGUN + timedelta(seconds=EVERY_S * self.step)
        report = self.report(now, EVERY_S * self.step // 60)
        self.step += 1
        return Response(msgspec.json.encode(report), media_type="application/json")

    def report(self, now: datetime, minute: int) -> HeadReport:
        vms = tuple(
            VmReport(
                it, Role.WORKER, Stage.READY, BEGUN, heard_at=now, cpu_percent=float(now.second)
            )
            for it in self.names
        )
        items: list[Item] = [SchedulerSample(now - timedelta(seconds=2 * n)) for n in range(3)]
        items += [self.host(now, n) for n in range(EVERY_S * HOSTS_A_SECOND)]
        items += self.standing(now, minute)
        self.made += len(items)
        chunks = tuple(Chunk(self.seq + n, it) for n, it in enumerate(items))
        self.seq += len(items)
        scheduler = SchedulerReport("tls://127.0.0.1:8786", clients=1, workers=len(self.names))
        return HeadReport(CLUSTER, BEGUN, self.seq, vms, scheduler, telemetry=chunks)

    def host(self, now: datetime, n: int) -> HostSample:
        self.next_host = (self.next_host + 1) % len(self.names)
        noise = (self.seq * 7919 + n * 104_729) % 1000
        return HostSample(
            now, self.names[self.next_host], 4, noise / 10, 3.5, 0.1, 0.0, 8_000_000_000 + noise,
            16 << 30, 5_000_000_000 + noise, 900_000_000, noise, 20 << 30, 100 << 30,
            1e6 * noise, 2e6, 3e6, 4e6 + noise, 0.0, 0, 0, 0, 12, 4,
        )  # fmt: skip

    def standing(self, now: datetime, minute: int) -> list[Item]:
        """A computation every ten minutes, of twenty groups, half of which change each time."""
        code = (CodeFrame("/home/u/etl.py", 12, "frame.groupby('x').mean().compute()\n" * 10),)
        id = f"k-{minute // 10}"
        began = BEGUN + timedelta(minutes=minute // 10 * 10)
        done = int((now - began).total_seconds()) * 100
        states = {"memory": done, "processing": 4000, "waiting": 60_000 - done}
        return [
            Computation(id, began, None, code, 64_000, done),
            *(
                TaskGroupSample(id, f"g{n}-{'0' * 32}", f"g{n}", began, now, 3200, states, done)
                for n in range(10)
            ),
        ]


class Recorder:
    """The server's part."""

    def __init__(self, directory: Path, workers: int, client: httpx2.AsyncClient) -> None:
        self.names = [instance_id(CLUSTER, n) for n in range(1, workers + 1)]
        self.client = client
        self.received = 0
        self.database = Database.open(
            f"sqlite:///{directory / 'shoal.db'}",
            samples_url=f"sqlite:///{directory / 'samples.db'}",
            inline=True,
        )

    async def populate(self) -> None:
        count = len(self.names)
        spec = ClusterSpec("big", Cloud.LOCAL, Workers(count, count, count), EnvironmentId("e"))
        cluster = Cluster(CLUSTER, WORKSPACE, UserName("u"), spec, 1, BEGUN)
        event = Event(BEGUN, EventKind.CLUSTER_CREATED, "u", "benchmark", cluster=CLUSTER)
        offer = Offer(Cloud.LOCAL, "r", "z", "m", False, "x86_64", 4, 1 << 34, 190_000)
        batch = Batch(
            batch_id(CLUSTER, 1), CLUSTER, Role.WORKER, count, (offer,), tuple(self.names), BEGUN,
            "", "", 0, (), 0.0, BEGUN,
        )  # fmt: skip
        await self.database.run(clusters.create, cluster, event)
        await self.database.run(instances.intend, batch, 1, event)

    async def minute(self, number: int) -> None:
        run = self.database.run_samples
        begun = BEGUN + timedelta(minutes=number)
        for step in range(0, 60, EVERY_S):
            now = begun + timedelta(seconds=step)
            await self.take(now)
            if step % 10 == 0:
                await self.signals(now)
        now = begun + timedelta(minutes=1)
        await run(series.roll_up, now)
        if number % 10 == 9:
            await self.age(now)
            await run(telemetry.prune, now - timedelta(days=365))

    async def take(self, now: datetime) -> None:
        names = {"sni_hostname": host_name(Peer.HEAD, CLUSTER)}
        answer = await self.client.get("/v1/report?cursor=0&wait_s=5", extensions=names)
        self.received += len(answer.raise_for_status().content)
        report = msgspec.json.decode(answer.content, type=HeadReport)
        await self.database.run(observations.record, report, now)
        await self.database.run_samples(samples.take, CLUSTER, WORKSPACE, report, now)
        news.subjects(CLUSTER, report.telemetry, logs=bool(report.logs))

    async def signals(self, now: datetime) -> None:
        facts = await self.database.run(scenes.facts, CLUSTER, now)
        scene = await self.database.run_samples(scenes.scene, facts, now)
        found = signals(scene)
        await self.database.run_samples(signal_rows.put, CLUSTER, WORKSPACE, found, now)

    async def age(self, now: datetime) -> None:
        kept = {"logs_for": timedelta(days=14), "metrics_for": timedelta(days=90)}
        await self.database.run_samples(samples.age, now, most_lines=200_000, **kept)

    async def mib_after(self, passed: timedelta, minutes: int) -> float:
        """Of disk, when so much time has passed since the end."""
        await self.age(BEGUN + timedelta(minutes=minutes) + passed)
        return await self.database.run_samples(samples.size_bytes) / 2**20


async def main(workers: int, minutes: int) -> None:
    head = subprocess.Popen(  # noqa: ASYNC220  before anything runs
        [sys.executable, __file__, "head", str(workers)], stdout=subprocess.PIPE, text=True
    )
    assert head.stdout is not None
    address = f"https://127.0.0.1:{head.stdout.readline().strip()}"
    identity = authority.server_identity(KEY, CLUSTER, datetime.now(UTC))
    verify = dialer(identity)
    try:
        with tempfile.TemporaryDirectory() as directory:
            async with httpx2.AsyncClient(
                base_url=address, verify=verify, timeout=60, trust_env=False
            ) as client:
                print(
                    json.dumps(await replayed(Recorder(Path(directory), workers, client), minutes))
                )
    finally:
        head.kill()
        head.wait()


async def replayed(recorder: Recorder, minutes: int) -> dict[str, float]:
    await recorder.populate()
    empty_mib = psutil.Process().memory_info().rss / 2**20
    used = time.process_time()
    for number in range(minutes):
        await recorder.minute(number)
    spent_s, workers = time.process_time() - used, len(recorder.names)
    size = await recorder.database.run_samples(samples.size_bytes)
    memory_mib = psutil.Process().memory_info().rss / 2**20
    told = {
        "cpu_share": spent_s / (minutes * 60),
        "cpu_s_per_worker_hour": spent_s / workers / (minutes / 60),
        "samples_mib": size / 2**20,
        "bytes_per_worker_hour": size / workers / (minutes / 60),
        "received_mib": recorder.received / 2**20,
        "memory_mib": memory_mib,
        "more_memory_mib": memory_mib - empty_mib,
        "most_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "mib_after_two_hours": await recorder.mib_after(timedelta(hours=2), minutes),
        "mib_after_three_days": await recorder.mib_after(timedelta(days=3), minutes),
    }
    recorder.database.close()
    return told


if __name__ == "__main__":
    if sys.argv[1] == "head":
        Head(int(sys.argv[2])).serve()
    else:
        asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
