"""An environment as it travels: a lock, and wheels for what no index has.

Content-addressed: the id is a hash of everything that decides what is installed, so equal ids mean
nothing to do.
"""

from __future__ import annotations

import hashlib

import msgspec

from shoal.wire.ids import EnvironmentId


class WheelFile(msgspec.Struct, frozen=True):
    """A wheel that travels with the environment; the lock refers to it as `wheels/<filename>`."""

    filename: str
    sha256: str
    size_bytes: int
    distribution: str
    version: str
    kind: str  # "editable", "repacked" (as installed here, from no index), "file" or "modules"


class PackageSummary(msgspec.Struct, frozen=True):
    name: str
    version: str
    source: str  # "index", "conda", or the kind of its wheel


class Manifest(msgspec.Struct, frozen=True):
    id: EnvironmentId
    lock: str  # PEP 751 pylock.toml
    python: str  # "3.11.7"
    platform: str  # uv's name of the target: "x86_64-unknown-linux-gnu"
    wheels: tuple[WheelFile, ...] = ()
    packages: tuple[PackageSummary, ...] = ()
    exact_python: bool = False  # no other patch version of it will do
    conda: str = ""  # a lock as rattler writes it: a conda prefix, with the rest installed into it


def environment_id(
    lock: str,
    python: str,
    platform: str,
    wheels: tuple[WheelFile, ...],
    *,
    exact: bool = False,
    conda: str = "",
) -> EnvironmentId:
    digest = hashlib.sha256()
    for part in (lock, python, platform, *sorted(it.sha256 for it in wheels)):
        digest.update(part.encode() + b"\0")
    if exact:
        digest.update(b"exactly this Python\0")
    if conda:
        digest.update(b"conda\0" + conda.encode())
    return EnvironmentId(f"env-{digest.hexdigest()[:32]}")


def content_id(manifest: Manifest) -> EnvironmentId:
    """The id that its content has."""
    it = manifest
    return environment_id(
        it.lock, it.python, it.platform, it.wheels, exact=it.exact_python, conda=it.conda
    )
