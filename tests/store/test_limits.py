"""Limits hold in the transaction that puts VMs on record, on both engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import msgspec
import pytest

from shoal.core.limits import Ask
from shoal.core.records import Batch, EndKind
from shoal.errors import LimitExceeded
from shoal.store import admission, clusters, events, instances, ledger, limits
from shoal.store.database import Database
from shoal.wire.events import EventKind
from shoal.wire.ids import ClusterId, EventSeq, UserName
from shoal.wire.limits import EACH, WHOLE, ChangeLimits, InUse, LimitName, Limits
from tests.store.asking import ask
from tests.store.samples import NOW, RESEARCH, a_batch, a_cluster, a_vm, an_event, later

ADA = UserName("ada")


def allow(database: Database, user: UserName = WHOLE, **values: object) -> None:
    made = ChangeLimits(Limits(**values), user=user)  # type: ignore[arg-type]
    assert ask(database, limits.change, RESEARCH, made, "root", NOW)


def begin(database: Database, number: int = 1, **batch: int) -> Batch:
    made = a_cluster(number, name=f"etl-{number}", workers=8)
    ask(database, clusters.create, made, an_event(made))
    return a_batch(made, **batch)


def use(database: Database, at_s: float = 0) -> InUse:
    found: dict[UserName, InUse] = ask(database, limits.use, RESEARCH, later(at_s))
    return found.get(ADA, InUse())


def test_an_intent_is_cut_to_what_is_left(database: Database) -> None:
    first, second = begin(database, 1, count=5), begin(database, 2, count=5)
    allow(database, workers=8)
    for it in (first, second):
        told = an_event(a_cluster(int(it.cluster[2:])), EventKind.BATCH_INTENDED)
        assert ask(database, instances.intend, it, 1, told)
    rows = ask(database, instances.all_of_cluster, second.cluster)
    assert [it.id for it in rows] == list(second.instances[:3])
    [*_, event] = ask(database, events.after, EventSeq(0))
    assert event.count == 3
    assert "5 in use, limit 8 for workspace research" in event.why
    third = a_batch(a_cluster(2), 2, count=1, first=6)
    assert not ask(database, instances.intend, third, 1, an_event(a_cluster(2)))
    assert use(database).workers == 8


@pytest.mark.parametrize(
    "values", [{"workers": 6}, {"vcpus": 24}, {"price_uusd_per_hour": 6 * 190_000}]
)
def test_two_that_ask_at_once_do_not_pass_a_limit_together(
    database_url: str, values: dict[str, int]
) -> None:
    """Each on connections of its own, as two replicas have them."""
    databases = [Database.open(database_url) for _ in range(2)]
    batches = [begin(databases[0], number, count=4) for number in (1, 2)]
    allow(databases[0], **values)
    together = Barrier(2)

    def intend(place: int) -> bool:
        batch = batches[place]
        together.wait()
        told = an_event(a_cluster(place + 1), EventKind.BATCH_INTENDED)
        did: bool = ask(databases[place], instances.intend, batch, 1, told)
        return did

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(intend, range(2))) == [True, True]
    had = [len(ask(databases[0], instances.all_of_cluster, it.cluster)) for it in batches]
    for it in databases:
        it.close()
    assert sorted(had) == [2, 4]


def test_two_clusters_asked_for_at_once_do_not_pass_a_limit_together(database_url: str) -> None:
    databases = [Database.open(database_url) for _ in range(2)]
    allow(databases[0], workers=12)
    together = Barrier(2)

    def create(place: int) -> str:
        made = a_cluster(place + 1, name=f"etl-{place}", workers=8)
        together.wait()
        try:
            ask(
                databases[place],
                admission.create,
                made,
                Ask(clusters=1, workers=8),
                0.0,
                an_event(made),
            )
        except LimitExceeded as error:
            return error.message
        return ""

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(create, range(2)))
    for it in databases:
        it.close()
    assert said == ["", "Workers: 8 asked, 8 in use, limit 12 for workspace research."]


def test_vms_count_until_their_cloud_lacks_them(database: Database) -> None:
    batch = begin(database, count=2)
    told = an_event(a_cluster())
    ask(database, instances.intend, batch, 1, told)
    assert use(database) == InUse(1, 2, 8, 0, 380_000)
    one, two = batch.instances
    cheaper = a_vm("vm-1", batch, price_uusd_per_hour=100_000)
    assert ask(database, instances.launched, one, cheaper, NOW, told)
    assert use(database).price_uusd_per_hour == 290_000
    ask(database, instances.release, [one, two], later(60), failed=False, why="enough")
    assert use(database, 60).workers == 2
    ask(database, instances.gone, [one, two], later(90), "not listed")
    assert (use(database, 90).workers, use(database, 90).price_uusd_per_hour) == (0, 0)


def test_what_a_month_has_cost_is_what_the_ledger_says(database: Database) -> None:
    batch = begin(database, count=2)
    told = an_event(a_cluster())
    ask(database, instances.intend, batch, 1, told)
    one, two = batch.instances
    ask(database, instances.launched, one, a_vm("vm-1", batch), NOW, told)
    unknown = a_vm("vm-2", batch, price_uusd_per_hour=None)
    ask(database, instances.launched, two, unknown, later(10), told)
    seen = use(database, 3_600)
    assert seen.month_uusd == 190_000
    assert seen.month_unpriced_s == pytest.approx(3_590)
    ask(database, instances.release, [one, two], later(7_200), failed=False, why="enough")
    ask(database, instances.gone, [one, two], later(7_200), "not listed")
    ask(database, clusters.end, batch.cluster, EndKind.USER, "done", later(7_200), told)
    ask(database, clusters.settle, batch.cluster, later(7_200), told)
    assert use(database, 9_000).month_uusd == 380_000
    ask(database, ledger.book, later(9_000))
    seen = use(database, 9_000)
    assert (seen.month_uusd, seen.month_unpriced_s) == (380_000, pytest.approx(7_190))
    thirty_days_s = 30 * 86_400.0
    assert use(database, thirty_days_s).month_uusd == 0  # it is December by then


def test_a_change_is_an_event_with_who_before_after_and_why(database: Database) -> None:
    allow(database, workers=8)
    change = ChangeLimits(Limits(vcpus=16), clear=(LimitName.WORKERS,), user=ADA, why="her thesis")
    allow(database, ADA, workers=3)
    assert ask(database, limits.change, RESEARCH, change, "root", NOW)
    assert not ask(database, limits.change, RESEARCH, change, "root", NOW)  # as it is already
    *_, event = ask(database, events.after, EventSeq(0))
    assert (event.kind, event.actor, event.workspace) == (EventKind.LIMITS_SET, "root", RESEARCH)
    assert (event.before, event.after) == ("user ada: 3 workers", "user ada: 16 vCPUs")
    assert "her thesis" in event.why
    assert ask(database, limits.values, RESEARCH) == {
        WHOLE: Limits(workers=8),
        ADA: Limits(vcpus=16),
    }


def test_a_mark_is_told_once_a_month_and_anew_for_another_budget(database: Database) -> None:
    allow(database, budget_uusd=1_000_000)
    told = [msgspec.structs.replace(an_event(a_cluster()), cluster=None, workspace=RESEARCH)]

    def mark() -> bool:
        did: bool = ask(database, limits.mark, RESEARCH, WHOLE, "50", NOW, told)
        return did

    assert (mark(), mark()) == (True, False)
    allow(database, budget_uusd=2_000_000)
    assert mark()


def test_a_hold_is_told_when_it_changes_and_ends_with_the_cluster(database: Database) -> None:
    it = begin(database).cluster
    told = an_event(a_cluster(), EventKind.LIMIT_REACHED)
    assert ask(database, limits.hold, it, "the limit", NOW, told)
    assert not ask(database, limits.hold, it, "the limit", NOW, told)
    assert ask(database, limits.all_holds) == {it: "the limit"}
    ask(database, clusters.end, it, EndKind.USER, "done", NOW, told)
    assert ask(database, limits.all_holds) == {}


def test_what_holds_for_each_user_is_each_users_own(database: Database) -> None:
    begin(database)
    allow(database, EACH, clusters=1)
    [held] = ask(database, limits.held, RESEARCH, ADA, NOW)
    assert (held.user, held.limits.clusters, held.use.clusters) == (ADA, 1, 1)
    [other] = ask(database, limits.held, RESEARCH, UserName("bob"), NOW)
    assert other.use.clusters == 0
    assert ask(database, limits.of_clusters, [a_cluster()], NOW)[ClusterId("c-0000000001")] == (
        held,
    )
