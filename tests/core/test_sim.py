"""The sim cloud keeps its own promises: tokens, lags, capacity, what is lost on the way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from shoal.clouds.provider import Launched, NoCapacity, Refused, Throttled, Unknown
from shoal.clouds.sim import SimCloud, ordinary_pools
from shoal.clouds.sim_account import SimAccount
from shoal.clouds.sim_clock import VirtualClock
from shoal.clouds.sim_knobs import Fate, Knobs, Pool, Step, VmFate, steps_of_trace
from shoal.core.records import Batch, Vm
from shoal.wire.ids import InstallationId
from tests.core.worlds import batch, offer, worker

TRACES = Path(__file__).parents[3] / "shared" / "traces"


class Rig:
    def __init__(self, *pools: Pool, **knobs: object) -> None:
        self.clock = VirtualClock()
        self.account = SimAccount(pools or (_pool(9),), self.clock(), Knobs(**knobs))  # type: ignore[arg-type]
        self.sim = SimCloud(self.account, InstallationId("i-1"), self.clock)

    def launch(self, it: Batch, text: str = "boot") -> Launched:
        return asyncio.run(self.sim.launch(it, text))

    def listed(self) -> list[Vm]:
        return list(asyncio.run(self.sim.list()))

    def end(self, *vms: Vm) -> None:
        asyncio.run(self.sim.terminate(vms))

    def alive(self) -> int:
        return len(self.account.alive(self.clock()))


def _pool(count: int, *, spot: bool = False, zone: str = "z1") -> Pool:
    return Pool("r1", zone, "m4", spot, capacity=(Step(0.0, count),))


def two(number: int = 2, **changes: object) -> Batch:
    return batch(number, [worker(2, batch=f"b{number}"), worker(3)], **changes)


def test_a_token_makes_vms_once() -> None:
    rig = Rig()
    first, second = rig.launch(two()), rig.launch(two())
    assert [it.id for it in first.vms] == [it.id for it in second.vms]
    assert rig.alive() == 2


def test_a_token_with_other_bytes_is_an_incident() -> None:
    rig = Rig()
    rig.launch(two())
    with pytest.raises(Unknown):
        rig.launch(two(), "other boot text")
    assert len(rig.account.incidents) == 1


def test_a_token_is_forgotten_in_the_end() -> None:
    rig = Rig(token_memory_s=60.0, named=False)
    rig.launch(two())
    rig.clock.advance(61)
    rig.launch(two())
    assert rig.alive() == 4


def test_listings_are_late_in_both_directions() -> None:
    rig = Rig(appear_lag_s=10.0, vanish_lag_s=20.0)
    made = rig.launch(two()).vms
    assert rig.listed() == []
    rig.clock.advance(10)
    assert len(rig.listed()) == 2
    rig.end(*made)
    assert rig.alive() == 0
    rig.clock.advance(19)
    assert [it.running for it in rig.listed()] == [True, True]
    rig.clock.advance(1)
    assert rig.listed() == []


def test_a_vm_that_ends_is_listed_as_ending_for_a_while() -> None:
    rig = Rig(ending_s=5.0)
    rig.end(*rig.launch(two()).vms)
    assert [it.running for it in rig.listed()] == [False, False]
    rig.clock.advance(5)
    assert rig.listed() == []


def test_what_there_is_no_room_for_is_told_with_its_pools() -> None:
    rig = Rig(_pool(1), _pool(0, zone="z2"))
    told = rig.launch(two(offers=(offer("z1"), offer("z2"))))
    [shortfall] = told.shortfalls
    assert (len(told.vms), shortfall.count) == (1, 1)
    assert isinstance(shortfall.error, NoCapacity)
    assert [shortfall.error.scope.zone, *(it.zone for it in shortfall.error.also)] == ["z1", "z2"]


def test_nothing_at_all_is_an_error_and_the_token_can_be_used_again() -> None:
    rig = Rig(_pool(0))
    with pytest.raises(NoCapacity):
        rig.launch(two())
    rig.account.set_capacity(("z1", "m4", False), 9, rig.clock())
    assert len(rig.launch(two()).vms) == 2


def test_a_quota_is_refused_with_its_fix() -> None:
    rig = Rig(quota=1)
    [shortfall] = rig.launch(two()).shortfalls
    assert isinstance(shortfall.error, Refused)
    assert "quota" in shortfall.error.hint


@pytest.mark.parametrize(
    ("fate", "at_once", "later"),
    [
        (Fate.LOST_REQUEST, 0, 0),
        (Fate.LATE_REQUEST, 0, 2),
        (Fate.LOST_ANSWER, 2, 2),
    ],
)
def test_what_is_lost_on_the_way(fate: Fate, at_once: int, later: int) -> None:
    rig = Rig(launches=(fate,), late_s=60.0)
    with pytest.raises(Unknown):
        rig.launch(two())
    assert rig.alive() == at_once
    rig.clock.advance(60)
    assert rig.alive() == later
    assert not rig.account.expecting


def test_a_duplicate_delivery_makes_nothing_more() -> None:
    rig = Rig(launches=(Fate.DUPLICATED,), late_s=60.0)
    rig.launch(two())
    assert rig.account.expecting
    rig.clock.advance(60)
    assert rig.alive() == 2


def test_a_throttled_call_is_not_done() -> None:
    rig = Rig(launches=(Fate.THROTTLED,))
    with pytest.raises(Throttled):
        rig.launch(two())
    assert rig.alive() == 0


def test_spot_is_preempted_after_its_notice_when_the_pool_shrinks() -> None:
    rig = Rig(_pool(9, spot=True), notice_s=30.0)
    rig.launch(two(offers=(offer(spot=True),)))
    rig.account.set_capacity(("z1", "m4", True), 1, rig.clock())
    assert rig.alive() == 2
    rig.clock.advance(30)
    assert rig.alive() == 1


def test_vms_meet_their_fates() -> None:
    rig = Rig(vms=(VmFate(dies_after_s=10.0), VmFate(preempted_after_s=20.0)))
    rig.launch(two())
    rig.clock.advance(10)
    assert rig.alive() == 1
    rig.clock.advance(10)
    assert rig.alive() == 0
    assert {it.ended_by for it in rig.account.vms.values()} == {"itself", "preempted"}


def test_an_installation_neither_sees_nor_ends_anothers_vms() -> None:
    rig = Rig()
    made = rig.launch(two()).vms
    rig.sim = SimCloud(rig.account, InstallationId("i-2"), rig.clock)
    assert rig.listed() == []
    rig.end(*made)
    assert rig.alive() == 2
    assert len(rig.account.incidents) == 2


def test_a_copy_has_its_own_future() -> None:
    rig = Rig()
    rig.launch(two())
    other = rig.account.copy()
    rig.end(*rig.listed())
    assert len(other.alive(rig.clock())) == 2


def test_there_are_offers_in_three_zones_on_demand_and_as_spot() -> None:
    rig = Rig(*ordinary_pools())
    offers = asyncio.run(rig.sim.offers(None))
    assert len({it.zone for it in offers}) == 3
    assert {it.spot for it in offers} == {False, True}
    assert all(it.price_uusd_per_hour for it in offers)


def test_a_recording_becomes_steps(tmp_path: Path) -> None:
    recorded = {"metadata": {"gap_seconds": 60}, "data": [0, 0, 2, 2, 1]}
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(recorded))
    assert steps_of_trace(path, most=2) == (Step(0.0, 0), Step(120.0, 4), Step(240.0, 2))


def test_a_recorded_pool_is_as_empty_as_it_was() -> None:
    path = TRACES / "16-node_aws-08-27-2023_us-east-2b_v100_1.json"
    if not path.exists():
        pytest.skip("the recordings are not here")
    counts = json.loads(path.read_bytes())["data"]
    rig = Rig(Pool("r1", "z1", "m4", True, capacity=steps_of_trace(path)))
    ids = [worker(n) for n in range(2, 18)]
    for place, count in enumerate(counts[:50]):
        asked = batch(place + 2, ids, offers=(offer(spot=True),))
        if count > rig.alive():
            rig.launch(asked)
        assert rig.alive() == count
        rig.clock.advance(300)
