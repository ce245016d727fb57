"""What was computed and measured, on pages, and the charts that the server draws."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from shoal.server.pages import charts, record
from shoal.server.pages.charts import Line, Plan
from shoal.server.pages.share import slices
from shoal.wire.ids import ClusterId, WorkspaceName
from shoal.wire.telemetry import SchedulerSample, TaskGroupSample
from tests.browser import seeded_record
from tests.server.conftest import Served
from tests.server.test_pages import Browser, Inline, a_cluster

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TASKS = Plan("Tasks", "", (Line("executing", "running"), Line("queued", "queued")))


@pytest.fixture
def browser(served: Served) -> Browser:
    made = Browser(served)
    made.log_in(served.token("ada", "research", "clusters"))
    return made


@pytest.fixture
def recorded(served: Served) -> str:
    """A cluster's pages, of one with a record."""
    id = a_cluster(served, served.token("bob", "research", "clusters"))
    real, minutes = served.desk.clock, timedelta(minutes=3)
    served.desk.clock = lambda: real() + minutes
    now = served.desk.clock()
    workspace = WorkspaceName("research")
    filling = seeded_record.fill(served.desk.database, workspace, ClusterId(id), now, minutes=3)
    asyncio.run(filling)
    return f"/clusters/{id}"


def test_a_record_is_on_every_page_that_should_have_it(recorded: str, browser: Browser) -> None:
    wanted = {
        "": ("Workers are spilling", "worker_memory", "<polyline"),
        "/computations": ("return means.compute()", "3 erred", "negative depth"),
        "/computations/comp-4": ("groupby-mean", "moving data", "<mark>", "Traceback"),
        "/metrics": ("Memory of all workers", "<polyline", "VM 3"),
    }
    for tab, texts in wanted.items():
        page = browser.get(recorded + tab)
        assert page.status_code == 200, page.text
        for text in texts:
            assert text in page.text, (tab, text)
        inline = Inline()
        inline.feed(page.text)
        assert inline.found == [], tab
    assert "Workers are spilling" in browser.get("/").text


def test_computations_are_searched_by_their_code(recorded: str, browser: Browser) -> None:
    assert "means.py:13" in browser.get(f"{recorded}/computations?q=GROUPBY").text
    assert "No computation matches" in browser.get(f"{recorded}/computations?q=nothing").text
    erred = browser.get(f"{recorded}/computations.csv?show=erred").text
    assert [it["id"] for it in csv.DictReader(io.StringIO(erred))] == ["comp-4"]
    assert browser.get(f"{recorded}/computations/none").status_code == 404


def test_metrics_are_numbers_for_charts_and_a_file(recorded: str, browser: Browser) -> None:
    told = browser.get(f"{recorded}/metrics.json").json()
    assert len(told["at"]) == len(told["series"]["cpu_percent"]) > 10
    assert told["live"]
    vm = recorded.removeprefix("/clusters/")
    of_vm = browser.get(f"{recorded}/metrics.json?vm=shoal-{vm}-3").json()
    assert max(of_vm["series"]["memory_used_bytes"]) > 1 << 30
    rows = list(csv.DictReader(io.StringIO(browser.get(f"{recorded}/metrics.csv").text)))
    assert rows[0].keys() >= {"at", "cpu_percent", "spilled_bytes"}
    for wrong in ("from=yesterday", "from=2026-11-01T00:00:00"):
        assert browser.get(f"{recorded}/metrics?{wrong}").status_code == 422


def a_sample(after_s: float, executing: int) -> SchedulerSample:
    return SchedulerSample(NOW + timedelta(seconds=after_s), executing=executing, queued=8)


def test_a_line_is_drawn_to_scale_and_broken_where_nothing_is_known() -> None:
    samples = [a_sample(s, n) for s, n in ((0, 0), (5, 4), (10, 8), (100, 8), (105, 0))]
    chart = charts.draw(TASKS, samples)
    running = chart.lines[0]
    assert running.pieces == ("0.0,148.0 28.6,75.0 57.1,2.0", "571.4,2.0 600.0,148.0")
    assert (running.last, chart.top) == ("0", "8")
    assert chart.words == "Tasks: running 0, queued 8"


@pytest.mark.parametrize("samples", [[], [a_sample(0, 1)]])
def test_nothing_or_one_sample_draws_no_line(samples: list[SchedulerSample]) -> None:
    assert [it.pieces for it in charts.draw(TASKS, samples).lines] == [(), ()]


def test_time_is_summed_by_prefix_the_longest_first() -> None:
    groups = [
        TaskGroupSample("c", "sum-1", "sum", tasks=2, compute_s=1.0, transfer_s=1.0),
        TaskGroupSample("c", "sum-2", "sum", tasks=3, compute_s=6.0),
        TaskGroupSample("c", "read-1", "read", tasks=9, compute_s=4.0),
    ]
    found = record.prefixes(groups)
    assert [(it.name, it.tasks, it.seconds, it.share) for it in found] == [
        ("sum", 5, 8.0, 1.0),
        ("read", 9, 4.0, 0.5),
    ]
    assert [(it.name, it.width) for it in found[0].slices] == [
        ("computing", 875.0),
        ("moving data", 125.0),
    ]


def test_a_bar_leaves_out_what_is_nothing() -> None:
    assert [it.colour for it in slices({"a": 0.0, "b": 1.0}, 2.0)] == [2]
