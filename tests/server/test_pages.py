"""The pages as a browser meets them: who sees what, what is refused, and what they show."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import httpx2
import msgspec
import pytest

from shoal.core.records import EndKind
from shoal.server.handlers import HANDLERS
from shoal.server.pages import login, site, words
from shoal.server.pages.frame import ASSETS
from shoal.server.pages.life import life
from shoal.server.pages.session import Session, opened, sealed
from shoal.server.routing import app
from shoal.store import clusters as cluster_rows
from shoal.store import tokens
from shoal.trust.installation_key import InstallationKey
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, InstanceId
from shoal.wire.requests import CreateCluster
from shoal.wire.specs import Role
from shoal.wire.views import InstanceState, InstanceView, Stage
from tests.server.conftest import Served, a_spec

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
KEY = InstallationKey(b"k" * 32)


class Browser:
    """Keeps cookies, follows nothing."""

    def __init__(self, served: Served, base: str = "http://shoal") -> None:
        self._app = app(served.desk, HANDLERS, site.routes(served.desk))
        self._base = base
        self.cookies = httpx2.Cookies()

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self._send("GET", path, None, {k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path: str, fields: Mapping[str, str], **headers: str) -> httpx2.Response:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        return self._send("POST", path, fields, named)

    def log_in(self, token: str, following: str = "/") -> httpx2.Response:
        return self.post("/login", {"token": token, "next": following})

    def form_key(self) -> str:
        found = re.search(r'name="form_key" value="([^"]+)"', self.get("/").text)
        assert found
        return found[1]

    def _send(
        self, method: str, path: str, fields: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> httpx2.Response:
        async def call() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=self._app)
            async with httpx2.AsyncClient(
                transport=transport, base_url=self._base, cookies=self.cookies
            ) as client:
                answer = await client.request(method, path, data=fields, headers=dict(headers))
                self.cookies = client.cookies
                return answer

        return asyncio.run(call())


@pytest.fixture
def ada(served: Served) -> str:
    return served.token("ada", "research", "clusters", "admin")


@pytest.fixture
def browser(served: Served, ada: str) -> Browser:
    """Logged in as Ada."""
    made = Browser(served)
    assert made.log_in(ada).status_code == 303
    return made


def a_cluster(served: Served, token: str, **changes: object) -> str:
    made = served.ask(token, "POST", "/v1/clusters", CreateCluster(a_spec(**changes)))
    assert made.status_code == 200, made.text
    one_pass(served)
    return str(made.json()["id"])


def one_pass(served: Served) -> None:
    reconciler = next(iter(served.desk.reconcilers.values()))

    async def run() -> None:
        await reconciler.run_pass(await reconciler.observe())

    asyncio.run(run())


def test_who_is_not_logged_in_is_sent_to_the_login_and_back(served: Served, ada: str) -> None:
    id = a_cluster(served, ada)
    stranger = Browser(served)
    sent = stranger.get(f"/clusters/{id}")
    assert (sent.status_code, sent.headers["location"]) == (302, f"/login?next=/clusters/{id}")
    assert f'value="/clusters/{id}"' in stranger.get(sent.headers["location"]).text
    back = stranger.log_in(ada, f"/clusters/{id}")
    assert (back.status_code, back.headers["location"]) == (303, f"/clusters/{id}")
    assert stranger.get(f"/clusters/{id}").status_code == 200


@pytest.mark.parametrize("path", ["/", "/clusters/etl", "/clusters/etl/plan", "/pages/changes"])
def test_no_page_shows_anything_without_a_session(served: Served, ada: str, path: str) -> None:
    a_cluster(served, ada)
    answer = Browser(served).get(path)
    assert (answer.status_code, answer.text) == (302, "")
    assert Browser(served).get(path, X_Part="main").status_code == 401
    assert Browser(served).get(path, Accept="text/event-stream").status_code == 401


def test_the_cookie_is_out_of_reach_and_holds_no_token(served: Served, ada: str) -> None:
    plain = Browser(served).log_in(ada).headers["set-cookie"]
    assert "HttpOnly" in plain
    assert "samesite=strict" in plain.lower()
    assert "Secure" not in plain
    assert ada not in plain
    secure = Browser(served, "https://shoal").log_in(ada).headers["set-cookie"]
    assert secure.startswith("__Host-shoal-")
    assert "Secure" in secure


def test_a_wrong_token_opens_nothing(served: Served, ada: str) -> None:
    browser = Browser(served)
    for wrong in ("", "shoal_wrong", ada[:-1], "x" * 5000):
        answer = browser.log_in(wrong)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
    assert browser.get("/").status_code == 302


def test_revoking_the_token_ends_its_sessions(served: Served, browser: Browser) -> None:
    assert browser.get("/").status_code == 200
    revoking = served.desk.database.run(tokens.revoke, "t-ada-research", served.desk.clock())
    asyncio.run(revoking)
    assert browser.get("/").status_code == 302


def test_a_session_ends_after_twelve_hours(served: Served, browser: Browser) -> None:
    assert browser.get("/").status_code == 200
    real = served.desk.clock
    served.desk.clock = lambda: real() + timedelta(hours=11, minutes=59)
    assert browser.get("/").status_code == 200
    served.desk.clock = lambda: real() + timedelta(hours=12, seconds=1)
    assert browser.get("/").status_code == 302


def test_a_changed_cookie_is_no_session() -> None:
    text = sealed(KEY, Session("t-1", NOW))
    assert opened(KEY, text) == Session("t-1", NOW)
    body, _, mark = text.partition(".")
    other = sealed(InstallationKey(b"o" * 32), Session("t-1", NOW))
    forged = sealed(KEY, Session("t-2", NOW)).partition(".")[0]
    for wrong in ("", ".", body, f"{forged}.{mark}", other, f"{text}x", f"é.{mark}"):
        assert opened(KEY, wrong) is None


def test_logging_out_forgets_the_cookie(browser: Browser) -> None:
    assert browser.post("/logout", {"form_key": "no"}).status_code == 403
    assert browser.get("/").status_code == 200
    assert browser.post("/logout", {"form_key": browser.form_key()}).status_code == 303
    assert browser.get("/").status_code == 302


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("/clusters/c-1?page=2", "/clusters/c-1?page=2"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\\..\\b", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("", "/"),
    ],
)
def test_login_leads_nowhere_else(served: Served, ada: str, asked: str, sent: str) -> None:
    assert login.local(asked) == sent
    assert Browser(served).log_in(ada, asked).headers["location"] == sent


def test_every_answer_tells_the_browser_what_it_may_do(served: Served, browser: Browser) -> None:
    stranger = Browser(served)
    pages = [
        browser.get("/"),
        browser.get("/clusters/none"),
        stranger.get("/"),
        stranger.get("/login"),
    ]
    assert [it.status_code for it in pages] == [200, 404, 302, 200]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"


class Inline(HTMLParser):
    """Finds what the policy would not run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]
        for name, value in attrs:
            if name in ("src", "href", "action") and value and not value.startswith(("/", "#")):
                self.found.append(value)


