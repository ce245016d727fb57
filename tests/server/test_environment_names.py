"""Environments under names: each workspace's own, with what was made of them."""

from __future__ import annotations

import msgspec

from shoal.wire.environments import Manifest, PackageSummary, WheelFile, content_id
from shoal.wire.ids import EnvironmentId
from shoal.wire.requests import CreateCluster, SaveEnvironment
from tests.server.conftest import Served
from tests.server.specs import a_spec


def registered(served: Served, token: str, lock: str = "", *wheels: WheelFile) -> Manifest:
    draft = Manifest(
        EnvironmentId(""), lock, "3.11.7", "x", wheels, (PackageSummary("dask", "1", "index"),)
    )
    manifest = msgspec.structs.replace(draft, id=content_id(draft))
    answer = served.ask(token, "PUT", f"/v1/environments/{manifest.id}", manifest)
    assert answer.status_code == 200
    return manifest


def save(served: Served, token: str, name: str, id: str) -> int:
    body = SaveEnvironment(EnvironmentId(id))
    return served.ask(token, "PUT", f"/v1/environment-names/{name}", body).status_code


def listed(served: Served, token: str) -> dict[str, dict[str, object]]:
    found = served.ask(token, "GET", "/v1/environments").json()["environments"]
    return {it["name"]: it for it in found}


def test_one_is_found_by_its_name_with_what_was_made_of_it(served: Served) -> None:
    ada = served.token("ada", "research", "clusters")
    manifest = registered(served, ada)
    assert save(served, ada, "pipelines", manifest.id) == 200
    before = listed(served, ada)["pipelines"]
    assert (before["id"], before["packages"], before["saved_by"]) == (manifest.id, 1, "ada")
    assert (before["clusters"], before["last_used_at"]) == (0, None)
    for name in ("one", "two"):
        spec = a_spec(name, environment=manifest.id)
        assert served.ask(ada, "POST", "/v1/clusters", CreateCluster(spec)).status_code < 300
    after = listed(served, ada)["pipelines"]
    assert (after["clusters"], after["running"]) == (2, 2)
    assert after["last_used_at"] is not None
    assert served.ask(ada, "GET", "/v1/environments/pipelines").json()["id"] == manifest.id


def test_a_name_given_again_means_the_other(served: Served) -> None:
    ada = served.token("ada", "research", "clusters")
    first, second = registered(served, ada, "one"), registered(served, ada, "two")
    assert save(served, ada, "pipelines", first.id) == save(served, ada, "pipelines", second.id)
    assert listed(served, ada).keys() == {"pipelines"}
    assert served.ask(ada, "GET", "/v1/environments/pipelines").json()["id"] == second.id


def test_a_name_is_known_in_its_workspace_only(served: Served) -> None:
    ada = served.token("ada", "research", "clusters")
    bob = served.token("bob", "sales", "clusters")
    manifest = registered(served, ada)
    assert save(served, ada, "pipelines", manifest.id) == 200
    assert listed(served, bob) == {}
    assert served.ask(bob, "GET", "/v1/environments/pipelines").status_code == 404
    assert served.ask(bob, "DELETE", "/v1/environment-names/pipelines").status_code == 404
    assert save(served, bob, "mine", manifest.id) == 404


def test_what_is_forgotten_is_no_name_any_more(served: Served) -> None:
    ada = served.token("ada", "research", "clusters")
    manifest = registered(served, ada)
    assert save(served, ada, "pipelines", manifest.id) == 200
    assert served.ask(ada, "DELETE", "/v1/environment-names/pipelines").status_code == 200
    answer = served.ask(ada, "GET", "/v1/environments/pipelines")
    assert answer.status_code == 404
    assert "shoal env save NAME" in answer.json()["hint"]
    assert served.ask(ada, "GET", f"/v1/environments/{manifest.id}").status_code == 200


def test_an_environment_without_its_wheels_is_not_saved(served: Served) -> None:
    ada = served.token("ada", "research", "clusters")
    wheel = WheelFile("a-1-py3-none-any.whl", "0" * 64, 1, "a", "1", "modules")
    assert save(served, ada, "pipelines", registered(served, ada, "", wheel).id) == 409


def test_what_looks_like_an_id_or_a_file_is_no_name(served: Served) -> None:
    ada = served.token("ada", "research", "clusters")
    manifest = registered(served, ada)
    for name in ("env-mine", "Mine", "requirements.txt", "a" * 64, "-a"):
        assert save(served, ada, name, manifest.id) == 422


def test_an_environment_that_takes_no_other_python_is_registered(served: Served) -> None:
    ada = served.token("ada", "research", "clusters")
    draft = Manifest(EnvironmentId(""), "", "3.11.7", "x", exact_python=True)
    exact = msgspec.structs.replace(draft, id=content_id(draft))
    path = f"/v1/environments/{exact.id}"
    assert served.ask(ada, "PUT", path, exact).status_code == 200
    assert served.ask(ada, "GET", path).json()["exact_python"] is True
