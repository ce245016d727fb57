from __future__ import annotations

import pytest

from shoal.core.actions import End, Intend, Launch, Release
from shoal.core.records import Tally
from shoal.wire.specs import Role, SpotPolicy
from shoal.wire.views import InstanceState, Stage
from tests.core.worlds import (
    C1,
    ago,
    cluster,
    head,
    mark,
    offer,
    pause,
    planned,
    scheduler,
    seen,
    worker,
    world,
)

RELEASED = InstanceState.RELEASED


def test_a_new_cluster_begins_with_its_scheduler() -> None:
    [action] = planned(world(cluster(2)))
    assert isinstance(action, Intend)
    assert (action.batch.role, action.batch.count, action.generation) == (Role.SCHEDULER, 1, 1)


def test_two_planners_of_the_same_world_make_the_same_ids() -> None:
    assert planned(world(cluster(2))) == planned(world(cluster(2)))


def test_ids_count_on_from_the_past() -> None:
    past = world(cluster(2), tallies={C1: Tally(C1, batches=3, instances=9)})
    [action] = planned(past, Intend)
    assert isinstance(action, Intend)
    assert (action.batch.id, action.batch.instances) == (f"{C1}-b4", (f"shoal-{C1}-10",))


def test_the_scheduler_is_on_demand_even_if_workers_are_spot() -> None:
    offers = (offer(), offer(spot=True, price_uusd_per_hour=1))
    [action] = planned(world(cluster(2, spot_policy=SpotPolicy.SPOT), offers=offers), Intend)
    assert isinstance(action, Intend)
    assert not any(it.spot for it in action.batch.offers)


def test_the_scheduler_goes_where_its_workers_are_best_had() -> None:
    offers = (offer("z1"), offer("z2", price_uusd_per_hour=100))
    [action] = planned(world(cluster(2), offers=offers), Intend)
    assert isinstance(action, Intend)
    assert {it.zone for it in action.batch.offers} == {"z2"}


def test_a_scheduler_is_not_asked_for_twice() -> None:
    waiting = scheduler(state=InstanceState.INTENDED, address="")
    [action] = planned(world(cluster(2), waiting))
    assert isinstance(action, Launch)
    assert action.waiting == (waiting.id,)


def test_of_two_schedulers_the_later_one_is_released() -> None:
    first, second = scheduler(), scheduler(id="shoal-c-1111111111-9", vm="vm-9", created_at=ago(5))
    [action] = planned(world(cluster(0), first, second), Release)
    assert isinstance(action, Release)
    assert action.instances == (second.id,)


def test_a_scheduler_that_is_lost_before_it_was_ready_is_tried_again() -> None:
    lost = scheduler(state=RELEASED, failed=True)
    failed = Tally(C1, 1, 1, failures_in_a_row=1, last_failure_at=ago(60))
    assert planned(world(cluster(2), lost, tallies={C1: failed}), Intend)


def test_it_is_tried_again_only_after_a_while() -> None:
    failed = Tally(C1, 1, 1, failures_in_a_row=2, last_failure_at=ago(3))
    assert not planned(world(cluster(2), tallies={C1: failed}), Intend)


def test_after_three_tries_the_cluster_has_failed_in_the_words_of_the_last() -> None:
    failed = Tally(
        C1, 3, 3, failures_in_a_row=3, last_failure_at=ago(999), last_failure="disk full"
    )
    [action] = planned(world(cluster(2), tallies={C1: failed}))
    assert isinstance(action, End)
    assert "3 times: disk full" in action.why


def test_a_scheduler_that_is_lost_after_it_was_ready_ends_the_cluster() -> None:
    lost = scheduler(state=RELEASED, failed=True, why="the cloud does not have it any more")
    [action] = planned(world(cluster(2), lost, heads={C1: head()}), End, Intend)
    assert isinstance(action, End)
    assert "was lost" in action.why
    assert "the cloud does not have it any more" in action.why


def test_a_cluster_whose_scheduler_vanished_says_so_and_not_how_it_was_launched() -> None:
    vanished = scheduler(why="accepted as vm-1")
    [action] = planned(world(cluster(2), vanished, heads={C1: head()}, listed=()), End)
    assert isinstance(action, End)
    assert "ended by itself" in action.why
    assert "accepted" not in action.why


def test_workers_of_a_scheduler_that_never_was_are_released() -> None:
    lost, orphan = scheduler(state=RELEASED, failed=True), worker(2)
    [action] = planned(world(cluster(1), lost, orphan), Release)
    assert isinstance(action, Release)
    assert action.instances == (orphan.id,)


def test_a_scheduler_that_says_it_failed_ends_the_cluster_in_its_words() -> None:
    failing = scheduler()
    told = seen(failing, Stage.FAILED, failure="numpy 9 is not on any index")
    [action] = planned(world(cluster(2), failing, observations=[told]), End)
    assert isinstance(action, End)
    assert "numpy 9 is not on any index" in action.why


@pytest.mark.parametrize("hint", ["", "Raise it at the console."])
def test_a_cluster_that_no_pool_can_hold_fails_at_once_with_the_reason_and_the_fix(
    hint: str,
) -> None:
    full = mark(offer(), "no capacity for m4 in z1", hint=hint)
    [action] = planned(world(cluster(2), marks=(full,)))
    assert isinstance(action, End)
    assert action.why.startswith("no capacity for m4 in z1")
    assert hint in action.why


def test_a_cloud_that_asks_for_patience_gets_it() -> None:
    assert planned(world(cluster(2), marks=(pause(),))) == []


def test_what_is_not_known_is_not_a_reason_to_give_up() -> None:
    assert planned(world(cluster(2), offers=())) == []


def test_a_cluster_that_does_not_get_ready_in_time_is_given_up() -> None:
    booting = scheduler(launched_at=ago(60), why="accepted as vm-1")
    late = cluster(2, created_at=ago(1300))
    [action] = planned(world(late, booting), End)
    assert isinstance(action, End)
    assert "not ready within 20 minutes" in action.why
    assert "accepted as vm-1" in action.why


def test_a_server_that_was_away_gives_a_cluster_its_time_again() -> None:
    late = cluster(2, created_at=ago(9999))
    assert not planned(world(late, scheduler(), clock_trusted_since=ago(5)), End)
