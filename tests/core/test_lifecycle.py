from __future__ import annotations

from shoal.core.lifecycle import ACTIVE, EDGES
from shoal.wire.views import InstanceState


def test_there_is_no_way_back_and_one_way_out() -> None:
    order = list(InstanceState)
    assert all(order.index(a) < order.index(b) for a, b in EDGES)
    assert [a for a, b in EDGES if b is InstanceState.GONE] == [InstanceState.RELEASED]
    assert {a for a, b in EDGES if b is InstanceState.RELEASED} == ACTIVE
