"""Every list and chart on a page is also a file for spreadsheets and one for programs."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from shoal.store import events, instances
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, UserName, WorkspaceName
from shoal.wire.limits import ChangeLimits, Limits
from shoal.wire.requests import Watch
from tests.browser import seeded_record
from tests.server.browsing import Browser, a_cluster, one_pass
from tests.server.conftest import Served

KINDS = ("csv", "json")


@pytest.fixture
def recorded(served: Served, ada: str) -> str:
    """The id of a cluster with a record, a VM on which its environment failed, and a limit."""
    id = ClusterId(a_cluster(served, ada))
    one_pass(served)
    real, minutes = served.desk.clock, timedelta(minutes=3)
    served.desk.clock = lambda: real() + minutes
    now, workspace = served.desk.clock(), WorkspaceName("research")
    asyncio.run(seeded_record.fill(served.desk.database, workspace, id, now, minutes=3))
    run = served.desk.database.run
    [vm, *_], _ = asyncio.run(run(instances.of_cluster, id, limit=1))
    told = [
        Event(now + timedelta(seconds=n), EventKind.INSTANCE_STAGE, "agent", "it says so",
              cluster=id, instance=vm.id, before=before, after=after)
        for n, (before, after) in enumerate((("booting", "preparing"), ("preparing", "failed")))
    ]  # fmt: skip
    asyncio.run(run(events.append_all, told))
    changed = ChangeLimits(Limits(clusters=4, budget_uusd=2_500_000), (), UserName(""), "spring")
    assert served.ask(ada, "POST", "/v1/limits", changed).status_code == 200
    return id


PAGES = (
    *("/", "/costs?by=user", "/machinery", "/settings"),
    *(f"/clusters/ID{it}" for it in ("", "/computations", "/computations/comp-4", "/clients")),
    *(f"/clusters/ID{it}" for it in ("/workers", "/vms", "/metrics", "/events")),
    *(f"/clusters/ID{it}" for it in ("/software", "/logs")),
)


@pytest.mark.parametrize("path", PAGES)
def test_every_list_and_chart_has_its_files_beside_it(
    recorded: str, browser: Browser, path: str
) -> None:
    page = browser.get(path.replace("ID", recorded))
    assert page.status_code == 200
    seen = Files()
    seen.feed(page.text)
    assert seen.shown, "nothing to look at"
    for what, section in seen.shown:
        for kind in KINDS:
            assert any(f".{kind}" in it for it in seen.of(section)), (what, section, kind)
    for link in sorted(it for some in seen.links.values() for it in some):
        answer = browser.get(link)
        assert answer.status_code == 200, link
        assert answer.headers["content-disposition"].startswith("attachment"), link


def test_files_beside_the_workers_of_a_watched_cluster(
    served: Served, browser: Browser, ada: str
) -> None:
    made = served.ask(ada, "POST", "/v1/watched", Watch("on-hpc", "Scheduler-1")).json()
    seen = Files()
    seen.feed(browser.get(f"/clusters/{made['id']}/workers").text)
    assert any("/hosts.csv" in it for it in seen.of("there"))


def test_limits_are_numbers_in_files(recorded: str, browser: Browser) -> None:
    rows = rows_of(browser, "/settings/limits.csv")
    whole = {it["what"]: it for it in rows if it["who"] == "workspace research"}
    assert (whole["clusters at once"]["used"], whole["clusters at once"]["limit"]) == ("1", "4")
    assert (whole["this month"]["limit"], whole["this month"]["unit"]) == ("2.5", "USD")
    [clouds] = [it for it in rows_of(browser, "/settings/clouds.csv") if it["cloud"] == "local"]
    assert clouds["there"] in ("0", "1")


def test_what_a_cluster_went_through_is_a_file(recorded: str, browser: Browser) -> None:
    base = f"/clusters/{recorded}"
    stages = browser.get(f"{base}/overview/stages.json").json()["stages"]
    assert stages[0]["name"] == "asked for"
    [failure] = rows_of(browser, f"{base}/software/failures.csv")
    assert failure["vms"] == "1"
    assert {it["type"] for it in rows_of(browser, f"{base}/computations/comp-4/exceptions.csv")}
    timeline = rows_of(browser, f"{base}/computations/comp-4/timeline.csv")
    assert timeline[0]["prefix"] == "read-zarr"
    assert float(timeline[0]["lasted_s"]) > 0
    planned = browser.get(f"{base}/plan").text
    assert f"{base}/plan.csv" in planned
    assert browser.get(f"{base}/plan.json").json() == {"plan": []}
    assert browser.get(f"{base}/overview/nothing.csv").status_code == 404
    assert browser.get(f"{base}/software/changes.xml").status_code == 404


class Files(HTMLParser):
    """Lists and charts, the section that each is in, and the links to files of each section."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[str, str]] = []
        self.links: dict[str, list[str]] = {}
        self._sections: list[str] = []

    def of(self, section: str) -> list[str]:
        """A page whose one list has sections has its links on top."""
        return [*self.links.get(section, ()), *self.links.get("", ())]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        section = next((it for it in reversed(self._sections) if it), "")
        if tag == "section":
            self._sections.append(given.get("aria-labelledby") or "")
        elif tag in ("table", "figure") or given.get("class") in ("events", "steps"):
            self.shown.append((tag, section))
        elif tag == "a" and any(f".{it}" in (given.get("href") or "") for it in KINDS):
            self.links.setdefault(section, []).append(given["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._sections.pop()


def rows_of(browser: Browser, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(browser.get(path).text)))
