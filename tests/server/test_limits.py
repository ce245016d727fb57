"""Limits over the API, on pages and in metrics: who may change them, and what they refuse."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shoal.core.proposal import Part, Proposal
from shoal.core.records import Offer
from shoal.server.handlers.preview import left_out
from shoal.wire.limits import ChangeLimits, LimitName, Limits
from shoal.wire.requests import CreateCluster, PreviewCluster, ScaleCluster
from shoal.wire.specs import Cloud, Role, StopRules, Workers
from tests.server.browsing import Browser
from tests.server.conftest import Served
from tests.server.specs import a_spec
from tests.server.test_clusters import passes
from tests.server.test_metrics import scraped
from tests.store.samples import an_offer


@pytest.fixture
def ada(served: Served) -> str:
    return served.token("ada", "research", "clusters", "admin")


def change(served: Served, token: str, user: str = "", **values: object) -> Any:
    body = ChangeLimits(Limits(**values), user=user)  # type: ignore[arg-type]
    return served.ask(token, "POST", "/v1/limits", body)


def create(served: Served, token: str, name: str = "etl", **spec: object) -> Any:
    return served.ask(token, "POST", "/v1/clusters", CreateCluster(a_spec(name, **spec)))


def test_members_read_limits_and_administrators_change_them(served: Served, ada: str) -> None:
    bob = served.token("bob", "research", "clusters")
    assert change(served, bob, workers=5).status_code == 403
    assert change(served, ada, workers=5).json()["held"][0]["limits"] == {"workers": 5}
    assert served.ask(bob, "GET", "/v1/limits").json()["held"][0]["limits"] == {"workers": 5}
    eve = served.token("eve", "other", "clusters")
    assert served.ask(eve, "GET", "/v1/limits").json()["held"][0]["limits"] == {}
    clear = ChangeLimits(clear=(LimitName.WORKERS,))
    assert served.ask(ada, "POST", "/v1/limits", clear).json()["held"][0]["limits"] == {}
    assert served.ask(ada, "POST", "/v1/limits", ChangeLimits()).status_code == 422


def test_what_is_too_much_is_refused_before_anything_is_there(served: Served, ada: str) -> None:
    change(served, ada, workers=3)
    assert create(served, ada).status_code == 200
    refused = create(served, ada, "second")
    assert (refused.status_code, refused.json()["code"]) == (409, "limit-exceeded")
    assert refused.json()["detail"] == (
        "Workers: 2 asked, 2 in use, limit 3 for workspace research."
    )
    assert "Ask for 1 worker at most" in refused.json()["hint"]
    assert len(served.ask(ada, "GET", "/v1/clusters").json()["clusters"]) == 1
    preview = served.ask(ada, "POST", "/v1/preview", PreviewCluster(a_spec("second"))).json()
    assert (preview["refused"], preview["hint"]) == (
        refused.json()["detail"],
        refused.json()["hint"],
    )


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"clusters": 0}, "Clusters: 1 asked, 0 in use, limit 0 for workspace research."),
        ({"vcpus": 11}, "vCPUs: 12 asked, 0 in use, limit 11 for workspace research."),
        (
            {"price_uusd_per_hour": 500_000},
            "Price: $0.57 an hour asked, $0.00 in use, limit $0.50 for workspace research.",
        ),
        ({"lifetime_s": 3600.0}, "Lifetime: 2 h asked, limit 60 min for workspace research."),
    ],
)
def test_each_kind_of_limit_refuses_in_its_own_words(
    served: Served, ada: str, values: dict[str, object], told: str
) -> None:
    change(served, ada, **values)
    refused = create(served, ada, stop=StopRules(cluster_timeout_s=7200.0))
    assert refused.json()["detail"] == told


def test_a_preview_shows_what_the_launch_will_choose_and_what_it_means(
    served: Served, ada: str
) -> None:
    change(served, ada, budget_uusd=100_000_000)
    spec = a_spec(workers=Workers(1, 2, 8))
    preview = served.ask(ada, "POST", "/v1/preview", PreviewCluster(spec)).json()
    shown = [(it["role"], it["count"], it["most"], len(it["offers"])) for it in preview["rows"]]
    assert shown == [("scheduler", 1, 1, 1), ("worker", 2, 8, 1)]
    assert (preview["price_uusd_per_hour"], preview["most_uusd_per_hour"]) == (570_000, 1_710_000)
    told = (
        "This cluster costs $0.57 an hour: the month's budget of $100.00 for workspace research "
        "($0.00 spent) is used up in about 7.31 days."
    )
    assert preview["notices"] == [told]
    assert served.ask(ada, "GET", "/v1/clusters").json()["clusters"] == []


def test_a_price_without_disks_says_so() -> None:
    """Only the clouds' own disks cost something."""
    priced = an_offer(cloud=Cloud.GCP, disk_uusd_per_gib_month=100_000)
    unpriced = an_offer(cloud=Cloud.GCP, region="mars-west1")
    on_this_machine = an_offer(cloud=Cloud.LOCAL)

    def told(offer: Offer) -> list[str]:
        return left_out(Proposal((Part(Role.WORKER, 1, 1, (offer,), 30),), None))

    assert told(priced) == told(on_this_machine) == []
    assert told(unpriced) == [
        "Prices are without disks: what they cost in mars-west1 is not known."
    ]


