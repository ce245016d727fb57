"""Gone is seen, not returned: what may be believed from a listing, and what is ended for it."""

from __future__ import annotations

import msgspec
import pytest

from shoal.core.actions import (
    Alarm,
    Bind,
    Gone,
    Launch,
    Release,
    Settle,
    Sweep,
    Terminate,
)
from shoal.core.records import Listing
from shoal.wire.views import InstanceState, Stage
from tests.core.worlds import (
    C1,
    NOW,
    TIMING,
    ago,
    cluster,
    ended,
    head,
    planned,
    scheduler,
    seen,
    stranger,
    vm_of,
    worker,
    world,
)

INTENDED, RELEASED = InstanceState.INTENDED, InstanceState.RELEASED


def test_a_listed_vm_is_bound_to_its_instance_and_not_launched_again() -> None:
    waiting = worker(2, state=INTENDED)
    some = world(cluster(1), scheduler(), waiting, listed=[vm_of(scheduler()), vm_of(waiting)])
    [action] = planned(some, Bind, Launch)
    assert isinstance(action, Bind)
    assert action.instance == waiting.id


def test_an_unnamed_vm_is_bound_to_one_instance_of_its_batch() -> None:
    two, three = worker(2, state=INTENDED), worker(3, state=INTENDED)
    vms = [vm_of(scheduler()), vm_of(two, id="e-1", name="")]
    found = planned(world(cluster(2), scheduler(), two, three, listed=vms), Bind, Launch)
    assert [type(it) for it in found] == [Bind, Launch]
    assert isinstance(found[0], Bind)
    assert isinstance(found[1], Launch)
    assert (found[0].instance, found[1].waiting) == (two.id, (three.id,))
    assert found[1].bound == ("e-1",)


def test_an_unnamed_vm_whose_instance_is_gone_is_never_bound_to_another() -> None:
    waiting = worker(2, state=INTENDED)
    ghost = vm_of(waiting, id="e-1", name="")
    some = world(
        cluster(1),
        scheduler(),
        waiting,
        listed=[vm_of(scheduler()), ghost],
        past=frozenset({"e-1"}),
    )
    assert not planned(some, Bind)
    assert [it.vms for it in planned(some, Sweep) if isinstance(it, Sweep)] == [(ghost,)]


def test_one_vm_too_many_of_a_batch_is_ended() -> None:
    two = worker(2)
    more = vm_of(two, id="e-9", name="")
    vms = [vm_of(scheduler()), vm_of(two, name=""), more]
    [action] = planned(world(cluster(1), scheduler(), two, listed=vms), Terminate)
    assert isinstance(action, Terminate)
    assert action.vms == (more,)


def test_a_second_vm_of_the_same_name_is_ended() -> None:
    two = worker(2)
    twin = vm_of(two, id="other")
    vms = [vm_of(scheduler()), vm_of(two), twin]
    [action] = planned(world(cluster(1), scheduler(), two, listed=vms), Terminate)
    assert isinstance(action, Terminate)
    assert action.vms == (twin,)


@pytest.mark.parametrize(
    ("launched_s", "lost"), [(29, False), (31, True)], ids=["within the lag", "after it"]
)
def test_a_launched_vm_is_missed_only_after_the_lag(launched_s: float, lost: bool) -> None:
    young = worker(2, launched_at=ago(launched_s))
    some = world(cluster(1), scheduler(), young, listed=[vm_of(scheduler())])
    assert bool(planned(some, Release)) is lost


def test_a_vm_that_is_listed_as_ending_is_lost_at_once() -> None:
    dying = worker(2, launched_at=ago(1))
    vms = [vm_of(scheduler()), vm_of(dying, running=False)]
    assert planned(world(cluster(1), scheduler(), dying, listed=vms), Release)


def test_no_absence_is_believed_soon_after_the_start_or_a_jump_of_the_clock() -> None:
    lost = world(cluster(1), scheduler(), worker(2), listed=[])
    released = world(ended(), worker(2, state=RELEASED), listed=[])
    for some in (lost, released):
        assert planned(some, Release, Gone)
        fresh = world(some.clusters[0], *some.instances, listed=[], clock_trusted_since=ago(29))
        assert not planned(fresh, Release, Gone)


def test_without_a_listing_nothing_is_believed_at_all() -> None:
    some = world(cluster(1), scheduler(), worker(2), worker(3, state=RELEASED), listing=None)
    assert not planned(some, Release, Gone, Sweep)


@pytest.mark.parametrize(
    ("released_s", "gone"), [(29, False), (31, True)], ids=["within the lag", "after it"]
)
def test_a_released_instance_is_gone_only_after_the_lag(released_s: float, gone: bool) -> None:
    it = worker(2, state=RELEASED, released_at=ago(released_s))
    assert bool(planned(world(ended(), it, listed=[]), Gone)) is gone


def test_a_released_instance_that_is_listed_is_not_gone_and_asked_to_end_again() -> None:
    it = worker(2, state=RELEASED)
    some = world(ended(), it)
    assert not planned(some, Gone)
    assert [a.vms for a in planned(some, Terminate) if isinstance(a, Terminate)] == [(vm_of(it),)]


def test_a_vm_that_only_stopped_is_asked_to_end_again() -> None:
    it = worker(2, state=RELEASED)
    assert planned(world(ended(), it, listed=[vm_of(it, running=False)]), Terminate)


