"""Costs, machinery and settings in a browser: what they show, and who may change what."""

from __future__ import annotations

import re

import pytest

from tests.server.conftest import Served
from tests.server.test_pages import Browser, a_cluster


@pytest.fixture
def browser(served: Served) -> Browser:
    made = Browser(served)
    made.log_in(served.token("ada", "research", "clusters", "admin"))
    return made


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
