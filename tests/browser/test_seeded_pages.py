"""Every page in a real browser, over a store that is full: it is whole, quiet and accessible.

With SHOAL_TEST_SHOTS=DIRECTORY the screenshots stay there: they are meant to be looked at.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route

from shoal.server.pages.frame import ASSETS
from tests.browser.conftest import Site, Visit
from tests.browser.seeded import GRID

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

CLUSTER = f"/clusters/{GRID}"
PAGES = {
    "clusters": "/",
    "clusters-none": "/?q=nothing-like-it",
    "overview": CLUSTER,
    "overview-starting": "/clusters/c-0000000003",
    "overview-past": "/clusters/c-0000000110",
    "computations": f"{CLUSTER}/computations",
    "computations-none": "/clusters/c-0000000003/computations",
    "computation": f"{CLUSTER}/computations/comp-4",
    "computation-prefix": f"{CLUSTER}/computations/comp-4?prefix=groupby-mean",
    "clients": f"{CLUSTER}/clients",
    "clients-none": "/clusters/c-0000000003/clients",
    "workers": f"{CLUSTER}/workers",
    "workers-none": "/clusters/c-0000000003/workers",
    "vms": f"{CLUSTER}/vms",
    "vms-start": f"{CLUSTER}/vms?scale=start",
    "vms-past": "/clusters/c-0000000100/vms",
    "metrics": f"{CLUSTER}/metrics",
    "metrics-vm": f"{CLUSTER}/metrics?vm=shoal-{GRID}-3",
    "metrics-none": "/clusters/c-0000000003/metrics",
    "events": f"{CLUSTER}/events",
    "software": f"{CLUSTER}/software",
    "software-failed": "/clusters/c-0000000004/software",
    "computations-line": f"{CLUSTER}/computations?line=comp-8",
    "logs": f"{CLUSTER}/logs",
    "logs-none": "/clusters/c-0000000003/logs",
    "logs-errors": f"{CLUSTER}/logs?level=error&q=depth",
    "watched": "/clusters/on-hpc-watched",
    "watched-workers": "/clusters/on-hpc-watched/workers",
    "watched-metrics": "/clusters/on-hpc-watched/metrics",
    "watched-events": "/clusters/on-hpc-watched/events",
    "costs": "/costs",
    "costs-tag": "/costs?by=tag",
    "costs-cluster": "/costs?by=cluster",
    "machinery": "/machinery",
    "settings": "/settings",
    "settings-limits": "/settings?of=grace",
}
zoomable = pytest.mark.skipif(
    "charts.js" not in ASSETS, reason="the charts were not built: python web/assets.py"
)


@pytest.mark.timeout(600)  # axe looks at every page: minutes where machines are busy
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["laptop", "phone"])
def test_every_page_is_whole_quiet_and_accessible(site: Site, scheme: str, phone: bool) -> None:
    visit = site.visit(scheme, phone=phone)
    found: dict[str, list[str]] = {}
    for name, path in PAGES.items():
        visit.open(path).wait_for_load_state("networkidle") if "-none" in name else visit.open(path)
        visit.shoot(name)
        if flaws := visit.flaws():
            found[name] = flaws
        visit.complaints.clear()
    assert found == {}


def test_the_login_page_is_accessible_and_refuses_in_words(site: Site) -> None:
    visit = site.visit()
    visit.page.click("text=Log out")
    visit.page.fill("#token", "shoal_wrong")
    visit.page.click("button.main")
    assert "not known" in visit.page.inner_text("[role=alert]")
    visit.complaints.clear()  # of the 401 itself
    visit.shoot("login")
    assert visit.flaws() == []


def test_a_cluster_is_found_with_the_keyboard_alone(site: Site) -> None:
    page = site.visit().open("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    page.focus("#q")
    page.keyboard.type("climate-grid")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/\?q=climate-grid$"))  # what is not set is not in the address
    names = page.locator("tbody th a[id^=open-]").all_inner_texts()
    assert names
    assert all("climate-grid" in it for it in names)


def test_choosing_filters_at_once_and_going_back_shows_what_was(site: Site) -> None:
    page = site.visit().open("/")
    page.select_option("#state", "failed")
    page.wait_for_url(re.compile("state=failed"))
    assert set(page.locator("tbody .badge").all_inner_texts()) == {"failed"}
    page.go_back()
    assert page.locator("#state").input_value() == ""


def test_stopping_asks_first_and_escape_keeps_it(site: Site) -> None:
    page = site.visit().open(CLUSTER)
    page.click("button:has-text('Stop…')")
    dialog = page.locator(f"#stop-{GRID}")
    assert dialog.is_visible()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.inner_text(".title .badge") == "ready"


def test_times_are_the_readers_own_with_the_exact_one_on_hover(site: Site) -> None:
    page = site.visit().open(CLUSTER)
    told = page.locator(".steps time").first
    assert re.search(r"\dZ$", told.get_attribute("title") or "")
    assert "UTC" not in told.inner_text()


def test_a_log_is_searched_and_shows_its_end(site: Site) -> None:
    page = site.visit().open(f"{CLUSTER}/logs")
    box = page.locator(".log")
    assert box.evaluate("it => it.scrollHeight - it.scrollTop - it.clientHeight") < 40
    page.fill("#q", "NEGATIVE depth")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=NEGATIVE"))
    lines = page.locator(".log .text").all_inner_texts()
    assert lines
    assert all("negative depth" in it for it in lines)


@zoomable
def test_charts_are_zoomed_together_and_the_span_is_the_address(site: Site) -> None:
    visit = site.visit()
    page = visit.open(f"{CLUSTER}/metrics")
    page.wait_for_selector(".chart.zoomable .u-over")
    assert page.locator(".chart.zoomable").count() == page.locator(".chart").count()
    over = page.locator(".u-over").first.bounding_box()
    assert over is not None
    y = over["y"] + 40
    page.mouse.move(over["x"] + 100, y)
    page.mouse.down()
    page.mouse.move(over["x"] + 200, y, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile("from=.*to="))
    for kind in ("csv", "json"):
        link = page.locator(f"a[href*='/metrics.{kind}']").first.get_attribute("href")
        assert "from=" in (link or ""), "files have the span that is seen"
    page.reload()
    page.click("text=Reset zoom")
    page.wait_for_url(re.compile("/metrics$"))
    assert "from=" not in (
        page.locator("a[href*='/metrics.csv']").first.get_attribute("href") or ""
    )
    assert page.locator("text=Reset zoom").is_hidden()
    assert visit.complaints == []


@zoomable
def test_charts_are_read_and_zoomed_with_the_keyboard(site: Site) -> None:
    page = site.visit().open(f"{CLUSTER}/metrics")
    page.wait_for_selector(".chart.zoomable .u-over")
    chart = page.locator(".chart.zoomable [role=img]").first
    before = chart.get_attribute("aria-label")
    chart.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    told = chart.get_attribute("aria-label") or ""
    assert told != before
    assert re.match(r"Tasks, .*: running \d+, on workers \d+", told)
    assert page.locator("[data-when]").first.inner_text() in told
    page.keyboard.press("+")
    page.wait_for_url(re.compile("from=.*to="))
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile("/metrics$"))


@zoomable
def test_what_is_under_the_cursor_is_told_with_its_time(site: Site) -> None:
    page = site.visit().open(f"{CLUSTER}/metrics")
    page.wait_for_selector(".chart.zoomable .u-over")
    over = page.locator(".u-over").first.bounding_box()
    assert over is not None
    page.mouse.move(over["x"] + over["width"] / 2, over["y"] + 40)
    shown = page.locator("[data-when]").all_inner_texts()
    assert re.search(r"\d+:\d+:\d+", shown[0])
    assert len({it.partition(" · ")[0] for it in shown}) == 1, "all charts show the same moment"


def test_the_flame_is_opened_with_the_keyboard(site: Site) -> None:
    page = site.visit().open(f"{CLUSTER}/computations/comp-4")
    first = page.locator(".flame summary").first
    assert "read-zarr" in (first.get_attribute("aria-label") or "")
    first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".flame details[open]").inner_text().count("computing") == 1


def test_where_the_time_went_is_opened_with_the_keyboard(site: Site) -> None:
    page = site.visit().open(f"{CLUSTER}/computations/comp-4")
    page.locator(".icicle a[aria-label^='where: ']").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"comp-4\?prefix=where#time$"))
    assert "where-4f3a" in (page.locator(".icicle").text_content() or "")
    page.locator(".icicle a[aria-label^='all tasks: ']").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"comp-4#time$"))


def test_watched_clusters_are_not_spoken_of_as_ours(site: Site) -> None:
    page = site.visit().open("/clusters/on-hpc-watched")
    assert page.locator(".under a").all_inner_texts() == [
        *("Overview", "Computations", "Clients", "Workers", "Metrics", "Events")
    ]
    assert page.locator("text=Dask dashboard").count() == 0
    page.click("text=Stop watching…")
    assert "The cluster itself goes on" in page.locator("[popover]:popover-open").inner_text()
    assert page.evaluate("document.activeElement.textContent") == "Go on watching"


def test_a_heading_sorts_and_says_so(site: Site) -> None:
    page = site.visit().open("/?state=past")
    page.click("thead >> text=Cost")
    page.wait_for_url(re.compile("sort=cost"))
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Cost")
    told = page.locator("td[data-name=Cost]").all_inner_texts()
    costs = [float(it.removeprefix("$")) for it in told]
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize("width", [768, 1000])
def test_lists_of_clusters_fit_a_tablet(site: Site, width: int) -> None:
    visit = site.visit()
    visit.page.set_viewport_size({"width": width, "height": 1024})
    page = visit.open("/")
    boxes = page.locator(".scroll:has(table.clusters)")
    assert boxes.count() == 2
    for n in range(2):
        assert boxes.nth(n).evaluate("it => it.scrollWidth - it.clientWidth") <= 0
    assert page.locator("th:has-text('Hardware') >> visible=true").count() == 0
    assert visit.flaws() == []


WATCH = """() => {
  window.shift = 0;
  new PerformanceObserver((list) => {
    for (const it of list.getEntries()) window.shift += it.hadRecentInput ? 0 : it.value;
  }).observe({ type: "layout-shift", buffered: true });
}"""


@pytest.mark.parametrize("phone", [False, True], ids=["laptop", "phone"])
def test_nothing_jumps_while_a_page_is_loaded(site: Site, phone: bool) -> None:
    visit = site.visit(phone=phone)
    for path in ("/", CLUSTER, f"{CLUSTER}/metrics", f"{CLUSTER}/logs", f"{CLUSTER}/vms", "/costs"):
        page = visit.open(path)
        page.evaluate(WATCH)
        page.wait_for_load_state("networkidle") if path == "/costs" else page.wait_for_timeout(600)
        assert page.evaluate("window.shift") < 0.1, path


def test_focus_stays_where_it_was_when_a_part_is_swapped(site: Site) -> None:
    page = site.visit().open("/")
    page.focus(f"#open-{GRID}")

    def changed(route: Route) -> None:
        """As if another person's name had changed meanwhile."""
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("barbara", "Barbara"))

    page.route(f"{site.url}/", changed)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("td:has-text('Barbara')")
    assert page.evaluate("document.activeElement.id") == f"open-{GRID}"


