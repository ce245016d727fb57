"""What is to be running on this VM, as the server asks the head and the head its workers."""

from __future__ import annotations

from pathlib import Path

import msgspec

from shoal.agent.messages import ConfigureScheduler, ConfigureWorker
from shoal.agent.vm import Vm
from shoal.trust.dask_tls import SecurityArguments
from shoal.wire.boot import DASHBOARD_PORT, SCHEDULER_PORT
from shoal.wire.environments import Manifest
from shoal.wire.reports import Orders, WorkerOrders


class Asked(msgspec.Struct, frozen=True):
    manifest: Manifest
    environ: dict[str, str]  # for the Dask process, on top of what it gets anyway
    configuration: ConfigureScheduler | ConfigureWorker | None  # None: not known yet
    follows_manifest: bool  # a running child is restarted for another environment
    python_hint: Path | None = None
    retire: bool = False
    python_mirror: str = ""


def of_scheduler(orders: Orders, vm: Vm, security: SecurityArguments, *, own_host: bool) -> Asked:
    """The scheduler keeps its environment for life: restarting it would lose the computation."""
    configuration = ConfigureScheduler(
        host=vm.host,
        port=SCHEDULER_PORT if own_host else 0,
        dashboard_port=DASHBOARD_PORT if own_host else 0,
        security=dict(security),
        options=orders.dask.scheduler_options,
        minimum=orders.minimum,
    )
    return Asked(
        manifest=orders.manifest,
        environ=orders.dask.environ,
        configuration=configuration,
        follows_manifest=False,
        python_hint=_path(orders.python_hint),
        python_mirror=orders.python_mirror,
    )


def of_worker(orders: WorkerOrders, vm: Vm, security: SecurityArguments) -> Asked:
    configuration = ConfigureWorker(
        scheduler=orders.scheduler_address,
        name=vm.name,
        host=vm.host,
        nthreads=vm.cpus,
        memory_limit_bytes=vm.dask_memory_bytes(),
        local_directory=str(vm.dask),
        security=dict(security),
        worker_class=orders.dask.worker_class,
        options=orders.dask.worker_options,
        cloud=vm.cloud,
        metadata=vm.metadata,
    )
    return Asked(
        manifest=orders.manifest,
        environ=orders.dask.environ,
        configuration=configuration if orders.scheduler_address else None,
        follows_manifest=True,
        python_hint=_path(orders.python_hint),
        python_mirror=orders.python_mirror,
        retire=orders.retire,
    )


def _path(hint: str) -> Path | None:
    return Path(hint) if hint else None
