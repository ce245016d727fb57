"""Exact versions from an index, what happens when it has them not, and nothing asked twice."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

import msgspec
import pytest

from shoal.errors import EnvironmentFailed
from shoal.software.lock import NotToBeHad, Outcome, Relaxed, Wanted, not_to_be_had, pinned
from shoal.software.sync import here
from shoal.software.targets import Target
from tests.software.index import Index, serving
from tests.software.made import wheel

ELSEWHERE = Target(here().python, "aarch64-apple-darwin")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Because pywin32<=302 has no wheels with a matching Python ABI tag\n(e.g., `cp311`) and",
         "pywin32"),
        ("And because pywin32>=303 has no wheels with a matching platform tag", "pywin32"),
        ("Because fast==1.0 has no wheels with a matching platform tag", "fast"),
        ("Because fast has no usable wheels and you require fast", "fast"),
        ("Because there is no version of fast==1.0+mine and", "fast"),
        ("Because fast was not found in the package registry and", "fast"),
    ],
)  # fmt: skip
def test_uvs_words_name_what_is_not_to_be_had(words: str, name: str) -> None:
    assert not_to_be_had(words) == {name}


def packages(outcome: Outcome) -> dict[str, str]:
    return {it["name"]: it["version"] for it in tomllib.loads(outcome.text).get("packages", [])}


def wanted(target: Target | None = None, **versions: str) -> Wanted:
    return Wanted(versions, target or here(), closed=target is None)


@pytest.mark.usefixtures("index")
def test_versions_are_pinned_with_hashes(wheels: Path, tmp_path: Path) -> None:
    wheel(wheels, "one", "1.0")
    wheel(wheels, "one", "2.0")
    outcome = pinned(wanted(one="1.0"), tmp_path)
    [package] = tomllib.loads(outcome.text)["packages"]
    assert package["version"] == "1.0"
    assert package["wheels"][0]["hashes"]["sha256"]


def test_the_same_again_asks_no_index(index: Index, wheels: Path, tmp_path: Path) -> None:
    wheel(wheels, "one")
    first = pinned(wanted(one="1.0"), tmp_path)
    asked = index.asked
    assert asked > 0
    assert pinned(wanted(one="1.0"), tmp_path) == first
    assert index.asked == asked


def test_a_lock_is_found_without_a_network(
    wheels: Path, tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(wheels, "one")
    first = pinned(wanted(one="1.0"), tmp_path)
    index.server.shutdown()
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert pinned(wanted(one="1.0"), tmp_path) == first


@pytest.mark.usefixtures("index")
def test_what_no_index_has_is_named_and_the_rest_is_locked(wheels: Path, tmp_path: Path) -> None:
    wheel(wheels, "one")
    wheel(wheels, "local", "1.0")
    wheel(wheels, "elsewhere", "1.0", "py3-none-win_amd64")
    versions = {"one": "1.0", "local": "1.0+mine", "nowhere": "1.0", "elsewhere": "1.0"}
    outcome = pinned(Wanted(versions, here()), tmp_path)
    assert packages(outcome) == {"one": "1.0"}
    assert outcome.missing == ("elsewhere", "local", "nowhere")


@pytest.mark.usefixtures("index")
def test_an_empty_session_has_an_empty_lock(tmp_path: Path) -> None:
    assert packages(pinned(wanted(), tmp_path)) == {}


def test_what_needs_credentials_is_told_and_no_password_is_written(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(wheels, "secretive")
    with serving(wheels, "me:secret") as private:
        monkeypatch.delenv("UV_OFFLINE")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        monkeypatch.setenv("UV_DEFAULT_INDEX", private.url)
        outcome = pinned(wanted(secretive="1.0"), tmp_path / "cache")
    assert outcome.private == ("secretive",)
    assert packages(outcome) == {}
    for file in (tmp_path / "cache").rglob("*.json"):
        assert "secret@" not in file.read_text()
        assert ":secret" not in file.read_text()


@pytest.mark.usefixtures("index")
def test_credentials_of_a_named_index_count_too(
    wheels: Path, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(wheels, "secretive")
    monkeypatch.setenv("UV_INDEX", f"our-own={index.url}")
    monkeypatch.setenv("UV_INDEX_OUR_OWN_PASSWORD", "secret")
    assert pinned(wanted(secretive="1.0"), tmp_path / "cache").private == ("secretive",)


@pytest.mark.usefixtures("index")
def test_on_another_platform_a_version_gives_way_and_what_is_not_there_is_missing(
    wheels: Path, tmp_path: Path
) -> None:
    wheel(wheels, "even", "1.0")
    wheel(wheels, "fast", "1.0", "cp311-cp311-manylinux_2_17_x86_64")
    wheel(wheels, "fast", "1.1", "cp311-cp311-macosx_11_0_arm64")
    wheel(wheels, "winreg", "1.0", "py3-none-win_amd64")
    versions = {"even": "1.0", "fast": "1.0", "winreg": "1.0"}
    target = msgspec.structs.replace(ELSEWHERE, python="3.11.7")
    outcome = pinned(Wanted(versions, target, closed=False), tmp_path)
    assert packages(outcome) == {"even": "1.0", "fast": "1.1"}
    assert outcome.relaxed == (Relaxed("fast", "1.0", "1.1"),)
    assert outcome.missing == ("winreg",)


@pytest.mark.usefixtures("index")
def test_dask_gives_way_to_no_platform(wheels: Path, tmp_path: Path) -> None:
    wheel(wheels, "msgpack", "1.0", "cp311-cp311-manylinux_2_17_x86_64")
    wheel(wheels, "msgpack", "1.1", "cp311-cp311-macosx_11_0_arm64")
    with pytest.raises(NotToBeHad, match="msgpack"):
        pinned(wanted(ELSEWHERE, msgpack="1.0"), tmp_path)


def test_an_index_that_does_not_answer_is_told_in_uvs_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_OFFLINE")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple/")
    with pytest.raises(EnvironmentFailed, match="could not be locked") as failed:
        pinned(wanted(one="1.0"), tmp_path)
    assert "index reachable" in failed.value.hint


@pytest.mark.long
def test_dask_is_locked_for_arm(tmp_path: Path) -> None:
    names = ("dask", "distributed", "msgpack", "cloudpickle", "tornado")
    versions = {name: importlib.metadata.version(name) for name in names}
    target = Target("3.11.7", "aarch64-unknown-linux-gnu")
    outcome = pinned(Wanted(versions, target, closed=False), tmp_path)
    assert versions.items() <= packages(outcome).items()
    [msgpack] = [it for it in tomllib.loads(outcome.text)["packages"] if it["name"] == "msgpack"]
    assert any("aarch64" in it["url"] for it in msgpack["wheels"])
    assert not any("x86_64" in it["url"] for it in msgpack["wheels"])
