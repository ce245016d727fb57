"""Computations by the lines that asked for them, over all that a cluster has on record."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest

from shoal.store import telemetry
from shoal.wire.ids import ClusterId, WorkspaceName
from shoal.wire.telemetry import Chunk, CodeFrame, Computation, TaskGroupSample
from tests.server.browsing import Browser, a_cluster
from tests.server.conftest import Served


@pytest.fixture
def base(served: Served) -> str:
    """Of a cluster that computed 300 times: a loop's line each second time, 56 others in turn; and
    each tenth time something without code."""
    id = ClusterId(a_cluster(served, served.token("bob", "research", "clusters")))
    now, chunks = served.desk.clock(), []
    for n in range(300):
        file, line = ("loop.py", 5) if n % 2 == 0 else (f"other{n // 2 % 70:02}.py", n // 2 % 70)
        code = () if n % 10 == 9 else (CodeFrame(file, line, f"{file[:-3]}()", line),)
        began = now - timedelta(minutes=n)
        chunks.append(Computation(f"k{n:03}", began, began, code, tasks=2, done=2, compute_s=1.0))
        chunks.append(TaskGroupSample(f"k{n:03}", f"inc-{n}", "inc", tasks=2))
    told = [Chunk(n, it) for n, it in enumerate(chunks, 1)]
    work = served.desk.database.run_samples(telemetry.append, id, WorkspaceName("research"), told)
    asyncio.run(work)
    return f"/clusters/{id}/computations"


def shown(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a class="mono"[^>]*>([^<]*)<', page)


def test_a_line_is_one_row_with_all_that_it_asked_for(browser: Browser, base: str) -> None:
    page = browser.get(base).text
    assert "300 computations, by the 58 lines of code that asked for them" in page
    names = shown(page)
    assert (len(names), names.count("loop()")) == (50, 1)
    assert names[0] == "loop()"
    row = page[page.index("loop()") :]
    assert "× 150<" in row[:200]
    assert "The newest 5 of 150" in page


def test_pages_have_each_line_once(browser: Browser, base: str) -> None:
    first = browser.get(base).text
    [following] = re.findall(r'href="([^"]*page=[^"]*)" rel="next"', first)
    second = browser.get(following).text
    assert len(shown(second)) == 8
    assert not set(shown(first)) & set(shown(second))
    assert 'rel="next"' not in second
    assert browser.get(f"{base}?page=nothing").status_code == 404


def test_what_has_no_code_is_a_line_by_its_tasks(browser: Browser, base: str) -> None:
    page = browser.get(base).text
    assert "inc" in shown(page)
    assert "× 30<" in page


def test_all_that_one_line_asked_for_is_shown_one_by_one(browser: Browser, base: str) -> None:
    page = browser.get(f"{base}?line=k004").text
    assert "one by one: 150 computations" in page
    assert shown(page) == ["loop()"] * 50
    rows = browser.get(f"{base}.csv?line=k004").text.splitlines()
    assert len(rows) == 151
    [following] = re.findall(r'href="([^"]*page=[^"]*)" rel="next"', page)
    assert "line=k004" in following
    assert f'href="{base}/k100"' in browser.get(following.replace("&amp;", "&")).text
    assert browser.get(f"{base}?line=nothing").status_code == 404
    assert "No computation matches" in browser.get(f"{base}?line=k004&q=other").text


def test_one_whose_tasks_are_of_anothers_groups_says_so(browser: Browser, served: Served) -> None:
    """A loop of `map` with one function: Dask counts all its tasks as one group."""
    id = ClusterId(a_cluster(served, served.token("bob", "research", "clusters"), name="loops"))
    now = served.desk.clock()
    item = Chunk(1, Computation("k1", now, now, tasks=100, done=100))
    work = served.desk.database.run_samples(telemetry.append, id, WorkspaceName("research"), [item])
    asyncio.run(work)
    page = browser.get(f"/clusters/{id}/computations/k1").text
    assert "None of its task groups is its own" in page


def test_a_search_is_for_lines_too(browser: Browser, base: str) -> None:
    page = browser.get(f"{base}?q=LOOP.py").text
    assert "150 computations, by the line of code that asked for them" in page
    assert shown(page) == ["loop()"]
    assert len(browser.get(f"{base}.json?q=loop.py").json()["computations"]) == 150
