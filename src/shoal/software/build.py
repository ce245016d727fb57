"""Wheels for what no index has, each made once for the same content, on the client.

The cache is keyed by what goes in: the files of an editable project, of loose modules, the record
of an installed distribution. It is pruned when something is made, and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from shoal.errors import EnvironmentFailed
from shoal.software import builders, client_cache, wheels
from shoal.software.classify import Editable, Modules, Repacked
from shoal.software.installer import CREDENTIALS, attempt, credentials_missing, last_words
from shoal.software.loose import skipped
from shoal.software.pylock import without_users
from shoal.software.repack import repack
from shoal.software.scan import distributions
from shoal.wire.environments import WheelFile

_LARGE_BYTES = 8 << 20  # larger files are known by size and time rather than content
_DESCRIPTION = "wheel.json"


class Built(msgspec.Struct, frozen=True):
    wheel: WheelFile
    path: Path
    new: bool = False  # made just now, and not found


def editable(item: Editable, cache: Path) -> Built:
    """The project's wheel, by its own build backend unless this very source was built before."""
    key = f"{item.name}-{_short(tree_hash(item.source), sys.version)}"
    return _once(key, item.name, "editable", cache, lambda draft: _build(item, draft, cache))


def repacked(item: Repacked, cache: Path) -> Built:
    key = f"{item.name}-{_short(str(item.metadata), _record(item))}"
    return _once(key, item.name, "repacked", cache, lambda draft: wheels.write(repack(item), draft))


class Fetched(msgspec.Struct, frozen=True):
    """To be had from a URL that workers may not reach, or only with credentials."""

    name: str
    url: str  # as in a requirement: git+https://…@<commit>; may hold a secret
    origin: str


def fetched(item: Fetched, cache: Path) -> Built:
    key = f"{item.name}-{_short(item.url, sys.version)}"
    return _once(key, item.name, "repacked", cache, lambda draft: _fetch(item, draft))


def modules(
    items: tuple[Modules, ...], cache: Path, but: frozenset[str] = frozenset()
) -> Built | None:
    """Those that none of our wheels brings (`but`)."""
    made = wheels.from_modules(items, but)
    if made is None:
        return None
    key = made.filename.removesuffix(".whl")
    return _once(key, wheels.LOOSE_NAME, "modules", cache, lambda draft: wheels.write(made, draft))


def tree_hash(source: Path) -> str:
    """64 hex digits of a project's files, less what is built, cached or hidden."""
    digest = hashlib.sha256()
    for file in sources(source):
        digest.update(file.relative_to(source).as_posix().encode() + b"\0")
        facts = file.stat()
        if facts.st_size > _LARGE_BYTES:
            digest.update(f"{facts.st_size} {facts.st_mtime_ns}".encode())
        else:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def sources(project: Path) -> Iterator[Path]:
    """A project's files, less what is built, cached or hidden away."""
    for root, directories, names in os.walk(project):
        directories[:] = sorted(it for it in directories if not _no_source(project, Path(root, it)))
        yield from (file for name in sorted(names) if (file := Path(root, name)).is_file())


def _no_source(project: Path, directory: Path) -> bool:
    """`build` may be a package of the project, but not at its root."""
    built = directory.parent == project and directory.name in ("build", "dist")
    return built or directory.suffix == ".egg-info" or skipped(directory)


def _once(key: str, name: str, kind: str, cache: Path, make: Callable[[Path], Path]) -> Built:
    """Whole or not at all, whoever else is making the same."""
    directory = cache / "wheels" / key
    if (found := _found(directory)) is not None:
        return found
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".making-") as scratch:
        draft = Path(scratch, "wheel")
        draft.mkdir()
        described = describe(make(draft), name, kind)
        (draft / _DESCRIPTION).write_bytes(msgspec.json.encode(described))
        try:
            draft.replace(directory)
        except OSError:  # made by another meanwhile: its bytes are the same
            if _found(directory) is None:
                raise
    client_cache.prune(cache)
    return Built(described, directory / described.filename, new=True)


def _found(directory: Path) -> Built | None:
    if not client_cache.used(directory):
        return None
    wheel = msgspec.json.decode((directory / _DESCRIPTION).read_bytes(), type=WheelFile)
    return Built(wheel, directory / wheel.filename)


def describe(wheel: Path, name: str, kind: str) -> WheelFile:
    data = wheel.read_bytes()
    version = wheel.name.split("-")[1]
    return WheelFile(wheel.name, hashlib.sha256(data).hexdigest(), len(data), name, version, kind)


def _build(item: Editable, draft: Path, cache: Path) -> Path:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            system = builders.build_system(item.source)
            project = _copied(item.source, Path(scratch)) if system.litters else item.source
            out = Path(scratch, "out")
            out.mkdir()
            built = builders.build_wheel(project, system, out, cache)
        except builders.BuildFailed as error:
            raise EnvironmentFailed(
                f"The wheel of {item.name} ({item.source}) could not be built:\n{error.message}",
                hint=f"See it fail with: uv build --wheel {item.source}",
            ) from error
        return wheels.write(wheels.read(built), draft)


def _fetch(item: Fetched, draft: Path) -> Path:
    """By installing it into a directory, since uv makes no wheel of a URL."""
    with tempfile.TemporaryDirectory() as directory:
        requirement = f"{item.name} @ {item.url}"
        here = ["--python", sys.executable, "--target", directory]
        done = attempt(["pip", "install", "--quiet", "--no-deps", *here, requirement])
        if done.returncode != 0:
            words = without_users(last_words(done.stderr))
            asked = credentials_missing(words)
            raise EnvironmentFailed(
                f"{item.name} could not be built from {item.origin}:\n{words}",
                hint=CREDENTIALS if asked else "Can this machine reach it, and does it build here?",
            )
        [found] = distributions([Path(directory)])
        return wheels.write(
            repack(Repacked(found.name, found.version, found.metadata, item.origin)), draft
        )


def _copied(project: Path, scratch: Path) -> Path:
    """Its sources, for a backend that writes beside them; .git tells some their version."""
    copy = scratch / project.name
    for file in sources(project):
        target = copy / file.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    if (project / ".git").exists() and sys.platform != "win32":
        (copy / ".git").symlink_to(project / ".git")
    return copy


def _record(item: Repacked) -> str:
    record = item.metadata / "RECORD"
    return record.read_text(encoding="utf-8") if record.exists() else ""


def _short(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
