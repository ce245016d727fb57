from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shoal.clouds.provider import Unknown
from shoal.clouds.sim import SimCloud
from shoal.clouds.sim_knobs import Fate, Knobs, Pool, Step
from shoal.core.records import EndKind, Offer, Timing
from shoal.errors import StoreFault
from shoal.wire.events import EventKind
from shoal.wire.ids import ClusterId
from shoal.wire.views import InstanceState
from tests.passes.site import C1, Site

GONE, INTENDED = InstanceState.GONE, InstanceState.INTENDED
LAUNCHED, RELEASED = InstanceState.LAUNCHED, InstanceState.RELEASED


async def created_and_deleted(site: Site) -> None:
    await site.ask(3)
    await site.run_pass()
    assert await site.states() == {LAUNCHED: 4}
    assert site.account.calls["launch"] == 2
    await site.stop()
    await site.step()
    assert await site.states() == {RELEASED: 4}
    await site.step(2)
    assert await site.states() == {GONE: 4}
    assert (await site.cluster()).settled_at is not None
    assert site.account.alive(site.clock()) == []


def test_a_cluster_is_launched_within_one_pass_and_gone_after_its_end(site: Site) -> None:
    asyncio.run(created_and_deleted(site))


async def planned_by_two_at_once(site: Site) -> None:
    await site.ask(20)
    first, second = site.another(), site.another()
    for _ in range(4):
        await asyncio.gather(site.run_pass(first), site.run_pass(second))
    assert await site.states() == {LAUNCHED: 21}
    assert len(site.account.vms) == 21
    assert site.account.incidents == []


def test_two_replicas_at_the_same_time_make_nothing_double(site: Site) -> None:
    asyncio.run(planned_by_two_at_once(site))


async def unanswered(site: Site) -> None:
    site.turn(launches=(Fate.LOST_ANSWER,))
    await site.ask(2)
    await site.run_pass()
    assert await site.states() == {INTENDED: 1}
    site.turn(launches=(Fate.FINE,))
    await site.run_pass(site.another())
    assert await site.states() == {LAUNCHED: 3}
    assert len(site.account.vms) == 3


def test_an_answer_that_is_lost_costs_no_second_vm(site: Site) -> None:
    asyncio.run(unanswered(site))


async def throttled(site: Site) -> None:
    site.turn(launches=(Fate.THROTTLED,))
    await site.ask(1)
    for _ in range(3):
        await site.run_pass()
    assert site.account.calls["launch"] == 1
    site.turn(launches=(Fate.FINE,))
    await site.step()
    assert await site.states() == {LAUNCHED: 2}


def test_a_throttled_cloud_is_not_asked_until_it_said_so(site: Site) -> None:
    asyncio.run(throttled(site))


async def never_ended(site: Site) -> None:
    await site.ask(1)
    await site.run_pass()
    site.turn(terminates=(Fate.LOST_REQUEST,))
    await site.stop()
    await site.step(4)
    assert await site.states() == {RELEASED: 2}
    assert site.account.calls["terminate"] >= 4
    site.turn(terminates=(Fate.FINE,))
    await site.step(3)
    assert await site.states() == {GONE: 2}


def test_ending_a_vm_is_never_given_up(site: Site) -> None:
    asyncio.run(never_ended(site))


async def explained(site: Site) -> None:
    await site.ask(2)
    told = await site.reconciler.explain(C1)
    assert [it.action for it in told.actions] == ["intend"]
    assert told.actions[0].why == "the scheduler's VM is missing"
    assert await site.rows() == []
    await site.step(5)
    assert (await site.reconciler.explain(C1)).actions == ()


def test_an_explanation_tells_what_comes_next_and_does_nothing(site: Site) -> None:
    asyncio.run(explained(site))


