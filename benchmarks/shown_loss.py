"""`shown_loss.py ROUNDS`: seconds from the death of a worker's process to its being shown.

A Shoal cluster on this machine; its Dask worker is killed, and the server's API is asked until it
tells of the loss, with its reason. Run in the environment of a user (benchmarks/start.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time

import psutil

import shoal
from shoal.client import connection
from shoal.client.api import Api
from shoal.wire import endpoints
from shoal.wire.telemetry import WorkerEventList


def worker_pids(cluster: str) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            mine = f"shoal-{cluster}-" in process.environ().get("SHOAL_VM_NAME", "")
        except psutil.Error:
            continue
        if mine and "worker_process" in (process.info["cmdline"] or []):
            found.append(process.pid)
    return found


async def losses(api: Api, cluster: str) -> list[str]:
    told: WorkerEventList = await api.call(endpoints.WORKER_EVENTS, path={"cluster": cluster},
                                           query=endpoints.NewestQuery())  # fmt: skip
    return [f"{it.reason}" for it in told.events if not it.added]


async def shown_s(cluster: str) -> float:
    async with Api(connection.find) as api:
        before = len(await losses(api, cluster))
        os.kill(worker_pids(cluster)[0], signal.SIGKILL)
        begun = time.perf_counter()
        while len(await losses(api, cluster)) == before:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return time.perf_counter() - begun


if __name__ == "__main__":
    seen = []
    with shoal.Cluster(n_workers=2, worker_cpu=1, show_widget=False) as cluster:
        client = cluster.get_client()
        for _ in range(int(sys.argv[1])):
            client.wait_for_workers(2)
            seen.append(asyncio.run(shown_s(cluster.id)))
            time.sleep(3)
    print(json.dumps(seen))
