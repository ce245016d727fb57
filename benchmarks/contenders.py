"""What a user would take instead of Shoal on one machine, started and asked for one result.

Run as a program in an environment that has dask-gateway beside Shoal:
`python contenders.py {local,gateway,shoal} RUNS PAUSE_S` prints the seconds of each run as JSON:
from the call that makes a cluster to the first result of a task with both one-thread workers there.
The pause is before each run, so that the machine is at rest; without one, the end of the cluster
before goes on beside it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

N_WORKERS = 2


def increment(x: int) -> int:
    return x + 1


def local() -> float:
    from distributed import Client, LocalCluster

    begun = time.perf_counter()
    with (
        LocalCluster(
            n_workers=N_WORKERS, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        assert client.submit(increment, 1).result() == 2
        return time.perf_counter() - begun


def gateway(address: str) -> Callable[[], float]:
    def run() -> float:
        from dask_gateway import Gateway

        begun = time.perf_counter()
        with (
            Gateway(address, auth="basic") as gateway,
            gateway.new_cluster() as cluster,
        ):
            cluster.scale(N_WORKERS)
            with cluster.get_client() as client:
                client.wait_for_workers(N_WORKERS)
                assert client.submit(increment, 1).result() == 2
                return time.perf_counter() - begun

    return run


@contextlib.contextmanager
def gateway_server() -> Iterator[str]:
    """The real server with its local backend, on loopback."""
    import subprocess
    import urllib.error
    import urllib.request

    port = 18961
    with tempfile.TemporaryDirectory() as directory:
        config = f"{directory}/gateway.py"
        with open(config, "w") as file:
            file.write(
                "c.DaskGateway.backend_class = "
                "'dask_gateway_server.backends.local.UnsafeLocalBackend'\n"
                f"c.DaskGateway.address = '127.0.0.1:{port + 1}'\n"
                f"c.Proxy.address = '127.0.0.1:{port}'\n"
                "c.UnsafeLocalBackend.sigint_timeout = 1\n"
                "c.ClusterConfig.scheduler_cmd = ['dask', 'scheduler']\n"
                "c.ClusterConfig.worker_cmd = ['dask', 'worker']\n"
                "c.ClusterConfig.worker_cores = 1\n"
                f"c.LocalBackend.clusters_directory = '{directory}/clusters'\n"
            )
        process = subprocess.Popen(
            [f"{sys.prefix}/bin/dask-gateway-server", "-f", config],
            cwd=directory,
            env={"PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "HOME": directory, "USER": "bench"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                try:
                    urllib.request.urlopen(f"{address}/api/health", timeout=1)
                    break
                except (urllib.error.URLError, OSError):
                    time.sleep(0.1)
            yield address
        finally:
            process.terminate()
            process.wait(10)


def shoal() -> float:
    import shoal as product

    begun = time.perf_counter()
    with (
        product.Cluster(n_workers=N_WORKERS, worker_cpu=1, show_widget=False) as cluster,
        cluster.get_client() as client,
    ):
        client.wait_for_workers(N_WORKERS)
        assert client.submit(increment, 1).result() == 2
        return time.perf_counter() - begun


def main() -> None:
    which, runs, pause_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    import distributed  # noqa: F401  a session has it imported already

    with contextlib.ExitStack() as stack:
        if which == "gateway":
            run = gateway(stack.enter_context(gateway_server()))
        else:
            run = {"local": local, "shoal": shoal}[which]
        run()  # warm: file caches, the embedded server, the environment
        times = []
        for _ in range(runs):
            time.sleep(pause_s)
            times.append(run())
        print(json.dumps(times))


if __name__ == "__main__":
    main()
