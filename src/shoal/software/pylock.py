"""The text of a PEP 751 lock, taken apart by packages and put together again.

There is no writer of TOML in the standard library and none is needed: a lock is a head and a
sequence of [[packages]], and a package that stays keeps its very words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from urllib.parse import urlsplit, urlunsplit

import msgspec

from shoal.errors import EnvironmentFailed
from shoal.wire.environments import WheelFile

_START = re.compile(r"^\[\[packages\]\]", re.MULTILINE)
_URL = re.compile(r"[a-z][a-z+.-]*://[^\"'\s]+")
_REQUIRES_PYTHON = re.compile(r'^requires-python = ">=(\d+\.\d+)[^"]*"', re.MULTILINE)


class Directory(msgspec.Struct, frozen=True):
    path: str


class Archive(msgspec.Struct, frozen=True):
    path: str = ""
    url: str = ""
    hashes: dict[str, str] = {}


class Vcs(msgspec.Struct, frozen=True, rename="kebab"):
    type: str
    url: str = ""
    path: str = ""
    commit_id: str = ""
    subdirectory: str = ""


class Package(msgspec.Struct, frozen=True):
    """Of PEP 751's fields those that say where a package is to be had, and its own `text`."""

    name: str
    version: str = ""
    index: str = ""
    directory: Directory | None = None
    vcs: Vcs | None = None
    archive: Archive | None = None
    sdist: Archive | None = None
    wheels: tuple[Archive, ...] = ()
    text: str = ""

    @property
    def urls(self) -> tuple[str, ...]:
        archives = (*self.wheels, *filter(None, (self.sdist, self.archive)))
        return tuple(it.url for it in archives if it.url)


class _Document(msgspec.Struct, frozen=True):
    packages: tuple[Package, ...]


class Lock(msgspec.Struct, frozen=True):
    head: str
    packages: tuple[Package, ...]

    @property
    def text(self) -> str:
        none = "" if self.packages else "packages = []\n"
        return none + self.head + "".join(it.text for it in self.packages)

    def without(self, names: Iterable[str]) -> Lock:
        gone = frozenset(names)
        return Lock(self.head, tuple(it for it in self.packages if it.name not in gone))

    def joined(self, wheels: Sequence[WheelFile]) -> Lock:
        """With wheels that travel, in place of what bears their names."""
        others = self.without(it.distribution for it in wheels).packages
        ours = map(_travelling, sorted(wheels, key=lambda it: it.distribution))
        return Lock(self.head, (*others, *ours))


def parse(text: str) -> Lock:
    """Raises EnvironmentFailed when it is no lock. Comments go, and what must not be told."""
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#")) + "\n"
    edges = [*(it.start() for it in _START.finditer(plain)), len(plain)]
    try:
        packages = [_package(plain[a:b]) for a, b in pairwise(edges)]
    except msgspec.DecodeError as error:
        raise EnvironmentFailed(
            f"This is not a lock as PEP 751 has it: {error}",
            hint="Make one with: uv export --format pylock.toml",
        ) from error
    return Lock(_head(plain[: edges[0]]), tuple(packages))


def _head(text: str) -> str:
    """What is locked for 3.11.7 is good for the 3.11 that a VM has."""
    return _REQUIRES_PYTHON.sub(r'requires-python = ">=\1"', text.replace("packages = []\n", ""))


# uv finds a package in its cache only when the lock names its index, which `uv pip compile` does
# not write: 67 packages were downloaded again at each sync without (uv 0.13, checked 2026-11-23).
_PYPI = {"files.pythonhosted.org": "https://pypi.org/simple"}


def naming_indexes(lock: Lock, indexes: Mapping[str, str]) -> Lock:
    """With the index of each package that tells none. `indexes`: URLs by host."""
    known = _PYPI | {host: without_users(url) for host, url in indexes.items()}
    return Lock(lock.head, tuple(_naming_index(it, known) for it in lock.packages))


def _naming_index(package: Package, known: Mapping[str, str]) -> Package:
    hosts = {host_of(url) for url in package.urls if package.archive is None}
    index = known.get(hosts.pop()) if len(hosts) == 1 else None
    if index is None or package.index:
        return package
    line = f"index = {json.dumps(index)}"
    text = re.sub(r"^(version = .*)$", rf"\1\n{line}", package.text, count=1, flags=re.MULTILINE)
    return msgspec.structs.replace(package, index=index, text=text)


def without_users(text: str) -> str:
    """No URL in it tells a user's name or password."""
    return _URL.sub(lambda found: _without_user(found[0]), text)


def user_of(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[0]


def host_of(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def _package(text: str) -> Package:
    [read] = msgspec.toml.decode(text, type=_Document).packages
    ended = text.rstrip("\n") + "\n\n"
    return msgspec.structs.replace(read, text=without_users(ended))


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _travelling(wheel: WheelFile) -> Package:
    path = f"wheels/{wheel.filename}"
    text = (
        "[[packages]]\n"
        f"name = {json.dumps(wheel.distribution)}\n"
        f"version = {json.dumps(wheel.version)}\n"
        f"archive = {{ path = {json.dumps(path)}, "
        f'hashes = {{ sha256 = "{wheel.sha256}" }} }}\n\n'
    )
    return Package(wheel.distribution, wheel.version, archive=Archive(path=path), text=text)
