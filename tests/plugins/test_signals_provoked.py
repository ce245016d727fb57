"""Signals that real Dask gives rise to: its own counters, read by the plugin, judged by the rules.

Each scenario is played twice: a little beyond the rule's threshold, and just below it, where the
same rule must be silent. Clouds' part (zones, slow starts) is in tests/agent/test_slow_start.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import mmap
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from distributed import Client, LocalCluster, wait
from distributed.worker import get_worker
from provoking import Setting, kinds, run

from shoal.core.records import Instance
from shoal.core.signals import signals
from shoal.plugins.telemetry import Telemetry
from shoal.wire.ids import BatchId, ClusterId, InstanceId
from shoal.wire.specs import Role
from shoal.wire.telemetry import SignalKind
from shoal.wire.views import InstanceState

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]
BEYOND_AND_BELOW = pytest.mark.parametrize("beyond", [True, False], ids=["beyond", "below"])

MIB = 1 << 20


def increment(x: int) -> int:
    return x + 1


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def block(size: int) -> bytes:
    return bytes(size)


@BEYOND_AND_BELOW
def test_a_cluster_that_does_nothing_is_idle(tmp_path: Path, beyond: bool) -> None:
    async def scenario(here: Setting) -> None:
        found = await here.watched_for(5.2 if beyond else 4.8)
        assert kinds(found) == ({SignalKind.ALL_IDLE} if beyond else set())

    run(scenario, tmp_path)


@contextlib.contextmanager
def burning(share: float) -> Iterator[None]:
    """This process uses that share of a CPU: by many threads, so that it gets it on a busy machine
    too, and without Python's lock."""
    data, enough = bytes(MIB), threading.Event()
    begun, used = time.perf_counter(), time.process_time()

    def burn() -> None:
        while not enough.wait(0.002):
            if time.process_time() - used < share * (time.perf_counter() - begun):
                hashlib.sha256(data)

    threads = [threading.Thread(target=burn, daemon=True) for _ in range(12)]
    for it in threads:
        it.start()
    yield
    enough.set()
    for it in threads:
        it.join()


_enough = threading.Event()


def rest(_: int) -> bool:
    return _enough.wait(30)


async def cpu_percent(here: Setting) -> float:
    """As workers tell it: of half a second."""
    await here.heartbeats()
    return sum(it.metrics["cpu"] for it in here.scheduler.workers.values())


@BEYOND_AND_BELOW
def test_sleeping_tasks_leave_the_cpus_waiting(tmp_path: Path, beyond: bool) -> None:
    # Both workers live in this process, and each tells all of its CPU: used by one task each.
    async def scenario(here: Setting) -> None:
        _enough.clear()
        futures = here.client.map(rest, [1, 2])
        await asyncio.sleep(1.2)
        if not beyond:
            async with asyncio.timeout(15):
                while await cpu_percent(here) < 66:  # noqa: ASYNC110  of two workers
                    await asyncio.sleep(0.3)
        found = await here.watched_for(4)
        assert kinds(found) == ({SignalKind.LOW_CPU} if beyond else set())
        _enough.set()
        await wait(futures)

    with contextlib.nullcontext() if beyond else burning(0.45):
        run(scenario, tmp_path)


@BEYOND_AND_BELOW
def test_few_busy_threads_of_sixteen_are_an_oversized_cluster(tmp_path: Path, beyond: bool) -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(nap, [2.5 + n / 100 for n in range(6 if beyond else 7)])
        await asyncio.sleep(0.5)
        found = await here.watched_for(17)
        assert (SignalKind.OVERSIZED in kinds(found)) == beyond
        await wait(futures)

    run(scenario, tmp_path, threads=8)


@BEYOND_AND_BELOW
def test_thousands_of_increments_are_tiny_tasks(tmp_path: Path, beyond: bool) -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(increment, range(1000 if beyond else 999), pure=False)
        await wait(futures)
        found = await here.watched_for(0.5)
        assert kinds(found) == ({SignalKind.TINY_TASKS} if beyond else set())

    run(scenario, tmp_path, threads=4)


@BEYOND_AND_BELOW
@pytest.mark.filterwarnings("default:.*large graph:UserWarning")
def test_data_in_the_graph_makes_it_huge(tmp_path: Path, beyond: bool) -> None:
    async def scenario(here: Setting) -> None:
        data = bytes(range(256)) * ((11 if beyond else 9) * 4096)
        with contextlib.suppress(UserWarning):
            future = here.client.submit(len, data)
        await wait([future])
        found = await here.watched_for(0.5)
        assert kinds(found) == ({SignalKind.HUGE_GRAPH} if beyond else set())

    run(scenario, tmp_path)


