"""How each thing that was scanned can travel: pure, from values to tagged unions."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TypeAlias

import msgspec
from packaging.utils import canonicalize_name

from shoal.software.scan import Distribution, Loose, Scan, source_directory

# Installers are not part of what a program imports; the target has its own.
_INSTALLERS = frozenset({"pip", "setuptools", "wheel", "distribute", "pkg-resources"})


class Index(msgspec.Struct, frozen=True, tag=True):
    """To be had from a package index at exactly this version."""

    name: str
    version: str


class Editable(msgspec.Struct, frozen=True, tag=True):
    """A project that people are working on: built here."""

    name: str
    version: str
    source: Path


class Repacked(msgspec.Struct, frozen=True, tag=True):
    """Installed from a directory, a file, git or a URL: the installed files make the wheel, so that
    what is imported there is what is imported here, and no credentials are needed."""

    name: str
    version: str
    metadata: Path
    origin: str


class Modules(msgspec.Struct, frozen=True, tag=True):
    loose: Loose


class NotPortable(msgspec.Struct, frozen=True, tag=True):
    name: str
    version: str
    reason: str


Item: TypeAlias = Index | Editable | Repacked | Modules | NotPortable


class Filters(msgspec.Struct, frozen=True):
    """Names as users write them; `only` wins over what was scanned, `ignore` over both."""

    ignore: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None


def classify(scan: Scan, filters: Filters = Filters()) -> tuple[Item, ...]:  # noqa: B008  frozen
    """Everything scanned, less what the filters leave out."""
    ignored = frozenset(map(canonicalize_name, filters.ignore))
    only = None if filters.only is None else frozenset(map(canonicalize_name, filters.only))
    kept = [it for it in scan.distributions if _wanted(it.name, ignored, only)]
    items: list[Item] = [_item(it) for it in kept]
    if only is None:
        items += [_modules(it) for it in scan.loose]
    names = {it.name for it in scan.distributions}
    items += [_conda(it) for it in scan.conda if only is None and it.partition(" ")[0] not in names]
    return tuple(items)


def _conda(package: str) -> Item:
    name, _, version = package.partition(" ")
    return NotPortable(name, version, "a conda package, which cannot be synced yet")


def _wanted(name: str, ignored: Collection[str], only: Collection[str] | None) -> bool:
    return name not in ignored and (only is None or name in only) and name not in _INSTALLERS


def _item(it: Distribution) -> Item:
    if not it.name or not it.version:
        return NotPortable(
            it.name or it.metadata.name, it.version, "its metadata has no name or version"
        )
    if it.editable:
        source = source_directory(it)
        if source is None or not source.is_dir():
            return NotPortable(it.name, it.version, f"its project {source} is not there any more")
        return Editable(it.name, it.version, source)
    if it.direct_url is not None:
        origin = "git" if it.direct_url.vcs_info else "a file or URL"
        return Repacked(it.name, it.version, it.metadata, origin)
    if it.metadata.suffix == ".egg-info":
        return NotPortable(it.name, it.version, "the operating system installed it")
    return Index(it.name, it.version)


def _modules(loose: Loose) -> Item:
    if loose.too_large:
        return NotPortable(str(loose.directory), "", "more than 20 MiB of modules")
    return Modules(loose)
