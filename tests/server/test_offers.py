"""What is on offer, asked of a server: with an account of a cloud, and without one."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from shoal.clouds.catalog import Catalog, files
from shoal.clouds.catalog.facts import Facts
from shoal.server.passes.catalog import stale
from shoal.store import accounts
from shoal.wire.accounts import AwsAccount, GcpAccount
from shoal.wire.events import Event, EventKind
from shoal.wire.specs import Cloud
from shoal.wire.views import OfferList, Refreshed
from tests.doubles.gcp.compute import Compute, Knobs
from tests.doubles.gcp.login import login
from tests.doubles.gcp.server import GcpDouble
from tests.server.conftest import Served


def test_the_reasons_are_told_only_if_asked(served: Served) -> None:
    assert ask(served, "cloud=gcp&region=us-east1&cpu=4").left_out == ()


def ask(served: Served, query: str) -> OfferList:
    token = served.token("ada", "research", "clusters")
    answer = served.ask(token, "GET", f"/v1/offers?{query}")
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=OfferList)


def test_a_cloud_that_is_not_set_up_is_answered_from_the_catalog(served: Served) -> None:
    found = ask(served, "cloud=gcp&region=us-east1&cpu=8&arm=true&spot=true")
    assert {it.zone for it in found.offers} == {"us-east1-b", "us-east1-c", "us-east1-d"}
    assert {(it.vcpu, it.arch, it.spot) for it in found.offers} == {(8, "aarch64", True)}
    assert found.types_as_of == files.snapshot(Cloud.GCP).as_of.isoformat()


def test_without_a_region_it_is_the_one_whose_prices_are_known(served: Served) -> None:
    found = ask(served, "cloud=aws&cpu=4&spot=false")
    assert found.region == Catalog().home(Cloud.AWS) == "us-east-1"
    prices = [it.price_uusd_per_hour for it in found.offers]
    known = [it for it in prices if it is not None]
    assert known
    assert prices[: len(known)] == sorted(known)


def test_each_type_that_is_left_out_is_told_with_the_reason_if_asked(served: Served) -> None:
    found = ask(served, "cloud=gcp&region=us-east1&cpu=4&why=true")
    reasons = {it.machine_type: it.why for it in found.left_out}
    assert reasons["n2-standard-8"] == "has 8 vCPU"
    assert not reasons.keys() & {it.machine_type for it in found.offers}


def test_a_refresh_needs_an_account_of_the_cloud(served: Served) -> None:
    token = served.token("ada", "research", "clusters")
    answer = served.ask(token, "POST", "/v1/offers/gcp/refresh")
    assert answer.status_code == 404
    assert "shoal setup" in answer.json()["hint"]


def test_a_refresh_is_answered_by_the_cloud_and_seen_in_the_next_offers(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = {"name": "n1-standard-8", "guestCpus": 8, "memoryMb": 30720}
    knobs = Knobs(machine_types={"us-east1-c": [machine]})
    with GcpDouble(Compute(knobs)) as double:
        (tmp_path / "login.json").write_text(json.dumps(login(double.account.endpoint)))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "login.json"))
        token = served.token("bob", "research", "clusters")
        event = Event(served.desk.clock(), EventKind.ACCOUNT_SET, "ada", "of another server")
        asyncio.run(served.desk.database.run(accounts.put, double.account, event))
        answer = served.ask(token, "POST", "/v1/offers/gcp/refresh")
    assert answer.status_code == 200, answer.text
    told = msgspec.json.decode(answer.content, type=Refreshed)
    attached = 3 + 3 + 3 + 4  # T4, P4, P100, V100: 8 vCPUs may have any number of each
    assert (told.region, told.prices) == ("us-east1", 0)
    assert told.types == 1 + attached
    found = ask(served, "cloud=gcp&region=us-east1&gpu=1&gpu_type=t4&cpu=8&spot=false")
    here = [it for it in found.offers if it.zone == "us-east1-c"]
    assert "n1-standard-8+1xt4" in {it.machine_type for it in here}
    assert found.types_source == "Compute Engine"


def test_a_days_old_price_is_asked_again_once_a_day(served: Served) -> None:
    """Of clouds that are reached, by their vendors' own API."""
    ours = AwsAccount("123456789012", "us-east-1")
    token = served.token("ada", "research", "clusters", "admin")
    assert served.ask(token, "PUT", "/v1/accounts/aws", ours).status_code == 200
    desk, today = served.desk, served.desk.clock().date()
    elsewhere = msgspec.structs.replace(ours, endpoint="http://127.0.0.1:9")
    assert list(stale(desk, [ours, elsewhere, GcpAccount("p", "us-east1")])) == [
        (ours, "us-east-1")
    ]
    files.keep(desk.settings.state.catalog, "us-east-1", Facts(Cloud.AWS, today, "EC2"))
    assert list(stale(desk, [ours])) == []
    used = {(Cloud.AWS, "eu-west-1"), (Cloud.AWS, "us-east-1"), (Cloud.GCP, "us-west1")}
    assert list(stale(desk, [ours], used)) == [(ours, "eu-west-1")]
    old = Facts(Cloud.AWS, today - timedelta(days=1), "EC2")
    files.keep(desk.settings.state.catalog, "us-east-1", old)
    assert list(stale(desk, [ours])) == [(ours, "us-east-1")]


@pytest.mark.parametrize(
    ("query", "status", "hint"),
    [
        ("cloud=gcp&region=us-eats1", 400, "us-east1"),
        ("cloud=digital", 404, "gcp"),
        ("cloud=gcp&cpu=0", 400, ""),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(
    served: Served, query: str, status: int, hint: str
) -> None:
    token = served.token("ada", "research", "clusters")
    answer = served.ask(token, "GET", f"/v1/offers?{query}")
    assert answer.status_code in (status, 422)
    assert hint in answer.json().get("hint", "")