def test_without_scripts_every_page_is_there_and_charts_are_drawn(
    site: Site, chromium: object
) -> None:
    visit = site.visit()
    cookies = visit.page.context.cookies()
    context = visit.page.context.browser.new_context(  # type: ignore[union-attr]
        java_script_enabled=False, base_url=site.url
    )
    context.add_cookies(cookies)  # type: ignore[arg-type]
    plain = Visit(context.new_page(), visit._shots)
    for path in PAGES.values():
        plain.open(path)
    page = plain.open(f"{CLUSTER}/metrics")
    assert page.locator(".chart polyline").count() >= 8


def test_a_page_is_light(site: Site) -> None:
    """All that the first page needs, as it travels."""
    page = site.visit().page
    page.context.clear_cookies(name="none")
    page.reload()
    sizes = page.evaluate(
        "performance.getEntries().filter(it => it.transferSize !== undefined)"
        ".map(it => [it.name, it.decodedBodySize])"
    )
    assert sum(size for _, size in sizes) < 200_000, sizes
    names = [name for name, _ in sizes if name.startswith("http")]
    assert all(name.startswith(site.url) for name in names), names


@pytest.mark.parametrize("phone", [False, True], ids=["laptop", "phone"])
def test_what_opens_is_accessible_too(site: Site, phone: bool) -> None:
    visit = site.visit(phone=phone)
    for name, path, summary, shown in (
        ("events-open", f"{CLUSTER}/events", ".run summary", ".run details[open] li"),
        ("computations-open", f"{CLUSTER}/computations", "tr.each summary", "tr.each li"),
    ):
        page = visit.open(path)
        page.locator(summary).first.click()
        assert page.locator(shown).first.is_visible()
        visit.shoot(name)
        assert visit.flaws() == [], name
