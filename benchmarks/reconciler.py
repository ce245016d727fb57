"""The reconciler: planning for 20,000 instances, and how many calls 1,000 workers take."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.table import Row
from shoal.clouds.sim import SimCloud, ordinary_pools
from shoal.clouds.sim_account import SimAccount
from shoal.clouds.sim_clock import BEGAN, VirtualClock
from shoal.core.provision import plan
from shoal.core.records import (
    Batch,
    Cluster,
    HeadObservation,
    Instance,
    Listing,
    Observation,
    Tally,
    Timing,
    Vm,
    World,
)
from shoal.server.passes.reconcile import Reconciler
from shoal.store import clusters, instances
from shoal.store.database import Database
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import (
    ClusterId,
    EnvironmentId,
    InstallationId,
    UserName,
    WorkspaceName,
    batch_id,
    instance_id,
)
from shoal.wire.specs import Cloud, ClusterSpec, Role, Workers
from shoal.wire.views import InstanceState, Stage

CLUSTERS, WORKERS = 100, 199
LAUNCHED_AT = BEGAN
NOW = BEGAN + timedelta(minutes=30)
RUNS = 7


def measure() -> list[Row]:
    world = full_world()
    seconds, calls = asyncio.run(all_launched(1000))
    return [
        Row("one plan over 20,000 instances", median_ms(world), "ms", aim="< 100"),
        Row("1,000 workers in sim until all are launched", calls, "provider calls", aim="≤ 20"),
        Row("  time of the control plane for it, SQLite on disk", seconds, "s"),
    ]


def full_world() -> World:
    """A hundred clusters of two hundred VMs at work; every tenth cluster has something to do."""
    parts = [_cluster(number) for number in range(CLUSTERS)]
    living = [it for _, them in parts for it in them]
    return World(
        now=NOW,
        installation=InstallationId("i-bench"),
        cloud=Cloud.SIM,
        timing=Timing(),
        clusters=tuple(cluster for cluster, _ in parts),
        batches=tuple(_batch(cluster) for cluster, _ in parts),
        instances=tuple(living),
        observations={it.id: _observed(it) for it in living},
        heads={
            cluster.id: HeadObservation(cluster.id, NOW, "tls://10.0.0.1:8786", ready_at=NOW)
            for cluster, _ in parts
        },
        tallies={cluster.id: Tally(cluster.id, 1, 200, 199) for cluster, _ in parts},
        marks=(),
        offers=(),
        listing=Listing(NOW, tuple(_vm(it) for it in living)),
    )


def _cluster(number: int) -> tuple[Cluster, list[Instance]]:
    id = ClusterId(f"c-{number:010d}")
    wanted = WORKERS - 50 if number % 10 == 0 else WORKERS
    spec = ClusterSpec(
        f"cluster-{number}", Cloud.SIM, Workers(wanted, wanted, wanted), EnvironmentId("env-1")
    )
    cluster = Cluster(id, WorkspaceName("team"), UserName("ada"), spec, 1, LAUNCHED_AT)
    return cluster, [_instance(id, n) for n in range(1, WORKERS + 2)]


def _instance(cluster: ClusterId, number: int) -> Instance:
    return Instance(
        id=instance_id(cluster, number),
        batch=batch_id(cluster, 1),
        cluster=cluster,
        role=Role.SCHEDULER if number == 1 else Role.WORKER,
        state=InstanceState.LAUNCHED,
        since=LAUNCHED_AT,
        why="accepted",
        created_at=LAUNCHED_AT,
        launched_at=LAUNCHED_AT,
        vm=f"vm-{cluster}-{number}",
        address=f"10.0.0.{number}:8788",
    )


def _batch(cluster: Cluster) -> Batch:
    ids = tuple(instance_id(cluster.id, n) for n in range(1, WORKERS + 2))
    id, head = batch_id(cluster.id, 1), "10.0.0.1:8788"
    return Batch(
        id, cluster.id, Role.WORKER, len(ids), (), ids, BEGAN, head, "", 30, (), 0.0, BEGAN
    )


def _observed(it: Instance) -> Observation:
    return Observation(it.id, Stage.READY, LAUNCHED_AT, NOW)


def _vm(it: Instance) -> Vm:
    return Vm(it.vm, it.id, it.batch, it.cluster, LAUNCHED_AT, address=it.address)


def median_ms(world: World) -> float:
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        plan(world)
        times.append(time.perf_counter() - begun)
    return 1000 * statistics.median(times)


async def all_launched(workers: int) -> tuple[float, int]:
    """Seconds of our own, and calls to the provider."""
    clock = VirtualClock()
    account = SimAccount(ordinary_pools(), clock())
    with tempfile.TemporaryDirectory() as directory:
        database = Database.open(f"sqlite:///{Path(directory) / 'shoal.db'}")
        try:
            sim = SimCloud(account, InstallationId("i-bench"), clock)
            reconciler = Reconciler(
                database=database, provider=sim, boot_text=lambda batch: batch.id, clock=clock
            )
            cluster = await _ask_for(database, clock, workers)
            begun = time.perf_counter()
            while not await _are_launched(database, cluster, workers + 1):
                await reconciler.run_pass(await reconciler.observe(), clock())
                clock.advance(5)
            return time.perf_counter() - begun, account.calls.total()
        finally:
            database.close()


async def _ask_for(database: Database, clock: VirtualClock, workers: int) -> ClusterId:
    spec = ClusterSpec("big", Cloud.SIM, Workers(workers, workers, workers), EnvironmentId("env-1"))
    id = ClusterId("c-aaaaaaaaaa")
    made = Cluster(id, WorkspaceName("team"), UserName("ada"), spec, 1, clock())
    told = Event(clock(), EventKind.CLUSTER_CREATED, "ada", "asked", cluster=id)
    await database.run(clusters.create, made, told)
    return id


async def _are_launched(database: Database, cluster: ClusterId, count: int) -> bool:
    rows = await database.run(instances.all_of_cluster, cluster)
    return sum(it.state is InstanceState.LAUNCHED for it in rows) >= count
