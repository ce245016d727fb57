from __future__ import annotations

import msgspec
import pytest

from shoal.core.choose import choose, fits, home_zone, paused, rank
from shoal.core.records import Offer, PoolMark
from shoal.wire.specs import Cloud, Hardware, Role, SpotPolicy
from tests.core.worlds import cluster, mark, offer, pause

A, B = offer("z1"), offer("z2")
SPOT_A, SPOT_B = offer("z1", spot=True), offer("z2", spot=True)


def types(offers: tuple[Offer, ...] | list[Offer]) -> list[str]:
    return [it.machine_type for it in offers]


def test_the_cheapest_comes_first_and_unknown_prices_last() -> None:
    offers = [
        offer(machine_type="dear", price_uusd_per_hour=9),
        offer(machine_type="unknown", price_uusd_per_hour=None),
        offer(machine_type="cheap", price_uusd_per_hour=1),
    ]
    assert types(rank(offers, Hardware())) == ["cheap", "dear", "unknown"]


def test_preference_beats_price() -> None:
    offers = [offer(machine_type="m4", price_uusd_per_hour=1), offer(machine_type="m8")]
    assert types(rank(offers, Hardware(vm_types=("m8", "m4")))) == ["m8", "m4"]


def test_the_choice_does_not_depend_on_the_order_of_offers() -> None:
    offers = [offer(zone, f"m{n}") for zone in ("z1", "z2") for n in (4, 5)]
    assert rank(offers, Hardware()) == rank(reversed(offers), Hardware())


def test_a_batch_is_in_one_zone_and_of_one_policy() -> None:
    asked = cluster(1, spot_policy=SpotPolicy.SPOT_WITH_FALLBACK)
    assert choose(asked, Role.WORKER, [A, B, SPOT_A, SPOT_B], (), zone=None) == (SPOT_A,)


def test_an_unknown_price_is_no_alternative_to_a_known_one() -> None:
    known, unknown = offer("z1", "m4"), offer("z1", "m9", price_uusd_per_hour=None)
    assert choose(cluster(1), Role.WORKER, [known, unknown], (), zone=None) == (known,)
    marked = (mark(known),)
    assert choose(cluster(1), Role.WORKER, [known, unknown], marked, zone=None) == (unknown,)


def test_named_types_are_alternatives_whatever_they_cost() -> None:
    named = cluster(1, worker=Hardware(vm_types=("m9", "m4")))
    offers = [offer("z1", "m4"), offer("z1", "m9", price_uusd_per_hour=None)]
    assert types(choose(named, Role.WORKER, offers, (), zone=None)) == ["m9", "m4"]


def test_a_zone_where_less_is_marked_is_better() -> None:
    more = offer("z1", "m5")
    assert home_zone(cluster(1), [A, more, B], ()) == "z1"
    assert home_zone(cluster(1), [A, more, B], (mark(more),)) == "z2"


def test_a_zone_without_room_for_the_scheduler_is_none() -> None:
    asked = cluster(1, scheduler=Hardware(vm_types=("m4",)), worker=Hardware(vm_types=("m5",)))
    offers = [offer("z1", "m5", price_uusd_per_hour=1), offer("z2", "m4"), offer("z2", "m5")]
    assert home_zone(asked, offers, ()) == "z2"


def test_without_best_zone_there_is_one_zone_only() -> None:
    asked = cluster(1, use_best_zone=False)
    assert home_zone(asked, [A, B], ()) == "z1"
    assert home_zone(asked, [A, B], (mark(A),)) is None


def test_nowhere_is_none() -> None:
    assert home_zone(cluster(1), [A], (mark(A),)) is None
    assert home_zone(cluster(1), [], ()) is None


def test_other_regions_are_not_looked_at() -> None:
    there = offer(region="r2", price_uusd_per_hour=1)
    assert choose(cluster(1, region="r1"), Role.WORKER, [there, A], (), zone=None) == (A,)


@pytest.mark.parametrize(
    ("changes", "blocks"),
    [
        ({}, True),
        ({"zone": "*"}, True),
        ({"machine_type": "*"}, True),
        ({"spot": None}, True),
        ({"spot": True}, False),
        ({"zone": "z2"}, False),
        ({"region": "r2"}, False),
    ],
)
def test_a_mark_blocks_what_it_names(changes: dict[str, object], blocks: bool) -> None:
    assert (not choose(cluster(1), Role.WORKER, [A], (mark(A, **changes),), zone=None)) is blocks


def test_a_refusal_of_everything_is_no_pause() -> None:
    refused: PoolMark = mark(
        A, region="*", zone="*", machine_type="*", spot=None, hint="Give the role permission."
    )
    assert paused((pause(),))
    assert not paused((refused,))


def test_a_zone_that_the_cloud_calls_likely_is_better_than_a_cheaper_one() -> None:
    cheap = offer("z2", spot=True, price_uusd_per_hour=1)
    asked = cluster(1, spot_policy=SpotPolicy.SPOT)
    offers = [A, B, SPOT_A, cheap]
    assert home_zone(asked, offers, (), {"z1": 0.9, "z2": 0.3}) == "z1"
    assert home_zone(asked, offers, (), {"z1": 0.9, "z2": 0.7}) == "z2"
    assert home_zone(asked, offers, (), {"z1": 0.9}) == "z1"


def test_a_pool_that_was_seen_empty_is_not_likely_whatever_is_said() -> None:
    asked = cluster(1, spot_policy=SpotPolicy.SPOT_WITH_FALLBACK)
    offers = [A, B, SPOT_A, SPOT_B]
    assert home_zone(asked, offers, (mark(SPOT_A),), {"z1": 1.0, "z2": 0.1}) == "z2"


def test_on_ones_own_machine_arm_is_had_only_where_it_is_one() -> None:
    x86 = offer(cloud=Cloud.LOCAL)
    arm = msgspec.structs.replace(x86, arch="aarch64")
    asked, not_asked = Hardware(arm=True), Hardware()
    assert [fits(asked, x86), fits(asked, arm)] == [False, True]
    assert [fits(not_asked, x86), fits(not_asked, arm)] == [True, True]
