"""The driver of a reconciler: a jumping clock, a cloud that does not list, a pass that fails."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from shoal.clouds.provider import Unknown
from shoal.core.records import Timing
from shoal.server.loop import CLOCK_JUMP_S, Driver
from shoal.server.passes.reconcile import Reconciler
from shoal.store import instances, world
from shoal.wire.requests import CreateCluster
from shoal.wire.specs import Cloud
from shoal.wire.views import InstanceState
from tests.server.conftest import Served
from tests.server.small_cloud import SmallCloud
from tests.server.specs import a_spec


class JumpingClock:
    """The wall clock, set forward or back by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def driver(served: Served, cloud: SmallCloud, clock: JumpingClock) -> Driver:
    served.desk.clock = clock
    reconciler = Reconciler(
        database=served.desk.database,
        provider=cloud,
        boot_text=lambda batch: batch.id,
        clock=clock,
    )
    return Driver(served.desk, reconciler)


def states(served: Served) -> set[InstanceState]:
    rows = asyncio.run(served.desk.database.run(world.read, Cloud.SIM, datetime.now(UTC)))
    return {it.state for it in rows.instances}


def ask_for_a_cluster(served: Served) -> str:
    token = served.token("ada", "research", "clusters")
    made = served.ask(token, "POST", "/v1/clusters", CreateCluster(a_spec()))
    return str(made.json()["id"])


def test_a_jump_of_the_clock_is_noticed_and_distrusted(served: Served) -> None:
    clock = JumpingClock()
    driven = driver(served, SmallCloud(), clock)
    before = driven.trusted_since
    asyncio.run(driven.drive_once())
    assert driven.trusted_since == before
    clock.ahead = timedelta(hours=3)
    asyncio.run(driven.drive_once())
    assert driven.trusted_since >= before + timedelta(hours=3)
    clock.ahead = timedelta(seconds=3 * 3600 - CLOCK_JUMP_S - 1)
    asyncio.run(driven.drive_once())
    assert driven.trusted_since < before + timedelta(hours=3)


def test_a_cloud_that_does_not_list_still_launches(served: Served) -> None:
    class Deaf(SmallCloud):
        async def list(self):  # type: ignore[no-untyped-def]
            raise Unknown("no answer")

    ask_for_a_cluster(served)
    asyncio.run(driver(served, Deaf(), JumpingClock()).drive_once())
    assert states(served) == {InstanceState.LAUNCHED}


def test_a_pass_that_fails_is_followed_by_one_that_works(served: Served) -> None:
    class Failing(SmallCloud):
        broken = True

        async def offers(self, region):  # type: ignore[no-untyped-def]
            if self.broken:
                raise RuntimeError("a bug in an adapter")
            return await super().offers(region)

    cluster, cloud = ask_for_a_cluster(served), Failing()
    driven = driver(served, cloud, JumpingClock())
    assert asyncio.run(driven.drive_once()) is False
    assert asyncio.run(served.desk.database.run(instances.all_of_cluster, cluster)) == []
    cloud.broken = False
    assert asyncio.run(driven.drive_once()) is True
    assert states(served) == {InstanceState.LAUNCHED}


def test_a_cloud_is_listed_as_often_as_it_bears(served: Served) -> None:
    class Slow(SmallCloud):
        timing = Timing(listing_lag_s=60.0, listing_s=10.0, listing_each_vm_s=0.5)

    ask_for_a_cluster(served)
    driven = driver(served, Slow(), JumpingClock())
    assert driven.listing_interval_s() == 10.0
    asyncio.run(driven.drive_once())  # launched after that pass's listing
    asyncio.run(driven.list())
    assert driven.listing_interval_s() == 10.0 + 0.5 * 3
