"""Workers that are asked to leave, in a real scheduler: data is kept wherever that is possible."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import dask
import msgspec
from distributed import Client, Scheduler, Worker
from distributed.client import Future

from shoal.plugins.retirement import Retirement, shuffling

HERE = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}


class Shuffle(msgspec.Struct):
    """As much of Dask's own state of a P2P shuffle as is looked at."""

    participating_workers: set[str]


class Setting(msgspec.Struct):
    scheduler: Scheduler
    retirement: Retirement
    client: Client
    stack: AsyncExitStack

    async def worker(self, name: str) -> Worker:
        return await self.stack.enter_async_context(
            Worker(self.scheduler.address, name=name, nthreads=1, memory_limit=0, **HERE)
        )

    async def hold(self, value: str, worker: str) -> Future:
        return await self.client.scatter(value, workers=[worker])

    def shuffle(self, *workers: Worker) -> None:
        shuffle = Shuffle({it.address for it in workers})
        self.scheduler.extensions["shuffle"].active_shuffles["s"] = shuffle

    def names(self) -> set[str]:
        return {str(ws.name) for ws in self.scheduler.workers.values()}

    async def until_only(self, *names: str) -> None:
        async with asyncio.timeout(10):
            while self.names() != set(names):  # noqa: ASYNC110  Dask rings no bell for this
                await asyncio.sleep(0.01)


@asynccontextmanager
async def setting() -> AsyncIterator[Setting]:
    async with AsyncExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.worker.memory.target": False}))
        scheduler = await stack.enter_async_context(Scheduler(port=0, **HERE))
        client = await stack.enter_async_context(Client(scheduler.address, asynchronous=True))
        retirement = Retirement(scheduler)
        carrying_out = asyncio.create_task(retirement.carry_out())
        try:
            yield Setting(scheduler, retirement, client, stack)
        finally:
            carrying_out.cancel()


def run(scenario: Callable[[Setting], Awaitable[None]]) -> None:
    async def live() -> None:
        async with setting() as here:
            await scenario(here)

    asyncio.run(live())


def test_what_a_leaving_worker_holds_is_kept_by_one_that_stays() -> None:
    async def scenario(here: Setting) -> None:
        for name in ("stays", "goes", "goes-too"):
            await here.worker(name)
        held = [await here.hold(f"precious {name}", name) for name in ("goes", "goes-too")]
        here.retirement.ask(["goes", "goes-too"])
        await here.until_only("stays")
        assert await here.client.gather(held) == ["precious goes", "precious goes-too"]

    run(scenario)


def test_workers_that_begin_anew_do_so_some_at_a_time_and_nothing_is_lost() -> None:
    async def scenario(here: Setting) -> None:
        for name in ("a", "b", "c", "d"):
            await here.worker(name)
        held = [await here.hold(f"precious {name}", name) for name in ("a", "b", "c", "d")]
        here.retirement.ask([], ["a", "b", "c", "d"])
        await here.until_only("c", "d")
        assert not here.retirement._ready()  # until the first are back
        await here.worker("a")
        here.retirement.ask([], ["b", "c", "d"])
        await here.until_only("a", "d")
        await here.worker("b")
        await here.worker("c")
        here.retirement.ask([], ["d"])
        await here.until_only("a", "b", "c")
        assert await here.client.gather(held) == [f"precious {name}" for name in "abcd"]

    run(scenario)


def test_the_only_worker_begins_anew_too() -> None:
    async def scenario(here: Setting) -> None:
        await here.worker("only")
        result = here.client.submit("{}!".format, "computed", key="task")
        await result
        here.retirement.ask([], ["only"])
        await here.until_only()
        await here.worker("only")
        here.retirement.ask([])
        assert await result == "computed!"  # again

    run(scenario)


def test_the_last_workers_leave_though_nobody_can_take_their_data() -> None:
    async def scenario(here: Setting) -> None:
        await here.worker("only")
        result = here.client.submit("{}!".format, "computed", key="task")
        await result
        here.retirement.ask(["only"])
        await here.until_only()
        assert here.scheduler.tasks["task"].suspicious == 0  # no task is blamed
        await here.worker("next")
        assert await result == "computed!"  # again

    run(scenario)


def test_a_worker_in_a_shuffle_waits_for_its_end() -> None:
    async def scenario(here: Setting) -> None:
        busy, _ = await here.worker("busy"), await here.worker("free")
        await here.worker("stays")
        here.shuffle(busy)
        assert shuffling(here.scheduler) == {busy.address}
        here.retirement.ask(["busy", "free"])
        await here.until_only("busy", "stays")
        here.shuffle()
        await here.until_only("stays")

    run(scenario)


def test_a_worker_that_comes_back_under_its_name_is_retired_again() -> None:
    async def scenario(here: Setting) -> None:
        await here.worker("stays")
        await here.worker("goes")
        here.retirement.ask(["goes"])
        await here.until_only("stays")
        await here.worker("goes")
        await here.until_only("stays")

    run(scenario)


def test_asking_for_workers_that_are_not_there_does_nothing() -> None:
    async def scenario(here: Setting) -> None:
        await here.worker("stays")
        here.retirement.ask(["never-seen"])
        await here.worker("another")
        here.retirement.ask(["another"])
        await here.until_only("stays")

    run(scenario)