def test_pages_have_nothing_inline_and_nothing_from_elsewhere(
    served: Served, ada: str, browser: Browser
) -> None:
    id = a_cluster(served, ada)
    for path in ("/", f"/clusters/{id}", f"/clusters/{id}/plan", "/clusters/none"):
        inline = Inline()
        inline.feed(browser.get(path).text)
        assert inline.found == [], path


def test_assets_are_there_for_everyone_and_kept_by_content(served: Served) -> None:
    stranger = Browser(served)
    assert set(ASSETS) == {"shoal.css", "shoal.js", "shoal.svg"}
    for asset in ASSETS.values():
        answer = stranger.get(asset.url)
        assert (answer.status_code, answer.content) == (200, asset.content)
        assert "immutable" in answer.headers["cache-control"]
    assert stranger.get("/pages/assets/..%2fsite.py").status_code == 404
    assert sum(len(it.content) for it in ASSETS.values()) < 40_000


def test_the_list_shows_running_and_past_clusters(
    served: Served, ada: str, browser: Browser
) -> None:
    assert "No clusters yet" in browser.get("/").text
    first = a_cluster(served, ada)
    served.ask(ada, "POST", f"/v1/clusters/{first}/stop", {})
    for _ in range(3):  # released, seen to be gone, settled
        one_pass(served)
    second = a_cluster(served, ada, name="train")
    running, past = browser.get("/").text.split('id="past"')
    assert f'href="/clusters/{second}"' in running
    assert f'href="/clusters/{first}"' not in running
    assert f'href="/clusters/{first}"' in past
    assert f'href="/clusters/{second}"' not in past
    assert "0 of 2" in running


