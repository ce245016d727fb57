from __future__ import annotations

import pytest

from shoal.core.obtainability import Question, question
from shoal.core.records import Offer
from shoal.wire.specs import SpotPolicy
from tests.core.worlds import cluster, mark, offer

SPOT = [offer(zone, type_, spot=True) for zone in ("z1", "z2", "z3") for type_ in ("m4", "m5")]
HEADS = [offer(zone) for zone in ("z1", "z2", "z3")]
OFFERS = [*HEADS, *SPOT]


def test_all_types_and_zones_that_fit_are_asked_about_at_once() -> None:
    asked = cluster(7, spot_policy=SpotPolicy.SPOT_WITH_FALLBACK)
    expected = Question("r1", ("z1", "z2", "z3"), ("m4", "m5"), 7)
    assert question(asked, OFFERS, ()) == expected


def test_a_zone_that_is_out_of_the_question_is_not_asked_about() -> None:
    asked = cluster(1, spot_policy=SpotPolicy.SPOT)
    marks = (mark(HEADS[0]), mark(SPOT[2]), mark(SPOT[3]))
    assert question(asked, [*OFFERS, offer("z4", spot=True)], marks) is None
    found = question(asked, OFFERS, marks[1:])
    assert found is not None
    assert found.zones == ("z1", "z3")


@pytest.mark.parametrize(
    ("changes", "offers"),
    [
        ({"spot_policy": SpotPolicy.ON_DEMAND}, OFFERS),
        ({"zone": "z1"}, OFFERS),
        ({"use_best_zone": False}, OFFERS),
        ({"allow_cross_zone": True}, OFFERS),
        ({}, [HEADS[0], SPOT[0]]),
        ({}, HEADS),
        ({}, []),
    ],
)
def test_nothing_is_asked_where_there_is_no_choice(
    changes: dict[str, object], offers: list[Offer]
) -> None:
    asked = cluster(2, **({"spot_policy": SpotPolicy.SPOT} | changes))
    assert question(asked, offers, ()) is None


def test_nothing_is_asked_for_a_cluster_without_workers() -> None:
    assert question(cluster(0, spot_policy=SpotPolicy.SPOT), OFFERS, ()) is None
