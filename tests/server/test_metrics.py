"""`/metrics`: who may read it, and that Prometheus could."""

from __future__ import annotations

import asyncio
import re

import httpx2
import pytest

from shoal.server.exposition import Family, Value, text
from shoal.server.handlers import HANDLERS
from shoal.server.pages import site
from shoal.server.routing import app
from tests.server.conftest import Served
from tests.server.test_pages import a_cluster

LINE = re.compile(r'[a-z_]+(\{([a-z_]+="(\\.|[^"\\\n])*",?)*\})? -?[0-9.e+-]+')


def scraped(served: Served, token: str) -> httpx2.Response:
    async def call() -> httpx2.Response:
        routes = app(served.desk, HANDLERS, site.routes(served.desk))
        transport = httpx2.ASGITransport(app=routes)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shoal") as client:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return await client.get("/metrics", headers=headers)

    return asyncio.run(call())


def test_a_scraper_is_told_of_its_workspace(served: Served) -> None:
    ada = served.token("ada", "research", "clusters")
    id = a_cluster(served, ada)
    other = a_cluster(served, served.token("eve", "other", "clusters"))
    with served.desk.passes.passing("reconcile sim", 2.0):
        pass
    answer = scraped(served, served.token("prometheus", "research", "metrics"))
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    for line in lines:
        assert line.startswith("# ") or LINE.fullmatch(line), line
    assert 'shoal_clusters{status="starting"} 1' in lines
    wanted = f'cluster="{id}",name="etl",owner="ada",cloud="sim",state="wanted"'
    assert f"shoal_cluster_workers{{{wanted}}} 2" in lines
    assert 'shoal_loop_passes_total{loop="reconcile sim"} 1' in lines
    assert other not in answer.text
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("scopes", "status"), [((), 401), (("admin",), 403), (("metrics",), 200)])
def test_it_takes_a_token_that_may(served: Served, scopes: tuple[str, ...], status: int) -> None:
    token = served.token("x", "research", *scopes) if scopes else ""
    assert scraped(served, token).status_code == status


def test_a_token_for_metrics_opens_nothing_else(served: Served) -> None:
    token = served.token("prometheus", "research", "metrics")
    assert served.ask(token, "GET", "/v1/clusters").status_code == 403


def test_labels_may_hold_anything() -> None:
    odd = Family("a", "gauge", "b", (Value({"x": 'say "hi"\n\\'}, 0.5),))
    assert text([odd]) == '# HELP a b\n# TYPE a gauge\na{x="say \\"hi\\"\\n\\\\"} 0.5\n'