def test_a_cluster_shows_its_vms_events_and_reasons(
    served: Served, ada: str, browser: Browser
) -> None:
    id = a_cluster(served, ada)
    page = browser.get(f"/clusters/{id}")
    assert page.status_code == 200
    for shown in (
        "<b>starting</b>: the scheduler&#39;s VM boots",
        f"shoal-{id}-1",
        "r1-a",
        "m4",
        "$0.19/h",
        "cluster.created",
        "ada asked for 2 workers",
    ):
        assert shown in page.text
    kinds = re.findall(r"<b>([a-z.]+)</b>", page.text)
    assert kinds[-1] == "cluster.created", "the oldest event comes last"
    named = browser.get("/clusters/etl")
    assert (named.status_code, named.headers["location"]) == (302, f"/clusters/{id}")


def test_the_plan_says_what_is_done_next(served: Served, ada: str, browser: Browser) -> None:
    id = a_cluster(served, ada)
    assert "all is as asked" in browser.get(f"/clusters/{id}/plan").text
    served.ask(ada, "POST", f"/v1/clusters/{id}/stop", {})
    page = browser.get(f"/clusters/{id}/plan").text
    assert '<th scope="row">' in page
    assert "asked by the user" in page


def test_a_part_is_the_page_without_its_frame(served: Served, ada: str, browser: Browser) -> None:
    id = a_cluster(served, ada)
    whole, part = browser.get(f"/clusters/{id}"), browser.get(f"/clusters/{id}", X_Part="main")
    names = re.findall(r'data-part="(\w+)"', part.text)
    assert names == re.findall(r'data-part="(\w+)"', whole.text)
    assert {"status", "machines", "events", "log", "stop"} <= set(names)
    assert "<html" not in part.text


def test_a_page_left_open_does_not_keep_the_server_up(browser: Browser, served: Served) -> None:
    served.desk.last_request_at = 0.0
    browser.get("/", X_Part="main")
    assert served.desk.last_request_at == 0.0
    browser.get("/")
    assert served.desk.last_request_at > 0.0


def test_clusters_of_other_workspaces_are_not_there(served: Served, browser: Browser) -> None:
    eve = served.token("eve", "other", "clusters")
    id = a_cluster(served, eve)
    assert id not in browser.get("/").text
    key = browser.form_key()
    for answer in (
        browser.get(f"/clusters/{id}"),
        browser.get(f"/clusters/{id}/plan"),
        browser.post(f"/clusters/{id}/stop", {"form_key": key}),
    ):
        assert answer.status_code == 404
        assert "<h1>Not found</h1>" in answer.text
    assert served.ask(eve, "GET", f"/v1/clusters/{id}").json()["ended_at"] is None


def test_the_stop_button_ends_the_cluster(served: Served, ada: str, browser: Browser) -> None:
    id = a_cluster(served, ada)
    page = browser.get(f"/clusters/{id}").text
    assert f'action="/clusters/{id}/stop"' in page
    answer = browser.post(f"/clusters/{id}/stop", {"form_key": browser.form_key()})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/clusters/{id}")
    after = browser.get(f"/clusters/{id}").text
    print(after)
    assert "asked on the cluster&#39;s page" in after
    assert f'action="/clusters/{id}/stop"' not in after


