"""On the VM: an environment made from its manifest, and a prefix of its own for each VM.

    store/<environment id>/   realised once a machine, whole or not at all
    prefix                    a tree of hard links to it, byte code and all: the VM's own

Run by the agent in its own environment, so that it still speaks when the user's cannot be made.
Needs `uv`, a Python of the right version, and the wheels that travel.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import filelock
import msgspec
import uv

from shoal.errors import EnvironmentFailed
from shoal.wire.environments import Manifest

_LAST_WORDS = 20
COMPILED = ".shoal-compiled"  # all of it has byte code
_DESCRIPTION = ".shoal-environment.json"


class RealiseProgress(msgspec.Struct, frozen=True):
    phase: str  # "waiting", "python", "installing", "cloning"
    detail: str
    fraction: float = 0.0


class Realised(msgspec.Struct, frozen=True):
    python: Path
    reused: bool  # the machine had it already
    seconds: Mapping[str, float]  # by phase


Report = Callable[[RealiseProgress], None]


async def realise(
    manifest: Manifest,
    *,
    wheels: Path,
    prefix: Path,
    store: Path,
    report: Report,
    python_hint: Path | None = None,
) -> Realised:
    """`wheels`: files named by SHA-256. Raises EnvironmentFailed with the installer's words."""
    return await asyncio.to_thread(_realise, manifest, wheels, prefix, store, report, python_hint)


def _realise(
    manifest: Manifest,
    wheels: Path,
    prefix: Path,
    store: Path,
    report: Report,
    python_hint: Path | None,
) -> Realised:
    begun = time.perf_counter()
    made = store / manifest.id
    store.mkdir(parents=True, exist_ok=True)
    reused = made.exists()
    if not reused:
        report(RealiseProgress("waiting", "for another VM of this machine to make the environment"))
        with filelock.FileLock(store / f".{manifest.id}.lock"):
            reused = made.exists()
            if not reused:
                _make(manifest, wheels, made, report, python_hint)
    installed = time.perf_counter()
    report(RealiseProgress("cloning", "the environment", 0.9))
    clone(made, prefix)
    os.utime(made)  # recently used: not to be pruned
    done = time.perf_counter()
    seconds = {"installing": installed - begun, "cloning": done - installed}
    return Realised(python_of(prefix), reused, seconds)


