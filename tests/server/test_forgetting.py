"""What no cluster uses goes: wheels after days, environments with the history; nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shoal.server.passes.forgetting import forget_unused
from shoal.wire.ids import EnvironmentId, WorkspaceName
from shoal.wire.requests import CreateCluster, SaveEnvironment, StopCluster
from tests.server.browsing import Browser
from tests.server.conftest import Served
from tests.server.grounds import WHEEL, a_manifest
from tests.server.specs import a_spec


@pytest.fixture
def ada(served: Served) -> str:
    return served.token("ada", "research", "clusters", "admin")


def registered(served: Served, token: str) -> EnvironmentId:
    it = a_manifest()
    assert served.ask(token, "PUT", f"/v1/environments/{it.id}", it).status_code == 200
    path = f"/v1/wheels/{it.wheels[0].sha256}"
    assert served.send(token, "PUT", path, WHEEL).status_code == 200
    return it.id


def wheels(served: Served) -> list[Path]:
    return [it for it in served.desk.settings.state.wheels.rglob("*") if it.is_file()]


def in_days(served: Served, days: float) -> None:
    """The job, as it runs so many days after all else."""
    clock = served.desk.clock
    served.desk.clock = lambda: datetime.now(UTC) + timedelta(days=days)
    served.now(forget_unused(served.desk))
    served.desk.clock = clock


def test_wheels_go_after_the_days_that_are_set_and_locks_with_the_history(
    served: Served, ada: str
) -> None:
    id = registered(served, ada)
    in_days(served, 29)
    assert len(wheels(served)) == 1
    in_days(served, 31)
    assert wheels(served) == []
    assert served.ask(ada, "GET", f"/v1/environments/{id}").status_code == 200
    again = served.ask(ada, "PUT", f"/v1/environments/{id}", a_manifest()).json()
    assert again["missing"] == [a_manifest().wheels[0].sha256]  # the client uploads it again
    in_days(served, 366)
    assert served.ask(ada, "GET", f"/v1/environments/{id}").status_code == 404


def test_what_a_cluster_uses_or_a_name_keeps_stays(served: Served, ada: str) -> None:
    id = registered(served, ada)
    kept = "/v1/environment-names/base"
    made = served.ask(ada, "POST", "/v1/clusters", CreateCluster(a_spec(environment=id)))
    assert made.status_code == 200, made.text
    in_days(served, 1000)
    assert len(wheels(served)) == 1
    assert served.ask(ada, "GET", f"/v1/environments/{id}").status_code == 200
    served.ask(ada, "PUT", kept, SaveEnvironment(id))
    served.ask(ada, "POST", "/v1/clusters/etl/stop", StopCluster())
    served.passes(4)  # nothing of it is left
    in_days(served, 2000)
    assert len(wheels(served)) == 1
    served.ask(ada, "DELETE", kept)
    in_days(served, 3000)
    assert wheels(served) == []


def test_a_wheel_is_kept_for_each_workspace_apart(served: Served, ada: str) -> None:
    bob = served.token("bob", "sales", "clusters")
    id = registered(served, ada)
    registered(served, bob)
    spec = a_spec(environment=id)
    assert served.ask(bob, "POST", "/v1/clusters", CreateCluster(spec)).status_code == 200
    in_days(served, 60)
    [left] = wheels(served)
    assert left.parent == served.desk.settings.state.wheels_of(WorkspaceName("sales"))


def test_half_uploads_and_wheels_of_older_versions_go_too(served: Served, ada: str) -> None:
    registered(served, ada)
    place = served.desk.settings.state.wheels
    (wheels(served)[0].parent / ".upload-x").write_bytes(b"x")
    (place / "of-an-older-version").write_bytes(b"x")
    in_days(served, 31)
    assert wheels(served) == []


def test_the_machinery_page_tells_how_much_is_kept_and_how_long(served: Served, ada: str) -> None:
    registered(served, ada)
    browser = Browser(served)
    browser.log_in(ada)
    page = browser.get("/machinery").text
    assert "Wheels of environments" in page
    assert "they go after 30 days without use" in page
