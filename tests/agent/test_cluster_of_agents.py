"""A head, workers, Dask and a client, all real; what a user would notice."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable

import httpx2
import pytest
from rig import Cluster, ready

from shoal.wire.ids import instance_id
from shoal.wire.specs import DaskOptions, StopRules

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.name == "nt", reason="each VM needs a loopback address"),
]


async def start(cluster: Cluster, workers: int = 1, **orders: object) -> None:
    for number in range(workers + 1):
        cluster.start(number)
    await cluster.ask(**orders)
    await cluster.until(ready(*range(workers + 1)))


def _slow() -> Callable[[int], int]:
    """A function that travels whole: workers do not have this module."""

    def add_one(value: int) -> int:
        time.sleep(0.05)
        return value + 1

    return add_one


slow = _slow()


def test_a_cluster_computes_and_is_gone_when_told(cluster: Cluster) -> None:
    async def scenario() -> None:
        await start(cluster, workers=2)
        async with cluster.client() as client:
            assert await client.gather(client.map(slow, range(8))) == list(range(1, 9))
            prefixes = await client.run(lambda: __import__("sys").prefix)
        assert sorted(prefixes.values()) == [
            str(cluster.directory(number) / "prefixes" / "env-first") for number in (1, 2)
        ]
        told = time.monotonic()
        await cluster.ask(stop="the test is over")
        await cluster.gone()
        assert time.monotonic() - told < 2.0
        assert [it.wait() for it in cluster.agents.values()] == [0, 0, 0]

    asyncio.run(scenario())


def test_what_tasks_print_and_the_environment_asked_for_arrive(cluster: Cluster) -> None:
    def speak() -> str:
        print("a task said this")
        return os.environ["GREETING"]

    async def scenario() -> None:
        await start(cluster, dask=DaskOptions(environ={"GREETING": "hello"}))
        async with cluster.client() as client:
            assert await client.submit(speak) == "hello"
        await cluster.until(lambda it: "worker a task said this" in it.text())
        assert "scheduler" in {it.process for it in cluster.logs}
        assert "a task said this" in (cluster.directory(1) / "logs" / "worker.log").read_text()

    asyncio.run(scenario())


def test_a_killed_dask_worker_is_replaced_and_the_computation_finishes(cluster: Cluster) -> None:
    async def scenario() -> None:
        await start(cluster)
        async with cluster.client() as client:
            results = client.map(slow, range(20))
            await results[0]
            cluster.dask_child(1).kill()
            assert await client.gather(results) == list(range(1, 21))
        await cluster.until(lambda it: it.vms[instance_id(it.orders.cluster, 1)].restarts == 1)
        await cluster.until(lambda it: "killed by signal 9" in it.text())

    asyncio.run(scenario())


def test_a_killed_scheduler_is_started_again_where_it_was(cluster: Cluster) -> None:
    async def scenario() -> None:
        await start(cluster)
        before = cluster.scheduler.address
        cluster.dask_child(0).kill()
        await cluster.until(lambda it: it.scheduler.address == "")
        await cluster.until(lambda it: it.scheduler.address and ready(0, 1)(it))
        assert cluster.scheduler.address == before
        async with cluster.client() as client:
            await client.wait_for_workers(1)
            assert await client.submit(slow, 1) == 2

    asyncio.run(scenario())


def test_a_killed_agent_takes_its_dask_worker_along(cluster: Cluster) -> None:
    async def scenario() -> None:
        await start(cluster, workers=2)
        async with cluster.client() as client:
            results = client.map(slow, range(30))
            await results[0]
            child = cluster.dask_child(1)
            cluster.agents[instance_id(cluster.orders.cluster, 1)].kill()
            child.wait(2.0)
            assert await client.gather(results) == list(range(1, 31))

    asyncio.run(scenario())


@pytest.mark.long
def test_when_the_head_is_killed_its_workers_end_by_themselves(cluster: Cluster) -> None:
    async def scenario() -> None:
        cluster.start(0)
        cluster.start(1, silence_s=2.0)
        await cluster.ask()
        await cluster.until(ready(0, 1))
        cluster.agents[instance_id(cluster.orders.cluster, 0)].kill()
        await cluster.gone(within_s=8.0)

    asyncio.run(scenario())


def test_a_head_that_was_killed_and_restarted_goes_on_without_the_server(cluster: Cluster) -> None:
    async def scenario() -> None:
        await start(cluster)
        agent = cluster.agents[instance_id(cluster.orders.cluster, 0)]
        agent.kill()
        agent.wait()
        cluster.start(0)
        cluster.vms.clear()
        while not cluster.vms:
            try:
                await cluster.take_report()
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
        await cluster.until(ready(0, 1))
        async with cluster.client() as client:
            await client.wait_for_workers(1)
            assert await client.submit(slow, 1) == 2

    asyncio.run(scenario())


def test_client_restart_gives_fresh_workers(cluster: Cluster) -> None:
    async def scenario() -> None:
        await start(cluster, workers=2)
        async with cluster.client() as client:
            before = set((await client.run(os.getpid)).values())
            await client.restart(timeout=15)
            after = set((await client.run(os.getpid)).values())
        assert len(after) == 2
        assert not before & after

    asyncio.run(scenario())


def test_a_retired_worker_hands_over_its_data_and_is_not_started_again(cluster: Cluster) -> None:
    async def scenario() -> None:
        await start(cluster, workers=2)
        leaving = instance_id(cluster.orders.cluster, 1)
        async with cluster.client() as client:
            held = await client.scatter("precious", workers=[leaving])
            await cluster.ask(retire=(leaving,))
            await cluster.until(lambda it: it.stage(1) == "drained")
            assert await held == "precious"
        assert not [it for it in cluster.processes() if "worker_process" in str(it.cmdline())][1:]

    asyncio.run(scenario())


@pytest.mark.long
def test_all_workers_can_be_retired_at_once(cluster: Cluster) -> None:
    async def scenario() -> None:
        await start(cluster, workers=2)
        async with cluster.client() as client:
            held = await client.scatter(list(range(10)))
            everyone = tuple(instance_id(cluster.orders.cluster, n) for n in (1, 2))
            await cluster.ask(retire=everyone)
            await cluster.until(lambda it: [it.stage(n) for n in (1, 2)] == ["drained"] * 2)
            del held

    asyncio.run(scenario())


def test_a_worker_that_is_retired_before_it_began_is_drained(cluster: Cluster) -> None:
    async def scenario() -> None:
        for number in (0, 1):
            cluster.start(number)
        await cluster.ask(retire=(instance_id(cluster.orders.cluster, 1),))
        await cluster.until(lambda it: it.stage(1) == "drained")

    asyncio.run(scenario())


def test_an_idle_cluster_ends_itself_and_says_why(cluster: Cluster) -> None:
    async def scenario() -> None:
        await start(cluster, stop_rules=StopRules(idle_timeout_s=1.5))
        await cluster.until(lambda it: it.last is not None and it.last.stop)
        assert cluster.last is not None
        assert cluster.last.stop is not None
        assert cluster.last.stop.rule == "idle_timeout"
        await cluster.gone()

    asyncio.run(scenario())


@pytest.mark.long
def test_a_cluster_without_a_server_still_keeps_its_stop_rules(cluster: Cluster) -> None:
    async def scenario() -> None:
        for number in (0, 1):
            cluster.start(number)
        await cluster.ask(stop_rules=StopRules(no_client_timeout_s=1.0))
        await cluster.gone(within_s=15.0)

    asyncio.run(scenario())


def test_a_client_that_shuts_the_cluster_down_ends_its_vms(cluster: Cluster) -> None:
    async def scenario() -> None:
        await start(cluster)
        async with cluster.client() as client:
            await client.shutdown()
        await cluster.until(lambda it: it.last is not None and it.last.stop)
        assert cluster.last is not None
        assert cluster.last.stop is not None
        assert cluster.last.stop.rule == "shutdown"
        await cluster.gone()

    asyncio.run(scenario())


def test_a_worker_over_its_memory_limit_is_ended_and_says_so(cluster: Cluster) -> None:
    def hoard(size: int) -> int:
        held = bytearray(size)
        time.sleep(30)
        return len(held)

    async def scenario() -> None:
        # No spilling or pausing before: what is held here is not Dask's to spill.
        await start(cluster)
        async with cluster.client() as client:
            doomed = client.submit(hoard, 560 * 2**20)
            await cluster.until(lambda it: "is the limit" in it.text())
            await doomed.cancel()
        await cluster.until(lambda it: it.vms[instance_id(it.orders.cluster, 1)].restarts == 1)

    asyncio.run(scenario())


def test_options_that_dask_refuses_fail_the_vm_at_once(cluster: Cluster) -> None:
    async def scenario() -> None:
        for number in (0, 1):
            cluster.start(number)
        await cluster.ask(dask=DaskOptions(worker_options={"no_such_option": 1}))
        await cluster.until(lambda it: it.stage(1) == "failed")
        assert "no_such_option" in cluster.vms[instance_id(cluster.orders.cluster, 1)].failure

    asyncio.run(scenario())


def test_a_worker_agent_told_to_end_is_gone_at_once(cluster: Cluster) -> None:
    async def scenario() -> None:
        await start(cluster)
        agent = cluster.agents[instance_id(cluster.orders.cluster, 1)]
        told = time.monotonic()
        agent.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(agent.wait, 5) == 0
        assert time.monotonic() - told < 1.0
        await cluster.until(lambda it: it.stage(1) == "stopping")

    asyncio.run(scenario())


def test_what_a_task_started_ends_with_its_worker(cluster: Cluster) -> None:
    def leave_behind() -> int:
        import subprocess

        return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid

    async def scenario() -> None:
        import psutil

        await start(cluster)
        async with cluster.client() as client:
            left = psutil.Process(await client.submit(leave_behind))
        cluster.dask_child(1).kill()
        await asyncio.to_thread(left.wait, 5)

    asyncio.run(scenario())
