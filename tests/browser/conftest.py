"""Debian's Chromium, driven by Playwright; and a server whose store tells a team's story."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from shoal.server.desk import Desk
from tests.browser import seeded, serving

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
LAPTOP, PHONE = {"width": 1366, "height": 850}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For a module: while Playwright is there, no other loop runs in the tests' thread."""
    found = os.environ.get("SHOAL_TEST_CHROMIUM") or shutil.which("chromium")
    if found is None:
        pytest.skip("there is no chromium (apt-get install chromium, or SHOAL_TEST_CHROMIUM)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class Site:
    """A server, and how a person looks at it."""

    def __init__(self, url: str, token: str, chromium: Browser, shots: Path) -> None:
        self.url = url
        self._token = token
        self._chromium = chromium
        self._shots = shots

    def visit(self, scheme: str = "light", *, phone: bool = False) -> Visit:
        """Logged in, with nothing said on the console that should not be."""
        context = self._chromium.new_context(
            color_scheme=scheme,  # type: ignore[arg-type]
            viewport=PHONE if phone else LAPTOP,  # type: ignore[arg-type]
            base_url=self.url,
            timezone_id="Europe/Berlin",
        )
        visit = Visit(
            context.new_page(), self._shots / f"{scheme}-{'phone' if phone else 'laptop'}"
        )
        visit.page.goto("/login")
        visit.page.fill("#token", self._token)
        visit.page.click("button.main")
        visit.page.wait_for_url(f"{self.url}/")
        return visit


class Visit:
    def __init__(self, page: Page, shots: Path) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._shots = shots
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: object) -> None:
        if getattr(message, "type", "") in ("error", "warning"):
            self.complaints.append(getattr(message, "text", ""))

    def open(self, path: str) -> Page:
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.status == 200, (path, answer.status, self.page.inner_text("body"))
        return self.page

    def shoot(self, name: str) -> None:
        self._shots.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self._shots / f"{name}.png", full_page=True)

    def flaws(self) -> list[str]:
        """What axe finds, what was said on the console, and whether it fits the window."""
        found = [
            f"{it['id']}: {it['help']}: {[node['html'][:160] for node in it['nodes'][:3]]}"
            for it in Axe().run(self.page).response["violations"]
        ]
        width = self.page.evaluate("document.documentElement.scrollWidth")
        assert self.page.viewport_size is not None
        if width > self.page.viewport_size["width"]:
            found.append(f"{width} pixels wide")
        return [*found, *self.complaints]


def shots_in(tmp: Path) -> Path:
    """Kept where SHOAL_TEST_SHOTS says, for whoever wants to look at them."""
    return Path(os.environ.get("SHOAL_TEST_SHOTS") or tmp)


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = serving.run(serving.desk_at(tmp_path_factory.mktemp("seeded")))
    serving.run(seeded.fill(made.database, seeded.team(serving.now())))
    with made.passes.passing("reconcile gcp", 2.0):
        made.passes.failed("reconcile gcp", "no listing: the cloud did not answer within 120 s")
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def site(desk: Desk, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    token = serving.run(serving.a_token(desk, "clusters", "admin"))
    with serving.served(desk) as url:
        yield Site(url, token, chromium, shots_in(tmp_path_factory.mktemp("shots")))