def python_of(prefix: Path) -> Path:
    return prefix / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def clone(tree: Path, prefix: Path) -> None:
    """A tree of hard links; copies where the file system cannot."""
    if sys.platform == "linux":
        done = subprocess.run(
            ["cp", "-al", tree, prefix], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode == 0:
            return
        shutil.rmtree(prefix, ignore_errors=True)
    try:
        shutil.copytree(tree, prefix, symlinks=True, copy_function=os.link)
    except OSError:
        shutil.rmtree(prefix, ignore_errors=True)
        shutil.copytree(tree, prefix, symlinks=True)


def prune(store: Path, *, keep: frozenset[str], older_than: float) -> None:
    """Remove environments that no VM began with since `older_than` (a POSIX time)."""
    for made in store.glob("env-*"):
        if made.name not in keep and made.stat().st_mtime < older_than:
            shutil.rmtree(made, ignore_errors=True)


def _make(
    manifest: Manifest, wheels: Path, made: Path, report: Report, python_hint: Path | None
) -> None:
    """In a draft beside it, then renamed: a half-made environment is never used."""
    draft = Path(tempfile.mkdtemp(dir=made.parent, prefix=".making-"))
    try:
        lock = _lay_out(manifest, wheels, draft)
        environment = draft / "environment"
        like = _newest_like(manifest, made.parent)
        report(RealiseProgress("python", f"Python {manifest.python}", 0.05))
        if like is None:
            _venv(manifest.python, environment, python_hint)
        else:
            clone(like, environment)
        total = manifest.lock.count("[[packages]]")
        report(RealiseProgress("installing", f"{total} packages", 0.1))
        install(lock, environment, total, report)
        if like is None:
            report(RealiseProgress("installing", "byte code of Dask", 0.8))
            _import_dask(environment)
        _describe(manifest, environment)
        environment.replace(made)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


class _Description(msgspec.Struct, frozen=True):
    """What an environment in the store was made for."""

    python: str
    platform: str


def _describe(manifest: Manifest, environment: Path) -> None:
    told = _Description(manifest.python, manifest.platform)
    (environment / _DESCRIPTION).write_bytes(msgspec.json.encode(told))
    (environment / COMPILED).unlink(missing_ok=True)


def _newest_like(manifest: Manifest, store: Path) -> Path | None:
    """An environment to begin from: most of it is usually the same, byte code and all."""
    wanted = _Description(manifest.python, manifest.platform)
    found = []
    for other in store.glob("env-*"):
        try:
            told = msgspec.json.decode((other / _DESCRIPTION).read_bytes(), type=_Description)
            if told == wanted:
                found.append((other.stat().st_mtime, other))
        except (OSError, msgspec.DecodeError):  # pruned meanwhile, or made by an older version
            continue
    return max(found)[1] if found else None


def _import_dask(environment: Path) -> None:
    """Once, so that not each of the first cluster's processes compiles it. Absent: no matter."""
    subprocess.run(
        [python_of(environment), "-I", "-c", "import distributed.scheduler, distributed.worker"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def _lay_out(manifest: Manifest, wheels: Path, directory: Path) -> Path:
    """The lock, and beside it the wheels under the names that it gives them."""
    (directory / "wheels").mkdir()
    for it in manifest.wheels:
        (directory / "wheels" / Path(it.filename).name).symlink_to((wheels / it.sha256).resolve())
    lock = directory / "pylock.toml"
    lock.write_text(manifest.lock, encoding="utf-8")
    return lock


def _venv(version: str, environment: Path, hint: Path | None) -> None:
    """The very version; else the same minor version."""
    tried = []
    for wanted in dict.fromkeys(
        filter(None, [_usable(hint, version), version, version.rpartition(".")[0]])
    ):
        done = _uv("venv", "--quiet", "--relocatable", "--python", wanted, environment)
        if done.returncode == 0:
            return
        tried.append(done.stderr.strip())
    raise EnvironmentFailed(
        f"Python {version} is not to be had on this VM:\n{tried[0]}",
        hint=f"Install Python {version.rpartition('.')[0]} there, or let uv download it.",
    )


def _usable(hint: Path | None, version: str) -> str | None:
    """The hinted interpreter, if it is one of that very version."""
    if hint is None:
        return None
    try:
        done = subprocess.run(
            [hint, "-I", "-S", "-c", "import platform; print(platform.python_version())"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return str(hint) if done.stdout.strip() == version else None


def install(lock: Path, environment: Path, total: int, report: Report) -> None:
    """`uv pip sync` of the lock, its progress told, its failure in its own words."""
    process = subprocess.Popen(
        [uv.find_uv_bin(), "pip", "sync", "--python", python_of(environment), lock.name],
        cwd=lock.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, UV_NO_PROGRESS="1"),
    )
    assert process.stderr is not None
    words: list[str] = []
    for line in process.stderr:
        words.append(line.rstrip())
        if line.startswith(("Prepared", "Installed")):
            report(
                RealiseProgress("installing", f"{line.split(' in ')[0].strip()} of {total}", 0.7)
            )
    if process.wait() != 0:
        raise _failed(words)


def _failed(words: list[str]) -> EnvironmentFailed:
    text = "\n".join(words[-_LAST_WORDS:])
    named = re.search(r"`([A-Za-z0-9._-]+)(?:==[^`]*)?`", text)
    package = f"{named[1]} could not be installed" if named else "The environment could not be made"
    return EnvironmentFailed(
        f"{package}:\n{text}",
        hint="If a package is not for workers, leave it out with package_sync_ignore.",
    )


def _uv(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [uv.find_uv_bin(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def compile_all(made: Path) -> None:
    """Byte code for every later clone of an environment in the store, at the lowest priority.
    Blocks; may be killed at any time, since each file is renamed into place."""
    program = (
        "import compileall, os, pathlib, sys\n"
        "getattr(os, 'nice', lambda n: 0)(19)\n"
        "site = next(pathlib.Path(sys.argv[1]).rglob('site-packages'))\n"
        "compileall.compile_dir(site, quiet=2, maxlevels=30)\n"
        "pathlib.Path(sys.argv[1], sys.argv[2]).touch()\n"
    )
    subprocess.run(
        [python_of(made), "-I", "-c", program, made, COMPILED],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
