"""Locks are taken apart and put together without losing a word, except those that must be lost."""

from __future__ import annotations

import tomllib

import pytest

from shoal.errors import EnvironmentFailed
from shoal.software import pylock
from shoal.wire.environments import WheelFile
from tests.software.made import HEAD

PACKAGE = """[[packages]]
name = "{name}"
version = "1.0"
wheels = [{{ url = "{url}", hashes = {{ sha256 = "00" }} }}]

"""
WHEEL = WheelFile("mine-1.0-py3-none-any.whl", "ab" * 32, 10, "mine", "1.0", "editable")


def lock(*names: str, url: str = "https://files.pythonhosted.org/x.whl") -> pylock.Lock:
    return pylock.parse(HEAD + "".join(PACKAGE.format(name=it, url=url) for it in names))


def test_a_lock_stays_the_same_text() -> None:
    assert lock("a", "b").text == HEAD + "".join(
        PACKAGE.format(name=it, url="https://files.pythonhosted.org/x.whl") for it in "ab"
    )


def test_a_wheel_that_travels_takes_the_place_of_its_namesake() -> None:
    read = tomllib.loads(lock("a", "mine").joined([WHEEL]).text)
    assert [it["name"] for it in read["packages"]] == ["a", "mine"]
    assert read["packages"][1]["archive"]["path"] == "wheels/mine-1.0-py3-none-any.whl"


def test_no_url_tells_a_user_or_a_password() -> None:
    text = lock("a", url="https://user:secret@host/x.whl").text
    assert "secret" not in text
    assert "https://host/x.whl" in text


def test_comments_go_and_the_minor_version_is_what_counts() -> None:
    text = HEAD.replace(">=3.11", ">=3.11.7") + "# uv pip compile /home/me/requirements.txt\n"
    assert pylock.parse(text).text == "packages = []\n" + HEAD


def test_packages_of_known_indexes_name_theirs() -> None:
    named = pylock.naming_indexes(lock("a"), {})
    assert tomllib.loads(named.text)["packages"][0]["index"] == "https://pypi.org/simple"
    ours = {"ours.test": "https://me:secret@ours.test/simple"}
    named = pylock.naming_indexes(lock("a", url="https://ours.test/a.whl"), ours)
    assert tomllib.loads(named.text)["packages"][0]["index"] == "https://ours.test/simple"
    other = lock("a", url="https://elsewhere.test/a.whl")
    assert pylock.naming_indexes(other, {}) == other


def test_what_is_no_lock_is_refused() -> None:
    with pytest.raises(EnvironmentFailed, match="not a lock"):
        pylock.parse("[[packages]]\nversion = 1\n")
