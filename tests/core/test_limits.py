"""What limits and budgets allow, in numbers and in words."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core import limits
from shoal.core.actions import End, Hold, Intend, Warn
from shoal.core.limits import Ask, Unit
from shoal.core.records import EndKind, Held
from shoal.wire.ids import UserName, WorkspaceName
from shoal.wire.limits import EACH, WHOLE, ChangeLimits, InUse, LimitName, Limits
from shoal.wire.specs import Role
from tests.core.worlds import C1, ago, cluster, head, offer, planned, scheduler, seen, worker, world

GRACE_S = 900.0
USD = 1_000_000
ONE = Unit(vcpus=4, gpus=0, uusd_per_hour=200_000)


def held(limits: Limits, use: InUse | None = None, user: str = "", *told: str) -> Held:
    return Held(WorkspaceName("team"), UserName(user), limits, use or InUse(), frozenset(told))


def words(limit: Limits, asked: Ask, use: InUse | None = None) -> str:
    [found] = limits.reached([held(limit, use)], asked, GRACE_S)
    return found.words


@pytest.mark.parametrize(
    ("limit", "asked", "use", "told"),
    [
        (
            Limits(workers=12),
            Ask(workers=4),
            InUse(workers=10),
            "workers: 4 asked, 10 in use, limit 12 for workspace team",
        ),
        (
            Limits(clusters=1),
            Ask(clusters=1),
            InUse(clusters=1),
            "clusters: 1 asked, 1 in use, limit 1 for workspace team",
        ),
        (
            Limits(vcpus=16),
            Ask(vcpus=20),
            InUse(),
            "vCPUs: 20 asked, 0 in use, limit 16 for workspace team",
        ),
        (
            Limits(price_uusd_per_hour=3 * USD),
            Ask(uusd_per_hour=2 * USD),
            InUse(price_uusd_per_hour=3 * USD // 2),
            "price: $2.00 an hour asked, $1.50 in use, limit $3.00 for workspace team",
        ),
        (
            Limits(lifetime_s=8 * 3600.0),
            Ask(lifetime_s=24 * 3600.0),
            InUse(),
            "lifetime: 24 h asked, limit 8 h for workspace team",
        ),
    ],
)
def test_a_refusal_names_what_is_asked_in_use_and_allowed(
    limit: Limits, asked: Ask, use: InUse, told: str
) -> None:
    assert words(limit, asked, use) == told


def test_what_fits_exactly_is_allowed() -> None:
    limit = Limits(workers=12, vcpus=48, gpus=0, price_uusd_per_hour=2_400_000)
    assert limits.reached([held(limit)], limits.ask(Role.WORKER, ONE, 12), GRACE_S) == ()
    assert limits.room([held(limit)], Role.WORKER, ONE, 20, GRACE_S)[0] == 12


def test_a_refusal_says_the_next_step_with_what_is_left() -> None:
    [found] = limits.reached(
        [held(Limits(workers=12), InUse(workers=10), "ada")], Ask(workers=4), GRACE_S
    )
    assert found.hint.startswith("Ask for 2 workers at most, end what is not needed")
    assert found.hint.endswith("shoal limits set --user ada --workers 14")


@pytest.mark.parametrize("limit", [Limits(price_uusd_per_hour=USD), Limits(budget_uusd=USD)])
def test_a_price_that_is_not_known_is_refused_and_never_taken_for_nothing(limit: Limits) -> None:
    assert "is not known" in words(limit, Ask(uusd_per_hour=None))
    there = InUse(unpriced_vms=2)
    assert "2 VMs in use without a known price" in words(limit, Ask(uusd_per_hour=1), there)
    assert limits.reached([held(Limits(workers=9))], Ask(uusd_per_hour=None), GRACE_S) == ()


def test_machines_that_cost_nothing_need_no_budget() -> None:
    spent = InUse(month_uusd=USD)
    assert limits.reached([held(Limits(budget_uusd=USD), spent)], Ask(workers=3), GRACE_S) == ()


def test_what_is_left_of_a_budget_must_last_for_the_grace() -> None:
    limit = Limits(budget_uusd=100 * USD)
    nearly = InUse(month_uusd=99 * USD, price_uusd_per_hour=2 * USD)
    assert limits.reached([held(limit, nearly)], Ask(uusd_per_hour=2 * USD), GRACE_S) == ()
    told = words(limit, Ask(uusd_per_hour=2 * USD + 1), nearly)
    assert told.startswith("budget: $2.00 an hour asked, $2.00 in use; $99.00 of $100.00 are spent")
    assert "it must last 15 min" in told


@pytest.mark.parametrize(
    ("spent", "rate", "marks"),
    [
        (49, 0, ()),
        (50, 0, ("50",)),
        (80, 0, ("50", "80")),
        (99, 8, ("50", "80", "ending")),
        (99, 4, ("50", "80")),
        (100, 8, ("50", "80", "100")),
    ],
)
def test_the_marks_of_a_budget(spent: int, rate: int, marks: tuple[str, ...]) -> None:
    use = InUse(month_uusd=spent * USD, price_uusd_per_hour=rate * USD)
    assert limits.due(held(Limits(budget_uusd=100 * USD), use), GRACE_S) == marks


def test_a_forecast_counts_what_runs_already() -> None:
    use = InUse(month_uusd=36 * USD, price_uusd_per_hour=USD)
    [told] = limits.forecast([held(Limits(budget_uusd=100 * USD), use)], 3 * USD)
    assert told == (
        "this cluster costs $3.00 an hour: the month's budget of $100.00 for workspace team "
        "($36.00 spent) is used up in about 16 h with the $1.00 that run already"
    )


def test_a_users_own_limit_goes_before_everybodys_kind_by_kind() -> None:
    known = {
        UserName("ada"): Limits(workers=50),
        EACH: Limits(workers=10, vcpus=40),
        WHOLE: Limits(workers=100),
    }
    assert limits.effective(known, UserName("ada")) == Limits(workers=50, vcpus=40)
    assert limits.effective(known, UserName("bob")) == Limits(workers=10, vcpus=40)


def test_a_change_sets_clears_and_leaves() -> None:
    before = Limits(workers=5, vcpus=20, budget_uusd=USD)
    change = ChangeLimits(Limits(workers=0), clear=(LimitName.BUDGET,))
    assert limits.merged(before, change) == Limits(workers=0, vcpus=20)
    assert limits.in_words(limits.merged(before, change)) == "0 workers, 20 vCPUs"


@given(
    limit=st.builds(
        Limits,
        workers=st.none() | st.integers(0, 40),
        vcpus=st.none() | st.integers(0, 100),
        price_uusd_per_hour=st.none() | st.integers(0, 10 * USD),
        budget_uusd=st.none() | st.integers(0, 10 * USD),
    ),
    use=st.builds(
        InUse,
        workers=st.integers(0, 20),
        vcpus=st.integers(0, 80),
        price_uusd_per_hour=st.integers(0, 8 * USD),
        month_uusd=st.integers(0, 9 * USD),
    ),
    count=st.integers(1, 30),
)
def test_room_is_the_most_that_breaks_no_limit(limit: Limits, use: InUse, count: int) -> None:
    helds = [held(limit, use)]
    fit, reached = limits.room(helds, Role.WORKER, ONE, count, GRACE_S)
    for n in range(1, count + 1):
        breaks = limits.reached(helds, limits.ask(Role.WORKER, ONE, n), GRACE_S)
        assert bool(breaks) is (n > fit)
    assert (reached is None) is (fit == count)


READY = scheduler()


def a_world(*helds: Held, workers: int = 0, wanted: int = 4, **changes: object):  # type: ignore[no-untyped-def]
    there = [worker(number, price_uusd_per_hour=200_000) for number in range(2, 2 + workers)]
    return world(
        cluster(wanted),
        READY,
        *there,
        observations=[seen(READY), *map(seen, there)],
        heads={C1: head()},
        held={C1: helds},
        **changes,
    )


def test_a_plan_asks_for_what_fits_and_says_what_is_held_back() -> None:
    limit = held(Limits(workers=3), InUse(workers=1))
    hold, intend = planned(a_world(limit, workers=1), Hold, Intend)
    assert isinstance(intend, Intend)
    assert isinstance(hold, Hold)
    assert intend.batch.count == 2
    assert hold.limit == "the limit of 3 workers for workspace team"
    assert hold.why.startswith("1 VM has to wait: workers: 3 asked, 1 in use, limit 3")


def test_what_is_held_back_is_told_once_and_once_more_when_it_is_not() -> None:
    limit = held(Limits(workers=1), InUse(workers=1))
    told = {C1: "the limit of 1 worker for workspace team"}
    assert planned(a_world(limit, workers=1, holds=told), Hold, Intend) == []
    [lifted] = planned(a_world(limit, workers=1, wanted=1, holds=told), Hold)
    assert isinstance(lifted, Hold)
    assert lifted.limit == ""
    assert [type(it) for it in planned(a_world(workers=1, holds=told), Hold, Intend)] == [
        Hold,
        Intend,
    ]


def test_a_scheduler_waits_for_a_limit_too() -> None:
    none = world(cluster(2), held={C1: (held(Limits(vcpus=2)),)})
    [hold] = planned(none, Hold, Intend)
    assert isinstance(hold, Hold)


def test_a_cluster_that_a_limit_never_let_start_ends_by_it() -> None:
    late = cluster(2, created_at=ago(3600))
    why = "the limit of 2 vCPUs for workspace team"
    made = world(late, held={C1: (held(Limits(vcpus=2)),)}, holds={C1: why})
    [end] = planned(made, End)
    assert isinstance(end, End)
    assert (end.kind, why in end.why) == (EndKind.LIMIT, True)


def test_a_spent_budget_ends_clusters_that_cost_something() -> None:
    spent = held(Limits(budget_uusd=USD), InUse(month_uusd=USD), "", "50", "80", "100")
    [end] = planned(a_world(spent, workers=1), End, Intend)
    assert end == End(
        C1,
        EndKind.LIMIT,
        "the month's budget for workspace team is spent: $1.00 of $1.00",
    )
    free = msgspec.structs.replace(READY, price_uusd_per_hour=0)
    at_no_cost = world(cluster(0), free, heads={C1: head()}, held={C1: (spent,)})
    assert planned(at_no_cost, End) == []


def test_a_cluster_lives_no_longer_than_it_may_and_its_vms_know() -> None:
    limit = held(Limits(lifetime_s=3600.0), None, "ada")
    made = world(cluster(2), held={C1: (limit,)})
    [intend] = planned(made, Intend)
    assert isinstance(intend, Intend)
    assert intend.batch.lifetime_s == 3600 - 60 + 600
    old = msgspec.structs.replace(made, clusters=(cluster(2, created_at=ago(3600)),))
    [end] = planned(old, End)
    assert end == End(C1, EndKind.LIMIT, "it has lived for 60 min, the limit for user ada")


def test_marks_are_told_once_and_the_end_is_told_to_each_cluster() -> None:
    use = InUse(month_uusd=95 * USD, price_uusd_per_hour=40 * USD)
    near = held(Limits(budget_uusd=100 * USD), use, "", "50")
    found = planned(a_world(near, workers=1), Warn)
    assert [(it.mark, it.clusters) for it in found if isinstance(it, Warn)] == [
        ("80", ()),
        ("ending", (C1,)),
    ]
    calm = msgspec.structs.replace(use, price_uusd_per_hour=USD)
    over = held(Limits(budget_uusd=100 * USD), calm, "", "50", "80", "ending")
    [back] = planned(a_world(over, workers=1), Warn)
    assert isinstance(back, Warn)
    assert (back.mark, back.over) == ("ending", False)


def test_a_ceiling_is_of_the_dearest_and_largest_alternative_with_its_disk() -> None:
    small = offer(vcpu=2, price_uusd_per_hour=100_000, disk_uusd_per_gib_month=73_000)
    large = offer(vcpu=8, price_uusd_per_hour=90_000)
    assert limits.unit((small, large), 100, Role.WORKER) == Unit(8, 0, 110_000)
    assert (
        limits.unit((small, offer(price_uusd_per_hour=None)), 100, Role.WORKER).uusd_per_hour
        is None
    )
