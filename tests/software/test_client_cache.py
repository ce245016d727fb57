"""The client's cache ends by age and size, and never takes away what somebody is using."""

from __future__ import annotations

import os
import time
from pathlib import Path

from shoal.software import build, client_cache, lock
from shoal.software.classify import Editable
from shoal.software.targets import here
from tests.software.made import project

DAY_S = 86_400.0


def entry(cache: Path, name: str, *, days_ago: float, size_bytes: int = 10) -> Path:
    """A wheel that was last used then."""
    made = cache / "wheels" / name
    made.mkdir(parents=True)
    (made / "it.whl").write_bytes(b"-" * size_bytes)
    return aged(made, days_ago)


def aged(made: Path, days_ago: float) -> Path:
    then = time.time() - days_ago * DAY_S
    os.utime(made, (then, then))
    return made


def kept(cache: Path) -> set[str]:
    return {it.name for it in (cache / "wheels").glob("[!.]*")}


def test_what_nothing_used_for_a_month_goes(tmp_path: Path) -> None:
    entry(tmp_path, "old", days_ago=31)
    entry(tmp_path, "recent", days_ago=29)
    client_cache.prune(tmp_path)
    assert kept(tmp_path) == {"recent"}
    assert list((tmp_path / "wheels").glob(".ending-*")) == []


def test_of_too_much_the_longest_unused_goes_first(tmp_path: Path) -> None:
    for days_ago in (2, 3, 4, 5):
        entry(tmp_path, f"{days_ago}-days", days_ago=days_ago, size_bytes=100)
    client_cache.prune(tmp_path, kept_bytes=250)
    assert kept(tmp_path) == {"2-days", "3-days"}


def test_what_may_be_in_use_stays_however_large(tmp_path: Path) -> None:
    entry(tmp_path, "uploading", days_ago=0.5, size_bytes=1000)
    client_cache.prune(tmp_path, kept_bytes=100)
    assert kept(tmp_path) == {"uploading"}


def test_use_keeps_an_entry_that_was_about_to_go(tmp_path: Path) -> None:
    found = entry(tmp_path, "found-again", days_ago=31)
    assert client_cache.used(found)
    client_cache.prune(tmp_path, kept_bytes=1)
    assert kept(tmp_path) == {"found-again"}
    assert not client_cache.used(tmp_path / "wheels" / "never-made")


def test_what_is_taken_up_after_the_pruner_looked_stays(tmp_path: Path) -> None:
    found = entry(tmp_path, "taken", days_ago=31)
    assert client_cache.superfluous(tmp_path) == [found]
    assert client_cache.used(found)
    client_cache.remove(found)
    assert kept(tmp_path) == {"taken"}


def test_what_a_killed_build_left_goes_a_day_later(tmp_path: Path) -> None:
    left = entry(tmp_path, ".making-left", days_ago=1.1)
    running = entry(tmp_path, ".making-running", days_ago=0.1)
    client_cache.prune(tmp_path)
    assert (left.exists(), running.exists()) == (False, True)


def test_making_a_wheel_prunes_others_and_finding_it_renews_it(work: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    mine = Editable("mine", "1.0", project(work, "mine"))
    first = build.editable(mine, cache)
    aged(first.path.parent, days_ago=31)
    assert not build.editable(mine, cache).new  # unchanged: found, and its time begins anew
    (mine.source / "mine" / "__init__.py").write_text("VALUE = 2\n")
    second = build.editable(mine, cache)
    assert first.path.exists()
    aged(first.path.parent, days_ago=31)
    (mine.source / "mine" / "__init__.py").write_text("VALUE = 3\n")
    build.editable(mine, cache)
    assert (first.path.exists(), second.path.exists()) == (False, True)


def test_locks_that_nobody_asked_for_in_a_month_go(tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        lock.pinned(lock.Wanted({}, here(), own=(f"mine{version}",)), tmp_path)
    old, recent = sorted((tmp_path / "locks").glob("*.json"))
    aged(old, days_ago=31)
    client_cache.prune(tmp_path)
    assert (old.exists(), recent.exists()) == (False, True)
