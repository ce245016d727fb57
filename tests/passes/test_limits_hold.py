"""In no run do VMs pass a limit: counted at the cloud, after every pass, whatever is asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from shoal.clouds.sim_knobs import Knobs, VmFate
from shoal.core.records import EndKind, Timing
from shoal.store import clusters, limits, tables
from shoal.store.database import Database
from shoal.wire.events import EventKind
from shoal.wire.ids import ClusterId, UserName, WorkspaceName
from shoal.wire.limits import ChangeLimits, Limits
from shoal.wire.specs import Workers
from tests.kill.rows import rows_of
from tests.passes.site import C1, Site
from tests.store.samples import an_event

C2 = ClusterId("c-2222222222")
BOTH = (C1, C2)
LAG_S = 20.0
LIMITS = st.one_of(
    st.builds(Limits, workers=st.integers(0, 6)),
    st.builds(Limits, vcpus=st.integers(0, 24)),
    st.builds(Limits, price_uusd_per_hour=st.integers(0, 1_200_000)),
)
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("scale"), st.sampled_from(BOTH), st.integers(0, 8)),
        st.tuples(st.just("stop"), st.sampled_from(BOTH), st.just(0)),
        st.tuples(st.just("preempt"), st.just(C1), st.just(0)),
        st.tuples(st.just("steps"), st.just(C1), st.integers(1, 3)),
    ),
    max_size=10,
)
FATES = st.lists(
    st.sampled_from([VmFate(), VmFate(), VmFate(boots=False), VmFate(dies_after_s=45.0)]),
    min_size=1,
    max_size=4,
).map(tuple)


@pytest.fixture
def begun() -> Iterator[tuple[Database, bytes]]:
    """A migrated database in memory, and what is in it before a run."""
    database = Database.open("sqlite://", inline=True)
    with database.engine.begin() as tx:
        tx.execute(insert(tables.installation).values(id="i-1", key_fingerprint=""))
    yield database, rows_of(database).serialize()
    database.close()


@pytest.mark.long
@given(limit=LIMITS, moves=MOVES, fates=FATES, named=st.booleans())
def test_vms_at_the_cloud_never_pass_a_limit(
    begun: tuple[Database, bytes],
    limit: Limits,
    moves: list[tuple[str, ClusterId, int]],
    fates: tuple[VmFate, ...],
    named: bool,
) -> None:
    database, rows = begun
    rows_of(database).deserialize(rows)
    asyncio.run(live(a_site(database, fates, named=named), limit, moves))


def a_site(database: Database, fates: tuple[VmFate, ...], *, named: bool) -> Site:
    timing = Timing(listing_lag_s=LAG_S + 1, boot_timeout_s=60.0, drain_timeout_s=30.0)
    knobs = Knobs(
        named=named, appear_lag_s=LAG_S, vanish_lag_s=LAG_S, ending_s=25.0, vms=fates, timing=timing
    )
    return Site(database, knobs)


async def live(site: Site, limit: Limits, moves: list[tuple[str, ClusterId, int]]) -> None:
    """Two clusters under one limit, and two replicas that look after them by turns."""
    allowed = ChangeLimits(limit)
    await site.database.run(limits.change, WorkspaceName("team"), allowed, "root", site.clock())
    await site.ask(4, C1)
    await site.ask(4, C2)
    replicas = [site.reconciler, site.another()]
    for what, cluster, number in [*moves, ("steps", C1, 4)]:
        now = site.clock()
        told = an_event(await site.cluster(cluster), EventKind.CLUSTER_SCALED)
        match what:
            case "scale":
                workers = Workers(number, number, number)
                await site.database.run(clusters.change_workers, cluster, None, workers, told)
            case "stop":
                await site.database.run(clusters.end, cluster, EndKind.USER, "enough", now, told)
            case "preempt":
                for vm in site.account.alive(now)[-1:]:
                    site.account.preempt(vm, now)
        for _ in range(max(1, number) if what == "steps" else 1):
            site.clock.advance(10.0)
            for it in BOTH:
                await site.hear(it)
            for replica in replicas:
                await site.run_pass(replica)
                await check(site, limit)


async def check(site: Site, limit: Limits) -> None:
    alive = site.account.alive(site.clock())
    roles = {it.vm: it.role for id in BOTH for it in await site.rows(id) if it.vm}
    counts = Counter(roles.get(it.id) for it in alive)
    vcpus = sum(it.pool.vcpu for it in alive)
    price = sum(it.pool.price_uusd_per_hour or 0 for it in alive)
    for used, most in (
        (counts["worker"], limit.workers),
        (vcpus, limit.vcpus),
        (price, limit.price_uusd_per_hour),
    ):
        assert most is None or used <= most, (used, most)


def test_a_limit_is_filled_and_shared_between_clusters(site: Site) -> None:
    """(Safety alone would be kept by doing nothing.)"""

    async def run() -> None:
        allowed = ChangeLimits(Limits(workers=5, clusters=9))
        await site.database.run(limits.change, WorkspaceName("team"), allowed, "root", site.clock())
        await site.ask(4, C1)
        await site.ask(4, C2)
        await site.step(3)
        used = await site.database.run(limits.use, WorkspaceName("team"), site.clock())
        assert used[UserName("ada")].workers == 5
        assert used[UserName("ada")].vcpus == 2 * 2 + 5 * 4
        await site.stop(C1)
        await site.step(4)
        rows = await site.rows(C2)
        assert sum(it.role == "worker" and it.gone_at is None for it in rows) == 4
        told = [it.kind for it in await site.told(EventKind.LIMIT_REACHED, EventKind.LIMIT_LIFTED)]
        assert told == [EventKind.LIMIT_REACHED, EventKind.LIMIT_LIFTED]

    asyncio.run(run())
