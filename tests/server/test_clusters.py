"""Clusters over the API: asked for, joined, seen, changed and ended, by those who may."""

from __future__ import annotations

import asyncio

import pytest

from shoal.wire.requests import CreateCluster, ScaleCluster, StopCluster
from shoal.wire.specs import Hardware, Range, Workers
from tests.server.conftest import Served
from tests.server.specs import a_spec


@pytest.fixture
def ada(served: Served) -> str:
    return served.token("ada", "research", "clusters", "admin")


def passes(served: Served) -> None:
    reconciler = next(iter(served.desk.reconcilers.values()))

    async def both() -> None:
        await reconciler.run_pass(await reconciler.observe())
        await reconciler.run_pass(await reconciler.observe())

    asyncio.run(both())


def test_a_cluster_is_made_scaled_and_ended(served: Served, ada: str) -> None:
    made = served.ask(ada, "POST", "/v1/clusters", CreateCluster(a_spec()))
    assert made.status_code == 200, made.text
    view = made.json()
    assert (view["status"], view["workers"]["wanted"]) == ("starting", 2)
    passes(served)
    listed = served.ask(ada, "GET", f"/v1/clusters/{view['id']}/instances").json()["instances"]
    assert [it["role"] for it in listed] == ["scheduler", "worker", "worker"]
    assert {it["state"] for it in listed} == {"launched"}
    more = ScaleCluster(Workers(3, 3, 3))
    assert served.ask(ada, "PUT", "/v1/clusters/etl/workers", more).json()["workers"]["wanted"] == 3
    ended = served.ask(ada, "POST", "/v1/clusters/etl/stop", StopCluster("done"))
    assert ended.json() == {"cluster": view["id"], "already": False}
    assert served.ask(ada, "POST", "/v1/clusters/etl/stop", StopCluster("done")).json()["already"]
    passes(served)
    passes(served)
    view = served.ask(ada, "GET", "/v1/clusters/etl").json()
    assert view["status"] == "ended"
    assert "done" in view["sentence"]


def test_a_running_cluster_of_the_name_is_joined_or_a_conflict(served: Served, ada: str) -> None:
    first = served.ask(ada, "POST", "/v1/clusters", CreateCluster(a_spec())).json()
    again = served.ask(ada, "POST", "/v1/clusters", CreateCluster(a_spec()))
    assert again.json()["id"] == first["id"]
    refused = served.ask(ada, "POST", "/v1/clusters", CreateCluster(a_spec(), join=False))
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_strangers_see_nothing(served: Served, ada: str) -> None:
    served.ask(ada, "POST", "/v1/clusters", CreateCluster(a_spec()))
    eve = served.token("eve", "other", "clusters")
    assert served.ask(eve, "GET", "/v1/clusters?ended=true").json()["clusters"] == []
    assert served.ask(eve, "GET", "/v1/clusters/etl").status_code == 404
    assert served.ask(eve, "GET", "/v1/events").json()["events"] == []
    assert served.ask(eve, "GET", "/v1/tokens").status_code == 403
    for token in ("", "shoal_wrong", ada[:-1]):
        assert served.ask(token, "GET", "/v1/clusters").status_code == 401


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Not Good"}, "Not Good"),
        ({"region": "r2"}, "r1"),
        ({"zone": "r1-z"}, "r1-a"),
        ({"worker": Hardware(cpu=Range(64, 64))}, "4 vCPU, 16 GiB"),
        ({"worker": Hardware(vm_types=("m44",))}, "m4"),
        ({"worker": Hardware(vm_types=("m4",), cpu=Range(4, 4))}, "one or the other"),
        ({"workers": Workers(3, 2, 4)}, "n_workers"),
    ],
)
def test_what_cannot_be_is_refused_with_the_next_step(
    served: Served, ada: str, changes: dict[str, object], words: str
) -> None:
    refused = served.ask(ada, "POST", "/v1/clusters", CreateCluster(a_spec(**changes)))
    assert refused.status_code == 422
    assert words in refused.json()["detail"] + refused.json()["hint"]
    assert served.ask(ada, "GET", "/v1/clusters?ended=true").json()["clusters"] == []


def test_limits_hold(served: Served, ada: str) -> None:
    many = a_spec(workers=Workers(20_000, 20_000, 20_000))
    refused = served.ask(ada, "POST", "/v1/clusters", CreateCluster(many))
    assert (refused.status_code, refused.json()["code"]) == (409, "limit-exceeded")


def test_a_certificate_is_given_once_there_is_a_scheduler(served: Served, ada: str) -> None:
    served.ask(ada, "POST", "/v1/clusters", CreateCluster(a_spec()))
    assert served.ask(ada, "POST", "/v1/clusters/etl/certificate").status_code == 409


def test_explain_performs_nothing(served: Served, ada: str) -> None:
    served.ask(ada, "POST", "/v1/clusters", CreateCluster(a_spec()))
    told = served.ask(ada, "GET", "/v1/clusters/etl/explanation").json()
    assert [it["action"] for it in told["actions"]] == ["intend"]
    assert served.ask(ada, "GET", "/v1/clusters/etl/instances").json()["instances"] == []


@pytest.mark.parametrize("path", ["clusters", "costs", "computations"])
def test_a_moment_without_a_time_zone_is_refused(served: Served, path: str) -> None:
    ada = served.token("ada", "research", "clusters")
    answer = served.ask(ada, "GET", f"/v1/{path}?since=2026-11-01T00:00:00")
    assert answer.status_code == 422
    assert "timezone" in answer.json()["detail"]
    assert served.ask(ada, "GET", f"/v1/{path}?since=2026-11-01T00:00:00Z").status_code == 200
