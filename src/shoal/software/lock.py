"""The lock: a PEP 751 pylock.toml for the target, exact versions with hashes, made by `uv`.

For a platform like this one what was scanned is a closed set already: nothing is resolved, only
pinned. For another one dependencies are resolved anew around the same versions, and a version that
is not there gives way, but never of the packages that must match. The outcome is kept by a hash of
its inputs, so that nothing changed means no index is asked.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from shoal.errors import EnvironmentFailed
from shoal.software import client_cache, pylock
from shoal.software.agreement import MUST_MATCH
from shoal.software.installer import (
    CREDENTIALS,
    attempt,
    credentials_missing,
    last_words,
    package_in,
)
from shoal.software.targets import Target

_FORMAT = "6"  # part of the cache's key: raise it when the outcome for the same inputs changes
# How uv says that a package is not to be had at a version, at all, or for a platform.
_NOT_TO_BE_HAD = (
    re.compile(r"there is no version of ([A-Za-z0-9._-]+)=="),
    re.compile(r"([A-Za-z0-9._-]+) was not found in the (?:package registry|cache|provided)"),
    # "pywin32<=302 has no wheels with …": the name, and not the 302
    re.compile(r"(?<![\w.<>=-])([A-Za-z0-9._-]+?)(?:(?:[<>]=?|==)\S+)? has no (?:usable )?wheels"),
)


class Relaxed(msgspec.Struct, frozen=True):
    name: str
    version: str  # as it is here
    instead: str


class Outcome(msgspec.Struct, frozen=True):
    """`missing`: what no index has, or has for this target; `private`: what only those get who
    have credentials for its index. Neither is in the lock."""

    text: str
    missing: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    relaxed: tuple[Relaxed, ...] = ()


class NotToBeHad(EnvironmentFailed):
    def __init__(self, names: Collection[str], words: str) -> None:
        super().__init__(
            f"The package index does not have {', '.join(sorted(names))} as needed:\n{words}",
            hint=f"To leave packages out: package_sync_ignore={sorted(names)}.",
        )
        self.names = frozenset(names)


class Wanted(msgspec.Struct, frozen=True):
    """What to lock. `own`: what travels as a wheel of ours, and is looked for nowhere. `closed`:
    the versions are all that is needed, since the target is like here."""

    versions: dict[str, str]  # by name
    target: Target
    own: tuple[str, ...] = ()
    closed: bool = True


def pinned(wanted: Wanted, cache: Path) -> Outcome:
    file = cache / "locks" / f"{_key(wanted)}.json"
    if client_cache.used(file):
        return msgspec.json.decode(file.read_bytes(), type=Outcome)
    outcome = _closed(wanted) if wanted.closed else _resolved(wanted)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    try:
        draft.write_bytes(msgspec.json.encode(outcome))
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)  # of a disk that is full
    client_cache.prune(cache)
    return outcome


def read(text: str) -> pylock.Lock:
    """What uv wrote, or another tool."""
    indexes = {pylock.host_of(url): url for _, url in _indexes()}
    return pylock.naming_indexes(pylock.parse(text), indexes)


def compile_arguments(requirements: Path, target: Target) -> list[str | Path]:
    """For `uv_lock`: a requirements file as a lock."""
    return [
        *("pip", "compile", requirements, "--format", "pylock.toml", "--no-header"),
        *("--no-annotate", "--generate-hashes"),
        *("--python-version", target.python, "--python-platform", target.platform),
    ]


def uv_lock(arguments: Sequence[str | Path], cwd: Path | None = None) -> str:
    """What uv prints. Raises NotToBeHad or EnvironmentFailed with its words."""
    done = attempt(arguments, cwd=cwd)
    if done.returncode == 0:
        return done.stdout
    words = pylock.without_users(last_words(done.stderr))
    if names := not_to_be_had(done.stderr):
        raise NotToBeHad(names, words)
    named = package_in(words)
    what = f"{named} could not be had" if named else "The environment could not be locked"
    if credentials_missing(words):
        raise EnvironmentFailed(f"{what}:\n{words}", hint=CREDENTIALS)
    raise EnvironmentFailed(
        f"{what}:\n{words}",
        hint="Is the package index reachable? uv has its own settings: UV_DEFAULT_INDEX, uv.toml.",
    )


def not_to_be_had(words: str) -> set[str]:
    """The packages of which uv says that there is none."""
    sentence = " ".join(words.split())  # uv wraps its lines
    return {name for it in _NOT_TO_BE_HAD for name in it.findall(sentence)}


def _closed(wanted: Wanted) -> Outcome:
    exact, missing = dict(wanted.versions), set[str]()
    while True:
        try:
            lock = _compiled(exact, frozenset(), wanted)
            break
        except NotToBeHad as error:
            found = error.names & exact.keys()
            if not found:
                raise
            missing |= found
            exact = {name: it for name, it in exact.items() if name not in found}
    private = tuple(_private(lock))
    return Outcome(lock.without(private).text, tuple(sorted(missing)), private)


def _resolved(wanted: Wanted) -> Outcome:
    exact, free, missing = dict(wanted.versions), frozenset[str](), set[str]()
    while True:
        try:
            lock = _compiled(exact, free, wanted)
            break
        except NotToBeHad as error:
            gives_way, leaves = error.names & exact.keys(), error.names & free
            if gives_way & MUST_MATCH or not (gives_way or leaves):
                raise
            free = (free | gives_way) - leaves
            missing |= leaves
            exact = {name: it for name, it in exact.items() if name not in gives_way}
    found = {it.name: it.version for it in lock.packages}
    versions = wanted.versions
    relaxed = tuple(Relaxed(it, versions[it], found[it]) for it in sorted(free & found.keys()))
    return Outcome(lock.text, tuple(sorted(missing)), (), relaxed)


def _compiled(exact: dict[str, str], free: Collection[str], wanted: Wanted) -> pylock.Lock:
    with tempfile.TemporaryDirectory() as directory:
        requirements = Path(directory, "requirements.txt")
        lines = [f"{name}=={version}" for name, version in exact.items()] + sorted(free)
        requirements.write_text("\n".join(lines) + "\n", encoding="utf-8")
        arguments = compile_arguments(requirements, wanted.target)
        if wanted.closed:
            return read(uv_lock([*arguments, "--no-deps"]))
        never = Path(directory, "overrides.txt")
        never.write_text("".join(f"{it}; python_version < '0'\n" for it in wanted.own))
        return read(uv_lock([*arguments, "--overrides", never]))


def _private(lock: pylock.Lock) -> Iterator[str]:
    """What an index with credentials has: workers are not given them."""
    hosts = {pylock.host_of(url) for name, url in _indexes() if _has_credentials(name, url)}
    for it in lock.packages:
        if any(pylock.host_of(url) in hosts for url in it.urls):
            yield it.name


def _has_credentials(name: str, url: str) -> bool:
    named = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
    return bool(pylock.user_of(url)) or (bool(name) and f"{named}_PASSWORD" in os.environ)


def _indexes() -> Iterator[tuple[str, str]]:
    """Names (or "") and URLs in uv's environment variables: "ours=https://host/simple"."""
    for _, value in _index_settings():
        for entry in value.split():
            before, _, rest = entry.partition("://")
            name, _, scheme = before.rpartition("=")
            if rest:
                yield name, f"{scheme}://{rest}"


def _index_settings() -> list[tuple[str, str]]:
    kinds = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX", "UV_FIND_LINKS", "UV_NO_INDEX")
    return sorted((name, it) for name, it in os.environ.items() if name.startswith(kinds))


def _key(wanted: Wanted) -> str:
    inputs = msgspec.json.encode((_FORMAT, wanted, _index_settings()), order="deterministic")
    return hashlib.sha256(inputs).hexdigest()[:32]
