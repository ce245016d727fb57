"""The API is what its OpenAPI document says: no 5xx, no undocumented answer, whatever is sent."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import hypothesis
import pytest
import schemathesis
import uvicorn
from hypothesis import strategies
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shoal.server.handlers import HANDLERS
from shoal.server.openapi import document
from shoal.server.routing import app
from shoal.server.settings import Settings
from shoal.store.database import Database
from shoal.wire.endpoints import ENDPOINTS, REPORT_WATCHED, Endpoint
from tests.server.conftest import Served, serving
from tests.server.grounds import Grounds, seeded

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
NOT_FUZZED = {"changes", "stop_server"}  # endless; ends the server
SCHEMA = schemathesis.openapi.from_dict(document())


@pytest.fixture
def url(served: Served) -> Iterator[str]:
    config = uvicorn.Config(app(served.desk, HANDLERS), lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listening.close()


def test_the_document_has_every_endpoint() -> None:
    told = {it["operationId"] for path in document()["paths"].values() for it in path.values()}
    assert told == {it.name for it in ENDPOINTS}


@pytest.fixture
def served(database_url: str, tmp_path: Path) -> Iterator[Served]:
    """On either engine."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    given = database_url if database_url.startswith("postgresql") else None
    settings = Settings(state_dir=state, database=given)
    database = Database.open(settings.database_url, inline=True)
    yield from serving(settings, database)
    database.close()


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "endpoint", [it for it in ENDPOINTS if it.name not in NOT_FUZZED], ids=lambda it: it.name
)
def test_whatever_is_sent_is_answered_as_documented(
    served: Served, url: str, endpoint: Endpoint
) -> None:
    """Half of what is sent names what is there: a cluster with VMs, events, logs and telemetry, an
    environment with its wheel."""
    grounds = seeded(served)
    token = grounds.token
    operation = SCHEMA[endpoint.path][endpoint.method]
    reached: set[int] = set()
    examples = 12 if served.desk.settings.database else 40  # PostgreSQL: the same questions

    @hypothesis.given(case=operation.as_strategy(), real=strategies.booleans())
    @hypothesis.settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    def fuzz(case: schemathesis.Case, real: bool) -> None:
        if real:
            name_what_is_there(case, endpoint, grounds)
        answer = case.call_and_validate(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, checks=list(CHECKS)
        )
        reached.add(answer.status_code)

    fuzz()
    if endpoint.method == "GET" and "{" in endpoint.path:
        assert 200 in reached  # else nothing but refusals was checked


def name_what_is_there(case: schemathesis.Case, endpoint: Endpoint, grounds: Grounds) -> None:
    there = dict(grounds.path)
    if endpoint is REPORT_WATCHED:
        there["cluster"] = grounds.watched
    for name in case.path_parameters or {}:
        case.path_parameters[name] = there[name]
    for name in set(case.query or {}) & {"cluster", "instance"}:
        case.query[name] = there[name]
    if isinstance(case.body, dict) and "environment" in case.body:
        case.body["environment"] = grounds.manifest.id


def test_a_method_or_path_that_is_not_there_is_a_problem(served: Served) -> None:
    token = served.token("ada", "research", "clusters")
    wrong_method = served.ask(token, "DELETE", "/v1/clusters")
    wrong_path = served.ask(token, "GET", "/v1/nonsense")
    assert (wrong_method.status_code, wrong_path.status_code) == (405, 404)
    for answer in (wrong_method, wrong_path):
        assert answer.headers["content-type"] == "application/problem+json"
    assert isinstance(wrong_path, httpx2.Response)
