from __future__ import annotations

from datetime import timedelta

import msgspec

from shoal.core.actions import Action, Avoid, End, GiveUp, Intend, Launch, Release, Retire, Scale
from shoal.core.records import Instance, Observation, Tally, World
from shoal.wire.specs import SpotPolicy, Workers
from shoal.wire.views import InstanceState, Stage
from tests.core.worlds import (
    C1,
    HEAD,
    NOW,
    ago,
    batch,
    cluster,
    head,
    mark,
    offer,
    planned,
    scheduler,
    seen,
    vm_of,
    worker,
    world,
)

INTENDED, RELEASED = InstanceState.INTENDED, InstanceState.RELEASED


def only(world: World, *kinds: type[Action]) -> Action:
    [action] = planned(world, *kinds)
    return action


def test_what_is_missing_is_asked_for_in_one_batch() -> None:
    action = only(world(cluster(40), scheduler(), worker(2)), Intend)
    assert isinstance(action, Intend)
    assert (action.batch.count, action.batch.head_address) == (39, HEAD)


def test_workers_dial_the_head_inside_their_network_whatever_the_server_does() -> None:
    head = scheduler(address="203.0.113.7:8788", inside=HEAD)
    [action] = planned(world(cluster(2), head), Intend)
    assert action.batch.head_address == HEAD
    assert not planned(world(cluster(1), head, worker(1)), Release)


def test_workers_wait_until_the_address_of_their_head_is_known() -> None:
    assert not planned(world(cluster(2), scheduler(address="")), Intend)


NAMES = "{vm}.{zone}.c.project.internal"


def test_where_the_network_names_vms_workers_are_asked_for_beside_their_scheduler() -> None:
    head = scheduler(state=INTENDED, address="", zone="")
    action = only(world(cluster(2), head, inside_names=NAMES), Intend)
    assert isinstance(action, Intend)
    assert action.batch.head_address == f"{head.id}.z1.c.project.internal:8788"
    assert {it.zone for it in action.batch.offers} == {"z1"}


def test_workers_that_dial_a_name_stay_when_the_address_is_known() -> None:
    head = scheduler()
    born = batch(2, [worker(2)], head_address=f"{head.id}.z1.c.project.internal:8788")
    known = world(cluster(1), head, worker(2), inside_names=NAMES)
    others = tuple(it for it in known.batches if it.id != born.id)
    found = msgspec.structs.replace(known, batches=(*others, born))
    assert not planned(found, Release)


def test_workers_that_dial_the_name_of_another_scheduler_are_let_go() -> None:
    born = batch(2, [worker(2)], head_address=f"{C1}-9.z1.c.project.internal:8788")
    known = world(cluster(1), scheduler(state=INTENDED, address=""), worker(2), inside_names=NAMES)
    others = tuple(it for it in known.batches if it.id != born.id)
    [release] = planned(msgspec.structs.replace(known, batches=(*others, born)), Release)
    assert release.instances == (worker(2).id,)


def test_a_batch_has_a_thousand_workers_at_most() -> None:
    action = only(world(cluster(2500), scheduler()), Intend)
    assert isinstance(action, Intend)
    assert action.batch.count == 1000


def test_workers_are_in_the_zone_of_their_scheduler() -> None:
    offers = (offer("z1"), offer("z2", price_uusd_per_hour=1))
    action = only(world(cluster(2), scheduler(), offers=offers), Intend)
    assert isinstance(action, Intend)
    assert {it.zone for it in action.batch.offers} == {"z1"}


def test_workers_may_cross_zones_if_that_was_asked() -> None:
    offers = (offer("z1"), offer("z2", price_uusd_per_hour=1))
    crossing = cluster(2, allow_cross_zone=True)
    action = only(world(crossing, scheduler(), offers=offers), Intend)
    assert isinstance(action, Intend)
    assert {it.zone for it in action.batch.offers} == {"z1", "z2"}


def test_a_worker_that_is_leaving_is_not_had() -> None:
    leaving = worker(2, retiring_since=ago(5))
    action = only(world(cluster(1), scheduler(), leaving, observations=[seen(leaving)]), Intend)
    assert isinstance(action, Intend)
    assert action.batch.count == 1


