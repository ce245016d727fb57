from __future__ import annotations

from datetime import timedelta

from shoal.core.records import Cluster, EndKind, Instance, Observation, PoolMark
from shoal.core.status import cluster_view, instance_view
from shoal.wire.views import ClusterStatus, ClusterView, InstanceState, Stage
from tests.core.summaries import summary_of
from tests.core.worlds import (
    NOW,
    ago,
    cluster,
    ended,
    head,
    mark,
    offer,
    scheduler,
    seen,
    worker,
)

GONE, RELEASED = InstanceState.GONE, InstanceState.RELEASED


def view(
    cluster: Cluster,
    *instances: Instance,
    told: tuple[Observation, ...] = (),
    up: bool = True,
    marks: tuple[PoolMark, ...] = (),
) -> ClusterView:
    return cluster_view(
        cluster,
        summary_of(instances, {it.instance: it for it in told}, NOW),
        head() if up else None,
        marks,
        now=NOW,
        url="http://127.0.0.1:8787",
        seq=7,
    )


def test_a_cluster_starts_until_its_scheduler_answers() -> None:
    told = (seen(scheduler(), Stage.PREPARING, detail="installing 12 of 36 packages"),)
    shown = view(cluster(2), scheduler(), told=told, up=False)
    assert shown.status is ClusterStatus.STARTING
    assert "installing 12 of 36 packages" in shown.sentence


def test_it_is_ready_when_all_wanted_workers_are() -> None:
    two = worker(2)
    shown = view(cluster(1), scheduler(), two, told=(seen(two),))
    assert (shown.status, shown.sentence) == (
        ClusterStatus.READY,
        "ready: 1 of 1 workers are ready",
    )


def test_it_scales_while_workers_are_on_their_way() -> None:
    two, three = worker(2), worker(3)
    shown = view(cluster(2), scheduler(), two, three, told=(seen(two),))
    assert shown.status is ClusterStatus.SCALING
    assert (shown.workers.ready, shown.workers.launching) == (1, 1)


def test_it_is_not_ready_while_workers_run_the_environment_from_before() -> None:
    two, three = worker(2), worker(3)
    told = (seen(two, environment="env-0"), seen(three, environment="env-1"))
    shown = view(cluster(2), scheduler(), two, three, told=told)
    assert shown.status is ClusterStatus.SCALING
    assert "1 still with the environment from before" in shown.sentence


def test_it_is_degraded_by_what_no_vm_can_be_though_enough_run() -> None:
    two = worker(2)
    why = "1 of 1 workers: seaweed could not be installed"
    told = (seen(two, environment="env-0", broken="env-1", failure="seaweed could not"),)
    shown = view(cluster(1, unable=why), scheduler(), two, told=told)
    assert shown.status is ClusterStatus.DEGRADED
    assert why in shown.sentence
    assert "1 go on with the environment from before" in shown.sentence
    assert instance_view(two, told[0], NOW).detail == "seaweed could not"


def test_it_is_degraded_by_what_its_own_attempts_ran_into() -> None:
    two = worker(2)
    why = "no capacity for m4 in z1"
    refused = worker(3, state=GONE, launched_at=None, vm="", why=why)
    blocked = (mark(offer(), why, hint="Try another zone."),)
    shown = view(cluster(2), scheduler(), two, refused, told=(seen(two),), marks=blocked)
    assert shown.status is ClusterStatus.DEGRADED
    assert shown.sentence == (
        "degraded: 1 of 2 workers are ready; 1 cannot be had now: "
        "no capacity for m4 in z1 – Try another zone."
    )


def test_an_old_refusal_and_those_of_others_degrade_nothing() -> None:
    refused = worker(3, state=GONE, launched_at=None, vm="", why="no capacity")
    for blocked in (mark(offer(), until=ago(1)), mark(offer(), "of another cluster")):
        shown = view(cluster(2), scheduler(), refused, marks=(blocked,))
        assert shown.status is ClusterStatus.SCALING


def test_it_is_ending_until_its_last_vm_is_gone() -> None:
    shown = view(ended(), scheduler(state=RELEASED), worker(2, state=GONE))
    assert shown.status is ClusterStatus.ENDING
    assert shown.sentence == "ending: closed by ada; 1 VM is left"
    assert shown.scheduler_address == ""
    settled = cluster(2, ended_at=ago(9), end_kind=EndKind.USER, settled_at=ago(1))
    assert view(settled).status is ClusterStatus.ENDED


def test_it_has_failed_at_once_even_while_vms_remain() -> None:
    shown = view(ended(kind=EndKind.FAILED), scheduler(state=RELEASED))
    assert shown.status is ClusterStatus.FAILED


def test_a_leaving_worker_is_counted_once_as_draining() -> None:
    two, three = worker(2, retiring_since=ago(5)), worker(3)
    shown = view(cluster(1), scheduler(), two, three, told=(seen(two), seen(three, Stage.DRAINING)))
    assert (shown.workers.draining, shown.workers.ready) == (2, 0)


def test_the_price_is_unknown_if_any_part_is() -> None:
    two = worker(2, price_uusd_per_hour=200_000)
    known = scheduler(price_uusd_per_hour=100_000)
    assert view(cluster(1), known, two).price_uusd_per_hour == 300_000
    assert view(cluster(1), scheduler(), two).price_uusd_per_hour is None


def test_the_cost_counts_until_a_vm_is_gone() -> None:
    hour = NOW - timedelta(hours=1)
    it = worker(2, launched_at=hour, price_uusd_per_hour=200_000, state=RELEASED)
    assert view(cluster(1), it).cost_uusd == 200_000
    gone = worker(2, launched_at=hour, price_uusd_per_hour=200_000, state=GONE)
    half = Instance(
        **{f: getattr(gone, f) for f in gone.__struct_fields__} | {"gone_at": ago(1800)}
    )
    assert view(cluster(1), half).cost_uusd == 100_000


def test_a_vms_stage_is_what_its_agent_said_until_the_cloud_takes_it_back() -> None:
    two = worker(2)
    assert instance_view(two, None, NOW).stage is Stage.BOOTING
    assert instance_view(two, seen(two), NOW).stage is Stage.READY
    leaving = worker(2, retiring_since=ago(1))
    assert instance_view(leaving, seen(leaving), NOW).stage is Stage.DRAINING
    assert instance_view(worker(2, state=RELEASED), seen(two), NOW).stage is Stage.STOPPING
    broken = worker(2, state=RELEASED, failed=True, why="disk full")
    assert instance_view(broken, None, NOW).stage is Stage.FAILED
