"""Cloud accounts over the API: registered, followed, changed, removed."""

from __future__ import annotations

import asyncio

import msgspec

from shoal.server.passes.accounts import care_for_accounts
from shoal.store import accounts
from shoal.wire.accounts import AwsAccount, GcpAccount
from shoal.wire.events import Event, EventKind
from shoal.wire.specs import Cloud
from tests.server.conftest import Served
from tests.server.specs import a_spec

OURS = AwsAccount("123456789012", "us-east-1")


def admin(served: Served) -> str:
    return served.token("ada", "research", "clusters", "admin")


def test_a_registered_account_is_a_cloud_at_once(served: Served) -> None:
    token = admin(served)
    answer = served.ask(token, "PUT", "/v1/accounts/aws", OURS)
    assert answer.status_code == 200, answer.text
    assert answer.json()["accounts"] == [msgspec.to_builtins(OURS)]
    assert set(served.desk.providers) == set(served.desk.reconcilers) == {Cloud.SIM, Cloud.AWS}
    assert served.ask(token, "GET", "/v1/offers?cloud=aws").status_code == 200


def test_one_that_cannot_be_reached_is_refused_and_not_kept(served: Served) -> None:
    token = admin(served)
    answer = served.ask(token, "PUT", "/v1/accounts/gcp", GcpAccount("p", "us-east1"))
    assert answer.json()["code"] == "not-possible"
    assert served.ask(token, "GET", "/v1/accounts").json() == {"accounts": []}


def test_an_account_stands_under_its_own_cloud(served: Served) -> None:
    answer = served.ask(admin(served), "PUT", "/v1/accounts/gcp", OURS)
    assert answer.json()["code"] == "invalid-request"


def test_only_an_administrator_may(served: Served) -> None:
    token = served.token("bob", "research", "clusters")
    assert served.ask(token, "PUT", "/v1/accounts/aws", OURS).status_code == 403
    assert served.ask(token, "DELETE", "/v1/accounts/aws").status_code == 403


def test_what_another_replica_registered_is_followed(served: Served) -> None:
    run, desk = served.desk.database.run, served.desk
    event = Event(desk.clock(), EventKind.ACCOUNT_SET, "ada", "of another")
    first = desk.reconcilers[Cloud.SIM]
    asyncio.run(run(accounts.put, OURS, event))
    asyncio.run(care_for_accounts(desk))
    assert Cloud.AWS in desk.providers
    elsewhere = msgspec.structs.replace(OURS, region="eu-west-1")
    before = desk.reconcilers[Cloud.AWS]
    asyncio.run(run(accounts.put, elsewhere, event))
    asyncio.run(care_for_accounts(desk))
    assert desk.reconcilers[Cloud.AWS] is not before
    assert desk.reconcilers[Cloud.SIM] is first


def test_an_account_that_clusters_use_stays(served: Served) -> None:
    token = admin(served)
    served.ask(token, "PUT", "/v1/accounts/aws", OURS)
    spec = a_spec(cloud=Cloud.AWS, allow_ingress_from="everyone")
    made = served.ask(token, "POST", "/v1/clusters", {"spec": msgspec.to_builtins(spec)})
    assert made.status_code == 200, made.text
    refused = served.ask(token, "DELETE", "/v1/accounts/aws")
    assert refused.json()["code"] == "conflict"
    assert "etl" in refused.json()["detail"]


def test_one_that_nobody_uses_is_forgotten(served: Served) -> None:
    token = admin(served)
    served.ask(token, "PUT", "/v1/accounts/aws", OURS)
    assert served.ask(token, "DELETE", "/v1/accounts/aws").json() == {"accounts": []}
    assert set(served.desk.providers) == {Cloud.SIM}
    assert served.ask(token, "DELETE", "/v1/accounts/aws").status_code == 404
    assert served.ask(token, "DELETE", "/v1/accounts/nonsense").status_code == 404


def test_who_may_reach_a_scheduler_is_settled_before_it_exists(served: Served) -> None:
    token = admin(served)
    served.desk.settings = msgspec.structs.replace(served.desk.settings, seen_as="198.51.100.9/32")
    served.ask(token, "PUT", "/v1/accounts/aws", OURS)
    unsaid = a_spec(cloud=Cloud.AWS)
    answer = served.ask(token, "POST", "/v1/clusters", {"spec": msgspec.to_builtins(unsaid)})
    assert answer.json()["code"] == "invalid-request"
    spec = msgspec.structs.replace(unsaid, ingress=("203.0.113.7/32",))
    made = served.ask(token, "POST", "/v1/clusters", {"spec": msgspec.to_builtins(spec)})
    assert made.json()["spec"]["ingress"] == ["198.51.100.9/32", "203.0.113.7/32"]


def test_a_cluster_on_a_cloud_without_an_account_is_told_how_to_set_it_up(served: Served) -> None:
    spec = a_spec(cloud=Cloud.GCP)
    answer = served.ask(admin(served), "POST", "/v1/clusters", {"spec": msgspec.to_builtins(spec)})
    assert answer.json()["code"] == "not-possible"
    assert answer.json()["hint"] == "Set it up: shoal setup gcp"


def test_what_keeps_an_account_from_being_reached_is_told_to_who_asks(served: Served) -> None:
    run, desk = served.desk.database.run, served.desk
    event = Event(desk.clock(), EventKind.ACCOUNT_SET, "ada", "of another server")
    asyncio.run(run(accounts.put, GcpAccount("p", "us-east1"), event))
    asyncio.run(care_for_accounts(desk))
    spec = a_spec(cloud=Cloud.GCP)
    answer = served.ask(admin(served), "POST", "/v1/clusters", {"spec": msgspec.to_builtins(spec)})
    assert answer.json()["detail"] == "gcp is not reached from here."