async def swept(site: Site) -> None:
    other = SimCloud(site.account, site.sim._installation, site.clock)
    await site.ask(1)
    await site.run_pass()
    [row, *_] = await site.rows()
    listed = await other.list()
    assert row.vm in {it.id for it in listed}
    batch = (await site.reconciler.look(None)).batches[0]
    stray = batch.__class__(
        **{f: getattr(batch, f) for f in batch.__struct_fields__}
        | {"id": "c-9999999999-b1", "instances": ("shoal-c-9999999999-1",)}
    )
    site.account.create(site.sim._installation, stray, "", site.clock())
    site.turn(vanish_lag_s=20.0)
    await site.step(4)
    assert len(site.account.alive(site.clock())) == 2
    [event] = await site.told(EventKind.VM_SWEPT)
    assert "not on record" in event.why


def test_a_vm_without_a_record_is_ended_and_told_once(site: Site) -> None:
    asyncio.run(swept(site))


class NoOffers(SimCloud):
    async def offers(self, region: str | None) -> Sequence[Offer]:
        raise Unknown("no answer")


async def without_offers(site: Site) -> None:
    site.sim = NoOffers(site.account, site.sim._installation, site.clock)
    await site.ask(1)
    await site.run_pass(site.another())
    assert (await site.cluster()).ended_at is None
    assert await site.rows() == []


def test_a_catalog_that_does_not_answer_ends_nothing(site: Site) -> None:
    asyncio.run(without_offers(site))


async def several(site: Site) -> None:
    second = ClusterId("c-2222222222")
    await site.ask(2)
    await site.ask(3, second)
    await site.stop(second)
    await site.step(4)
    assert await site.states() == {LAUNCHED: 3}
    assert (await site.cluster(second)).settled_at is not None


def test_clusters_do_not_disturb_each_other(site: Site) -> None:
    asyncio.run(several(site))


def small(zone: str, machine_type: str, count: int) -> Pool:
    return Pool("sim-1", zone, machine_type, vcpu=4, capacity=(Step(0.0, count),))


async def refused(site: Site) -> None:
    pools = (small("z1", "s2", 9), small("z1", "s4", 0))
    crowded = Site(site.database, Knobs(quota=3, timing=Timing(listing_lag_s=10.0)), pools)
    await crowded.ask(20)
    await crowded.run_pass()
    failed = await crowded.cluster()
    assert failed.end_kind is EndKind.FAILED
    assert "18 of 20 workers: the quota of 3 VMs in sim-1 is used up" in failed.end_reason
    assert "2 of 20 workers: no capacity for s4 in z1" in failed.end_reason
    assert "Raise the quota" in failed.end_reason
    refusals = await crowded.told(EventKind.BATCH_REFUSED)
    assert [it.count for it in refusals] == [2, 18]


def test_a_cluster_that_cannot_be_had_fails_at_once_with_every_reason(site: Site) -> None:
    asyncio.run(refused(site))


async def half(site: Site) -> None:
    pools = (small("z1", "s2", 9), small("z1", "s4", 2))
    scarce = Site(site.database, Knobs(timing=Timing(listing_lag_s=10.0)), pools)
    await scarce.ask(5)
    await scarce.step(2)
    assert (await scarce.states())[LAUNCHED] == 3
    scarce.account.set_capacity(("z1", "s4", False), 9, scarce.clock())
    await scarce.step(14)
    assert (await scarce.states())[LAUNCHED] == 6


def test_a_partial_start_is_filled_when_there_is_room_again(site: Site) -> None:
    asyncio.run(half(site))


def test_a_broken_record_comes_out_as_one_error(site: Site) -> None:
    class Broken(SimCloud):
        async def launch(self, *args: object) -> object:  # type: ignore[override]
            raise StoreFault("The database does not answer.")

    async def run() -> None:
        site.sim = Broken(site.account, site.sim._installation, site.clock)
        await site.ask(1)
        with pytest.raises(StoreFault):
            await site.run_pass(site.another())

    asyncio.run(run())
