"""A real scheduler with real workers, watched as if minutes had passed: what rules make of it.

Samples are the plugin's own, of Dask's own counters. Only time is ours: between two samples ten
seconds have passed, whatever the clock says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import msgspec
from distributed import Client, Scheduler, Worker

from shoal.core.records import Instance
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

HERE = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
SPEC = ClusterSpec("provoked", Cloud.LOCAL, Wanted(2, 2, 2), EnvironmentId("e"))


class Setting:
    """`instances`: where the workers' machines are, which Dask does not know."""

    instances: tuple[Instance, ...] = ()

    def __init__(
        self,
        scheduler: Scheduler,
        client: Client,
        workers: list[Worker],
        telemetry: Telemetry | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.client = client
        self.workers = workers
        self.telemetry = telemetry or Telemetry()
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
            instances=self.instances,
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
async def setting(
    directory: Path, threads: int, memory: int, workers: int
) -> AsyncIterator[Setting]:
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
        there = [
            await stack.enter_async_context(
                Worker(
                    scheduler.address, name=f"w-{n}", nthreads=threads, memory_limit=memory,
                    local_directory=str(directory), **HERE,
                )
            )
            for n in range(workers)
        ]  # fmt: skip
        yield Setting(scheduler, client, there)


def run(
    scenario: Callable[[Setting], Awaitable[None]],
    directory: Path,
    *,
    threads: int = 1,
    memory: int = 64 << 30,
    workers: int = 2,
) -> None:
    async def live() -> None:
        async with setting(directory, threads, memory, workers) as here:
            await scenario(here)

    asyncio.run(live())


def kinds(found: tuple[Signal, ...]) -> set[SignalKind]:
    return {it.kind for it in found}
