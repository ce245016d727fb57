"""The realised environments of a machine: what each was made for, their byte code, their end.

An environment is `env-…`; `.env-….lock` keeps two from making the same; `.making-…` and `.ending-…`
are what an agent that was killed may leave. `.spare-env-…` are clones of it made ahead, since a VM
that begins waits for its clone, and has no time then to make one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from shoal.software.prefixes import clone, python_of
from shoal.wire.environments import Manifest

COMPILED = ".shoal-compiled"  # all of it has byte code
_DRAFT_S = 86_400.0  # nothing takes so long to make
_DESCRIPTION = ".shoal-environment.json"
_COMPILE = """
import compileall, os, pathlib, sys
getattr(os, "nice", lambda n: 0)(19)
for site in pathlib.Path(sys.argv[1]).rglob("site-packages"):
    compileall.compile_dir(site, quiet=2, maxlevels=30)
pathlib.Path(sys.argv[1], sys.argv[2]).touch()
"""


class _Description(msgspec.Struct, frozen=True):
    """What an environment in the store was made for."""

    python: str
    platform: str
    exact: bool = False


def describe(manifest: Manifest, environment: Path) -> None:
    """Replaces, never edits: what is there may be a link to another environment's."""
    told = _description(manifest)
    draft = environment / f"{_DESCRIPTION}.draft"
    draft.write_bytes(msgspec.json.encode(told))
    draft.replace(environment / _DESCRIPTION)
    (environment / COMPILED).unlink(missing_ok=True)


def newest_like(manifest: Manifest, store: Path) -> Path | None:
    """One made for the same Python and platform."""
    wanted = _description(manifest)
    found = []
    for other in store.glob("env-*"):
        try:
            told = msgspec.json.decode((other / _DESCRIPTION).read_bytes(), type=_Description)
            if told == wanted:
                found.append((other.stat().st_mtime, other))
        except (OSError, msgspec.DecodeError):  # pruned meanwhile, or made by an older version
            continue
    return max(found)[1] if found else None


def _description(manifest: Manifest) -> _Description:
    return _Description(manifest.python, manifest.platform, manifest.exact_python)


def prune(store: Path, *, keep: frozenset[str], older_than: float) -> None:
    """Remove environments that no VM began with since `older_than` (a POSIX time), and what was
    left half-made a day ago."""
    for made in store.glob("env-*"):
        if made.name not in keep and _unused(made, older_than):
            _remove(made)
    for draft in store.glob(".making-*"):
        if _unused(draft, time.time() - _DRAFT_S):
            _end(draft)
    for spare in store.glob(".spare-*"):
        if not (store / spare.name.removeprefix(".spare-").rpartition("-")[0]).exists():
            _end(spare)
    for ending in store.glob(".ending-*"):
        shutil.rmtree(ending, ignore_errors=True)


def compiling(made: Path) -> list[str | Path]:
    """The command that makes byte code for every later clone of an environment in the store, at the
    lowest priority. It may be killed at any time, since each file is renamed into place."""
    return [python_of(made), "-I", "-c", _COMPILE, made, COMPILED]


def take_spare(made: Path, prefix: Path) -> bool:
    """A clone of it that was made ahead becomes `prefix`; False: there is none."""
    for spare in _spares(made):
        try:
            spare.rename(prefix)  # one taker gets it
        except OSError:
            continue
        return True
    return False


def keep_spares(made: Path, count: int) -> None:
    """That many clones of an environment whose byte code is complete, made at the lowest priority;
    blocks."""
    there = list(_spares(made))
    for spare in there[count:]:
        _end(spare)
    if not (made / COMPILED).exists():
        return
    for _ in range(count - len(there)):
        draft = Path(tempfile.mkdtemp(dir=made.parent, prefix=".making-"))
        try:
            clone(made, draft / "clone", hurry=False)
            (draft / "clone").rename(made.with_name(f".spare-{made.name}-{draft.name[8:]}"))
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _spares(made: Path) -> Iterator[Path]:
    return made.parent.glob(f".spare-{made.name}-*")


def _unused(made: Path, older_than: float) -> bool:
    try:
        return made.stat().st_mtime < older_than
    except FileNotFoundError:
        return False


def _remove(made: Path) -> None:
    import filelock  # every VM's start waits for this module

    with filelock.FileLock(made.with_name(f".{made.name.lstrip('.')}.lock")):
        _end(made)


def _end(tree: Path) -> None:
    """By renaming first, so that nobody clones or takes what is half gone."""
    ending = tree.with_name(f".ending-{os.getpid()}-{tree.name.lstrip('.')}")
    with contextlib.suppress(FileNotFoundError):
        tree.replace(ending)
    shutil.rmtree(ending, ignore_errors=True)
