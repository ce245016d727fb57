"""How each thing that was scanned can travel: pure, from values to tagged unions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec
from packaging.utils import canonicalize_name

from shoal.errors import InvalidRequest
from shoal.software import conda
from shoal.software.agreement import MUST_MATCH
from shoal.software.loose import Loose, Module
from shoal.software.needs import needed_by
from shoal.software.scan import Distribution, Scan

# Installers are not part of what a program imports; the target has its own.
_INSTALLERS = frozenset({"pip", "wheel", "distribute", "pkg-resources"})


class Index(msgspec.Struct, frozen=True, tag=True):
    """To be had from a package index at exactly this version. `installer`: who installed it here
    if that was not from an index (then the index may not have it)."""

    name: str
    version: str
    metadata: Path
    installer: str = ""


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
    directory: Path
    modules: tuple[Module, ...]


class Conda(msgspec.Struct, frozen=True, tag=True):
    """Of a conda prefix, Python code or not: to be had from its channel."""

    name: str
    version: str
    metadata: Path  # in conda-meta


class NotPortable(msgspec.Struct, frozen=True, tag=True):
    name: str
    version: str
    reason: str


Item: TypeAlias = Index | Editable | Repacked | Modules | Conda | NotPortable


class Filters(msgspec.Struct, frozen=True):
    """Names of packages and modules, as users write them. `only`: these and what they need."""

    ignore: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None


def classify(scan: Scan, filters: Filters | None = None) -> tuple[Item, ...]:
    """Everything scanned, less what the filters leave out."""
    chosen = _Chosen(scan, filters or Filters())
    from_conda = _conda(scan, chosen)
    others = [it for it in scan.distributions if not (from_conda and it.installer == "conda")]
    items = [_item(it) for it in others if chosen.package(it.name)]
    items += [it for loose in scan.loose for it in _loose(loose, chosen)]
    return (*items, *from_conda)


class _Chosen:
    """What the filters leave."""

    def __init__(self, scan: Scan, filters: Filters) -> None:
        self.ignored = frozenset(map(canonicalize_name, filters.ignore))
        self.only = None if filters.only is None else needed_by(filters.only, scan.distributions)
        if wrong := self.ignored & MUST_MATCH:
            raise InvalidRequest(
                f"A Dask worker does not run without {', '.join(sorted(wrong))}.",
                hint=f"Do not ignore any of {', '.join(sorted(MUST_MATCH))}.",
            )
        if self.only is not None:
            self.only |= needed_by(tuple(MUST_MATCH), scan.distributions)

    def package(self, name: str) -> bool:
        return name not in _INSTALLERS and self.module(name)

    def module(self, name: str) -> bool:
        plain = canonicalize_name(name)
        return plain not in self.ignored and (self.only is None or plain in self.only)


def _item(it: Distribution) -> Item:
    if it.project is not None:
        if not it.project.is_dir():
            reason = f"its project {it.project} is not there any more"
            return NotPortable(it.name, it.version, reason)
        return Editable(it.name, it.version, it.project)
    if not it.version:
        return NotPortable(it.name, "", "its metadata names no version")
    if it.installer:
        return Index(it.name, it.version, it.metadata, it.installer)
    if it.direct_url is not None:
        origin = "git" if it.direct_url.vcs_info else "a file or URL"
        return Repacked(it.name, it.version, it.metadata, origin)
    return Index(it.name, it.version, it.metadata)


def _loose(it: Loose, chosen: _Chosen) -> Iterator[Item]:
    modules = tuple(module for module in it.modules if chosen.module(module.name))
    if modules:
        yield Modules(it.directory, modules)
    for name in filter(chosen.module, it.too_large):
        yield NotPortable(name, "", f"{it.directory / name} and its files are more than 20 MiB")


def _conda(scan: Scan, chosen: _Chosen) -> tuple[Conda, ...]:
    """All of a conda prefix but what is ignored; of some packages, with what they depend on."""
    taken = [it for it in scan.conda if canonicalize_name(it.name) not in chosen.ignored]
    if chosen.only is not None and taken:
        records = conda.read([it.metadata for it in taken])
        roots = {it.name for it in taken if canonicalize_name(it.name) in chosen.only}
        kept = conda.needed(records, {"python", *roots})
        taken = [it for it in taken if it.name in kept]
    return tuple(Conda(it.name, it.version, it.metadata) for it in taken)
