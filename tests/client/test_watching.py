"""A Dask cluster that Shoal did not start is recorded by the session that watches it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import dask
import msgspec
import pytest
from distributed import Client, LocalCluster, Scheduler, Worker
from distributed.protocol.pickle import dumps
from fake_server import Call, FakeServer, view

from shoal.client import watching
from shoal.client.watching import Watched
from shoal.plugins.watched import WatchedTelemetry
from shoal.wire import endpoints
from shoal.wire.requests import StopCluster, Watch
from shoal.wire.telemetry import (
    Computation,
    HostSample,
    Item,
    Loss,
    Taken,
    WatchedReport,
    WorkerEvent,
)
from shoal.wire.views import ClusterStatus, Ended

HERE = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}


class Setting:
    """A scheduler with a worker and a client, and a server that takes what is told."""

    def __init__(self, scheduler: Scheduler, client: Client) -> None:
        self.scheduler = scheduler
        self.client = client
        self.server = FakeServer()
        self.reports: list[WatchedReport] = []
        self.asked: Watch | None = None
        self.stopped: list[str] = []
        self.wanted = True
        mine = view(ClusterStatus.READY)
        self.server.on(endpoints.WATCH, self._watch)
        self.server.on(endpoints.REPORT_WATCHED, self._take)
        self.server.on(endpoints.STOP_CLUSTER, self._stop)
        self._view = mine

    def _watch(self, call: Call) -> object:
        self.asked = msgspec.json.decode(call.body, type=Watch)
        return self._view

    def _take(self, call: Call) -> Taken:
        report = msgspec.json.decode(call.body, type=WatchedReport)
        self.reports.append(report)
        return Taken(max((it.seq for it in report.chunks), default=0), watching=self.wanted)

    def _stop(self, call: Call) -> Ended:
        self.stopped.append(msgspec.json.decode(call.body, type=StopCluster).reason)
        return Ended(self._view.id, already=False)

    def told(self) -> list[Item]:
        return [chunk.item for report in self.reports for chunk in report.chunks]

    def watched(self, name: str | None = "laptop", gone_s: float = 30.0) -> Watched:
        api, tags = self.server.api(), {"team": "research"}
        return Watched(self.client, name, tags, api, every_s=0.05, gone_s=gone_s)


@asynccontextmanager
async def setting() -> AsyncIterator[Setting]:
    async with AsyncExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.worker.memory.target": False}))
        scheduler = await stack.enter_async_context(Scheduler(port=0, **HERE))
        await stack.enter_async_context(
            Worker(scheduler.address, name="w-0", nthreads=1, memory_limit=4 * 2**30, **HERE)
        )
        client = await stack.enter_async_context(Client(scheduler.address, asynchronous=True))
        yield Setting(scheduler, client)


def run(scenario: Callable[[Setting], Awaitable[None]]) -> None:
    async def live() -> None:
        async with setting() as here:
            await scenario(here)

    asyncio.run(live())


def double(x: int) -> int:
    return 2 * x


def test_what_was_computed_in_the_last_moment_is_on_record_too() -> None:
    async def scenario(here: Setting) -> None:
        watched = here.watched()
        watched._every_s = 3600.0
        async with await watched.start():
            assert await here.client.submit(double, 4) == 8
        assert [it.done for it in here.told() if isinstance(it, Computation)][-1:] == [1]

    run(scenario)


def test_what_the_cluster_computes_is_passed_on_with_its_code() -> None:
    async def scenario(here: Setting) -> None:
        async with await here.watched().start():
            assert here.asked is not None
            assert (here.asked.name, here.asked.tags) == ("laptop", {"team": "research"})
            assert await here.client.submit(double, 4) == 8
            async with asyncio.timeout(10):
                while not any(isinstance(it, Computation) for it in here.told()):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        [computation] = {it.id: it for it in here.told() if isinstance(it, Computation)}.values()
        assert any("here.client.submit(double, 4)" in it.code for it in computation.code)
        assert any(isinstance(it, HostSample) and it.instance == "w-0" for it in here.told())
        assert here.stopped == ["closed by the session that watched it"]
        assert here.reports[0].workers == 1

    run(scenario)


def test_the_plugin_works_where_no_shoal_is_installed() -> None:
    with watching.by_value():
        sent = dumps(WatchedTelemetry())
    code = (
        "import pickle, sys\n"
        "for name in ('shoal', 'msgspec', 'httpx2'): sys.modules[name] = None\n"
        "plugin = pickle.loads(sys.stdin.buffer.read())\n"
        "from distributed import Scheduler\n"
        "plugin.attach(Scheduler(dashboard_address=None))\n"
        "plugin.look_once(1.0)\n"
        "print(plugin.name, len(plugin.take()['items']))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=False)
    assert ran.stdout.decode().strip() == "shoal-telemetry 1", ran.stderr.decode()


def test_the_plugin_is_gone_when_nobody_watches() -> None:
    async def scenario(here: Setting) -> None:
        watched = await here.watched().start()
        assert WatchedTelemetry.name in here.scheduler.plugins
        await watched._close("done")
        assert WatchedTelemetry.name not in here.scheduler.plugins

    run(scenario)


def test_nothing_is_told_twice() -> None:
    async def scenario(here: Setting) -> None:
        async with await here.watched().start():
            await here.client.submit(double, 4)
            await asyncio.sleep(0.3)
        seqs = [chunk.seq for report in here.reports for chunk in report.chunks]
        assert seqs == sorted(set(seqs))

    run(scenario)


def test_it_stops_when_the_server_says_that_it_is_over() -> None:
    async def scenario(here: Setting) -> None:
        watched = await here.watched().start()
        here.wanted = False
        assert watched._passing_on is not None
        async with asyncio.timeout(10):
            await watched._passing_on
        assert here.stopped == []
        await watched._close("done")

    run(scenario)


def test_a_scheduler_that_is_gone_ends_it() -> None:
    async def scenario(here: Setting) -> None:
        watched = await here.watched(gone_s=0.0).start()
        await here.client.close()
        assert watched._passing_on is not None
        async with asyncio.timeout(10):
            await watched._passing_on
        assert here.stopped == ["its scheduler is gone"]
        await watched._close("done")

    run(scenario)


def test_a_cluster_without_a_name_is_called_after_its_scheduler() -> None:
    assert watching._name("Scheduler-4f0c2a1e-77") == "watched-4f0c2a1e77"


def test_losses_are_passed_on() -> None:
    async def scenario(here: Setting) -> None:
        async with await here.watched().start():
            [address] = here.scheduler.workers
            await here.scheduler.remove_worker(address, stimulus_id="retire-workers-1")
            async with asyncio.timeout(10):
                while not any(isinstance(it, WorkerEvent) for it in here.told()):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

    run(scenario)


@pytest.mark.long
def test_a_worker_that_its_nanny_ended_at_its_memory_limit_is_told_as_that() -> None:
    def hoard(size: int) -> int:
        return sum(bytearray(b"\1") * size)

    async def scenario() -> None:
        quickly = {
            "distributed.worker.memory.monitor-interval": "20ms",
            "distributed.worker.memory.pause": False,
            "distributed.scheduler.allowed-failures": 0,
        }
        with dask.config.set(quickly):
            async with (
                LocalCluster(
                    n_workers=1, threads_per_worker=1, memory_limit="400MiB", processes=True,
                    dashboard_address=":0", asynchronous=True,
                ) as cluster,
                Client(cluster, asynchronous=True) as client,
            ):  # fmt: skip
                here = Setting(cluster.scheduler, client)
                async with await here.watched().start():
                    doomed = client.submit(hoard, 700 << 20)
                    async with asyncio.timeout(60):
                        while not losses(here):  # noqa: ASYNC110
                            await asyncio.sleep(0.02)
                    await doomed.cancel()
                [lost] = losses(here)
        assert (lost.reason, lost.worker, lost.tasks_interrupted) == (Loss.MEMORY, "0", 1)
        assert lost.memory_limit_bytes == 400 << 20
        assert lost.detail.startswith("its nanny ended it: it used ")

    def losses(here: Setting) -> list[WorkerEvent]:
        return [it for it in here.told() if isinstance(it, WorkerEvent) and not it.added]

    asyncio.run(scenario())
