"""From a Python session to an environment's manifest and wheels: scan, classify, build, lock.

Blocks; knows nothing of servers. Nothing changed means that everything comes from the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from shoal.errors import EnvironmentFailed
from shoal.software import agreement, build, conda, disks, inputs, pylock, wheels
from shoal.software import lock as locks
from shoal.software.classify import (
    Conda,
    Editable,
    Filters,
    Index,
    Item,
    Modules,
    NotPortable,
    Repacked,
    classify,
)
from shoal.software.phases import Phases
from shoal.software.scan import scan
from shoal.software.targets import Target, here, like_here, must_run_on
from shoal.wire.environments import Manifest, PackageSummary, WheelFile, environment_id

__all__ = [
    "Note",
    "ReportRow",
    "SyncProgress",
    "SyncRequest",
    "Synchronised",
    "Target",
    "here",
    "note_lines",
    "report",
    "synchronise",
]

_BUILDS = 4  # at a time


class SyncRequest(msgspec.Struct, frozen=True):
    """`software`: a lock or requirements file in place of the session's own environment."""

    working_directory: Path
    ignore: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    strict: bool = False  # whatever would differ, Python's own version too, is an error
    software: Path | None = None
    target: Target | None = None  # None: like here
    path: tuple[str, ...] | None = None  # where to look for what is installed; None: sys.path


class SyncProgress(msgspec.Struct, frozen=True):
    phase: str  # "scanning", "building", "locking"
    detail: str
    fraction: float


class Note(msgspec.Struct, frozen=True):
    """Something that the worker will not have as it is here: what it has instead, or why not."""

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


def synchronise(
    request: SyncRequest, *, cache: Path, progress: Report = lambda it: None
) -> Synchronised:
    try:
        return _synchronise(request, cache, progress)
    except OSError as error:
        if not disks.full(error):
            raise
        raise EnvironmentFailed(
            f"There is no room left for the environment's wheels and locks ({cache}): {error}",
            hint="Make room there, or have Shoal's state elsewhere: SHOAL_STATE_DIR.",
        ) from error


def _synchronise(request: SyncRequest, cache: Path, progress: Report) -> Synchronised:
    phases = Phases(lambda *told: progress(SyncProgress(*told)))
    target = request.target or here()
    if request.software is not None:
        return _from_file(request.software, target, cache, phases)
    phases.enter("scanning", "what is installed here")
    work = _Work(request, _items(request), target, cache, phases)
    with ThreadPoolExecutor(_BUILDS + 1) as pool:
        locked = pool.submit(locks.pinned, _wanted(work), cache)
        prefix = pool.submit(_conda, work)
        built = _build(work, pool)
        made = _join(work, built, locked, prefix)
    _hold_to(request, made.notes)
    return made


class _Work(msgspec.Struct, frozen=True):
    """One sync of a session's environment."""

    request: SyncRequest
    items: tuple[Item, ...]
    target: Target
    cache: Path
    phases: Phases


def note_lines(notes: Iterable[Note]) -> tuple[str, ...]:
    """For people: names with the same to say about them share a line."""
    names: dict[str, list[str]] = {}
    for note in notes:
        names.setdefault(note.text, []).append(note.name)
    return tuple(f"{', '.join(who)}: {text}" for text, who in names.items())


def report(request: SyncRequest) -> tuple[ReportRow, ...]:
    """What would be synced, from where, and what cannot be; nothing is built or asked."""
    return tuple(map(_row, _items(request)))


def _items(request: SyncRequest) -> tuple[Item, ...]:
    scanned = scan(request.working_directory, request.path)
    return classify(scanned, Filters(request.ignore, request.only))


def _row(item: Item) -> ReportRow:
    match item:
        case Index():
            reason = f"installed by {_BY[item.installer]} here" if item.installer else ""
            return ReportRow(item.name, item.version, "index", "install", reason)
        case Editable():
            return ReportRow(item.name, item.version, str(item.source), "build")
        case Repacked():
            return ReportRow(item.name, item.version, item.origin, "repack")
        case Modules():
            names = ", ".join(sorted(it.name for it in item.modules))
            return ReportRow(names, "", str(item.directory), "copy")
        case Conda():
            return ReportRow(item.name, item.version, "conda", "install")
        case NotPortable():
            return ReportRow(item.name, item.version, "", "leave out", item.reason)


_BY = {"conda": "conda", "system": "the operating system"}


def _wanted(work: _Work) -> locks.Wanted:
    return locks.Wanted(
        {it.name: it.version for it in work.items if isinstance(it, Index)},
        work.target,
        own=tuple(it.name for it in work.items if isinstance(it, Editable | Repacked | Conda)),
        closed=like_here(work.target),
    )


def _conda(work: _Work) -> conda.Locked | None:
    """As it is here, or what fits another platform."""
    found = [it.metadata for it in work.items if isinstance(it, Conda)]
    if not found:
        return None
    if like_here(work.target):
        return conda.as_installed(found, work.target, work.cache)
    records = conda.read(found)
    specs = conda.specs_of(records, {"python", *agreement.MUST_MATCH})
    return conda.solved(specs, conda.channels_of(records), work.target, work.cache)


