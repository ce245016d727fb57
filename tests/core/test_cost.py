from __future__ import annotations

import pytest

from shoal.core.cost import cost_uusd, cost_view, total_uusd
from shoal.core.records import Instance
from shoal.wire.views import InstanceState
from tests.core.worlds import C1, NOW, ago, worker

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
