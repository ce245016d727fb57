"""The file that remembers a team's server, and which server is spoken with."""

from __future__ import annotations

import os
import stat

import dask
import pytest

from shoal.client import connection, login
from shoal.client.login import Login
from shoal.errors import InvalidRequest, NotLoggedIn


def test_a_login_is_kept_for_its_user_alone_and_replaced_as_a_whole() -> None:
    login.write(login.file(), Login("https://a", "first"))
    login.write(login.file(), Login("https://b", "second"))
    assert login.read(login.file()) == Login("https://b", "second")
    if os.name == "posix":
        assert stat.S_IMODE(login.file().stat().st_mode) == 0o600
    assert [it.name for it in login.file().parent.iterdir()] == ["login.json"]


def test_logging_out_forgets() -> None:
    assert not login.forget(login.file())
    login.write(login.file(), Login("https://a", "token"))
    assert login.forget(login.file())
    assert login.read(login.file()) is None


def test_a_broken_file_is_told_and_not_taken_for_no_login() -> None:
    login.write(login.file(), Login("https://a", "token"))
    login.file().write_text("{")
    with pytest.raises(InvalidRequest, match=r"login.json"):
        connection.configured()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://shoal.example.org/", "https://shoal.example.org"),
        ("shoal.example.org", "https://shoal.example.org"),
        ("http://127.0.0.1:8780", "http://127.0.0.1:8780"),
    ],
)
def test_an_address_is_kept_in_one_form(given: str, kept: str) -> None:
    assert login.address(given) == kept


@pytest.mark.parametrize("given", ["", "ftp://x", "https://"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(InvalidRequest):
        login.address(given)


def test_without_a_login_this_machines_own_server_is_meant() -> None:
    assert connection.configured() is None


def test_the_configuration_wins_over_the_login_and_embedded_over_both() -> None:
    login.write(login.file(), Login("https://a", "of-a"))
    found = connection.configured()
    assert found is not None
    assert (found.url, found.token) == ("https://a", "of-a")
    with dask.config.set({"shoal.server": "https://b", "shoal.token": "of-b"}):
        found = connection.configured()
        assert found is not None
        assert (found.url, found.token) == ("https://b", "of-b")
    with dask.config.set({"shoal.server": "embedded"}):
        assert connection.configured() is None


def test_a_server_without_a_token_for_it_says_how_to_log_in() -> None:
    login.write(login.file(), Login("https://a", "of-a"))
    with (
        dask.config.set({"shoal.server": "https://b"}),
        pytest.raises(NotLoggedIn, match="shoal login https://b"),
    ):
        connection.configured()


def test_no_repr_shows_the_token() -> None:
    kept = Login("https://a", "very-secret")
    assert "very-secret" not in f"{kept!r} {kept.place()!r}"


@pytest.mark.parametrize(
    ("url", "read_by_others"),
    [
        ("http://shoal.example.org", True),
        ("http://10.0.0.5:8780", True),
        ("https://shoal.example.org", False),
        ("http://127.0.0.1:8780", False),
        ("http://localhost:8780", False),
        ("http://[::1]:8780", False),
    ],
)
def test_a_token_that_others_could_read_on_its_way_is_known(url: str, read_by_others: bool) -> None:
    assert login.unprotected(url) is read_by_others
