"""A token opens its own workspace alone: every endpoint and page, asked by those it is not for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx2
import msgspec
import pytest
from sqlalchemy import Connection, MetaData
from starlette.routing import Route

from shoal.server.handlers import HANDLERS
from shoal.server.pages import site
from shoal.server.routing import app
from shoal.store import tables
from shoal.store.questions import reading
from shoal.wire.accounts import AwsAccount
from shoal.wire.endpoints import (
    CREATE_CLUSTER,
    ENDPOINTS,
    ENVIRONMENT,
    FORGET_ENVIRONMENT,
    SAVE_ENVIRONMENT,
    Endpoint,
)
from shoal.wire.ids import UserName, WorkspaceName
from shoal.wire.limits import ChangeLimits
from shoal.wire.requests import (
    CreateCluster,
    CreateToken,
    PreviewCluster,
    SaveEnvironment,
    ScaleCluster,
    StopCluster,
    UpdateEnvironment,
    Watch,
)
from shoal.wire.specs import Workers
from shoal.wire.telemetry import WatchedReport
from tests.server.browsing import Browser
from tests.server.conftest import Served
from tests.server.grounds import VICTIM, WHEEL, Grounds, a_manifest, seeded
from tests.server.specs import a_spec

OWN = "brigands"  # the stranger's workspace
QUERIES = {
    "clusters": "ended=true",
    "events": "after=0",
    "changes": "after=0",
    "costs": "by=cluster",
    "signals": "past=true",
}
NOT_FOUND = (ENVIRONMENT, CREATE_CLUSTER, SAVE_ENVIRONMENT, FORGET_ENVIRONMENT)
NARROWED = ("events", "changes", "computations", "signals")  # those that may be asked of a cluster

Rows = Counter[tuple[str, ...]]


@pytest.fixture
def grounds(served: Served) -> Grounds:
    return seeded(served)


def paths_of(endpoint: Endpoint, grounds: Grounds) -> list[str]:
    given = dict(grounds.path)
    if endpoint.name == "report_watched":
        given["cluster"] = grounds.watched
    path = endpoint.path.format_map(given)
    queries = [QUERIES.get(endpoint.name, "")]
    if endpoint.name in NARROWED:
        queries.append(f"cluster={grounds.cluster}&after=0".removesuffix(
            "" if endpoint.name in ("events", "changes") else "&after=0"
        ))  # fmt: skip
    return [f"{path}?{it}" if it else path for it in queries]


def body_of(endpoint: Endpoint, grounds: Grounds) -> bytes | None:
    """The worst that can be asked for: to take, to change and to end what is not one's own."""
    if endpoint.body is bytes:
        return b"not what this hash is of"
    now, workspace = datetime.now(UTC), WorkspaceName("research")
    bodies: Mapping[str, object] = {
        "create_cluster": CreateCluster(a_spec("raid", environment=grounds.manifest.id)),
        "preview_cluster": PreviewCluster(a_spec("raid", environment=grounds.manifest.id)),
        "save_environment": SaveEnvironment(grounds.manifest.id),
        "change_limits": ChangeLimits(),
        "scale_cluster": ScaleCluster(Workers(0, 0, 0)),
        "stop_cluster": StopCluster("mischief"),
        "sync_cluster": UpdateEnvironment(grounds.manifest.id),
        "watch": Watch(grounds.name, "Scheduler-own"),
        "report_watched": WatchedReport(now, "tls://mischief:1", dropped=3),
        "put_environment": msgspec.structs.replace(grounds.manifest, lock="mischief"),
        "create_token": CreateToken(UserName("eve"), workspace, ("clusters", "admin")),
        "put_account": AwsAccount("123456789012", "us-east-1"),
    }
    assert (endpoint.name in bodies) == (endpoint.body is not None), endpoint.name
    return msgspec.json.encode(bodies[endpoint.name]) if endpoint.body else None


def asked(
    served: Served, token: str, endpoint: Endpoint, grounds: Grounds
) -> list[httpx2.Response]:
    body = body_of(endpoint, grounds)
    return [
        _endless(served, token, path)
        if endpoint.stream
        else served.send(token, endpoint.method, path, body)
        for path in paths_of(endpoint, grounds)
    ]


def unasked(answer: httpx2.Response, grounds: Grounds) -> str:
    """What an answer says, without the names that it was asked with."""
    text = answer.text
    for asked_with in (grounds.name, *grounds.path.values()):
        text = text.replace(asked_with, "")
    return text


def _endless(served: Served, token: str, path: str) -> httpx2.Response:
    async def call() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app(served.desk, HANDLERS))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx2.AsyncClient(transport=transport, base_url="http://shoal") as client:
            return await client.get(path, headers=headers)

    return served.begin_of(call)


def everything(served: Served) -> Rows:
    """All rows of both stores, and all files of wheels."""
    database, wheels = served.desk.database, served.desk.settings.state.wheels
    rows = served.now(database.run(_dump, tables.facts))
    rows += served.now(database.run_samples(_dump, tables.samples))
    files = [(str(it), str(it.read_bytes())) for it in wheels.rglob("*") if it.is_file()]
    return rows + Counter(files)


@reading
def _dump(tx: Connection, schema: MetaData) -> Rows:
    return Counter(
        (table.name, *map(repr, row))
        for table in schema.sorted_tables
        for row in tx.execute(table.select())
    )


def test_without_a_token_nothing_is_read_or_changed(served: Served, grounds: Grounds) -> None:
    before = everything(served)
    for endpoint in ENDPOINTS:
        for token in ("", "shoal_made-up"):
            for answer in asked(served, token, endpoint, grounds):
                assert answer.status_code == 401, (endpoint.name, answer.text)
                assert VICTIM not in unasked(answer, grounds)
        assert everything(served) == before, endpoint.name
    assert not served.desk.stopping.is_set()


