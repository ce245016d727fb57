"""What is recorded of a real scheduler: its items are the wire's, and say what happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import dask
import msgspec
import pytest
from distributed import Client, Scheduler, Worker, span, wait, worker_client

from shoal.client import code_frames
from shoal.plugins.telemetry import Telemetry
from shoal.wire.telemetry import (
    ClientEvent,
    Computation,
    DaskBatch,
    HostSample,
    Item,
    Loss,
    PrefixTime,
    SchedulerSample,
    ShuffleEvent,
    TaskException,
    TaskGroupSample,
    WorkerEvent,
)

HERE = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
T = TypeVar("T")


class Setting:
    def __init__(self, scheduler: Scheduler, client: Client, telemetry: Telemetry) -> None:
        self.scheduler = scheduler
        self.client = client
        self.telemetry = telemetry
        self.workers: list[Worker] = []
        self.everything: list[Item] = []

    def look(self) -> list[Item]:
        """What is new, read as the agent does."""
        self.telemetry.look_once(time.time())
        told = list(self.take().items)
        self.everything += told
        return told

    async def heartbeats(self) -> None:
        await asyncio.gather(*(it.heartbeat() for it in self.workers))

    async def running(self, key: Any) -> None:
        tasks = self.scheduler.tasks
        while key not in tasks or tasks[key].state != "processing":  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def take(self) -> DaskBatch:
        return msgspec.json.decode(msgspec.json.encode(self.telemetry.take()), type=DaskBatch)


def of(items: list[Item], kind: type[T]) -> list[T]:
    return [it for it in items if isinstance(it, kind)]


_attempts: list[int] = []


def third_time() -> str:
    _attempts.append(1)
    if len(_attempts) < 3:
        raise OSError("the disk sleeps")
    return "done"


@asynccontextmanager
async def setting(workers: int, **options: Any) -> AsyncIterator[Setting]:
    async with AsyncExitStack() as stack:
        quiet = {"distributed.worker.memory.target": False}
        stack.enter_context(dask.config.set(quiet))
        scheduler = await stack.enter_async_context(Scheduler(port=0, **HERE))
        client = await stack.enter_async_context(Client(scheduler.address, asynchronous=True))
        here = Setting(scheduler, client, Telemetry(**options))
        here.telemetry.attach(scheduler)
        scheduler.add_plugin(here.telemetry)
        for number in range(workers):
            worker = Worker(
                scheduler.address, name=f"w-{number}", nthreads=1, memory_limit=4 * 2**30, **HERE
            )
            here.workers.append(await stack.enter_async_context(worker))
        yield here


def run(scenario: Callable[[Setting], Awaitable[None]], workers: int = 1, **options: Any) -> None:
    async def live() -> None:
        async with setting(workers, **options) as here:
            await scenario(here)

    asyncio.run(live())


def double(x: int) -> int:
    return 2 * x


def fail(x: int) -> int:
    raise ValueError(f"cannot \ud800 do {x}")


def test_a_computation_is_told_with_its_groups_and_code() -> None:
    async def scenario(here: Setting) -> None:
        with dask.config.set({"distributed.diagnostics.computations.nframes": 2}):
            futures = here.client.map(double, range(20), pure=False)
            await here.client.gather(futures)
        items = here.look()
        [computation] = of(items, Computation)
        assert (computation.tasks, computation.done, computation.erred) == (20, 20, 0)
        assert computation.stopped_at is not None
        assert computation.graph_bytes > 0
        assert computation.workers == 1
        assert any("client.map(double, range(20)" in it.code for it in computation.code)
        assert computation.code[-1].file == __file__
        [group] = of(items, TaskGroupSample)
        assert (group.computation, group.prefix, group.tasks) == (computation.id, "double", 20)
        assert group.states == {"memory": 20}
        assert group.largest_bytes == 28

    run(scenario)


def test_a_straggler_is_told_of_its_own_group_and_no_later_one() -> None:
    async def scenario(here: Setting) -> None:
        for group, slept_s in (("sleep-" + "1" * 32, 0.5), ("sleep-" + "2" * 32, 0.01)):
            future = here.client.submit(time.sleep, slept_s, key=(group, 0))
            await here.running((group, 0))
            await asyncio.sleep(slept_s / 2)
            await here.heartbeats()
            here.look()
            await future
        groups = {it.name: it for it in of(here.everything, TaskGroupSample)}
        first, second = groups["sleep-" + "1" * 32], groups["sleep-" + "2" * 32]
        assert first.prefix == second.prefix == "sleep"
        assert second.longest_s < 0.2 < first.longest_s

    run(scenario)


def test_what_did_not_change_is_not_told_again() -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(double, range(3))
        await here.client.gather(futures)
        here.look()
        again = here.look()
        assert [type(it) for it in again] == [SchedulerSample]
        more = here.client.map(double, range(10, 14))
        await here.client.gather(more)
        assert len({it.id for it in of(here.look(), Computation)}) == 1

    run(scenario)


def test_tasks_added_to_another_computations_group_are_a_computation_too() -> None:
    async def scenario(here: Setting) -> None:
        first = here.client.map(double, range(5), pure=False)
        await here.client.gather(first)
        here.look()
        with dask.config.set({"distributed.diagnostics.computations.nframes": 1}):
            second = here.client.submit(double, 77)
            await second
        [computation] = [it for it in of(here.look(), Computation) if it.code]
        assert (computation.tasks, computation.done, computation.groups) == (1, 1, 0)
        assert computation.stopped_at is not None

    run(scenario)


def test_a_failed_task_counts_though_it_is_forgotten() -> None:
    async def scenario(here: Setting) -> None:
        kept = here.client.submit(fail, 1, key="fail-kept")
        await wait([kept])
        here.look()
        passing = here.client.submit(fail, 2, key="fail-passing")
        await wait([passing])
        passing.release()
        while "fail-passing" in here.scheduler.tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        newest = of(here.look(), Computation)[-1]
        assert (newest.tasks, newest.done, newest.erred) == (1, 0, 1)

    run(scenario)


def test_lines_that_a_session_does_not_say_again_are_those_it_said_last() -> None:
    async def scenario(here: Setting) -> None:
        async with Client(here.scheduler.address, asynchronous=True) as other:
            code_frames.attach(here.client)
            for number in range(5):
                await here.client.submit(double, number, pure=False)
                await other.submit(double, number, pure=False)
            await here.client.submit(double, 5, pure=False)  # another line
        lines = [
            [frame.lineno_frame for call in it.code for frame in call[-1:]]
            for it in here.scheduler.computations
        ]
        loop, after = lines[0], lines[-1]
        assert len(loop) == len(after) == 1
        assert lines == [loop, []] * 5 + [after]
        assert after[0] > loop[0]

    run(scenario)


def test_code_is_not_told_where_it_is_switched_off() -> None:
    async def scenario(here: Setting) -> None:
        await here.client.submit(double, 1)
        [computation] = of(here.look(), Computation)
        assert computation.code == ()

    run(scenario)


def test_an_exception_is_told_once_and_counted() -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(fail, range(30), pure=False)
        depends = here.client.submit(sum, futures)
        await wait([*futures, depends])
        told = of(here.look(), TaskException)
        newest = {it.id: it for it in told}
        [exception] = newest.values()
        assert (exception.type, exception.prefix, exception.worker) == ("ValueError", "fail", "w-0")
        assert exception.message.startswith("cannot ")
        assert "raise ValueError" in exception.traceback
        assert exception.count == 30  # not those that only depend on them

    run(scenario)


def test_a_task_that_is_tried_again_is_told_though_it_succeeds_in_the_end() -> None:
    _attempts.clear()

    async def scenario(here: Setting) -> None:
        assert await here.client.submit(third_time, retries=5) == "done"
        newest = {it.id: it for it in of(here.look(), TaskException)}
        [exception] = newest.values()
        assert (exception.type, exception.count, exception.retried) == ("OSError", 2, 2)

    run(scenario)


def test_a_lost_worker_is_told_at_once_with_what_was_lost_with_it() -> None:
    rung = []

    async def scenario(here: Setting) -> None:
        future = here.client.submit(double, 4, workers=["w-1"], allow_other_workers=True)
        assert await future == 8
        [address] = [it.address for it in here.scheduler.workers.values() if it.name == "w-1"]
        here.take()
        before = len(rung)
        await here.scheduler.remove_worker(address, stimulus_id="handle-worker-cleanup-1")
        assert len(rung) > before
        [event] = of(list(here.take().items), WorkerEvent)
        assert (event.worker, event.added, event.reason) == ("w-1", False, Loss.CONNECTION)
        assert (event.tasks_lost, event.threads) == (1, 1)
        assert await future == 8

    run(scenario, workers=2, ring=lambda: rung.append(1))


def test_a_client_that_comes_and_goes_is_told_by_its_name() -> None:
    async def scenario(here: Setting) -> None:
        here.take()
        async with Client(here.scheduler.address, asynchronous=True, name="laptop") as other:
            await other.submit(double, 1)
            [came] = of(list(here.take().items), ClientEvent)
            assert (came.client, came.name, came.connected) == (other.id, "laptop", True)
            assert came.address.startswith("tcp://127.0.0.1:")
        async with asyncio.timeout(10):
            while other.id in here.scheduler.clients:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        [went] = of(list(here.take().items), ClientEvent)
        assert (went.client, went.connected, went.at >= came.at) == (other.id, False, True)

    run(scenario)


def test_clients_of_tasks_are_nobodys_business() -> None:
    async def scenario(here: Setting) -> None:
        here.take()
        await here.client.submit(connects)
        assert of(list(here.take().items), ClientEvent) == []

    run(scenario)


def connects() -> str:
    with worker_client() as client:
        return str(client.id)


def test_computations_are_told_with_their_spans() -> None:
    async def scenario(here: Setting) -> None:
        with span("etl"), span("load"):
            futures = here.client.map(double, range(3), pure=False)
        await here.client.gather(futures)
        here.look()
        assert {it.spans for it in of(here.everything, Computation)} == {("etl / load",)}
        assert {it.span for it in of(here.everything, TaskGroupSample)} == {("etl", "load")}

    run(scenario)


def test_a_retired_worker_is_told_as_retired() -> None:
    async def scenario(here: Setting) -> None:
        await here.scheduler.retire_workers(names=["w-0"], stimulus_id="retire-workers-1")
        lost = [it for it in of(list(here.take().items), WorkerEvent) if not it.added]
        assert [it.reason for it in lost] == [Loss.RETIRED]

    run(scenario, workers=2)


def test_tasks_given_up_because_workers_died_are_told_as_such() -> None:
    async def scenario(here: Setting) -> None:
        here.scheduler.allowed_failures = 0
        future = here.client.submit(time.sleep, 0.3, key="nap")
        await here.running("nap")
        [address] = here.scheduler.workers
        await here.scheduler.remove_worker(address, stimulus_id="handle-worker-cleanup-1")
        [exception] = of(list(here.take().items), TaskException)
        assert (exception.type, exception.key) == ("KilledWorker", "nap")
        assert await here.client.gather([future], errors="skip") == []

    run(scenario)


def test_the_sample_counts_tasks_threads_and_memory() -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(double, range(7), pure=False)
        await here.client.gather(futures)
        [sample] = of(here.look(), SchedulerSample)
        assert (sample.workers, sample.threads, sample.clients) == (2, 2, 1)
        assert (sample.in_memory, sample.memory_limit_bytes) == (7, 8 * 2**30)
        assert sample.memory_bytes > 0

    run(scenario, workers=2)


def test_workers_uses_go_along_by_name() -> None:
    async def scenario(here: Setting) -> None:
        looking = asyncio.ensure_future(here.telemetry.look())
        batch = here.take()
        while not batch.uses:
            await asyncio.sleep(0.01)
            batch = here.take()
        looking.cancel()
        assert set(batch.uses) == {"w-0", "w-1"}

    run(scenario, workers=2)


def test_a_cluster_without_agents_tells_hosts_too() -> None:
    async def scenario(here: Setting) -> None:
        looking = asyncio.ensure_future(here.telemetry.look())
        hosts: list[HostSample] = []
        while not hosts:
            await asyncio.sleep(0.01)
            hosts = of(list(here.take().items), HostSample)
        looking.cancel()
        assert [(it.instance, it.memory_limit_bytes) for it in hosts] == [("w-0", 4 * 2**30)]

    run(scenario, hosts=True)


def test_what_nobody_fetches_is_dropped_the_oldest_first_and_counted() -> None:
    async def scenario(here: Setting) -> None:
        for number in range(6_000):
            here.telemetry.look_once(number)
        batch = here.take()
        assert len(batch.items) == 5_000
        assert batch.dropped >= 1_000
        assert here.take().dropped == 0

    run(scenario, workers=0)


def test_a_part_that_fails_does_not_keep_a_task_from_failing_in_dask() -> None:
    async def scenario(here: Setting) -> None:
        here.telemetry._failures = None  # as if a later Dask broke it
        loop = asyncio.get_running_loop()
        told: list[Any] = []
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        future = here.client.submit(fail, 1)
        assert (await here.client.gather([future], errors="skip")) == []
        assert future.status == "error"
        assert [type(it) for it in told] == [AttributeError]

    run(scenario)


def spin(seconds: float) -> int:
    begun = time.thread_time()
    while time.thread_time() - begun < seconds:
        pass
    return 1


def test_time_belongs_to_the_computation_whose_tasks_took_it() -> None:
    """Workers tell of one that is over when the next runs already."""

    async def scenario(here: Setting) -> None:
        for number, seconds in (("1", 0.1), ("2", 0.3)):
            submit = here.client.submit
            await submit(spin, seconds, key=(f"spin-{number * 32}", 0))
        first, second = [str(it.id) for it in here.scheduler.computations]
        await here.heartbeats()
        here.look()
        times = {(it.computation, it.prefix): it for it in of(here.everything, PrefixTime)}
        assert times[first, "spin"].seconds["thread-cpu"] == pytest.approx(0.1, rel=0.5)
        assert times[second, "spin"].seconds["thread-cpu"] == pytest.approx(0.3, rel=0.5)
        assert not times[first, "spin"].shared
        assert times[second, ""].shared  # what was fetched: Dask does not say for whom
        assert (first, "") not in times

    run(scenario)


def test_how_long_a_graph_took_to_be_taken_in_is_told() -> None:
    async def scenario(here: Setting) -> None:
        futures = here.client.map(double, range(200), pure=False)
        begun = time.perf_counter()
        await wait(futures)
        took_s = time.perf_counter() - begun
        here.look()
        largest = max(of(here.everything, Computation), key=lambda it: it.graph_s)
        assert 0 < largest.graph_s < took_s

    run(scenario)


def test_a_loop_that_stands_still_is_a_stall_of_the_next_sample() -> None:
    async def scenario(here: Setting) -> None:
        looking = asyncio.ensure_future(here.telemetry.look())
        while not of(list(here.take().items), SchedulerSample):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        time.sleep(0.8)  # noqa: ASYNC251  as a plugin that computes
        stalls: list[float] = []
        async with asyncio.timeout(10):
            while not any(it > 0.5 for it in stalls):
                await asyncio.sleep(0.01)
                stalls += [it.stall_s for it in of(list(here.take().items), SchedulerSample)]
        looking.cancel()

    run(scenario, every_s=0.3, at_most_share=1.0)


def shuffled(here: Setting, prepare: Any) -> Any:
    frame = dask.datasets.timeseries(
        "2000-01-01", "2000-01-21", freq="600s", partition_freq="1D", seed=1
    )
    with dask.config.set({"dataframe.shuffle.method": "p2p"}):
        return here.client.compute(frame.map_partitions(prepare).shuffle("id").map_partitions(rest))


def rest(frame: Any) -> Any:
    time.sleep(0.05)
    return frame


def spoiled(frame: Any) -> Any:
    if len(frame) and frame.index[0].day == 20:
        raise ValueError("the last day is spoiled")
    return rest(frame)


@pytest.mark.long
@pytest.mark.parametrize(("prepare", "last"), [(rest, "ended"), (spoiled, "failed")])
def test_a_shuffle_is_told_from_its_beginning_to_its_end(prepare: Any, last: str) -> None:
    async def scenario(here: Setting) -> None:
        future = shuffled(here, prepare)
        told: list[ShuffleEvent] = []
        async with asyncio.timeout(60):
            while last not in [it.what for it in told]:
                await asyncio.sleep(0.02)
                told += of(here.look(), ShuffleEvent)
        await wait([future])
        await here.client.cancel([future])
        told += of(here.look(), ShuffleEvent)
        assert [it.what for it in told] == ["started", last]
        assert len({it.id for it in told}) == 1
        assert told[0].workers == 2
        assert told[0].partitions == 20

    run(scenario, workers=2)
