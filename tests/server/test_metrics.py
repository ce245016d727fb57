"""`/metrics`: who may read it, and that Prometheus could."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime

import httpx2
import pytest

from shoal.server.exposition import Family, Value, text
from shoal.server.handlers import HANDLERS
from shoal.server.pages import site
from shoal.server.request_book import Histogram
from shoal.server.routing import app
from shoal.store import samples
from shoal.wire.ids import ClusterId, InstanceId, WorkspaceName
from shoal.wire.reports import HeadReport
from shoal.wire.telemetry import Chunk, HostSample
from tests.server.browsing import a_cluster
from tests.server.conftest import Served

LINE = re.compile(r'[a-z_]+(\{([a-z_]+="(\\.|[^"\\\n])*",?)*\})? -?[0-9.e+-]+')


def scraped(served: Served, token: str, query: str = "") -> httpx2.Response:
    async def call() -> httpx2.Response:
        routes = app(served.desk, HANDLERS, site.routes(served.desk))
        transport = httpx2.ASGITransport(app=routes)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shoal") as client:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return await client.get(f"/metrics{query}", headers=headers)

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


def put_samples(served: Served, cluster: str) -> None:
    now = datetime.now(UTC)
    hosts = [
        HostSample(
            now, InstanceId(f"shoal-{cluster}-{n}"), cpu_user_percent=40.0, cpu_system_percent=2.0,
            memory_used_bytes=n << 30, memory_limit_bytes=8 << 30, spilled_bytes=n,
        )
        for n in range(1, 5)
    ]  # fmt: skip
    chunks = tuple(Chunk(n, it) for n, it in enumerate(hosts, 1))
    report = HeadReport(
        ClusterId(cluster), now, 9, telemetry=chunks, telemetry_dropped=3, logs_dropped=7
    )
    taken = (ClusterId(cluster), WorkspaceName("research"), report, now)
    asyncio.run(served.desk.database.run_samples(samples.take, *taken))


def test_vms_are_told_one_by_one_up_to_a_number(served: Served) -> None:
    id = a_cluster(served, served.token("ada", "research", "clusters"))
    put_samples(served, id)
    token = served.token("prometheus", "research", "metrics")
    lines = scraped(served, token, "?workers=2").text.splitlines()
    [first, second] = [it for it in lines if it.startswith("shoal_vm_memory_bytes{")]
    assert f'vm="shoal-{id}-4"' in first  # closest to its limit
    assert f'vm="shoal-{id}-3"' in second
    assert f'shoal_vm_cpu_percent{{cluster="{id}",name="etl",vm="shoal-{id}-4"}} 42' in lines
    assert f'shoal_vm_spilled_bytes{{cluster="{id}",name="etl",vm="shoal-{id}-3"}} 3' in lines
    assert "shoal_vms_untold 2" in lines
    every = scraped(served, token).text.splitlines()
    assert sum(it.startswith("shoal_vm_memory_bytes{") for it in every) == 4
    assert scraped(served, token, "?workers=many").status_code == 422


def test_what_was_dropped_is_counted(served: Served) -> None:
    id = a_cluster(served, served.token("ada", "research", "clusters"))
    put_samples(served, id)
    text = scraped(served, served.token("prometheus", "research", "metrics")).text
    assert re.search(rf'^shoal_dropped_items_total{{cluster="{id}",.*}} 3$', text, re.MULTILINE)
    assert re.search(rf'^shoal_dropped_log_lines_total{{cluster="{id}",.*}} 7$', text, re.MULTILINE)


def test_requests_are_timed_by_kind_and_status(served: Served) -> None:
    token = served.token("prometheus", "research", "metrics")
    scraped(served, "")
    scraped(served, token)
    lines = scraped(served, token).text.splitlines()
    assert 'shoal_request_seconds_count{kind="metrics",status="4xx"} 1' in lines
    assert 'shoal_request_seconds_bucket{kind="metrics",status="2xx",le="+Inf"} 1' in lines
    [spent] = [it for it in lines if it.startswith("shoal_request_seconds_sum") and "2xx" in it]
    assert float(spent.split()[-1]) > 0


def test_a_histogram_counts_what_took_no_longer() -> None:
    taken = Histogram()
    for seconds in (0.001, 0.005, 0.006, 99.0):
        taken.add(seconds)
    assert taken.cumulative[:2] == [2, 3]
    assert taken.cumulative[-2:] == [3, 4]


def test_the_server_tells_its_own_cpu_and_memory(served: Served) -> None:
    text = scraped(served, served.token("prometheus", "research", "metrics")).text
    for name in ("shoal_server_cpu_seconds_total", "shoal_server_memory_bytes"):
        [value] = re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert float(value) > 0


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
