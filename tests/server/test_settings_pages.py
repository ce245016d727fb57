"""Costs, machinery and settings in a browser: what they show, and who may change what."""

from __future__ import annotations

import asyncio
import re

import pytest

from shoal.store import events, limits
from shoal.wire.ids import UserName, WorkspaceName
from shoal.wire.limits import EACH, WHOLE, Limits
from tests.server.browsing import Browser, a_cluster
from tests.server.conftest import Served


def test_a_token_is_made_shown_once_and_revoked(served: Served, browser: Browser) -> None:
    fields = {"form_key": browser.form_key(), "user": "bob", "workspace": "", "expiry": "7"}
    made = browser.post("/settings/tokens", fields)
    [secret] = set(re.findall(r"shoal_[\w-]{43}", made.text))
    assert secret not in browser.get("/settings").text
    assert Browser(served).log_in(secret).status_code == 303
    [id] = re.findall(r"/settings/tokens/(t-[0-9a-f]{12})/revoke", made.text)
    browser.post(f"/settings/tokens/{id}/revoke", {"form_key": browser.form_key()})
    assert Browser(served).log_in(secret).status_code == 401


def test_only_administrators_see_and_make_tokens(served: Served) -> None:
    bob = Browser(served)
    bob.log_in(served.token("bob", "research", "clusters"))
    assert "Ask an administrator" in bob.get("/settings").text
    fields = {"form_key": bob.form_key(), "user": "eve", "expiry": ""}
    assert bob.post("/settings/tokens", fields).status_code == 403
    assert bob.post("/settings/tokens/t-x/revoke", fields).status_code == 403


@pytest.mark.parametrize(("user", "expiry"), [("", "7"), (" ", ""), ("bob", "-1"), ("bob", "x")])
def test_a_wrong_form_makes_no_token(browser: Browser, user: str, expiry: str) -> None:
    fields = {"form_key": browser.form_key(), "user": user, "expiry": expiry}
    answer = browser.post("/settings/tokens", fields)
    assert answer.status_code == 422
    assert "shoal_" not in answer.text


def test_no_other_site_makes_a_token(browser: Browser) -> None:
    fields = {"form_key": "wrong", "user": "eve", "expiry": ""}
    assert browser.post("/settings/tokens", fields).status_code == 403


def test_costs_are_a_page_and_files(served: Served, browser: Browser) -> None:
    a_cluster(served, served.token("bob", "research", "clusters"), tags={"team": "red"})
    for by, shown in (("day", "VM hours"), ("user", "bob"), ("tag", "team=red"), ("cloud", "sim")):
        page = browser.get(f"/costs?by={by}")
        assert page.status_code == 200
        assert shown in page.text, by
    assert browser.get("/costs.csv?by=user").text.splitlines()[1].startswith("bob,")
    assert browser.get("/costs.json?by=tag:team").json()["lines"][0]["key"] == "red"
    for wrong in ("by=planet", "by=tag:", "since=2y"):
        assert browser.get(f"/costs?{wrong}").status_code == 422


def test_the_machinery_tells_what_stands_still_and_what_went_wrong(
    served: Served, browser: Browser
) -> None:
    book = served.desk.passes
    with book.passing("reconcile sim", 2.0):
        book.failed("reconcile sim", "the cloud does not answer")
    with book.passing("book costs", 60.0):
        pass
    page = browser.get("/machinery").text
    assert "the cloud does not answer" in page
    assert page.count("stands still") == 0
    book.loops["book costs"].began_at = served.desk.started_at.replace(year=2020)
    assert "stands still" in browser.get("/machinery").text


def limits_of(served: Served, user: str) -> Limits:
    run, now = served.desk.database.run, served.desk.clock()
    found = asyncio.run(run(limits.every, WorkspaceName("research"), now))
    if user in (WHOLE, EACH):
        return found.each if user else found.whole
    return found.users.get(UserName(user), Limits())


def test_limits_are_set_and_taken_away_by_a_form(served: Served, browser: Browser) -> None:
    fields = {"form_key": browser.form_key(), "of": "ada", "workers": "20", "price": "1.25"}
    answer = browser.post("/settings/limits", fields | {"lifetime": "8", "why": "her thesis"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings#limits")
    assert limits_of(served, "ada") == Limits(
        workers=20, price_uusd_per_hour=1_250_000, lifetime_s=28_800.0
    )
    shown = browser.get("/settings?of=ada").text
    assert 'name="workers" value="20"' in shown
    assert 'name="price" value="1.25"' in shown
    assert 'name="lifetime" value="8"' in shown
    browser.post("/settings/limits", fields | {"price": " "})
    assert limits_of(served, "ada") == Limits(workers=20), "what is empty is no limit"
    run, research = served.desk.database.run, WorkspaceName("research")
    told = asyncio.run(run(events.newest, None, 9, workspace=research))
    assert any("her thesis" in it.why and it.actor == "ada" for it in told)


def test_limits_of_the_workspace_and_of_each_user_are_apart(
    served: Served, browser: Browser
) -> None:
    key = {"form_key": browser.form_key()}
    browser.post("/settings/limits", key | {"of": "", "budget": "3000"})
    browser.post("/settings/limits", key | {"of": "*", "clusters": "2"})
    assert limits_of(served, "") == Limits(budget_uusd=3_000_000_000)
    assert limits_of(served, "*") == Limits(clusters=2)
    assert 'name="clusters" value="2"' in browser.get("/settings?of=*").text
    assert 'name="budget" value="3000"' in browser.get("/settings").text


@pytest.mark.parametrize(
    ("name", "text"),
    [("workers", "-1"), ("workers", "1.5"), ("price", "NaN"), ("budget", "much"),
     ("lifetime", "0.001"), ("gpus", "1e99"), ("vcpus", "1e999999")],
)  # fmt: skip
def test_what_cannot_be_a_limit_is_refused_in_words(
    served: Served, browser: Browser, name: str, text: str
) -> None:
    answer = browser.post("/settings/limits", {"form_key": browser.form_key(), name: text})
    assert answer.status_code == 422
    assert "no limit" in answer.text
    assert limits_of(served, "") == Limits()


def test_only_administrators_change_limits_and_from_here_alone(
    served: Served, browser: Browser
) -> None:
    bob = Browser(served)
    bob.log_in(served.token("bob", "research", "clusters"))
    assert 'action="/settings/limits"' not in bob.get("/settings").text
    fields = {"form_key": bob.form_key(), "of": "bob", "workers": "9"}
    assert bob.post("/settings/limits", fields).status_code == 403
    assert browser.post("/settings/limits", fields).status_code == 403, "bob's form key"
    assert limits_of(served, "bob") == Limits()