def test_a_scale_up_is_capped_and_says_so_until_there_is_room(served: Served, ada: str) -> None:
    change(served, ada, workers=3)
    create(served, ada)
    more = ScaleCluster(Workers(8, 8, 8))
    assert served.ask(ada, "PUT", "/v1/clusters/etl/workers", more).status_code == 200
    passes(served)
    rows = served.ask(ada, "GET", "/v1/clusters/etl/instances").json()["instances"]
    assert [it["role"] for it in rows].count("worker") == 3
    events = served.ask(ada, "GET", "/v1/events?cluster=etl").json()["events"]
    [held] = [it for it in events if it["kind"] == "limit.reached"]
    assert held["why"].startswith("5 VMs have to wait: workers: 8 asked, 0 in use, limit 3")
    view = served.ask(ada, "GET", "/v1/clusters/etl").json()
    assert "the limit of 3 workers for workspace research holds it back" in view["sentence"]
    change(served, ada, workers=20)
    passes(served)
    view = served.ask(ada, "GET", "/v1/clusters/etl").json()
    assert "limit" not in view["sentence"]
    assert view["workers"]["launching"] == 8


def test_one_cluster_may_not_ask_for_more_than_the_server_allows(served: Served, ada: str) -> None:
    many = Workers(20_000, 20_000, 20_000)
    refused = create(served, ada, workers=many)
    told = "Workers: 20000 asked, 0 in use, limit 10000 a cluster of this server."
    assert refused.json()["detail"] == told


def test_a_page_shows_limits_use_and_the_months_spend(served: Served, ada: str) -> None:
    change(served, ada, workers=3, budget_uusd=1_000_000)
    create(served, ada)
    passes(served)
    _age(served, hours=1)
    browser = Browser(served)
    browser.log_in(ada)
    page = browser.get("/settings").text
    assert "workers at once" in page
    assert "$0.57" in page
    assert "50 % of the month&#39;s budget for workspace research are spent" in page
    assert "50 % of the month" in browser.get("/").text


def test_metrics_tell_limits_and_what_is_in_use(served: Served, ada: str) -> None:
    change(served, ada, workers=3, budget_uusd=1_000_000)
    create(served, ada)
    passes(served)
    _age(served, hours=1)
    lines = scraped(served, ada).text.splitlines()
    assert 'shoal_limit{user="",limit="workers"} 3' in lines
    assert 'shoal_limit_use{user="ada",limit="workers"} 2' in lines
    [spent] = [it for it in lines if it.startswith('shoal_limit_use{user="",limit="budget"}')]
    assert float(spent.split()[-1]) == pytest.approx(0.57, abs=0.01)


def _age(served: Served, *, hours: float) -> None:
    """So much time passes."""
    before = served.desk.clock
    served.desk.clock = lambda: before() + timedelta(hours=hours)