@pytest.mark.parametrize(
    ("key", "site_header"), [("", "same-origin"), ("wrong", "same-origin"), (None, "cross-site")]
)
def test_no_other_site_can_stop_a_cluster(
    served: Served, ada: str, browser: Browser, key: str | None, site_header: str
) -> None:
    id = a_cluster(served, ada)
    fields = {"form_key": browser.form_key() if key is None else key}
    answer = browser.post(f"/clusters/{id}/stop", fields, Sec_Fetch_Site=site_header)
    assert answer.status_code == 403
    assert served.ask(ada, "GET", f"/v1/clusters/{id}").json()["ended_at"] is None


def test_the_form_key_of_one_session_is_none_of_another(served: Served, browser: Browser) -> None:
    bob = Browser(served)
    bob.log_in(served.token("bob", "research", "clusters"))
    assert browser.post("/logout", {"form_key": bob.form_key()}).status_code == 403


def test_what_users_write_is_never_markup(served: Served, ada: str, browser: Browser) -> None:
    id = a_cluster(served, ada)
    why = "<img src=x onerror=alert(1)>"
    now = served.desk.clock()
    event = Event(now, EventKind.CLUSTER_ENDING, "ada", why, cluster=ClusterId(id))
    asyncio.run(
        served.desk.database.run(cluster_rows.end, ClusterId(id), EndKind.USER, why, now, event)
    )
    page = browser.get(f"/clusters/{id}").text
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page


def test_a_token_without_the_scope_sees_nothing(served: Served, ada: str) -> None:
    a_cluster(served, ada)
    browser = Browser(served)
    browser.log_in(served.token("mon", "research", "admin"))
    answer = browser.get("/")
    assert answer.status_code == 403
    assert "lacks the scope" in answer.text


def a_vm(state: InstanceState, stage: Stage, since_s: int, gone_s: int | None) -> InstanceView:
    def at(seconds: int) -> datetime:
        return NOW + timedelta(seconds=seconds)

    return InstanceView(
        InstanceId("shoal-c-1-1"),
        Role.WORKER,
        state,
        stage,
        at(since_s),
        "why",
        created_at=NOW,
        launched_at=at(10),
        gone_at=None if gone_s is None else at(gone_s),
    )


def test_a_life_is_drawn_to_scale_and_told_in_words() -> None:
    end = NOW + timedelta(seconds=100)
    ready = life(a_vm(InstanceState.LAUNCHED, Stage.READY, 30, None), NOW, end)
    assert [(it.what, it.x, it.width) for it in ready.spans] == [
        ("asked-for", 0, 100),
        ("coming-up", 100, 200),
        ("ready", 300, 700),
    ]
    assert ready.words == "asked for 10 s, coming up 20 s, ready 70 s"
    gone = life(a_vm(InstanceState.GONE, Stage.STOPPING, 50, 50), NOW, end)
    assert [(it.what, it.x, it.width) for it in gone.spans] == [
        ("asked-for", 0, 100),
        ("had", 100, 400),
    ]


@pytest.mark.parametrize(
    ("uusd", "text"),
    [(None, "not known"), (0, "$0.00"), (1_500, "$0.0015"), (12_340_000, "$12.34")],
)
def test_money_reads_as_dollars(uusd: int | None, text: str) -> None:
    assert words.money(uusd) == text


def test_the_login_tells_an_embedded_user_where_the_token_is(
    served: Served, tmp_path: Path
) -> None:
    assert "shoal token create" in Browser(served).get("/login").text
    served.desk.settings = msgspec.structs.replace(served.desk.settings, embedded=True)
    assert f"cat {tmp_path / 'token'}" in Browser(served).get("/login").text
