"""From a Python session to an environment's manifest and wheels: scan, classify, build, lock.

Blocks; knows nothing of servers. Nothing changed means that everything comes from the cache.
"""

from __future__ import annotations

import platform as machine
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from shoal.errors import EnvironmentFailed, InvalidRequest
from shoal.software import build
from shoal.software import lock as locks
from shoal.software.classify import (
    Editable,
    Filters,
    Index,
    Item,
    Modules,
    NotPortable,
    Repacked,
    classify,
)
from shoal.software.lock import Target
from shoal.software.scan import scan
from shoal.wire.environments import Manifest, PackageSummary, WheelFile, environment_id


class SyncRequest(msgspec.Struct, frozen=True):
    """`software`: a lock or requirements file in place of the session's own environment."""

    working_directory: Path
    ignore: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    strict: bool = False
    software: Path | None = None
    target: Target | None = None  # None: like here


class SyncProgress(msgspec.Struct, frozen=True):
    phase: str  # "scanning", "building", "locking"
    detail: str
    fraction: float


class Note(msgspec.Struct, frozen=True):
    """Something that the worker will not have as it is here, and why."""

    name: str
    text: str


class Synchronised(msgspec.Struct, frozen=True):
    manifest: Manifest
    wheel_paths: Mapping[str, Path]  # by SHA-256
    notes: tuple[Note, ...]
    seconds: Mapping[str, float]  # by phase


class ReportRow(msgspec.Struct, frozen=True):
    """A line of `shoal env scan`."""

    name: str
    version: str
    source: str
    action: str
    reason: str = ""


Report = Callable[[SyncProgress], None]


def here() -> Target:
    """This interpreter and machine, as uv names them."""
    arch = {"arm64": "aarch64", "amd64": "x86_64"}.get(
        machine.machine().lower(), machine.machine().lower()
    )
    system = {"darwin": "apple-darwin", "win32": "pc-windows-msvc"}.get(
        sys.platform, "unknown-linux-gnu"
    )
    return Target(".".join(map(str, sys.version_info[:3])), f"{arch}-{system}")


def synchronise(
    request: SyncRequest, *, cache: Path, progress: Report = lambda it: None
) -> Synchronised:
    target = request.target or here()
    if request.software is not None:
        return _from_file(request.software, target, progress)
    clock = _Phases(progress)
    clock.enter("scanning", "what is installed here")
    items = classify(scan(request.working_directory), Filters(request.ignore, request.only))
    notes = tuple(Note(it.name, it.reason) for it in items if isinstance(it, NotPortable))
    if request.strict and notes:
        raise EnvironmentFailed(
            f"{notes[0].name} cannot be synced: {notes[0].text}, and package_sync_strict is set.",
            hint=f"Leave it out: package_sync_ignore=[{notes[0].name!r}].",
        )
    built = _build(items, cache, clock)
    return _locked(items, built, target, notes, cache, clock)


def report(request: SyncRequest) -> tuple[ReportRow, ...]:
    """What would be synced, from where, and what cannot be; nothing is built or asked."""
    items = classify(scan(request.working_directory), Filters(request.ignore, request.only))
    return tuple(_row(it) for it in items)


def _row(item: Item) -> ReportRow:
    match item:
        case Index():
            return ReportRow(item.name, item.version, "index", "install")
        case Editable():
            return ReportRow(item.name, item.version, str(item.source), "build")
        case Repacked():
            return ReportRow(item.name, item.version, item.origin, "repack")
        case Modules():
            names = sorted({Path(*f.parts[:1]).stem for f in item.loose.files})
            return ReportRow(", ".join(names), "", str(item.loose.directory), "copy")
        case NotPortable():
            return ReportRow(item.name, item.version, "", "leave out", item.reason)


_Built = dict[str, tuple[WheelFile, Path]]


