"""The pages as a browser meets them: who sees what, what is refused, and what they show."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, insert

from shoal.core.records import Cluster, EndKind
from shoal.server.pages import costs, exports, login, words
from shoal.server.pages.builds import builds
from shoal.server.pages.frame import ASSETS
from shoal.server.pages.life import life, ticks
from shoal.server.pages.packages import changes
from shoal.server.pages.session import Session, opened, sealed
from shoal.store import clusters as cluster_rows
from shoal.store import tables, tokens
from shoal.store.events import Staged
from shoal.trust.installation_key import InstallationKey
from shoal.wire.environments import Manifest, PackageSummary, WheelFile
from shoal.wire.events import Event, EventKind
from shoal.wire.ids import ClusterId, EnvironmentId, InstanceId, UserName, WorkspaceName
from shoal.wire.specs import Role
from shoal.wire.views import InstanceState, InstanceView, Stage
from tests.server.browsing import Browser, Inline, a_cluster, one_pass
from tests.server.conftest import Served
from tests.server.specs import a_spec

TABS = ("", "/vms", "/events", "/plan", "/software", "/logs")
NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
KEY = InstallationKey(b"k" * 32)


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


def test_pages_have_nothing_inline_and_nothing_from_elsewhere(
    served: Served, ada: str, browser: Browser
) -> None:
    id = a_cluster(served, ada)
    for path in ("/", *(f"/clusters/{id}{tab}" for tab in TABS), "/clusters/none"):
        inline = Inline()
        inline.feed(browser.get(path).text)
        assert inline.found == [], path


def test_assets_are_there_for_everyone_and_kept_by_content(served: Served) -> None:
    stranger = Browser(served)
    assert {"shoal.css", "shoal.js", "shoal.svg"} <= set(ASSETS)
    for asset in ASSETS.values():
        answer = stranger.get(asset.url)
        assert (answer.status_code, answer.content) == (200, asset.content)
        assert "immutable" in answer.headers["cache-control"]
    assert stranger.get("/pages/assets/..%2fsite.py").status_code == 404
    assert sum(len(it.content) for it in ASSETS.values()) < 120_000


def test_the_style_is_whole() -> None:
    """A brace too many, and browsers drop the rule after it without a word."""
    depth = 0
    for character in ASSETS["shoal.css"].content.decode():
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0


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
    shown = {
        "": ("<b>starting</b>: the scheduler&#39;s VM boots", "cluster.created", "under way"),
        "/vms": ("scheduler 1", "r1-a", "m4", "$0.19/h", "asked for", "booting"),
        "/events": ("ada asked for 2 workers", "instance.launched"),
        "/software": ("3.11.7", "no earlier cluster"),
        "/logs": ("Nothing has been logged yet",),
    }
    for tab, texts in shown.items():
        page = browser.get(f"/clusters/{id}{tab}")
        assert page.status_code == 200
        for text in texts:
            assert text in page.text, (tab, text)
    kinds = re.findall(r"<b>([a-z.]+)</b>", browser.get(f"/clusters/{id}/events").text)
    assert kinds[-1] == "cluster.created", "the oldest event comes last"
    named = browser.get("/clusters/etl")
    assert (named.status_code, named.headers["location"]) == (302, f"/clusters/{id}")


def test_events_are_found_by_kind_text_and_vm(served: Served, ada: str, browser: Browser) -> None:
    id = a_cluster(served, ada)

    def kinds(query: str) -> set[str]:
        page = browser.get(f"/clusters/{id}/events?{query}").text
        return set(re.findall(r"<b>([a-z.]+)</b>", page))

    assert kinds("kind=cluster") == {"cluster.created"}
    assert kinds("kind=instance.launched") == {"instance.launched"}
    assert kinds("q=ADA+asked") == {"cluster.created"}
    assert kinds(f"vm=shoal-{id}-1") == {"instance.launched"}
    assert kinds("before=1") == set()
    assert browser.get(f"/clusters/{id}/events?kind=nothing").status_code == 422
    assert browser.get(f"/clusters/{id}/events?before=x").status_code == 422


def test_lists_are_files_too(served: Served, ada: str, browser: Browser) -> None:
    id = a_cluster(served, ada, tags={"team": "=cmd()"})
    [row] = csv.DictReader(io.StringIO(browser.get("/clusters.csv").text))
    assert (row["id"], row["status"], row["workers_wanted"]) == (id, "starting", "2")
    assert [it["id"] for it in browser.get("/clusters.json").json()["clusters"]] == [id]
    assert list(csv.DictReader(io.StringIO(browser.get("/clusters.csv?owner=bob").text))) == []
    vm, *more = csv.DictReader(io.StringIO(browser.get(f"/clusters/{id}/vms.csv").text))
    assert (vm["role"], vm["zone"]) == ("scheduler", "r1-a")
    assert len(browser.get(f"/clusters/{id}/vms.json").json()["vms"]) == 1 + len(more)
    [oldest] = list(csv.DictReader(io.StringIO(browser.get(f"/clusters/{id}/events.csv").text)))[
        -1:
    ]
    assert oldest["kind"] == "cluster.created"
    assert browser.get(f"/clusters/{id}/events.json").json()["events"][-1]["why"]
    assert browser.get(f"/clusters/{id}/logs.txt").text == ""
    assert browser.get(f"/clusters/{id}/logs.json").json()["lines"] == []
    assert browser.get(f"/clusters/{id}/pylock.toml").text.startswith("lock-version")


def test_a_cell_that_a_spreadsheet_would_run_is_told_as_text() -> None:
    answer = exports.as_csv("x", ("a",), [("=1+1",), ("-x",), ("fine",), (None,), (-1,)])
    assert bytes(answer.body).decode().split("\r\n") == [
        "a",
        "'=1+1",
        "'-x",
        "fine",
        '""',
        "-1",
        "",
    ]


def test_filters_of_the_list_are_its_address(served: Served, ada: str, browser: Browser) -> None:
    id = a_cluster(served, ada, tags={"team": "red"})
    for query in ("q=etl", "owner=me", "tag=team=red", "state=starting", "cloud=sim", "since=24h"):
        assert id in browser.get(f"/?{query}").text, query
    for query in ("q=nine", "owner=bob", "tag=team=blue", "state=up", "cloud=aws"):
        page = browser.get(f"/?{query}").text
        assert id not in page, query
        assert "No cluster matches" in page
    for wrong in ("state=x", "since=x", "sort=x", f"q={'x' * 300}"):
        assert browser.get(f"/?{wrong}").status_code == 422


def test_the_list_goes_on_page_by_page(served: Served, ada: str, browser: Browser) -> None:
    now = served.desk.clock()
    for n in range(120):
        spec = a_spec(f"n{n}")
        ended = now + timedelta(seconds=n + 1)
        made = Cluster(
            ClusterId(f"c-{n:010d}"),
            WorkspaceName("research"),
            UserName("ada"),
            spec,
            1,
            now + timedelta(seconds=n),
            ended,
            EndKind.USER,
            "done",
            ended,
        )
        event = Event(now, EventKind.CLUSTER_CREATED, "ada", "why", cluster=made.id)
        asyncio.run(served.desk.database.run(cluster_rows.create, made, event))
    seen: list[str] = []
    path = "/"
    while path:
        page = browser.get(path).text
        seen += re.findall(r'id="open-(c-\d+)"', page)
        following = re.search(r'href="([^"]+)" rel="next"', page)
        path = following[1].replace("&amp;", "&") if following else ""
    assert seen == [f"c-{n:010d}" for n in reversed(range(120))]


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
    assert {"status", "facts", "stages", "events", "stop"} <= set(names)
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


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def a_vm(stage: Stage, **changes: object) -> InstanceView:
    made = InstanceView(
        InstanceId("shoal-c-1-1"),
        Role.WORKER,
        InstanceState.LAUNCHED,
        stage,
        NOW,
        "why",
        created_at=NOW,
        launched_at=at(10),
    )
    return msgspec.structs.replace(made, **changes)


STAGED = (
    Staged(at(20), Stage.PREPARING),
    Staged(at(30), Stage.STARTING),
    Staged(at(35), Stage.READY),
)


def test_a_life_is_drawn_to_scale_and_told_in_words() -> None:
    drawn = life(a_vm(Stage.READY), STAGED, NOW, at(100))
    assert [(it.what, it.x, it.width) for it in drawn.spans] == [
        ("asked", 0, 100),
        ("booting", 100, 100),
        ("installing", 200, 100),
        ("starting", 300, 50),
        ("ready", 350, 650),
    ]
    assert drawn.words == (
        "asked for 10 s, booting 10 s, installing 10 s, starting Dask 5.0 s, ready 1 min 5 s"
    )


def test_a_life_ends_where_it_was_seen_to_be_gone() -> None:
    gone = a_vm(Stage.STOPPING, state=InstanceState.GONE, released_at=at(60), gone_at=at(80))
    late = (*STAGED, Staged(at(70), Stage.STOPPING))  # said after it was given up
    assert [(it.what, it.seconds) for it in life(gone, late, NOW, at(100)).phases] == [
        ("asked", 10),
        ("booting", 10),
        ("installing", 10),
        ("starting", 5),
        ("ready", 25),
        ("ending", 20),
    ]


def test_an_agent_whose_clock_is_slow_does_not_turn_time_back() -> None:
    early = (Staged(at(5), Stage.PREPARING), Staged(at(30), Stage.READY))
    spans = life(a_vm(Stage.READY), early, NOW, at(100)).phases
    assert [(it.what, it.seconds) for it in spans] == [
        ("asked", 10),
        ("booting", 0),
        ("installing", 20),
        ("ready", 70),
    ]


def test_what_changed_between_environments_is_told() -> None:
    def manifest(python: str, *packages: tuple[str, str], sha: str = "") -> Manifest:
        wheels = (WheelFile("mine.whl", sha, 1, "mine", "1.0", "editable"),) if sha else ()
        told = tuple(PackageSummary(name, version, "index") for name, version in packages)
        return Manifest(EnvironmentId("env"), "", python, "x", wheels, told)

    old = manifest("3.11", ("dask", "1"), ("gone", "2"), ("mine", "1.0"), sha="a" * 64)
    new = manifest("3.12", ("dask", "1"), ("new", "3"), ("mine", "1.0"), sha="b" * 64)
    assert [(it.name, it.what) for it in changes(old, new)] == [
        ("Python", "changed"),
        ("gone", "removed"),
        ("mine", "changed"),
        ("new", "added"),
    ]
    assert changes(old, old) == ()


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


def test_clusters_are_in_order_of_cost_and_of_how_long_they_ran(
    served: Served, browser: Browser
) -> None:
    now = served.desk.clock()
    for n, (hours, uusd) in enumerate(((5, 10), (1, 900), (3, 40))):
        began = now - timedelta(hours=20 + n)
        ended = began + timedelta(hours=hours)
        made = Cluster(
            ClusterId(f"c-{n:010d}"), WorkspaceName("research"), UserName("ada" if n else "bob"),
            a_spec(f"n{n}"), 1, began, ended, EndKind.USER, "done", ended,
        )  # fmt: skip
        event = Event(now, EventKind.CLUSTER_CREATED, "ada", "why", cluster=made.id)
        asyncio.run(served.desk.database.run(cluster_rows.create, made, event))
        asyncio.run(served.desk.database.run(booked, made.id, began, uusd))

    def order(query: str) -> list[str]:
        return re.findall(r'id="open-c-0+(\d+)"', browser.get(f"/?{query}").text)

    assert order("sort=cost") == ["1", "2", "0"]
    assert order("sort=duration") == ["0", "2", "1"]
    assert order("owner=bob") == ["0"]
    heading = re.search(
        r'<th[^>]*aria-sort="(\w+)"><a href="[^"]*">Cost', browser.get("/?sort=cost").text
    )
    assert heading
    assert heading[1] == "descending"
    assert '<option value="bob">bob</option>' in browser.get("/").text


def booked(tx: Connection, cluster: ClusterId, day: datetime, uusd: int) -> None:
    row = {"cluster": cluster, "day": day, "uusd": uusd, "seconds": 1.0, "unpriced_s": 0.0}
    tx.execute(insert(tables.ledger), [row])


def test_pages_travel_compressed_to_who_can_unpack_them(served: Served, ada: str) -> None:
    browser = Browser(served)
    browser.log_in(ada)
    packed = browser.get("/", Accept_Encoding="gzip")
    plain = browser.get("/", Accept_Encoding="identity")
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.text == plain.text
    assert int(packed.headers["content-length"]) < len(plain.content) / 2


def test_machinery_settings_and_software_are_files_too(
    served: Served, ada: str, browser: Browser
) -> None:
    id = a_cluster(served, ada)
    with served.desk.passes.passing("reconcile sim", 2.0):
        pass
    [loop] = csv.DictReader(io.StringIO(browser.get("/machinery/loops.csv").text))
    assert (loop["name"], loop["passes"]) == ("reconcile sim", "1")
    assert browser.get("/machinery/loops.json").json()["loops"][0]["name"] == "reconcile sim"
    assert browser.get("/machinery/alarms.json").json() == {"alarms": []}
    tables = list(csv.DictReader(io.StringIO(browser.get("/machinery/record.csv").text)))
    assert "cluster" in {it["name"] for it in tables}
    [token] = csv.DictReader(io.StringIO(browser.get("/settings/tokens.csv").text))
    assert token["user"] == "ada"
    assert ada not in browser.get("/settings/tokens.json").text
    assert browser.get(f"/clusters/{id}/software.json").json() == {"packages": []}
    assert browser.get("/machinery/nothing.csv").status_code == 404
    assert browser.get("/machinery/loops.xml").status_code == 404
    bob = Browser(served)
    bob.log_in(served.token("bob", "research", "clusters"))
    assert bob.get("/settings/tokens.csv").status_code == 403


def test_costs_are_counted_over_months_and_own_dates() -> None:
    def told(**asked: str) -> tuple[str, str]:
        begin, end = costs.span(costs.CostsAsked(**asked), NOW)
        return f"{begin:%Y-%m-%d}" if begin else "", f"{end:%Y-%m-%d}" if end else ""

    assert told(since="month") == ("2025-06-01", "")
    assert told(since="last-month") == ("2025-05-01", "2025-06-01")
    assert told(since="7d") == ("2025-05-25", "")
    assert told(first="2025-05-03", last="2025-05-04") == ("2025-05-03", "2025-05-05")
    assert told(last="2025-05-04") == ("", "2025-05-05")


def test_costs_lead_to_what_they_are_made_of(served: Served, ada: str, browser: Browser) -> None:
    a_cluster(served, ada)
    assert 'href="/?owner=ada"' in browser.get("/costs?by=user").text
    assert 'href="/?cloud=sim"' in browser.get("/costs?by=cloud").text
    assert "by=cluster&amp;from=" in browser.get("/costs?by=day").text
    assert browser.get("/costs?from=yesterday").status_code == 422


def test_how_an_environment_was_made_is_summed_up() -> None:
    fine = a_vm(Stage.READY)
    slow = a_vm(Stage.READY, id=InstanceId("shoal-c-1-2"))
    broken = a_vm(Stage.FAILED, id=InstanceId("shoal-c-1-3"), detail="no wheel of pandas 9")
    begun = a_vm(Stage.PREPARING, id=InstanceId("shoal-c-1-4"))
    found = builds(
        [fine, slow, broken, begun],
        {
            fine.id: STAGED,
            slow.id: (Staged(at(20), Stage.PREPARING), Staged(at(50), Stage.STARTING)),
            broken.id: (Staged(at(20), Stage.PREPARING), Staged(at(21), Stage.FAILED)),
            begun.id: STAGED[:1],
        },
    )
    assert (found.made, found.under_way) == (2, 1)
    assert (found.fastest_s, found.median_s, found.slowest_s) == (10, 20, 30)
    assert found.slowest == slow.id
    assert [(it.why, it.vms) for it in found.failures] == [("no wheel of pandas 9", 1)]


def test_the_axis_of_lives_has_round_times() -> None:
    assert [it.words for it in ticks(NOW, at(300))] == [
        "0", "1 min", "2 min", "3 min", "4 min", "5 min"
    ]  # fmt: skip
    assert [it.x for it in ticks(NOW, at(40))] == [0, 125, 250, 375, 500, 625, 750, 875, 1000]