def test_with_a_token_of_another_workspace_nothing_is_read_or_changed(
    served: Served, grounds: Grounds
) -> None:
    stranger = served.token("eve", OWN, "clusters")
    for endpoint in ENDPOINTS:
        before = everything(served)
        for answer in asked(served, stranger, endpoint, grounds):
            assert VICTIM not in unasked(answer, grounds), endpoint.name
            assert answer.status_code < 500
            if endpoint.scope == "admin":
                assert answer.status_code == 403, endpoint.name
            elif "{cluster}" in endpoint.path or endpoint in NOT_FOUND:
                assert answer.status_code == 404, (endpoint.name, answer.text)
        after = everything(served)
        assert before - after == Counter(), endpoint.name
        own = {row[1] for row in after if row[0] == "cluster" and repr(OWN) in row}
        for row in after - before:
            assert repr(OWN) in row or any(it in row for it in own), (endpoint.name, row)
    assert not served.desk.stopping.is_set()


def test_a_token_for_metrics_opens_nothing_of_the_api(served: Served, grounds: Grounds) -> None:
    scraper = served.token("prometheus", "research", "metrics")
    before = everything(served)
    for endpoint in ENDPOINTS:
        for answer in asked(served, scraper, endpoint, grounds):
            assert answer.status_code == 403, (endpoint.name, answer.text)
    assert everything(served) == before


_ITS_OWN = (  # answers with something of the workspace
    "clusters", "cluster", "instances", "explain", "cost", "costs", "logs", "computations",
    "computation", "exceptions", "worker_events", "client_events", "shuffles", "metrics",
    "host_metrics", "hosts", "telemetry", "events", "changes", "environment", "environments",
    "server",
)  # fmt: skip


def test_the_owner_is_shown_what_strangers_are_not(served: Served, grounds: Grounds) -> None:
    for endpoint in ENDPOINTS:
        if endpoint.name in _ITS_OWN:
            for answer in asked(served, grounds.token, endpoint, grounds):
                assert answer.status_code == 200, (endpoint.name, answer.text)
                own = (VICTIM, grounds.cluster, "vera", '"workers":2', '"computations":1')
                assert any(it in answer.text for it in own), (endpoint.name, answer.text)


def pages(served: Served) -> list[str]:
    """Those that show something to who is logged in."""
    shown = [it for it in site.routes(served.desk) if isinstance(it, Route)]
    public = ("/login", "/logout", "/pages/assets/{name}", "/dask/{sealed}/{path:path}", "/metrics")
    return [it.path for it in shown if "GET" in (it.methods or ()) and it.path not in public]


def test_no_page_shows_another_workspaces_work(served: Served, grounds: Grounds) -> None:
    eve, vera = Browser(served), Browser(served)
    eve.log_in(served.token("eve", OWN, "clusters"))
    vera.log_in(grounds.token)
    shown = 0
    for page in pages(served):
        path = page.format_map({**grounds.path, "kind": "json", "part": "alarms"})
        if page == "/pages/changes":
            continue  # says that something changed, not what: the next test
        own, strange = vera.get(path), eve.get(path)
        assert VICTIM not in strange.text, page
        assert not re.search(grounds.cluster.encode(), strange.content) or "{cluster}" in page, page
        if "{cluster}" in page:
            assert strange.status_code == 404, page
        shown += VICTIM in own.text or VICTIM in str(own.content)
    assert shown >= 12


def test_what_is_registered_twice_is_each_workspaces_own(served: Served, grounds: Grounds) -> None:
    """To know the hash of a wheel gives nobody that wheel: it must be shown."""
    bob = served.token("bob", "sales", "clusters")
    manifest, sha256 = grounds.manifest, grounds.manifest.wheels[0].sha256
    path = f"/v1/environments/{manifest.id}"
    assert served.ask(bob, "GET", path).status_code == 404
    needs = served.ask(bob, "PUT", path, manifest).json()
    assert needs["missing"] == [sha256]
    spec = a_spec("copy", environment=manifest.id)
    assert served.ask(bob, "POST", "/v1/clusters", CreateCluster(spec)).status_code == 409
    assert served.send(bob, "PUT", f"/v1/wheels/{sha256}", WHEEL).status_code == 200
    assert served.ask(bob, "POST", "/v1/clusters", CreateCluster(spec)).status_code == 200
    assert served.ask(bob, "GET", path).json()["lock"] == manifest.lock


def test_an_environment_is_what_its_id_says_and_stays_so(served: Served, grounds: Grounds) -> None:
    manifest, path = grounds.manifest, f"/v1/environments/{grounds.manifest.id}"
    other = msgspec.structs.replace(manifest, lock="# something else\n")
    refused = served.ask(grounds.token, "PUT", path, other)
    assert refused.status_code == 422, refused.text
    assert a_manifest("# something else\n").id in refused.json()["detail"]
    renamed = msgspec.structs.replace(manifest, packages=())  # not a part of what the id is of
    assert served.ask(grounds.token, "PUT", path, renamed).status_code == 200
    assert len(served.ask(grounds.token, "GET", path).json()["packages"]) == 1
    escaping = msgspec.structs.replace(manifest.wheels[0], filename="../../victim.whl")
    bad = msgspec.structs.replace(manifest, wheels=(escaping,))
    assert "name of a wheel" in served.ask(grounds.token, "PUT", path, bad).json()["detail"]
