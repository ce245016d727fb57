"""What the client made and keeps for the next time: wheels, what builds them, locks.

An entry is a directory or file `<cache>/<kind>/<name>`; its modification time says when it was
last used. Whoever makes one prunes, so the cache never grows without an end. Knows nothing of how
an entry is made.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import msgspec

KEPT_S = 30 * 86_400.0  # nothing that was unused for longer stays
KEPT_BYTES = 4 << 30  # of more, what was unused for longest goes
IN_USE_S = 86_400.0  # what was used since may be in use: it is built in, or uploaded. It stays

_KINDS = ("wheels", "builders", "locks")
_ENDING, _MAKING = ".ending-", ".making-"


def used(entry: Path) -> bool:
    """Whether it is there; it then stays for as long as it may be in use."""
    if not entry.exists():
        return False
    with _pruning(entry.parent):
        try:
            os.utime(entry)
        except FileNotFoundError:
            return False
    return True


def prune(cache: Path, *, kept_bytes: int = KEPT_BYTES) -> None:
    """An entry that is not in use goes if it is too old, or among the oldest of too much."""
    for it in superfluous(cache, kept_bytes):
        remove(it)
    for kind in _KINDS:
        for draft in (cache / kind).glob(f"{_MAKING}*"):
            remove(draft)
        for ending in (cache / kind).glob(f"{_ENDING}*"):
            shutil.rmtree(ending, ignore_errors=True)


def superfluous(cache: Path, kept_bytes: int = KEPT_BYTES) -> list[Path]:
    oldest, left, found = time.time() - KEPT_S, kept_bytes, []
    for it in sorted(_entries(cache), key=lambda it: it.used_at, reverse=True):
        left -= it.size_bytes
        if left < 0 or it.used_at < oldest:
            found.append(it.path)
    return found


def remove(entry: Path) -> None:
    """Unless it may be in use. By renaming first, so that nobody takes what is half gone."""
    ending = entry.with_name(f"{_ENDING}{os.getpid()}-{entry.name.lstrip('.')}")
    with _pruning(entry.parent):
        try:
            if entry.stat().st_mtime >= time.time() - IN_USE_S:
                return
            entry.rename(ending)
        except FileNotFoundError:
            return
    if ending.is_dir():
        shutil.rmtree(ending, ignore_errors=True)
    else:
        ending.unlink(missing_ok=True)


class _Entry(msgspec.Struct, frozen=True):
    path: Path
    used_at: float  # a POSIX time
    size_bytes: int


def _entries(cache: Path) -> Iterator[_Entry]:
    for kind in _KINDS:
        for path in (cache / kind).glob("[!.]*"):
            if path.suffix == ".lock":
                continue
            try:
                yield _Entry(path, path.stat().st_mtime, _size_bytes(path))
            except FileNotFoundError:  # removed by another meanwhile
                continue


def _size_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(it.lstat().st_size for it in files if not it.is_dir())


def _pruning(kind: Path) -> filelock.BaseFileLock:
    """Held for a moment, so that what one has found is not what another removes."""
    return filelock.FileLock(kind / ".pruning.lock")
