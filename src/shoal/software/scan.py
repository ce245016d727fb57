"""What can be imported in this interpreter, and where it came from. Reads; decides nothing.

Must be quick (hundreds of distributions in well under half a second), so it believes the names of
metadata directories and opens only the few files that tell an unusual origin.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from email.parser import HeaderParser
from pathlib import Path
from urllib.request import url2pathname

import msgspec
from packaging.utils import canonicalize_name

from shoal.software.loose import Loose, loose_modules

_SYSTEM_PACKAGES = "/usr/lib/python3"  # where Debian's and Fedora's own packages are
_PROJECT_FILES = ("pyproject.toml", "setup.py")


class DirectUrl(msgspec.Struct, frozen=True):
    """PEP 610, the parts that matter."""

    url: str = ""
    dir_info: dict[str, bool] | None = None
    vcs_info: dict[str, str] | None = None


class Distribution(msgspec.Struct, frozen=True):
    """One installed distribution; `metadata` is its .dist-info or .egg-info."""

    name: str  # canonical
    version: str
    metadata: Path
    direct_url: DirectUrl | None = None
    project: Path | None = None  # where an editable one is worked on
    installer: str = ""  # "conda" or "system": one whose packages are not an index's


class CondaPackage(msgspec.Struct, frozen=True):
    name: str
    version: str
    metadata: Path  # in conda-meta


class Scan(msgspec.Struct, frozen=True):
    python: str
    distributions: tuple[Distribution, ...]  # by name
    loose: tuple[Loose, ...]
    conda: tuple[CondaPackage, ...]  # of a conda prefix: all of it, Python included


def scan(
    working_directory: Path, path: Sequence[str] | None = None, prefix: Path | None = None
) -> Scan:
    """`path`: what to search, `sys.path` if not given; `prefix`: where conda would be."""
    searched = [Path(entry or working_directory) for entry in (sys.path if path is None else path)]
    found = distributions(searched, prefix)
    projects = [it.project for it in found if it.project is not None]
    loose = loose_modules(working_directory, searched, projects)
    version = ".".join(map(str, sys.version_info[:3]))
    return Scan(version, found, loose, tuple(_conda_packages(_conda_meta(prefix))))


def distributions(searched: Sequence[Path], prefix: Path | None = None) -> tuple[Distribution, ...]:
    """The first of each name wins, as it does for an import."""
    conda = _conda_meta(prefix).is_dir()
    found: dict[str, Distribution] = {}
    for directory in searched:
        for distribution in _in_directory(directory, conda):
            found.setdefault(distribution.name, distribution)
    return tuple(found[name] for name in sorted(found))


def _in_directory(directory: Path, conda: bool) -> Iterator[Distribution]:
    try:
        entries = sorted(os.listdir(directory))
    except OSError:  # sys.path may name what is not there, or a zip file
        return
    for entry in entries:
        stem, _, suffix = entry.rpartition(".")
        if suffix not in ("dist-info", "egg-info") or entry.startswith(("~", ".")):
            continue  # pip renames to ~ what it could not remove
        metadata = directory / entry
        read = _dist_info(metadata, stem, conda) if suffix == "dist-info" else _egg_info(metadata)
        if read is not None and read.name:
            yield read


def _dist_info(metadata: Path, stem: str, conda: bool) -> Distribution | None:
    if not (metadata / "METADATA").exists():
        return None  # a left-over: Python does not see a distribution in it either
    name, _, version = stem.partition("-")
    if not version or "_" in version:  # old installers wrote "1.0-1" as "1.0_1"
        name, version = _headers(metadata / "METADATA")
    url = _direct_url(metadata)
    editable = url is not None and url.dir_info is not None and url.dir_info.get("editable")
    return Distribution(
        canonicalize_name(name),
        version,
        metadata,
        direct_url=url,
        project=_directory_of(url.url) if editable and url else None,
        installer=_installer(metadata, conda),
    )


def _egg_info(metadata: Path) -> Distribution | None:
    """Of `setup.py develop`, or of an installer older than PEP 376."""
    information = metadata / "PKG-INFO" if metadata.is_dir() else metadata
    try:
        name, version = _headers(information)
    except OSError:
        return None
    project = _project_around(metadata.parent)
    return Distribution(
        canonicalize_name(name),
        version,
        metadata,
        project=project,
        installer="" if project else "system",
    )


def _headers(file: Path) -> tuple[str, str]:
    headers = HeaderParser().parsestr(
        file.read_text(encoding="utf-8", errors="replace"), headersonly=True
    )
    return headers["Name"] or "", headers["Version"] or ""


def _direct_url(metadata: Path) -> DirectUrl | None:
    try:
        raw = (metadata / "direct_url.json").read_bytes()
    except OSError:
        return None
    try:
        return msgspec.json.decode(raw, type=DirectUrl)
    except msgspec.DecodeError:
        return None


def _directory_of(url: str) -> Path | None:
    return Path(url2pathname(url.removeprefix("file://"))) if url.startswith("file://") else None


def _project_around(directory: Path) -> Path | None:
    """The project whose importable directory this is: itself, or its src."""
    for candidate in (directory, directory.parent if directory.name == "src" else directory):
        if any((candidate / name).is_file() for name in _PROJECT_FILES):
            return candidate
    return None


def _installer(metadata: Path, conda: bool) -> str:
    if metadata.as_posix().startswith(_SYSTEM_PACKAGES):
        return "system"
    if not conda:
        return ""
    try:
        name = (metadata / "INSTALLER").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    return name if name == "conda" else ""


def _conda_meta(prefix: Path | None) -> Path:
    return (prefix or Path(sys.prefix)) / "conda-meta"


def _conda_packages(directory: Path) -> Iterator[CondaPackage]:
    """Their files are called name-version-build.json."""
    for file in sorted(directory.glob("*.json")):
        match file.stem.rsplit("-", 2):
            case [name, version, _]:
                yield CondaPackage(name, version, file)