@BEYOND_AND_BELOW
def test_one_part_that_is_much_larger_is_uneven_work(tmp_path: Path, beyond: bool) -> None:
    largest = (110 if beyond else 95) * MIB

    async def scenario(here: Setting) -> None:
        futures = here.client.map(block, [largest, *(MIB + n for n in range(11))])
        await wait(futures)
        found = await here.watched_for(0.5)
        assert kinds(found) == ({SignalKind.SKEW} if beyond else set())
        if beyond:
            words = "Of the 12 parts of block the largest has 110.0 MiB"
            assert found[0].evidence.startswith(words)

    run(scenario, tmp_path)


class Heavy:
    """Takes a second to be unpacked, on whichever worker it is fetched to."""

    def __reduce__(self) -> tuple[Callable[[float], object], tuple[float]]:
        return unpacked, (1.0,)


def unpacked(seconds: float) -> Heavy:
    time.sleep(seconds)
    return Heavy()


def heavy(_: int) -> Heavy:
    return Heavy()


@BEYOND_AND_BELOW
def test_data_that_takes_longer_to_move_than_to_compute_is_told(
    tmp_path: Path, beyond: bool
) -> None:
    # One worker fetches from all others at once, and unpacks one after the other: the n-th takes
    # n seconds.
    others = 8 if beyond else 7

    async def scenario(here: Setting) -> None:
        futures = [
            here.client.submit(heavy, n, workers=[f"w-{n}"], allow_other_workers=False)
            for n in range(1, others + 1)
        ]
        await wait(futures)
        await wait([here.client.submit(len, futures, workers=["w-0"])])
        found = await here.watched_for(0.5)
        assert (SignalKind.TRANSFER in kinds(found)) == beyond

    run(scenario, tmp_path, workers=others + 1)


_attempts: dict[str, int] = {}


def flaky(name: str, failures: int) -> str:
    _attempts[name] = _attempts.get(name, 0) + 1
    if _attempts[name] <= failures:
        raise OSError("no route to the store")
    return name


@BEYOND_AND_BELOW
def test_tasks_that_are_tried_again_are_told(tmp_path: Path, beyond: bool) -> None:
    _attempts.clear()

    async def scenario(here: Setting) -> None:
        await wait(here.client.map(flaky, ["a"], failures=3 if beyond else 2, retries=4))
        found = await here.watched_for(0.5)
        assert kinds(found) == ({SignalKind.ERRED_RETRIED} if beyond else set())
        if beyond:
            assert "3 times in the last hour" in found[0].evidence

    run(scenario, tmp_path)


@BEYOND_AND_BELOW
def test_results_that_do_not_fit_are_spilled(tmp_path: Path, beyond: bool) -> None:
    # A worker keeps 120 of 200 MiB in memory; 10 MiB on disk are the threshold.
    count = 33 if beyond else 31

    async def scenario(here: Setting) -> None:
        sizes = [4 * MIB + n for n in range(count)]
        await wait(kept := here.client.map(block, sizes, workers=["w-0"]))
        found = await here.watched_for(0.5)
        assert here.scheduler.workers[here.workers[0].address].memory.spilled > 0
        assert (SignalKind.SPILLING in kinds(found)) == beyond
        assert len(kept) == count

    run(scenario, tmp_path, memory=200 * MIB)


@BEYOND_AND_BELOW
def test_a_process_near_its_limit_is_under_pressure(tmp_path: Path, beyond: bool) -> None:
    run(_nothing, tmp_path)  # so that all is loaded
    now = psutil.Process().memory_info().rss

    async def scenario(here: Setting) -> None:
        found = kinds(await here.watched_for(2.2))
        assert (SignalKind.MEMORY_PRESSURE in found) == beyond

    run(scenario, tmp_path, memory=int(now / (0.85 if beyond else 0.72)))


async def _nothing(here: Setting) -> None:
    await here.watched_for(0.1)


@BEYOND_AND_BELOW
def test_a_worker_that_its_nanny_ends_was_killed_for_memory(beyond: bool) -> None:
    def hoard(size: int) -> int:
        kept = bytearray(b"\1") * size
        time.sleep(0.3)  # until its nanny has looked
        return len(kept)

    async def scenario() -> None:
        quickly = {
            "distributed.worker.memory.monitor-interval": "20ms",
            "distributed.worker.memory.pause": False,
            "distributed.scheduler.allowed-failures": 0,
        }
        with dask.config.set(quickly):
            async with (
                LocalCluster(
                    n_workers=1, threads_per_worker=1, memory_limit="500MiB", processes=True,
                    dashboard_address=":0", asynchronous=True,
                ) as cluster,
                Client(cluster, asynchronous=True) as client,
            ):  # fmt: skip
                here = Setting(cluster.scheduler, client, [], Telemetry(hosts=True))
                before = len(cluster.scheduler.workers)
                future = client.submit(hoard, (700 if beyond else 200) * MIB)
                await wait([future])
                async with asyncio.timeout(60):
                    while len(cluster.scheduler.workers) < before:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                    while SignalKind.KILLED_FOR_MEMORY not in (
                        found := kinds(await here.watched_for(0))
                    ):
                        if not beyond:
                            break
                        await asyncio.sleep(0.1)
                assert (SignalKind.KILLED_FOR_MEMORY in found) == beyond
                assert (future.status == "error") == beyond

    asyncio.run(scenario())