def test_a_marked_pool_is_left_out_and_another_one_taken() -> None:
    offers = (offer(machine_type="m4"), offer(machine_type="m5", price_uusd_per_hour=300_000))
    marked = world(cluster(1), scheduler(), offers=offers, marks=(mark(offers[0]),))
    action = only(marked, Intend)
    assert isinstance(action, Intend)
    assert [it.machine_type for it in action.batch.offers] == ["m5"]


def test_spot_falls_back_only_where_that_is_the_policy() -> None:
    offers = (offer(), offer(spot=True))
    full = (mark(offers[1]),)
    falls_back = cluster(1, spot_policy=SpotPolicy.SPOT_WITH_FALLBACK)
    action = only(world(falls_back, scheduler(), offers=offers, marks=full), Intend)
    assert isinstance(action, Intend)
    assert not action.batch.offers[0].spot
    strict = cluster(1, spot_policy=SpotPolicy.SPOT)
    assert not planned(world(strict, scheduler(), offers=offers, marks=full), Intend)


def refused(number: int, why: str) -> Instance:
    return worker(number, state=RELEASED, launched_at=None, vm="", released_at=ago(1), why=why)


def test_workers_that_nobody_has_room_for_end_the_cluster_grouped_by_reason() -> None:
    here = scheduler(launched_at=ago(3))
    full, quota = "no capacity for m4 in z1", "the quota CPUS of 24 is used up"
    gone = [refused(n, full) for n in range(2, 19)] + [refused(n, quota) for n in range(19, 22)]
    marks = (mark(offer(), full), mark(offer(), quota, hint="Raise it at console/quotas"))
    action = only(world(cluster(20), here, *gone, marks=marks, tallies={}), End)
    assert isinstance(action, End)
    assert action.why == (
        f"17 of 20 workers: {full}; 3 of 20 workers: {quota} – Raise it at console/quotas"
    )


def test_a_zone_without_workers_is_left_while_nothing_was_computed() -> None:
    offers = (offer("z1"), offer("z2"))
    there = world(
        cluster(2), scheduler(), offers=offers, marks=(mark(offers[0]),), tallies={C1: Tally(C1)}
    )
    action = only(there)
    assert isinstance(action, Release)
    assert action.instances == (scheduler().id,)
    assert "it begins again in z2" in action.why


def test_a_partial_start_keeps_filling_and_never_fails() -> None:
    running = world(cluster(2), scheduler(), worker(2), marks=(mark(offer()),))
    assert not planned(running, End, Release, Intend)


def test_a_scheduler_in_use_is_never_moved_nor_ended_for_lack_of_capacity() -> None:
    empty = world(
        cluster(2),
        scheduler(),
        observations=[seen(scheduler())],
        heads={C1: head()},
        marks=(mark(offer()),),
        tallies={C1: Tally(C1)},
    )
    assert planned(empty) == []


def failures(count: int, *, ready: int = 0, since_s: float = 1000) -> dict[object, Tally]:
    tally = Tally(C1, 9, 9, 9, count, ago(since_s), "disk full", workers_ready=ready)
    return {C1: tally}


def test_failed_vms_are_replaced_after_longer_and_longer_waits() -> None:
    def asked(count: int, since_s: float) -> bool:
        some = world(cluster(1), scheduler(), tallies=failures(count, since_s=since_s))
        return bool(planned(some, Intend))

    assert not asked(1, since_s=1)
    assert asked(1, since_s=3)
    assert not asked(3, since_s=7)
    assert asked(3, since_s=9)


def test_a_hundred_that_fail_together_wait_no_longer_than_one() -> None:
    together = failures(100, ready=100, since_s=3)
    assert planned(world(cluster(100), scheduler(), tallies=together), Intend)


def test_a_cluster_whose_workers_all_fail_ends_in_their_words() -> None:
    action = only(world(cluster(1), scheduler(), tallies=failures(5)), End)
    assert isinstance(action, End)
    assert action.why == "5 VMs failed in a row, none got ready: disk full"


