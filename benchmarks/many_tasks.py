"""`many_tasks.py {local,shoal}`: tasks a second of 10,000 small ones on two one-thread workers."""

from __future__ import annotations

import json
import sys
import time

from distributed import Client, LocalCluster

TASKS = 10_000


def increment(x: int) -> int:
    return x + 1


def rate(client: Client) -> float:
    client.wait_for_workers(2)
    client.gather(client.map(increment, range(1000)))  # warm
    begun = time.perf_counter()
    client.gather(client.map(increment, range(1000, 1000 + TASKS)))
    return TASKS / (time.perf_counter() - begun)


if __name__ == "__main__":
    if sys.argv[1] == "local":
        cluster = LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        )
    else:
        import shoal

        cluster = shoal.Cluster(n_workers=2, worker_cpu=1, show_widget=False)
    with cluster, Client(cluster) as client:
        print(json.dumps(rate(client)))