def test_a_vm_is_asked_to_end_at_once_before_any_listing_shows_it() -> None:
    it = worker(2, state=RELEASED, released_at=NOW)
    for listing in (None, Listing(ago(5), ())):
        [action] = planned(world(ended(), it, listing=listing), Terminate)
        assert isinstance(action, Terminate)
        assert [vm.id for vm in action.vms] == [it.vm]


def test_an_instance_that_never_had_a_vm_is_not_gone_while_its_batch_has_one_too_many() -> None:
    unbound = worker(2, state=RELEASED, launched_at=None, vm="")
    late = vm_of(unbound, id="e-1", name="")
    some = world(ended(), unbound, listed=[late])
    assert not planned(some, Gone)
    assert planned(some, Terminate)


def test_a_vm_learns_its_address_late() -> None:
    some = world(cluster(0), scheduler(address=""), listed=[vm_of(scheduler())])
    [action] = planned(some, Bind)
    assert isinstance(action, Bind)
    assert action.vm.address == scheduler().address


def test_an_ended_cluster_releases_everything_and_settles_when_nothing_is_left() -> None:
    some = world(ended(), scheduler(), worker(2), worker(3, state=INTENDED))
    [action] = planned(some, Release, Settle, Launch)
    assert isinstance(action, Release)
    assert len(action.instances) == 3
    assert [type(it) for it in planned(world(ended()))] == [Settle]
    assert not planned(world(ended(), worker(2, state=RELEASED)), Settle)


def test_a_head_may_say_farewell_while_nothing_more_is_launched() -> None:
    patient = msgspec.structs.replace(TIMING, farewell_s=20.0)
    waiting, heads = worker(2, state=INTENDED), {C1: head()}
    some = world(ended(), scheduler(), waiting, heads=heads, timing=patient)
    [action] = planned(some, Release, Launch)
    assert isinstance(action, Release)
    assert action.instances == (waiting.id,)
    later = world(ended(), scheduler(), heads=heads, timing=TIMING)
    assert planned(later, Release)


def test_a_stranger_is_ended_when_it_is_old_enough() -> None:
    for age_s, swept in ((29, False), (31, True)):
        vm = stranger(1, created_at=ago(age_s))
        assert bool(planned(world(ended(), listed=[vm]), Sweep)) is swept


def test_a_vm_whose_instance_is_gone_is_ended_whatever_its_age() -> None:
    vm = stranger(1, created_at=NOW)
    assert planned(world(ended(), listed=[vm], past=frozenset({vm.name})), Sweep)


def test_leftovers_of_a_living_vm_are_left_and_those_of_a_gone_one_swept() -> None:
    disk = vm_of(worker(2), id="disk-2", kind="disk")
    vms = [vm_of(scheduler()), vm_of(worker(2)), disk]
    assert not planned(world(cluster(1), scheduler(), worker(2), listed=vms), Sweep)
    assert planned(world(ended(), listed=[disk]), Sweep)


def test_leftovers_without_a_name_are_left_while_their_batch_lives() -> None:
    disk = vm_of(worker(2), id="disk-2", kind="disk", name="")
    vms = [vm_of(scheduler()), vm_of(worker(2)), disk]
    assert not planned(world(cluster(1), scheduler(), worker(2), listed=vms), Sweep, Terminate)


def test_the_fuse_leaves_an_implausible_number_alone_and_raises_an_alarm() -> None:
    vms = [stranger(n) for n in range(4)]
    [action] = planned(world(ended(), listed=vms), Sweep, Alarm)
    assert isinstance(action, Alarm)
    assert "4 of the 4" in action.why
    assert planned(world(ended(), listed=vms[:3]), Sweep)


def test_an_agent_that_never_speaks_is_given_up_after_the_boot_timeout() -> None:
    for age_s, given_up in ((299, False), (301, True)):
        mute = scheduler(launched_at=ago(age_s))
        assert bool(planned(world(cluster(0), mute), Release)) is given_up


def test_a_silent_worker_is_given_up_only_if_its_head_speaks() -> None:
    silent = worker(2)
    told = [seen(scheduler()), seen(silent, heard_at=ago(601))]
    for heard_s, given_up in ((1, True), (601, False)):
        heads = {C1: head(heard_at=ago(heard_s))}
        some = world(cluster(1), scheduler(), silent, observations=told, heads=heads)
        assert bool(planned(some, Release)) is given_up


def test_silence_while_the_server_was_away_does_not_count() -> None:
    told = [seen(scheduler(), heard_at=ago(9999))]
    heads = {C1: head(heard_at=ago(9999))}
    away = {"observations": told, "heads": heads}
    assert planned(world(cluster(0), scheduler(), **away), Release)  # type: ignore[arg-type]
    back = world(cluster(0), scheduler(), **away, clock_trusted_since=ago(500))  # type: ignore[arg-type]
    assert not planned(back, Release)


def test_a_worker_that_says_it_failed_is_released_in_its_words() -> None:
    broken = worker(2)
    told = [seen(broken, Stage.FAILED, failure="no space left on device")]
    [action] = planned(world(cluster(1), scheduler(), broken, observations=told), Release)
    assert isinstance(action, Release)
    assert (action.failed, action.why) == (True, "no space left on device")


def test_many_that_fail_alike_are_released_together() -> None:
    some = world(cluster(3), scheduler(), *map(worker, (2, 3, 4)), listed=[vm_of(scheduler())])
    [action] = planned(some, Release)
    assert isinstance(action, Release)
    assert len(action.instances) == 3
