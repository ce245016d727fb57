"""A real control group, a real kill: on Linux, where the tests may make one (as root, mostly)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rig import CLUSTER, Cluster, ready

from shoal.agent import memory
from shoal.core.signals import Scene, signals
from shoal.wire.ids import EnvironmentId, instance_id
from shoal.wire.specs import Cloud, ClusterSpec, DaskOptions, Workers
from shoal.wire.telemetry import Loss, SignalKind, WorkerEvent

LIMIT_BYTES = 320 * 2**20


@pytest.fixture
def group(cluster: Cluster) -> Iterator[Path]:
    """A memory control group; it outlives the cluster's processes, then goes."""
    own = memory.own_group()
    if own is None:
        pytest.skip("no memory control groups here")
    made = own.events.parent / f"shoal-tests-{os.getpid()}"
    try:
        made.mkdir()
        (made / own.limit.name).write_text(str(LIMIT_BYTES))
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield made
    cluster.kill()
    for process in cluster.processes():
        process.kill()
        process.wait(5)
    made.rmdir()


def losses(cluster: Cluster) -> list[WorkerEvent]:
    return [it for it in cluster.telemetry if isinstance(it, WorkerEvent) and not it.added]


@pytest.mark.long
def test_a_worker_that_the_kernel_killed_for_memory_is_reported_as_that(
    cluster: Cluster, group: Path
) -> None:
    def hoard() -> int:
        return len(bytearray(2 * LIMIT_BYTES))

    async def scenario() -> None:
        cluster.start(0)
        cluster.prefix = ("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh")
        cluster.start(1)
        # The agent's own watch is off, so that the kernel is first.
        options = DaskOptions(environ={"DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False"})
        await cluster.ask(dask=options)
        await cluster.until(ready(0, 1))
        async with cluster.client() as client:
            limits = await client.run(lambda dask_worker: dask_worker.memory_manager.memory_limit)
            assert list(limits.values()) == [LIMIT_BYTES - 64 * 2**20]
            doomed = client.submit(hoard)
            await cluster.until(lambda it: "killed by the kernel for memory" in it.text())
            await doomed.cancel()
            await cluster.until(lambda it: losses(it))
        [lost, *_] = losses(cluster)
        assert (lost.worker, lost.reason) == (instance_id(CLUSTER, 1), Loss.MEMORY)
        told = signals(
            Scene(
                datetime.now(UTC),
                ClusterSpec("c", Cloud.LOCAL, Workers(1, 1, 1), EnvironmentId("e")),
                worker_events=tuple(losses(cluster)),
            )
        )
        assert [it.kind for it in told] == [SignalKind.KILLED_FOR_MEMORY]
        assert "of 320 MiB" in cluster.text()
        assert cluster.vms[instance_id(CLUSTER, 1)].restarts >= 1

    asyncio.run(scenario())
