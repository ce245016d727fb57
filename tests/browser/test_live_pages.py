"""The pages of a server that started by itself, while a real cluster of its runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Site, Visit, shots_in
from tests.e2e.session import Script, Session, sessions

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SCRIPT = """
    import sys
    import time

    import shoal

    cluster = shoal.Cluster(name="live", n_workers=2, no_client_timeout=None)
    client = cluster.get_client()
    def slow(x):
        time.sleep(0.05)
        return x + 1
    def bad(x):
        raise ValueError("a depth is negative")
    client.gather(client.map(slow, range(100)))
    client.submit(bad, 1).exception()
    print("computed", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield from sessions(tmp_path_factory.mktemp("user"))


@pytest.fixture(scope="module")
def running(session: Session) -> Iterator[Script]:
    script = session.start(SCRIPT)
    script.says("computed", 120)
    yield script
    script.kill()


@pytest.fixture
def visit(
    session: Session, running: Script, chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Visit:
    url = json.loads((session.state / "server.json").read_text())["url"]
    token = (session.state / "token").read_text().strip()
    shots: Path = shots_in(tmp_path_factory.mktemp("shots"))
    return Site(url, token, chromium, shots / "live").visit()


def test_a_running_cluster_is_there_with_all_its_tabs(visit: Visit) -> None:
    page = visit.open("/")
    page.click("th a:has-text('live')")
    page.wait_for_url(re.compile("/clusters/c-"))
    cluster = page.url
    expect(page.locator("main [role=status]").first).to_contain_text("2 of 2 workers are ready")
    for tab, shown in {
        "computations": "slow",
        "workers": "arrived",
        "vms": "installing",
        "plan": "all is as asked",
        "events": "cluster.ready",
        "software": "distributed",
        "logs": "distributed.scheduler",
        "metrics": "CPU",
    }.items():
        page = visit.open(f"{cluster}/{tab}")
        expect(page.locator("main")).to_contain_text(shown, timeout=15_000)
        visit.shoot(tab)
        assert visit.flaws() == [], tab
    for path, shown in {
        "/": "live",
        cluster: "Newest computations",
        "/costs": "Each day",
        "/machinery": "reconcile local",
        "/settings": "set up",
    }.items():
        expect(visit.open(path).locator("main")).to_contain_text(shown, timeout=15_000)
        assert visit.flaws() == [], path


def test_where_the_time_went_and_what_failed_are_shown(visit: Visit) -> None:
    page = visit.open("/clusters/live")
    page = visit.open(f"{page.url}/computations")
    expect(page.locator(".error summary")).to_contain_text("a depth is negative", timeout=15_000)
    page.click(".error summary")
    page.click("text=its computation")
    page.wait_for_url(re.compile("/computations/.+"))
    expect(page.locator("main")).to_contain_text("bad")
    expect(page.locator(".error pre").first).to_contain_text("in bad")
    visit.shoot("computation")
    assert visit.flaws() == []


def test_dasks_own_pages_come_through_in_an_origin_of_their_own(visit: Visit) -> None:
    page = visit.open("/clusters/live")
    page = visit.open(f"{page.url}/dashboard")
    assert "/dask/" in page.url
    told = page.goto(page.url.replace("/status", "/info/main/workers.html"))
    assert told is not None
    assert told.status == 200
    assert "tls://" in page.inner_text("body")
    assert page.evaluate("self.origin") == "null"


def test_a_page_left_open_shows_the_cluster_end(visit: Visit, session: Session) -> None:
    page = visit.open("/clusters/live")
    session.shoal("cluster", "stop", "live")
    expect(page.locator(".title .badge")).to_have_text(re.compile("end"), timeout=5_000)
    visit.open("/")
    expect(visit.page.locator("#past")).to_be_visible(timeout=30_000)