def _build(items: tuple[Item, ...], cache: Path, clock: _Phases) -> _Built:
    made: _Built = {}
    own = [it for it in items if isinstance(it, Editable | Repacked)]
    for number, it in enumerate(own):
        clock.enter("building", f"{it.name} {it.version}", number / len(own))
        made[it.name] = (
            build.editable(it, cache) if isinstance(it, Editable) else build.repacked(it, cache)
        )
    loose = tuple(it for it in items if isinstance(it, Modules))
    if loose:
        clock.enter("building", "modules of your working directory", 1.0)
        wheel, path = build.modules(loose, cache)
        made[wheel.distribution] = wheel, path
    return made


def _locked(
    items: tuple[Item, ...],
    built: _Built,
    target: Target,
    notes: tuple[Note, ...],
    cache: Path,
    clock: _Phases,
) -> Synchronised:
    pins = {it.name: it for it in items if isinstance(it, Index)}
    clock.enter("locking", f"{len(pins)} packages")
    while True:
        wheels = tuple(wheel for wheel, _ in built.values())
        try:
            text = locks.lock(list(pins.values()), wheels, target, cache)
            break
        except locks.NotOnIndex as missing:
            pin = pins.pop(missing.name, None)
            if pin is None or target.platform != here().platform:
                raise
            built[pin.name] = build.repacked(_installed(pin), cache)
    seconds = clock.end()
    summary = [PackageSummary(it.name, it.version, "index") for it in pins.values()]
    summary += [PackageSummary(it.distribution, it.version, it.kind) for it in wheels]
    manifest = Manifest(
        id=environment_id(text, target.python, target.platform, wheels),
        lock=text,
        python=target.python,
        platform=target.platform,
        wheels=wheels,
        packages=tuple(sorted(summary, key=lambda it: it.name)),
    )
    return Synchronised(manifest, {w.sha256: path for w, path in built.values()}, notes, seconds)


def _installed(pin: Index) -> Repacked:
    """A version that no index has (a local build): what is installed here is what there is."""
    found = next(it for it in scan(Path.cwd()).distributions if it.name == pin.name)
    return Repacked(pin.name, pin.version, found.metadata, "a local build")


def _from_file(software: Path, target: Target, progress: Report) -> Synchronised:
    clock = _Phases(progress)
    clock.enter("locking", str(software))
    if not software.exists():
        raise InvalidRequest(
            f"There is no file {software}.", hint="Give a lock or requirements file."
        )
    if software.name == "uv.lock":
        text = locks.exported(software.parent)
    elif software.name.startswith("pylock") and software.suffix == ".toml":
        text = locks.tidy(software.read_text(encoding="utf-8"))
    elif software.suffix in (".txt", ".in"):
        text = locks.compiled(software.read_text(encoding="utf-8"), target, closed=False)
    else:
        raise InvalidRequest(
            f"{software.name} is not a kind of lock that can be synced.",
            hint="Known are pylock.toml, uv.lock and requirements.txt; conda's files not yet.",
        )
    found = environment_id(text, target.python, target.platform, ())
    manifest = Manifest(found, text, target.python, target.platform, (), _named(text))
    return Synchronised(manifest, {}, (), clock.end())


def _named(text: str) -> tuple[PackageSummary, ...]:
    import tomllib

    packages = tomllib.loads(text).get("packages", [])
    return tuple(PackageSummary(it["name"], it.get("version", ""), "index") for it in packages)


class _Phases:
    """Tells progress, and how long each phase took."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._seconds: dict[str, float] = {}
        self._phase, self._since = "", time.perf_counter()

    def enter(self, phase: str, detail: str, fraction: float = 0.0) -> None:
        self._close()
        self._phase = phase
        self._report(SyncProgress(phase, detail, fraction))

    def end(self) -> Mapping[str, float]:
        self._close()
        return self._seconds

    def _close(self) -> None:
        now = time.perf_counter()
        if self._phase:
            self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._since
        self._since = now
