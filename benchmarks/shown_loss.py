"""`shown_loss.py ROUNDS`: seconds from the death of a worker to its being shown in a browser.

A Shoal cluster on this machine. In turn its Dask worker is killed, or its whole VM vanishes (the
agent is killed, and what it started with it). Waited is as a page waits: it hears from its stream
of events that there is something new, asks for itself again, and shows the loss; the API is asked
beside. Prints for each of both how long each took. Run in the environment of a user
(benchmarks/start.py).
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Coroutine

import httpx2
import psutil

import shoal
from shoal.client import connection
from shoal.client.api import Api
from shoal.wire import endpoints
from shoal.wire.telemetry import WorkerEventList

_LOST = re.compile(r"Lost: [^<]*</dt><dd>(\d+)")


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


async def losses(api: Api, cluster: str) -> int:
    told: WorkerEventList = await api.call(endpoints.WORKER_EVENTS, path={"cluster": cluster},
                                           query=endpoints.NewestQuery())  # fmt: skip
    return sum(not it.added for it in told.events)


class Page:
    """The workers' page of a cluster, open in a browser."""

    def __init__(self, client: httpx2.AsyncClient, cluster: str) -> None:
        self._client = client
        self._cluster = cluster

    async def shown(self) -> int:
        answer = await self._client.get(f"/clusters/{self._cluster}/workers")
        return sum(map(int, _LOST.findall(answer.raise_for_status().text)))

    async def until(self, count: int, opened: asyncio.Event) -> None:
        changes = f"/pages/changes?cluster={self._cluster}"
        async with self._client.stream("GET", changes, timeout=60) as stream:
            async for line in stream.aiter_lines():
                opened.set()
                if line == "data: look" and await self.shown() >= count:
                    return


async def until_api(api: Api, cluster: str, count: int) -> None:
    while await losses(api, cluster) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def shown_s(cluster: str, *, whole_vm: bool) -> tuple[float, float]:
    """Until the API tells, and until the page shows it."""
    async with Api(connection.find) as api:
        place = api.place
        assert place is not None
        async with httpx2.AsyncClient(base_url=place.url, trust_env=False) as client:
            await client.post("/login", data={"token": place.token})
            page, opened = Page(client, cluster), asyncio.Event()
            wanted = await losses(api, cluster) + 1
            showing = asyncio.ensure_future(timed(page.until(wanted, opened)))
            await opened.wait()
            doomed = psutil.Process(worker_pids(cluster)[0])
            for process in [doomed.parent(), doomed] if whole_vm else [doomed]:
                process.kill()
            killed = time.perf_counter()
            await until_api(api, cluster, wanted)
            api_s = time.perf_counter() - killed
            async with asyncio.timeout(60):
                return api_s, await showing - killed


async def timed(waiting: Coroutine[None, None, None]) -> float:
    await waiting
    return time.perf_counter()


if __name__ == "__main__":
    seen: dict[str, list[tuple[float, float]]] = {"worker": [], "vm": []}
    with shoal.Cluster(n_workers=2, worker_cpu=1, show_widget=False) as cluster:
        client = cluster.get_client()
        for number in range(2 * int(sys.argv[1])):
            client.wait_for_workers(2)
            time.sleep(3)
            kind = "vm" if number % 2 else "worker"
            seen[kind].append(asyncio.run(shown_s(cluster.id, whole_vm=kind == "vm")))
    print(json.dumps(seen))
