"""What can be imported in this interpreter, and where it came from. Reads; decides nothing.

Must be quick (hundreds of distributions in well under half a second), so it reads directory names
and opens only the few files that tell an unusual origin.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from email.parser import HeaderParser
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

_SKIPPED_DIRECTORIES = frozenset({"node_modules", "build", "dist", "venv", "env", "__pycache__"})
MAX_LOOSE_BYTES = 20 << 20


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

    @property
    def editable(self) -> bool:
        url = self.direct_url
        return bool(url and url.dir_info and url.dir_info.get("editable"))


class Loose(msgspec.Struct, frozen=True):
    """Modules and packages of a directory that belong to no distribution."""

    directory: Path
    files: tuple[Path, ...]  # relative to it
    size_bytes: int
    too_large: bool = False


class Scan(msgspec.Struct, frozen=True):
    python: str
    distributions: tuple[Distribution, ...]
    loose: tuple[Loose, ...]
    conda: tuple[str, ...]  # "name version" of packages that conda installed


def scan(working_directory: Path, path: Sequence[str] | None = None) -> Scan:
    """`path`: what to search, `sys.path` if not given."""
    searched = [Path(entry or working_directory) for entry in (sys.path if path is None else path)]
    found: dict[str, Distribution] = {}
    for directory in searched:
        for distribution in _distributions(directory):
            found.setdefault(distribution.name, distribution)
    sources = [s for it in found.values() if (s := source_directory(it)) is not None]
    loose = [
        it
        for directory in _user_directories([working_directory, *searched], sources)
        if (it := _loose(directory)) is not None
    ]
    version = ".".join(map(str, sys.version_info[:3]))
    return Scan(version, tuple(found[name] for name in sorted(found)), tuple(loose), _conda())


def source_directory(distribution: Distribution) -> Path | None:
    """Where an editable project lives."""
    url = distribution.direct_url
    if url is None or not distribution.editable or not url.url.startswith("file://"):
        return None
    from urllib.request import url2pathname

    return Path(url2pathname(url.url.removeprefix("file://")))


def _distributions(directory: Path) -> Iterator[Distribution]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:  # sys.path may name what is not there, or a zip file
        return
    for entry in entries:
        stem, _, suffix = entry.name.rpartition(".")
        if suffix == "dist-info":
            yield _from_dist_info(Path(entry.path), stem)
        elif suffix == "egg-info":
            yield _from_egg_info(Path(entry.path))


def _from_dist_info(metadata: Path, stem: str) -> Distribution:
    name, _, version = stem.partition("-")
    try:
        raw = (metadata / "direct_url.json").read_bytes()
    except OSError:
        return Distribution(canonicalize_name(name), version, metadata)
    try:
        url = msgspec.json.decode(raw, type=DirectUrl)
    except msgspec.DecodeError:
        url = None
    return Distribution(canonicalize_name(name), version, metadata, url)


def _from_egg_info(metadata: Path) -> Distribution:
    information = metadata / "PKG-INFO" if metadata.is_dir() else metadata
    headers = HeaderParser().parsestr(information.read_text(errors="replace"), headersonly=True)
    return Distribution(
        canonicalize_name(headers["Name"] or ""), headers["Version"] or "", metadata
    )


def _user_directories(searched: Sequence[Path], sources: Sequence[Path]) -> Iterator[Path]:
    """Those that neither Python nor an installer put on the path."""
    paths = sysconfig.get_paths()
    ours = [Path(p).resolve() for p in (sys.prefix, sys.base_prefix, sys.exec_prefix)]
    ours += [Path(paths[key]).resolve() for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    seen: set[Path] = set()
    for directory in searched:
        resolved = directory.resolve()
        if resolved in seen or not resolved.is_dir():
            continue
        seen.add(resolved)
        inside_python = any(resolved == o or o in resolved.parents for o in ours)
        is_source = any(resolved in (s.resolve(), s.resolve() / "src") for s in sources)
        if (
            not inside_python
            and not is_source
            and resolved.name not in ("dist-packages", "site-packages")
        ):
            yield resolved


def _loose(directory: Path) -> Loose | None:
    files: list[Path] = []
    size = 0
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        for file in _modules(entry):
            size += file.stat().st_size
            files.append(file.relative_to(directory))
            if size > MAX_LOOSE_BYTES:
                return Loose(directory, (), size, too_large=True)
    return Loose(directory, tuple(files), size) if files else None


def _modules(entry: os.DirEntry[str]) -> Iterator[Path]:
    """The files of one importable module or package."""
    path = Path(entry.path)
    if entry.name.startswith("."):
        return
    if (
        entry.is_file()
        and path.suffix == ".py"
        and path.stem.isidentifier()
        and path.stem != "setup"
    ):
        yield path
    elif entry.is_dir() and entry.name.isidentifier() and _is_package(path):
        for root, directories, names in os.walk(path):
            directories[:] = sorted(d for d in directories if not _skipped(d))
            yield from (Path(root, name) for name in sorted(names) if not name.endswith(".pyc"))


def _is_package(path: Path) -> bool:
    return path.name not in _SKIPPED_DIRECTORIES and (path / "__init__.py").is_file()


def _skipped(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED_DIRECTORIES


def _conda() -> tuple[str, ...]:
    directory = Path(sys.prefix, "conda-meta")
    if not directory.is_dir():
        return ()
    stems = [file.stem.rsplit("-", 2) for file in sorted(directory.glob("*.json"))]
    return tuple(f"{name} {version}" for name, version, _ in (s for s in stems if len(s) == 3))
