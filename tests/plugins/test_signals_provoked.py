"""Signals that real Dask gives rise to: its own counters, read by the plugin, judged by the rules.

Only time is ours: samples are of a real scheduler and real workers, taken as if minutes had passed
between them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import msgspec
import pytest
from distributed import Client, Scheduler, Worker, wait
from distributed.worker import get_worker

from shoal.core.signals import Scene, signals
from shoal.plugins import samples
from shoal.plugins.telemetry import Telemetry
from shoal.wire.ids import EnvironmentId, InstanceId
from shoal.wire.specs import Cloud, ClusterSpec
from shoal.wire.specs import Workers as Wanted
from shoal.wire.telemetry import (
    Computation,
    DaskBatch,
    HostSample,
    Item,
    PrefixTime,
    SchedulerSample,
    ShuffleEvent,
    Signal,
    SignalKind,
    TaskException,
    TaskGroupSample,
    WorkerEvent,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

MIB = 1 << 20
HERE = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
SPEC = ClusterSpec("provoked", Cloud.LOCAL, Wanted(2, 2, 2), EnvironmentId("e"))


class Setting:
    def __init__(self, scheduler: Scheduler, client: Client, workers: list[Worker]) -> None:
        self.scheduler = scheduler
        self.client = client
        self.workers = workers
        self.telemetry = Telemetry()
        self.telemetry.attach(scheduler)
        scheduler.add_plugin(self.telemetry)
        self.items: list[Item] = []

    def sample(self, now: float) -> None:
        self.telemetry.look_once(now)
        told = {**self.telemetry.take(), "uses": {}}
        told["items"] += samples.of_hosts(self.scheduler, now)
        self.items += msgspec.json.decode(msgspec.json.encode(told), type=DaskBatch).items

    async def heartbeats(self) -> None:
        there = [it for it in self.workers if it.status.name == "running"]
        await asyncio.gather(*(it.heartbeat() for it in there))

    async def watched_for(self, minutes: float, every_s: float = 10.0) -> tuple[Signal, ...]:
        """As if that long had passed, up to now."""
        now = time.time()
        await self.heartbeats()
        count = int(minutes * 60 / every_s)
        for n in range(count, -1, -1):
            self.sample(now - n * every_s)
        return signals(self.scene(now))

    def scene(self, now: float) -> Scene:
        hosts: dict[InstanceId, list[HostSample]] = {}
        for it in self._of(HostSample):
            hosts.setdefault(it.instance, []).append(it)
        newest: dict[str, Item] = {}
        for it in self.items:
            match it:
                case Computation(id=key) | TaskException(id=key):
                    newest[f"{type(it)} {key}"] = it
                case (
                    TaskGroupSample(computation=of, name=key)
                    | PrefixTime(computation=of, prefix=key)
                ):
                    newest[f"{type(it)} {of} {key}"] = it
        self.items = [it for it in self.items if not isinstance(it, STANDING)]
        self.items += newest.values()
        return Scene(
            now=datetime.fromtimestamp(now, UTC) + timedelta(seconds=1),
            spec=SPEC,
            samples=tuple(sorted(self._of(SchedulerSample), key=lambda it: it.at)),
            hosts={name: tuple(told) for name, told in hosts.items()},
            computations=tuple(self._of(Computation)),
            groups=tuple(self._of(TaskGroupSample)),
            times=tuple(self._of(PrefixTime)),
            exceptions=tuple(self._of(TaskException)),
            worker_events=tuple(self._of(WorkerEvent)),
            shuffles=tuple(self._of(ShuffleEvent)),
        )

    def _of(self, kind: type[Any]) -> list[Any]:
        return [it for it in self.items if isinstance(it, kind)]


STANDING = (Computation, TaskException, TaskGroupSample, PrefixTime)


@asynccontextmanager
async def setting(directory: Path, threads: int, memory: int) -> AsyncIterator[Setting]:
    async with AsyncExitStack() as stack:
        quiet = {
            "distributed.worker.memory.target": 0.6,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            "distributed.worker.memory.terminate": False,
        }
        stack.enter_context(dask.config.set(quiet))
        scheduler = await stack.enter_async_context(Scheduler(port=0, **HERE))
        client = await stack.enter_async_context(Client(scheduler.address, asynchronous=True))
        workers = [
            await stack.enter_async_context(
                Worker(
                    scheduler.address, name=f"w-{n}", nthreads=threads, memory_limit=memory,
                    local_directory=str(directory), **HERE,
                )
            )
            for n in range(2)
        ]  # fmt: skip
        yield Setting(scheduler, client, workers)


def run(
    scenario: Callable[[Setting], Awaitable[None]],
    directory: Path,
    *,
    threads: int = 1,
    memory: int = 64 << 30,
) -> None:
    async def live() -> None:
        async with setting(directory, threads, memory) as here:
            await scenario(here)

    asyncio.run(live())


def kinds(found: tuple[Signal, ...]) -> set[SignalKind]:
    return {it.kind for it in found}


def increment(x: int) -> int:
    return x + 1


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def block(size: int) -> bytes:
    return bytes(size)


def test_a_cluster_that_does_nothing_is_idle(tmp_path: Path) -> None:
    async def scenario(here: Setting) -> None:
        assert kinds(await here.watched_for(6)) == {SignalKind.ALL_IDLE}

    run(scenario, tmp_path)


def test_sleeping_tasks_leave_the_cpus_waiting(tmp_path: Path) -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(nap, [1.5, 1.6])
        await asyncio.sleep(0.7)  # so that the monitor's CPU is of napping
        assert kinds(await here.watched_for(4)) == {SignalKind.LOW_CPU}
        await wait(futures)

    run(scenario, tmp_path)


def test_two_busy_threads_of_sixteen_are_an_oversized_cluster(tmp_path: Path) -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(nap, [1.5, 1.6])
        await asyncio.sleep(0.3)
        found = await here.watched_for(17)
        assert SignalKind.OVERSIZED in kinds(found)
        await wait(futures)

    run(scenario, tmp_path, threads=8)


def test_thousands_of_increments_are_tiny_tasks(tmp_path: Path) -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(increment, range(1200), pure=False)
        await wait(futures)
        found = await here.watched_for(0.5)
        assert kinds(found) == {SignalKind.TINY_TASKS}

    run(scenario, tmp_path, threads=4)


def test_data_in_the_graph_makes_it_huge(tmp_path: Path) -> None:
    async def scenario(here: Setting) -> None:
        data = bytes(range(256)) * (11 * 4096)
        with contextlib.suppress(UserWarning):
            future = here.client.submit(len, data)
        await wait([future])
        assert kinds(await here.watched_for(0.5)) == {SignalKind.HUGE_GRAPH}

    with pytest.warns(UserWarning, match="large graph"):
        run(scenario, tmp_path)


def test_one_part_that_is_much_larger_is_uneven_work(tmp_path: Path) -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(block, [150 * MIB, *(MIB + n for n in range(11))])
        await wait(futures)
        found = await here.watched_for(0.5)
        assert kinds(found) == {SignalKind.SKEW}
        assert found[0].evidence.startswith("Of the 12 parts of block the largest has 150.0 MiB")

    run(scenario, tmp_path)


_attempts: dict[str, int] = {}


def flaky(name: str) -> str:
    _attempts[name] = _attempts.get(name, 0) + 1
    if _attempts[name] < 3:
        raise OSError("no route to the store")
    return name


def test_tasks_that_are_tried_again_are_told(tmp_path: Path) -> None:
    _attempts.clear()

    async def scenario(here: Setting) -> None:
        await wait(here.client.map(flaky, ["a", "b"], retries=4))
        found = await here.watched_for(0.5)
        assert kinds(found) == {SignalKind.ERRED_RETRIED}
        assert "4 times in the last hour" in found[0].evidence

    run(scenario, tmp_path)


def test_results_that_do_not_fit_are_spilled(tmp_path: Path) -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(block, [20 * MIB + n for n in range(16)])
        await wait(futures)
        found = await here.watched_for(0.5)
        assert SignalKind.SPILLING in kinds(found)

    run(scenario, tmp_path, memory=200 * MIB)


def test_a_process_near_its_limit_is_under_pressure(tmp_path: Path) -> None:
    async def scenario(here: Setting) -> None:
        assert SignalKind.MEMORY_PRESSURE in kinds(await here.watched_for(2))

    run(scenario, tmp_path, memory=100 * MIB)  # less than an interpreter with Dask takes


_kept: list[bytearray] = []


def leak(size: int) -> int:
    block_ = bytearray(size)
    block_[::4096] = b"\1" * len(block_[::4096])  # so that the pages are really there
    _kept.append(block_)
    return len(get_worker().name)


def test_what_tasks_leave_behind_is_unmanaged_growth(tmp_path: Path) -> None:
    async def scenario(here: Setting) -> None:
        now = time.time()
        for step in range(60):
            if step % 2 == 0:
                await here.client.submit(leak, 16 * MIB, pure=False)
                await asyncio.sleep(0.06)
                for it in here.workers:
                    it.monitor.update()
                await here.heartbeats()
            here.sample(now - (60 - step) * 10)
        found = signals(here.scene(now))
        _kept.clear()
        assert SignalKind.UNMANAGED_GROWTH in kinds(found)

    run(scenario, tmp_path, memory=900 * MIB)


def test_a_loop_that_is_held_up_makes_the_scheduler_the_bottleneck(tmp_path: Path) -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(nap, [6.0, 6.1])
        for _ in range(9):
            await asyncio.sleep(0)
            time.sleep(0.4)  # noqa: ASYNC251  as a scheduler with too much to do
            await asyncio.sleep(0.01)
        found = await here.watched_for(3)
        assert SignalKind.SCHEDULER_SATURATED in kinds(found)
        await wait(futures)

    run(scenario, tmp_path)


def test_a_shuffle_that_loses_a_worker_begins_anew(tmp_path: Path) -> None:
    async def scenario(here: Setting) -> None:
        frame = dask.datasets.timeseries(
            "2000-01-01", "2000-02-10", freq="60s", partition_freq="1D", seed=1
        )
        with dask.config.set({"dataframe.shuffle.method": "p2p"}):
            future = here.client.compute(frame.shuffle("id").map_partitions(slowly).size)
        async with asyncio.timeout(60):
            while not here.scheduler.extensions["shuffle"].active_shuffles:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        here.sample(time.time())
        participants = next(
            iter(here.scheduler.extensions["shuffle"].active_shuffles.values())
        ).participating_workers
        await here.scheduler.remove_worker(
            next(iter(participants)), stimulus_id="handle-worker-cleanup-1"
        )
        await wait([future])
        found = await here.watched_for(0.2)
        assert SignalKind.SHUFFLE_RESTARTS in kinds(found)
        assert "after losing a worker (connection-lost)" in found[0].evidence

    run(scenario, tmp_path)


def slowly(frame: Any) -> Any:
    time.sleep(0.02)
    return frame