_kept: list[mmap.mmap] = []


def leak(size: int) -> int:
    pages = mmap.mmap(-1, size)  # its own: what others gave back would be taken again first
    pages.write(b"\1" * size)  # so that they are really there
    _kept.append(pages)
    return len(get_worker().name)


@BEYOND_AND_BELOW
def test_what_tasks_leave_behind_is_unmanaged_growth(tmp_path: Path, beyond: bool) -> None:
    # 15 % of the limit in ten minutes is the threshold; of nine thirds the first and the last
    # count, so what is found is two thirds of the growth.
    run(_nothing, tmp_path)
    gc.collect()
    limit = int(psutil.Process().memory_info().rss * 2.5)
    step_bytes = int(limit * (0.30 if beyond else 0.17) / 30)

    async def scenario(here: Setting) -> None:
        now = time.time()
        for step in range(60):
            if step % 2 == 0:
                await here.client.submit(leak, step_bytes, pure=False)
                await asyncio.sleep(0.06)
                for it in here.workers:
                    it.monitor.update()
                await here.heartbeats()
            here.sample(now - (60 - step) * 10)
        found = signals(here.scene(now))
        while _kept:
            _kept.pop().close()
        assert (SignalKind.UNMANAGED_GROWTH in kinds(found)) == beyond

    run(scenario, tmp_path, memory=limit)


@BEYOND_AND_BELOW
def test_a_loop_that_is_held_up_makes_the_scheduler_the_bottleneck(
    tmp_path: Path, beyond: bool
) -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(nap, [6.0, 6.1])
        for _ in range(9 if beyond else 20):
            await asyncio.sleep(0)
            time.sleep(0.4 if beyond else 0.1)  # noqa: ASYNC251  as one with too much to do
            await asyncio.sleep(0.01)
        here.scheduler.monitor.update()
        found = await here.watched_for(3)
        assert (SignalKind.SCHEDULER_SATURATED in kinds(found)) == beyond
        await wait(futures)

    run(scenario, tmp_path)


@BEYOND_AND_BELOW
def test_a_shuffle_that_loses_a_worker_begins_anew(tmp_path: Path, beyond: bool) -> None:
    """Below: it loses one that it does not need any more."""

    async def scenario(here: Setting) -> None:
        frame = dask.datasets.timeseries(
            "2000-01-01", "2000-02-10", freq="60s", partition_freq="1D", seed=1
        )
        with dask.config.set({"dataframe.shuffle.method": "p2p"}):
            future = here.client.compute(frame.shuffle("id").map_partitions(slowly).size)
        extension = here.scheduler.extensions["shuffle"]
        async with asyncio.timeout(60):
            while not extension.active_shuffles:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        here.sample(time.time())
        participants = next(iter(extension.active_shuffles.values())).participating_workers
        if not beyond:
            await wait([future])
        here.sample(time.time())
        await here.scheduler.remove_worker(
            next(iter(participants)), stimulus_id="handle-worker-cleanup-1"
        )
        await wait([future])
        found = await here.watched_for(0.2)
        assert (SignalKind.SHUFFLE_RESTARTS in kinds(found)) == beyond
        told = {it.kind: it.evidence for it in found}
        if beyond:
            words = "after losing a worker (connection-lost)"
            assert words in told[SignalKind.SHUFFLE_RESTARTS]

    run(scenario, tmp_path)


def slowly(frame: Any) -> Any:
    time.sleep(0.02)
    return frame


@BEYOND_AND_BELOW
def test_data_that_travels_between_zones_is_told(tmp_path: Path, beyond: bool) -> None:
    size = 10_500_000 if beyond else 9_500_000  # in ten seconds

    async def scenario(here: Setting) -> None:
        here.instances = tuple(_vm(n, zone) for n, zone in enumerate("ab"))
        here.sample(begun := time.time())
        for step in range(1, 16):
            made = here.client.submit(block, size + step, workers=["w-0"])
            await here.client.submit(len, made, workers=["w-1"])
            await here.heartbeats()
            here.sample(begun + 10 * step)
        found = signals(here.scene(begun + 150))
        assert (SignalKind.CROSS_ZONE in kinds(found)) == beyond

    run(scenario, tmp_path)


def _vm(number: int, zone: str) -> Instance:
    now = datetime.now(UTC)
    return Instance(
        InstanceId(f"shoal-c-{number}"), BatchId("c-b1"), ClusterId("c"), Role.WORKER,
        InstanceState.LAUNCHED, now, "", now, zone=zone,
    )  # fmt: skip
