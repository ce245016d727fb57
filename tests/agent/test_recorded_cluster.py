"""A real head and workers: what a computation did, and why a worker was lost, is reported."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
import rig
from rig import Cluster, ready

from shoal.wire.ids import instance_id
from shoal.wire.telemetry import (
    Computation,
    HostSample,
    Loss,
    SchedulerSample,
    TaskException,
    WorkerEvent,
)

T = TypeVar("T")


def of(cluster: Cluster, kind: type[T]) -> list[T]:
    return [it for it in cluster.telemetry if isinstance(it, kind)]


def _divide() -> Callable[[int], float]:
    """A function that travels whole: workers do not have this module."""

    def divide(x: int) -> float:
        return 1 / x

    return divide


divide = _divide()


@pytest.mark.long
def test_a_computation_its_failure_and_a_killed_worker_are_told(cluster: rig.Cluster) -> None:
    one = instance_id(rig.CLUSTER, 1)

    async def scenario() -> None:
        cluster.start(0)
        cluster.start(1)
        await cluster.ask()
        await cluster.until(ready(0, 1))
        async with cluster.client() as client:
            assert await client.submit(divide, 2) == 0.5
            with pytest.raises(ZeroDivisionError):
                await client.submit(divide, 0)
        await cluster.until(lambda it: of(it, Computation) and of(it, TaskException))
        exception = of(cluster, TaskException)[-1]
        assert (exception.type, exception.worker) == ("ZeroDivisionError", one)
        await cluster.until(lambda it: of(it, HostSample) and of(it, SchedulerSample), 20)
        cluster.dask_child(1).send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        await cluster.until(lambda it: [e for e in of(it, WorkerEvent) if not e.added])
        assert time.monotonic() - killed_at < 2.0
        [lost] = [it for it in of(cluster, WorkerEvent) if not it.added]
        assert (lost.worker, lost.reason, lost.detail) == (one, Loss.CRASHED, "killed by signal 9")
        assert lost.threads == 1
        await cluster.until(lambda it: len([e for e in of(it, WorkerEvent) if e.added]) == 2)

    asyncio.run(scenario())