def _build(work: _Work, pool: ThreadPoolExecutor) -> list[build.Built]:
    own = [it for it in work.items if isinstance(it, Editable | Repacked)]
    names = ", ".join(it.name for it in own[:5])
    work.phases.enter("building", f"what changed of {names}" if names else "loose modules")
    made: list[build.Built] = []
    for built in pool.map(lambda it: _wheel_of(it, work.cache), own):
        made.append(built)
        if built.new:
            done = f"{built.wheel.distribution}: {len(made)} of {len(own)} wheels are there"
            work.phases.enter("building", done, len(made) / len(own))
    loose = tuple(it for it in work.items if isinstance(it, Modules))
    if loose:
        taken = frozenset[str]().union(*(wheels.provides(it.path) for it in made))
        rest = build.modules(loose, work.cache, taken)
        made += [rest] if rest is not None else []
    return made


def _wheel_of(item: Editable | Repacked, cache: Path) -> build.Built:
    if isinstance(item, Editable):
        return build.editable(item, cache)
    return build.repacked(item, cache)


def _join(
    work: _Work,
    built: list[build.Built],
    locked: Future[locks.Outcome],
    prefix: Future[conda.Locked | None],
) -> Synchronised:
    work.phases.enter("locking", "exact versions")
    outcome = locked.result()
    pins = {it.name: it for it in work.items if isinstance(it, Index)}
    left_out = [it for it in work.items if isinstance(it, NotPortable)]
    notes = [Note(it.name, f"left out: {it.reason}") for it in left_out]
    notes += [_given_way(it, work.target) for it in outcome.relaxed]
    for name in (*outcome.missing, *outcome.private):
        if (again := _again(pins[name], work)) is not None:
            built.append(again)
        else:
            notes.append(Note(name, _why_missing(pins[name], work.target)))
    ignored = map(canonicalize_name, work.request.ignore)
    lock = pylock.parse(outcome.text).without(ignored)  # a resolved one may have it again
    made = _Made(work.target, tuple(notes), prefix.result(), work.request.strict)
    return _described(lock, built, made, work.phases)


def _again(pin: Index, work: _Work) -> build.Built | None:
    """A version that no index has, such as a local build: from what is installed here. None when
    it would not run there, or when only an operating system or conda knows what belongs to it."""
    if pin.installer or not like_here(work.target):
        return None
    item = Repacked(pin.name, pin.version, pin.metadata, "no index that is known here")
    return build.repacked(item, work.cache)


def _why_missing(pin: Index, target: Target) -> str:
    if pin.installer:
        return f"left out: {_BY[pin.installer]} installed it, and no index has that version"
    return f"left out: there is none for {target.platform}"


def _given_way(it: locks.Relaxed, target: Target) -> Note:
    return Note(
        it.name, f"{it.instead} in place of {it.version}, which is not for {target.platform}"
    )


def _hold_to(request: SyncRequest, notes: tuple[Note, ...]) -> None:
    if request.strict and notes:
        lines = "\n".join(f"  {line}" for line in note_lines(notes))
        raise EnvironmentFailed(
            f"package_sync_strict is set, and these cannot be synced exactly:\n{lines}",
            hint=f"Leave them out: package_sync_ignore={[it.name for it in notes]}.",
        )


def _from_file(software: Path, target: Target, cache: Path, phases: Phases) -> Synchronised:
    phases.enter("locking", str(software))
    found = inputs.described(software, target, cache)
    there = {it.name: it.version for it in found.lock.packages}
    there |= {it.name: it.version for it in found.conda.packages} if found.conda else {}
    differ = agreement.agreed(software.name, there, agreement.in_this_session())
    notes = tuple(Note(it.name, it.words) for it in differ)
    return _described(found.lock, list(found.built), _Made(target, notes, found.conda), phases)


class _Made(msgspec.Struct, frozen=True):
    target: Target
    notes: tuple[Note, ...]
    conda: conda.Locked | None
    exact: bool = False  # the very version of Python


def _described(
    lock: pylock.Lock, built: list[build.Built], made: _Made, phases: Phases
) -> Synchronised:
    target, prefix = made.target, made.conda or conda.Locked("", ())
    python = next((it.version for it in prefix.packages if it.name == "python"), target.python)
    files = tuple(it.wheel for it in sorted(built, key=lambda it: it.wheel.distribution))
    must_run_on(target, files)
    text = lock.joined(files).text
    manifest = Manifest(
        id=environment_id(
            text, python, target.platform, files, exact=made.exact, conda=prefix.text
        ),
        lock=text,
        python=python,
        platform=target.platform,
        wheels=files,
        packages=_summary(lock, files, prefix),
        conda=prefix.text,
        exact_python=made.exact,
    )
    paths = {it.wheel.sha256: it.path for it in built}
    return Synchronised(manifest, paths, made.notes, phases.end())


def _summary(
    lock: pylock.Lock, ours: tuple[WheelFile, ...], prefix: conda.Locked
) -> tuple[PackageSummary, ...]:
    others = lock.without(it.distribution for it in ours).packages
    rows = [PackageSummary(it.name, it.version, "index") for it in others]
    rows += [PackageSummary(it.name, it.version, "conda") for it in prefix.packages]
    rows += [PackageSummary(it.distribution, it.version, it.kind) for it in ours]
    return tuple(sorted(rows, key=lambda it: it.name))
