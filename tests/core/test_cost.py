from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from shoal.core.cost import (
    by_day,
    cost_uusd,
    cost_view,
    extras_uusd_per_hour,
    forecast,
    price_uusd_per_hour,
    start_of_day,
    total_uusd,
)
from shoal.core.records import Instance
from shoal.wire.views import InstanceState
from tests.core.worlds import C1, NOW, ago, batch, offer, worker

HOUR = 3600.0


@pytest.mark.parametrize(
    ("changes", "cost"),
    [
        ({"launched_at": ago(HOUR)}, 200_000),
        ({"launched_at": ago(HOUR / 2)}, 100_000),
        ({"launched_at": ago(2 * HOUR), "gone_at": ago(HOUR)}, 200_000),
        # Between its release and its being gone a VM may still be billed.
        ({"launched_at": ago(HOUR), "released_at": ago(HOUR / 2)}, 200_000),
        ({"launched_at": None}, 0),
        ({"launched_at": None, "price_uusd_per_hour": None}, 0),
        ({"launched_at": ago(HOUR), "price_uusd_per_hour": None}, None),
        ({"launched_at": ago(-5)}, 0),  # a clock that was corrected earns nothing
        ({"launched_at": ago(0.018)}, 1),
    ],
)
def test_a_vm_costs_its_price_from_its_launch_until_it_is_gone(
    changes: dict[str, object], cost: int | None
) -> None:
    assert cost_uusd(priced(**changes), NOW) == cost


def test_disk_and_address_are_paid_for_as_long_as_the_vm() -> None:
    asked = batch(
        1, [worker(1)], offers=(offer(disk_uusd_per_gib_month=73_000, address_uusd_per_hour=5_000),)
    )
    asked = msgspec.structs.replace(asked, disk_gib=30)
    extras = extras_uusd_per_hour(asked)
    assert extras == 30 * 100 + 5_000
    it = priced(launched_at=ago(HOUR), extras_uusd_per_hour=extras)
    assert cost_uusd(it, NOW) == 200_000 + extras
    assert price_uusd_per_hour(it) == 200_000 + extras


def test_extras_make_no_unknown_price_known_and_no_known_one_unknown() -> None:
    assert extras_uusd_per_hour(batch(1, [worker(1)], offers=(offer(),))) == 0
    assert price_uusd_per_hour(priced(price_uusd_per_hour=None, extras_uusd_per_hour=5)) is None


def test_a_sum_with_something_unknown_in_it_is_unknown() -> None:
    assert total_uusd([1, 2]) == 3
    assert total_uusd([]) == 0
    assert total_uusd([1, None]) is None


def test_a_bill_has_a_line_for_each_vm_that_there_was() -> None:
    never = priced(state=InstanceState.RELEASED, launched_at=None)
    bill = cost_view(C1, [priced(launched_at=ago(HOUR)), never], NOW)
    assert [(it.seconds, it.cost_uusd) for it in bill.lines] == [(HOUR, 200_000)]
    assert bill.cost_uusd == 200_000


def priced(**changes: object) -> Instance:
    return worker(2, **({"price_uusd_per_hour": 200_000} | changes))


def test_days_add_up_to_the_cost_to_the_micro_dollar() -> None:
    its = [
        worker(1, launched_at=NOW - timedelta(days=3.7), price_uusd_per_hour=123_457),
        worker(2, launched_at=NOW - timedelta(days=1.1), price_uusd_per_hour=7),
        worker(3, launched_at=None),
    ]
    days = by_day(its, NOW)
    assert sum(it.uusd for it in days) == sum(cost_uusd(it, NOW) or 0 for it in its)
    assert [it.day for it in days] == sorted({start_of_day(it.day) for it in days})
    assert sum(it.seconds for it in days) == pytest.approx(4.8 * 24 * HOUR)


def test_a_day_without_a_price_says_for_how_long() -> None:
    [day] = by_day([worker(1, launched_at=ago(60.0), price_uusd_per_hour=None)], NOW)
    assert (day.uusd, day.unpriced_s) == (0, 60.0)


def test_a_month_goes_on_like_the_last_week() -> None:
    now = datetime(2026, 11, 16, tzinfo=UTC)
    days = {datetime(2026, 11, n, tzinfo=UTC): 7_000_000 for n in (1, 9, 12)}
    told = forecast(days, now)
    assert told.so_far_uusd == 21_000_000
    assert told.days_counted == 7
    assert told.expected_uusd == 21_000_000 + 15 * 2_000_000  # two of the last seven days, 7 $ each
    assert forecast({}, now).expected_uusd == 0


def test_the_first_day_of_a_record_stands_for_the_month() -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    told = forecast({datetime(2026, 11, 30, tzinfo=UTC): 4_000_000}, now)
    assert (told.days_counted, told.expected_uusd) == (0, 6_000_000)
