"""A page that was opened before there was anything to see: what comes shows without a reload."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from shoal.server.desk import Desk
from shoal.store import logs
from shoal.wire.ids import ClusterId, instance_id
from shoal.wire.reports import LogChunk
from shoal.wire.views import LogLine
from tests.browser import seeded, seeded_record, serving
from tests.browser.conftest import Site, shots_in

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

NEW = ClusterId("c-0000000002")  # one that has nothing on record
CLUSTER = f"/clusters/{NEW}"


@pytest.fixture(scope="module")
def young(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = serving.run(serving.desk_at(tmp_path_factory.mktemp("young")))
    serving.run(seeded.fill(made.database, seeded.team(serving.now())))
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def new(young: Desk, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    token = serving.run(serving.a_token(young, "clusters", "admin"))
    with serving.served(young) as url:
        yield Site(url, token, chromium, shots_in(tmp_path_factory.mktemp("shots")))


def test_what_comes_shows_without_a_reload(new: Site, young: Desk) -> None:
    first = new.visit()
    pages: dict[str, Page] = {"": first.open(CLUSTER)}
    for tab in ("/computations", "/workers", "/metrics", "/logs"):
        pages[tab] = first.page.context.new_page()
    for tab in ("/computations", "/workers", "/metrics", "/logs"):
        pages[tab].goto(CLUSTER + tab)
        pages[tab].evaluate("window.opened = true")
    pages[""].evaluate("window.opened = true")
    expect(pages["/metrics"].locator("main")).to_contain_text("No samples yet")
    filled = seeded_record.fill(young.database, seeded.RESEARCH, NEW, serving.now(), minutes=1)
    serving.run(filled)
    said = LogLine(serving.now(), instance_id(NEW, 2), "worker", "a line that came later")
    chunk = LogChunk(1, said)
    began = serving.now() - timedelta(minutes=1)
    serving.run(young.database.run_samples(logs.append, NEW, [chunk], began))
    shown = {
        "": ("Workers are spilling", "return means.compute()", "killed for memory", "Load"),
        "/computations": ("return means.compute()", "negative depth", "P2P shuffles"),
        "/workers": ("killed for memory",),
        "/metrics": ("CPU of all workers", "VM 3"),
        "/logs": ("a line that came later",),
    }
    for tab, texts in shown.items():
        for text in texts:
            expect(pages[tab].locator("main")).to_contain_text(text, timeout=30_000)
        assert pages[tab].evaluate("window.opened"), f"{tab} was loaded anew"
    expect(pages[""].locator(".chart polyline, .chart canvas").first).to_be_visible(timeout=15_000)


def test_lines_that_come_are_added_and_the_old_ones_stay(new: Site, young: Desk) -> None:
    page = new.visit().open(f"/clusters/{seeded.GRID}/logs")
    rows = page.locator(".log tbody tr")
    before = rows.count()
    page.evaluate("document.querySelector('.log tbody tr').dataset.old = 'yes'")
    with page.expect_request("**/logs/more?*") as asked:
        line = LogLine(serving.now(), instance_id(seeded.GRID, 2), "worker", "the newest line")
        began = serving.now()
        chunk = LogChunk(1, line)
        serving.run(young.database.run_samples(logs.append, seeded.GRID, [chunk], began))
    assert "after=" in asked.value.url
    expect(page.locator(".log tbody tr").last).to_contain_text("the newest line", timeout=15_000)
    assert rows.count() == before + 1
    assert page.locator("tr[data-old]").count() == 1
    box = page.locator(".log")
    assert box.evaluate("it => it.scrollHeight - it.scrollTop - it.clientHeight") < 40
