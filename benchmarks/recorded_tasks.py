"""`recorded_tasks.py {small,submitted,shuffle} TASKS PAIRS`: the same work with and without the
recording.

TASKS tasks recorded and as many not, on one cluster of two workers, in PAIRS pairs of short runs:
between two runs nothing but the recording changes, and of each pair the other is first. So what
drifts over minutes (the machine, the processes' memory) meets both alike, and many pairs average
out what meets one of them. The recording is what an agent's scheduler does (the plugin, its batches
as JSON through a pipe), the client's lines of code, and two host samplers as the agents run them.

Prints as JSON, for each run: seconds by the clock; seconds of CPU in the scheduler's process; of
these, those spent in each part of the recording.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import os
import sys
import threading
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from distributed import Client, LocalCluster

from shoal.agent.clock import Clock
from shoal.agent.host import EVERY_S, HostSampler
from shoal.agent.vm import Vm
from shoal.client import code_frames
from shoal.plugins.telemetry import Telemetry
from shoal.wire.ids import InstanceId

WARM = 3  # pairs that do not count
THREADS = 8  # enough that the scheduler is what limits: each task then costs it all it can


def increment(x: int) -> int:
    return x + 1


def small(client: Client, tasks: int) -> None:
    futures = client.map(increment, range(tasks), pure=False)
    client.gather(futures)


def submitted(client: Client, tasks: int) -> None:
    """Each asked for on its own, with its line of code."""
    client.gather([client.submit(increment, number, pure=False) for number in range(tasks)])


def shuffle(client: Client, days: int) -> None:
    import dask
    import dask.datasets

    with dask.config.set({"dataframe.shuffle.method": "p2p"}):
        end = f"2000-{1 + days // 28:02d}-{1 + days % 28:02d}"
        frame = dask.datasets.timeseries("2000-01-01", end, freq="5s", partition_freq="1D", seed=1)
        client.compute(frame.shuffle("id").groupby("name").x.mean()).result()


class Accounted(Telemetry):
    """Adds up the CPU that its parts take."""

    spent: ClassVar[dict[str, float]] = {}
    transitions = 0

    @classmethod
    def add(cls, part: str, seconds: float) -> None:
        cls.spent[part] = cls.spent.get(part, 0.0) + seconds

    def look_once(self, now: float) -> None:
        begun = time.thread_time()
        super().look_once(now)
        self.add("looks", time.thread_time() - begun)

    def take(self) -> dict[str, object]:
        begun = time.thread_time()
        taken: dict[str, object] = super().take()
        self.add("looks", time.thread_time() - begun)
        return taken

    def transition(self, *arguments: Any, **named: Any) -> None:
        super().transition(*arguments, **named)
        Accounted.transitions += 1

    @classmethod
    def parts(cls) -> dict[str, float]:
        """With what its hook for transitions takes, which is too short to be timed each time."""
        told = {"stimulus_id": "x", "worker": "w", "nbytes": 28, "typename": "int"}
        hook = Telemetry().transition
        timer = timeit.Timer(
            lambda: hook("k", "processing", "memory", **told), timer=time.thread_time
        )
        once = timer.timeit(100_000) / 100_000
        return {**cls.spent, "transitions": once * cls.transitions}


@contextlib.contextmanager
def recorded(cluster: LocalCluster, client: Client) -> Iterator[None]:
    """All that is done for the record of this cluster, as on its head and in the session."""
    reading, writing = os.pipe()
    drain = threading.Thread(target=_drain, args=(reading,), daemon=True)
    drain.start()
    stop = threading.Event()
    hosts = [threading.Thread(target=_sample, args=(stop,), daemon=True) for _ in range(2)]
    for it in hosts:
        it.start()
    telemetry = Accounted()
    looking: list[asyncio.Future[None]] = []
    handlers = dict(cluster.scheduler.stream_handlers)

    async def begin() -> None:
        telemetry.attach(cluster.scheduler)
        cluster.scheduler.add_plugin(telemetry)
        telemetry.look_once(time.time())  # at what earlier runs left behind
        telemetry.take()
        Accounted.spent = {}
        looking.append(asyncio.ensure_future(telemetry.look()))
        looking.append(asyncio.ensure_future(_hand_on(telemetry, writing)))

    async def end() -> None:
        for it in looking:
            it.cancel()
        cluster.scheduler.remove_plugin(telemetry.name)
        cluster.scheduler.stream_handlers.clear()
        cluster.scheduler.stream_handlers.update(handlers)

    cluster.sync(begin)
    finding = client._get_computation_code
    code_frames.attach(client)
    yield
    client._get_computation_code = finding
    cluster.sync(end)
    stop.set()
    os.close(writing)
    drain.join()


async def _hand_on(telemetry: Telemetry, writing: int) -> None:
    while True:
        await asyncio.sleep(1.0)
        batch = telemetry.take()
        await asyncio.to_thread(_write, writing, batch)


def _write(writing: int, batch: object) -> None:
    begun = time.thread_time()
    data = json.dumps(batch).encode()
    Accounted.add("JSON", time.thread_time() - begun)
    while data:
        data = data[os.write(writing, data) :]


def _drain(reading: int) -> None:
    while os.read(reading, 1 << 16):
        pass
    os.close(reading)


def _sample(stop: threading.Event) -> None:
    here = Path.cwd()
    sampler = HostSampler(Vm(InstanceId("vm"), here, "h", 1, 1, 1 << 30, here), Clock())
    while not stop.wait(EVERY_S):
        begun = time.thread_time()
        sampler.sample()
        Accounted.add("hosts", time.thread_time() - begun)


Run = tuple[float, float, dict[str, float]]


def seconds(cluster: LocalCluster, client: Client, work: Callable[[], None], *, on: bool) -> Run:
    """By the clock; of CPU in this process (scheduler, client, recording); of these, each part of
    the recording."""
    gc.collect()
    Accounted.spent, Accounted.transitions = {}, 0
    with recorded(cluster, client) if on else contextlib.nullcontext():
        begun, used = time.perf_counter(), time.process_time()
        work()
        took_s, used_s = time.perf_counter() - begun, time.process_time() - used
    return took_s, used_s, Accounted.parts() if on else {}


JOBS = {"small": small, "submitted": submitted, "shuffle": shuffle}


def main(kind: str, tasks: int, pairs: int) -> None:
    told: dict[str, list[Run]] = {"off": [], "on": []}
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=THREADS, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        work = functools.partial(JOBS[kind], client, max(tasks // pairs, 2))
        for number in range(-WARM, pairs):
            for which in ("off", "on") if number % 2 else ("on", "off"):
                run = seconds(cluster, client, work, on=which == "on")
                if number >= 0:
                    told[which].append(run)
                print(number, which, run, file=sys.stderr, flush=True)
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