def test_failures_never_end_a_cluster_of_which_a_worker_was_ready_once() -> None:
    assert not planned(world(cluster(1), scheduler(), tallies=failures(50, ready=1)), End)


def test_failures_do_not_end_a_cluster_while_other_workers_are_on_their_way() -> None:
    some = world(cluster(9), scheduler(), worker(2), tallies=failures(6))
    assert not planned(some, End)


def test_workers_born_for_another_head_are_released() -> None:
    orphan = worker(2)
    moved = world(cluster(1), scheduler(address="10.9.9.9:8788"), orphan)
    action = only(moved, Release)
    assert isinstance(action, Release)
    assert action.instances == (orphan.id,)


def test_too_many_leave_newest_first_those_that_never_worked() -> None:
    old, ready, new = worker(2), worker(3), worker(4)
    many = world(cluster(1), scheduler(), old, ready, new, observations=[seen(ready)])
    action = only(many, Release, Retire)
    assert isinstance(action, Release)
    assert action.instances == (new.id, old.id)


def test_workers_that_hold_data_are_drained_first_as_dask_finds_cheapest() -> None:
    two, three = worker(2), worker(3)
    many = world(
        cluster(1),
        scheduler(),
        two,
        three,
        observations=[seen(two), seen(three)],
        heads={C1: head(closable=(two.id,))},
    )
    action = only(many, Release, Retire)
    assert isinstance(action, Retire)
    assert action.instances == (two.id,)


def test_a_drained_worker_is_released_and_not_called_failed() -> None:
    leaving = worker(2, retiring_since=ago(30))
    told = [seen(leaving, Stage.DRAINED)]
    action = only(world(cluster(0), scheduler(), leaving, observations=told), Release)
    assert isinstance(action, Release)
    assert not action.failed


def test_a_worker_that_does_not_drain_is_released_in_the_end() -> None:
    slow = worker(2, retiring_since=ago(601))
    some = world(cluster(0), scheduler(), slow, observations=[seen(slow, Stage.DRAINING)])
    assert planned(some, Release)
    patient = worker(2, retiring_since=ago(599))
    some = world(cluster(0), scheduler(), patient, observations=[seen(patient, Stage.DRAINING)])
    assert not planned(some, Release)


def adaptive(wanted: int, target: int, since_s: float) -> World:
    workers = Workers(1, wanted, 10)
    told = head(adaptive_target=target, adaptive_peak=wanted, adaptive_since=ago(since_s))
    return world(cluster(workers=workers), scheduler(), heads={C1: told})


def test_adaptive_goes_up_at_once() -> None:
    action = only(adaptive(2, 8, since_s=0))
    assert isinstance(action, Scale)
    assert action.wanted == 8


def test_adaptive_goes_down_only_when_it_lasts() -> None:
    assert not planned(adaptive(8, 2, since_s=29), Scale)
    assert planned(adaptive(8, 2, since_s=30), Scale)


def test_adaptive_stays_within_its_bounds() -> None:
    action = only(adaptive(2, 99, since_s=0))
    assert isinstance(action, Scale)
    assert action.wanted == 10


def test_a_released_instance_is_not_launched_by_the_same_plan() -> None:
    waiting = worker(2, state=INTENDED)
    some = world(cluster(0), scheduler(), waiting)
    assert planned(some, Release)
    assert not planned(some, Launch)


def test_a_preempted_pool_is_avoided_for_a_while() -> None:
    taken = worker(2, spot=True, zone="z1", machine_type="m4")
    some = world(cluster(1), scheduler(), taken, listed=[vm_of(scheduler())])
    action = only(some, Avoid)
    assert isinstance(action, Avoid)
    assert (action.mark.zone, action.mark.machine_type, action.mark.spot) == ("z1", "m4", True)
    assert action.mark.until == NOW + timedelta(seconds=900)


