"""What Compute Engine refuses, through the reconciler: whom it stops, and what its user reads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import msgspec
import pytest

from shoal.clouds.sim_clock import VirtualClock
from shoal.core.records import Cluster, EndKind, Offer
from shoal.server.passes.reconcile import Reconciler
from shoal.store import clusters, instances
from shoal.store.database import Database
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, EnvironmentId, UserName, WorkspaceName
from shoal.wire.specs import Cloud, ClusterSpec, Hardware, SpotPolicy, Workers
from shoal.wire.views import InstanceState
from tests.doubles.gcp.compute import Compute
from tests.doubles.gcp.server import GcpDouble
from tests.kill.grounds import of_gcp
from tests.kill.rig import boot_text, databases
from tests.kill.rows import rows_of, template

ONE, OTHER = ClusterId("c-0000000001"), ClusterId("c-0000000002")
NO_IMAGE = "RESOURCE_NOT_FOUND", "The resource 'projects/p/global/images/mine' was not found"
EMPTY = "ZONE_RESOURCE_POOL_EXHAUSTED", "The zone does not have enough resources."
CPUS = "QUOTA_EXCEEDED", "Quota 'N2_CPUS' exceeded. Limit: 24.0 in region us-east1."
SPOT_CPUS = "QUOTA_EXCEEDED", "Quota 'PREEMPTIBLE_CPUS' exceeded. Limit: 0.0 in region us-east1."
RATE = "RESOURCE_OPERATION_RATE_EXCEEDED", "Too many operations"
FINE = "", ""
NOBODY_KNOWS = "INTERNAL_ERROR", "Something went wrong"


class Desk:
    """Clusters of one installation, on a project in memory. Without names of VMs, one batch is
    launched after the other."""

    def __init__(self, double: GcpDouble, database: Database, *, named: bool = False) -> None:
        double.account = msgspec.structs.replace(double.account, internal_dns=named)
        self.compute, self.database, self.clock = double.compute, database, VirtualClock()
        connection = rows_of(database)
        connection.deserialize(template(1))
        ground = of_gcp(double)
        [(installation,)] = connection.execute("SELECT id FROM installation").fetchall()
        on_demand = ground.offers
        ground = msgspec.structs.replace(
            ground, offers=(*on_demand, *(_spot(it) for it in on_demand))
        )
        self._reconciler = Reconciler(
            database=database,
            provider=ground.provider(installation, self.clock),
            boot_text=boot_text,
            clock=self.clock,
        )

    async def ask(
        self, id: ClusterId, wanted: int, policy: SpotPolicy = SpotPolicy.ON_DEMAND
    ) -> None:
        spec = ClusterSpec(
            f"etl-{id[-1]}",
            Cloud.GCP,
            Workers(wanted, wanted, wanted),
            EnvironmentId("e"),
            worker=Hardware(vm_types=("n2-standard-4",)),
            scheduler=Hardware(vm_types=("n2-standard-4",)),
            spot_policy=policy,
        )
        made = Cluster(id, WorkspaceName("team"), UserName("ada"), spec, 1, self.clock())
        told = Event(self.clock(), EventKind.CLUSTER_CREATED, "ada", "asked", cluster=id)
        await self.database.run(clusters.create, made, told)

    async def step(self, count: int = 1) -> None:
        began = self.clock()
        for _ in range(count):
            await self._reconciler.run_pass(await self._reconciler.observe(), began)
            self.clock.advance(10)

    async def cluster(self, id: ClusterId) -> Cluster:
        return await self.database.run(clusters.get, id)

    async def has(self, id: ClusterId) -> int:
        """VMs."""
        known = await self.database.run(instances.all_of_cluster, id)
        return sum(it.state is InstanceState.LAUNCHED for it in known)


def _spot(it: Offer) -> Offer:
    return msgspec.structs.replace(it, spot=True, price_uusd_per_hour=50_000)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with GcpDouble(Compute()) as double, databases(1) as [database]:
        yield Desk(double, database)
    assert double.faults == []


async def both_at_once(desk: Desk) -> None:
    desk.compute.knobs.together = threading.Barrier(2)
    await desk.ask(ONE, 2)
    await desk.step()
    assert await desk.has(ONE) == 3
    head, *workers = sorted(desk.compute.instances)
    zone, name = head.split("/")
    for it in workers:
        [user_data] = desk.compute.instances[it]["metadata"]["items"]
        assert f"{name}.{zone}.c.shoal-test.internal:8788" in user_data["value"]
    desk.compute.knobs.together = None
    await desk.step(3)
    assert await desk.has(ONE) == 3


def test_workers_are_launched_beside_their_scheduler_and_know_it_by_name() -> None:
    with GcpDouble(Compute()) as double, databases(1) as [database]:
        asyncio.run(both_at_once(Desk(double, database, named=True)))


async def one_asks_for_what_is_not_there(desk: Desk) -> None:
    desk.compute.knobs.fails = [NO_IMAGE]
    await desk.ask(ONE, 2)
    await desk.step()
    await desk.ask(OTHER, 2)
    await desk.step(2)
    ended = await desk.cluster(ONE)
    assert ended.end_kind is EndKind.FAILED
    assert "images/mine" in ended.end_reason
    assert "Look at what was asked for" in ended.end_reason
    assert (await desk.cluster(OTHER)).ended_at is None
    assert await desk.has(OTHER) == 3


def test_ones_mistake_is_nobody_elses(desk: Desk) -> None:
    asyncio.run(one_asks_for_what_is_not_there(desk))


async def spot_is_forbidden(desk: Desk) -> None:
    desk.compute.knobs.spot_fails = SPOT_CPUS
    await desk.ask(ONE, 2, SpotPolicy.SPOT_WITH_FALLBACK)
    await desk.step(2)
    assert (await desk.cluster(ONE)).ended_at is None
    assert await desk.has(ONE) == 3
    models = [it["scheduling"]["provisioningModel"] for it in desk.compute.instances.values()]
    assert models == ["STANDARD"] * 3


def test_a_quota_of_spot_vms_leaves_the_others(desk: Desk) -> None:
    asyncio.run(spot_is_forbidden(desk))


async def two_reasons(desk: Desk) -> None:
    desk.compute.knobs.fails = [FINE, *[EMPTY] * 17, *[CPUS] * 3]
    await desk.ask(ONE, 20)
    await desk.step()
    ended = await desk.cluster(ONE)
    assert ended.end_kind is EndKind.FAILED
    assert "17 of 20 workers: no capacity for n2-standard-4" in ended.end_reason
    assert "3 of 20 workers: quota N2_CPUS in us-east1" in ended.end_reason
    assert "console.cloud.google.com" in ended.end_reason


def test_each_reason_is_told_with_how_many_it_kept_away(desk: Desk) -> None:
    asyncio.run(two_reasons(desk))


async def the_last_word(desk: Desk, fails: list[tuple[str, str]], steps: int) -> None:
    desk.compute.knobs.fails = fails
    await desk.ask(ONE, 2)
    await desk.step(steps)
    assert await desk.has(ONE) == 3
    assert desk.compute.calls.count("regionInstances.bulkInsert") == 3


@pytest.mark.parametrize(
    ("fails", "steps"), [([RATE], 5), ([NOBODY_KNOWS], 1), ([FINE, RATE, RATE], 5)]
)
def test_a_request_that_is_over_is_not_repeated_but_made_anew(
    desk: Desk, fails: list[tuple[str, str]], steps: int
) -> None:
    """Its answer would be the same for ever."""
    asyncio.run(the_last_word(desk, fails, steps))