def test_a_worker_that_the_cloud_takes_back_leaves_at_once_and_its_pool_is_avoided() -> None:
    taken = worker(2, spot=True, zone="z1", machine_type="m4")
    told = seen(taken, notice="Google Cloud preempts this VM")
    some = world(cluster(1), scheduler(), taken, observations=[told])
    retire = only(some, Retire)
    assert isinstance(retire, Retire)
    assert retire.instances == (taken.id,)
    assert "Google Cloud preempts this VM" in retire.why
    avoid = only(some, Avoid)
    assert isinstance(avoid, Avoid)
    assert avoid.mark.machine_type == "m4"
    leaving = worker(2, spot=True, zone="z1", machine_type="m4", retiring_since=NOW)
    later = world(cluster(1), scheduler(), leaving, observations=[told])
    assert not planned(later, Retire, Avoid)
    assert only(later, Intend)
    gone = seen(leaving, Stage.DRAINED, notice="Google Cloud preempts this VM")
    [release] = planned(world(cluster(0), scheduler(), leaving, observations=[gone]), Release)
    assert isinstance(release, Release)
    assert release.why == "the cloud takes it back: Google Cloud preempts this VM; it holds nothing"


def test_where_the_cloud_warns_no_new_vm_is_launched_and_the_old_one_goes_on() -> None:
    """A recommendation to move on is no notice: most are followed by nothing for long."""
    warned = worker(2, spot=True, zone="z1", machine_type="m4")
    told = seen(warned, warning="may be interrupted soon, AWS said at 10:00")
    some = world(cluster(1), scheduler(), warned, observations=[told])
    avoid = only(some, Avoid)
    assert isinstance(avoid, Avoid)
    assert (avoid.mark.zone, avoid.mark.machine_type, avoid.mark.spot) == ("z1", "m4", True)
    assert avoid.why == "m4 spot in z1 may be interrupted soon, AWS said at 10:00"
    assert not planned(some, Retire, Intend)
    marked = world(cluster(1), scheduler(), warned, observations=[told], marks=[avoid.mark])
    assert not planned(marked, Avoid)  # once, not each pass


def _unmade(it: Instance, environment: str = "env-1", stage: Stage = Stage.FAILED) -> Observation:
    return seen(it, stage, failure="No module named 'no'", broken=environment)


def test_what_no_vm_can_be_ends_a_cluster_at_its_beginning_in_the_agents_words() -> None:
    head_vm, *workers = scheduler(), worker(2), worker(3)
    told = [seen(head_vm), *map(_unmade, workers)]
    actions = planned(world(cluster(2), head_vm, *workers, observations=told), End, Intend)
    [end] = actions
    assert isinstance(end, End)
    assert end.why == "2 of 2 workers: No module named 'no'"


def test_a_cluster_that_worked_before_is_left_as_it_is_and_tries_no_more() -> None:
    head_vm, runs, fails = scheduler(), worker(2), worker(3)
    tallies = {C1: Tally(C1, 2, 3, 2, workers_ready=1)}
    told = [seen(head_vm), seen(runs), _unmade(fails)]
    this = world(cluster(2), head_vm, runs, fails, observations=told, tallies=tallies)
    [give_up] = planned(this, End, GiveUp, Intend)
    assert give_up == GiveUp(C1, 1, "1 of 2 workers: No module named 'no'")
    unable = msgspec.structs.replace(this, clusters=(cluster(2, unable=give_up.why),))
    assert not planned(unable, End, GiveUp, Intend)


def test_a_running_worker_tells_that_a_new_environment_cannot_be() -> None:
    head_vm, runs = scheduler(), worker(2)
    tallies = {C1: Tally(C1, 2, 2, 1, workers_ready=1)}
    told = [seen(head_vm), _unmade(runs, stage=Stage.READY)]
    this = world(cluster(2), head_vm, runs, observations=told, tallies=tallies)
    [give_up] = planned(this, Release, GiveUp, Intend)
    assert isinstance(give_up, GiveUp)


def test_what_could_not_be_of_another_environment_matters_no_more() -> None:
    head_vm, runs = scheduler(), worker(2)
    tallies = {C1: Tally(C1, 2, 2, 1, workers_ready=1)}
    told = [seen(head_vm), _unmade(runs, "env-0", Stage.READY)]
    this = world(cluster(2), head_vm, runs, observations=told, tallies=tallies)
    assert not planned(this, Release, GiveUp)
    assert planned(this, Intend)
