"""On the VM: an environment made from its manifest, and a prefix of its own for each VM.

    store/<environment id>/   realised once a machine, whole or not at all
    prefix                    a tree of hard links to it, byte code and all: the VM's own

A VM that has its machine to itself makes the prefix in its place: there is nobody to share with.

Run by the agent in its own environment, so that it still speaks when the user's cannot be made.
Needs `uv`, a Python of the right version, and the wheels that travel.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from shoal.errors import EnvironmentFailed
from shoal.software import conda, disks
from shoal.software.build_log import BuildLog, redacted
from shoal.software.environment_store import (
    COMPILED,
    compiling,
    describe,
    keep_spares,
    newest_like,
    prune,
    take_spare,
)
from shoal.software.installer import attempt_telling, last_words, package_in, passing, run
from shoal.software.phases import Phases
from shoal.software.prefixes import clone, python_of
from shoal.software.targets import Target
from shoal.wire.environments import Manifest

__all__ = [
    "COMPILED",
    "PythonSource",
    "RealiseProgress",
    "Realised",
    "compiling",
    "complete",
    "keep_spares",
    "prune",
    "python_of",
    "realise",
    "version_of",
]

_CONDA_MADE = ".shoal-conda"  # a conda prefix is complete


class PythonSource(msgspec.Struct, frozen=True):
    """Where the environment's Python may come from, besides what the machine has."""

    hint: Path | None = None  # an interpreter
    mirror: str = ""  # URL where uv finds Pythons to download; empty: its own


class RealiseProgress(msgspec.Struct, frozen=True):
    phase: str  # "waiting", "python", "conda", "installing", "compiling", "cloning"
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
    python_source: PythonSource | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Realised:
    """`wheels` holds files named by SHA-256; `prefix` must not be there, its parent must. Where it
    is `store/<environment id>` itself, nothing is cloned. `say` gets the build log line by line,
    from another thread. Raises EnvironmentFailed with the installer's words."""
    phases, log = Phases(lambda *told: report(RealiseProgress(*told))), BuildLog(say)
    work = _Work(manifest, wheels, store, python_source or PythonSource(), phases, log)
    try:
        return await asyncio.to_thread(_realise, work, prefix)
    except OSError as error:
        if disks.full(error):
            raise disks.no_room(error) from error
        raise
    finally:
        log.end()


class _Work(msgspec.Struct, frozen=True):
    manifest: Manifest
    wheels: Path
    store: Path
    python_source: PythonSource
    phases: Phases
    log: BuildLog

    @property
    def made(self) -> Path:
        return self.store / self.manifest.id

    def uv(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        line: Callable[[str], None] = lambda text: None,
    ) -> subprocess.CompletedProcess[str]:
        """Run, and all that it prints is in the log, below what was asked."""
        self.log.line(f"$ uv {' '.join(map(str, arguments))}")

        def told(text: str) -> None:
            self.log.line(text)
            line(text)

        return attempt_telling(arguments, cwd=cwd, line=told)


def _realise(work: _Work, prefix: Path) -> Realised:
    if work.manifest.conda:
        return _realise_conda(work, prefix)
    alone = prefix == work.made
    reused = _made_already(work) or _make_once(work, for_all=not alone)
    if reused:
        work.log.line("It is on this machine already: another VM made it, and this one copies it.")
    if not alone:
        work.phases.enter("cloning", "the environment", 0.9)
        if not take_spare(work.made, prefix):
            clone(work.made, prefix)
    return Realised(python_of(prefix), reused, work.phases.end())


def _made_already(work: _Work) -> bool:
    """Whether it is there; marked as used, so that it is not pruned just now."""
    try:
        os.utime(work.made)
    except FileNotFoundError:
        return False
    return True


def _make_once(work: _Work, *, for_all: bool) -> bool:
    """Whether another made it meanwhile."""
    import filelock  # only where something is made: every VM's start waits for this module

    work.store.mkdir(parents=True, exist_ok=True)
    work.phases.enter("waiting", "for another VM of this machine to make the environment")
    with filelock.FileLock(work.store / f".{work.manifest.id}.lock"):
        reused = _made_already(work)
        if not reused:
            _make(work, for_all=for_all)
        return reused


def _make(work: _Work, *, for_all: bool) -> None:
    """In a draft beside it, then renamed: a half-made environment is never used."""
    draft = Path(tempfile.mkdtemp(dir=work.store, prefix=".making-"))
    try:
        lock = _lay_out(work, draft)
        environment = draft / "environment"
        begun_from = _begin(work, environment)
        _install(work, lock, environment)
        if for_all and begun_from is None:
            work.phases.enter("compiling", "byte code of Dask", 0.8)
            _import_dask(work.log, environment)
        describe(work.manifest, environment)
        environment.replace(work.made)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def complete(manifest: Manifest, prefix: Path) -> bool:
    """Conda prefixes are made in their place, and others renamed into it."""
    return (prefix / _CONDA_MADE).exists() if manifest.conda else prefix.exists()


def _realise_conda(work: _Work, prefix: Path) -> Realised:
    """In its place, since its packages are told where they are; what VMs of one machine share is
    the packages' own files."""
    if complete(work.manifest, prefix):
        return Realised(python_of(prefix), True, work.phases.end())
    shutil.rmtree(prefix, ignore_errors=True)
    work.store.mkdir(mode=0o700, parents=True, exist_ok=True)
    work.phases.enter("conda", "py-rattler, which installs the packages", 0.05)
    target = Target(work.manifest.python, work.manifest.platform)
    told = _CondaTold(work.phases, work.log)
    work.log.line(f"py-rattler installs the conda packages into {prefix}")
    conda.install(work.manifest.conda, target, prefix, work.store, told.line)
    with tempfile.TemporaryDirectory(dir=work.store, prefix=".making-") as draft:
        lock = _lay_out(work, Path(draft))
        if "[[packages]]" in work.manifest.lock:
            _install(work, lock, prefix)
    (prefix / _CONDA_MADE).touch()
    return Realised(python_of(prefix), False, work.phases.end())


class _CondaTold:
    """What rattler_steps.py prints as it goes, as progress."""

    def __init__(self, phases: Phases, log: BuildLog) -> None:
        self._phases, self._log = phases, log

    def line(self, line: str) -> None:
        self._log.line(line)
        match line.split():
            case ["fetching", name]:
                self._phases.enter("conda", f"fetching {name}", 0.1)
            case ["linked", number, total]:
                part = int(number) / max(int(total), 1)
                self._phases.enter("conda", f"{number} of {total} packages", 0.1 + 0.5 * part)


def _lay_out(work: _Work, directory: Path) -> Path:
    """The lock, and beside it the wheels under the names that it gives them."""
    (directory / "wheels").mkdir()
    for it in work.manifest.wheels:
        # Never a path: the manifest came over the network.
        named = directory / "wheels" / Path(it.filename).name
        held = (work.wheels / it.sha256).resolve()
        try:
            named.hardlink_to(held)
        except OSError:  # another file system, or none with links
            shutil.copyfile(held, named)
    lock = directory / "pylock.toml"
    lock.write_text(work.manifest.lock, encoding="utf-8")
    return lock


def _begin(work: _Work, environment: Path) -> Path | None:
    """From the newest like it, byte code and all, since most of it is usually the same; None: an
    empty one."""
    work.phases.enter("python", f"Python {work.manifest.python}", 0.05)
    like = newest_like(work.manifest, work.store)
    if like is not None:
        work.log.line(f"It begins as a copy of {like.name}, made for the same Python.")
        clone(like, environment)
    else:
        _venv(work, environment)
    return like


def _venv(work: _Work, environment: Path) -> None:
    """Of the very version; else of the same minor version, if the machine has it and that will do;
    else uv downloads it, which takes longer than all that it is needed for."""
    version, source, phases = work.manifest.python, work.python_source, work.phases
    hint = source.hint
    if hint is not None and hint.exists():
        done = _attempt_venv(work, hint, environment)
        if done.returncode == 0 and version_of(environment) == version:
            return
        shutil.rmtree(environment, ignore_errors=True)
    words = ""
    minor = version.rpartition(".")[0]
    will_do = (version,) if work.manifest.exact_python else (version, minor)
    for wanted in will_do:
        if _attempt_venv(work, wanted, environment, "--no-python-downloads").returncode == 0:
            return
    phases.enter("python", f"Python {version} is downloaded: this machine has no {minor}", 0.05)
    mirror = ["--mirror", source.mirror] if source.mirror else []
    for wanted in will_do:
        done = work.uv("python", "install", "--quiet", *mirror, wanted)
        if done.returncode == 0:
            done = _attempt_venv(work, wanted, environment)
        if done.returncode == 0:
            return
        words = words or redacted(last_words(done.stderr))
    error = EnvironmentFailed(
        f"Python {version} is not to be had on this VM{_no_other(work.manifest)}:\n{words}",
        hint=f"Take an image with Python {will_do[-1]}, or start the server with "
        "--python-mirror URL.",
    )
    error.passing = passing(words)
    raise error


def _no_other(manifest: Manifest) -> str:
    return ", and package_sync_strict takes no other" if manifest.exact_python else ""


def _attempt_venv(
    work: _Work, python: str | Path, environment: Path, *how: str
) -> subprocess.CompletedProcess[str]:
    done = work.uv("venv", "--quiet", "--relocatable", *how, "--python", python, environment)
    if done.returncode != 0 and disks.full(done.stderr):
        raise disks.no_room(last_words(done.stderr))
    return done


def version_of(environment: Path) -> str:
    """Of its Python, as uv wrote it down: asking it takes longer than all else here. Empty: not
    known."""
    try:
        told = (environment / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return ""
    for line in told.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "version_info":
            return value.strip()
    return ""


def _install(work: _Work, lock: Path, environment: Path) -> None:
    """`uv pip sync` of the lock, its progress told, its failure in its own words."""
    total = work.manifest.lock.count("[[packages]]")
    work.phases.enter("installing", f"{total} packages", 0.1)
    how: list[str | Path] = ["pip", "sync", lock.name]
    if work.manifest.conda:  # what conda installed stays
        how = ["pip", "install", "--no-deps", "--break-system-packages", "-r", lock.name]
    arguments = [*how, "--preview-features", "pylock", "--python", python_of(environment)]
    told = _Told(work.phases, total)
    done = work.uv(*arguments, cwd=lock.parent, line=told.line)
    if done.returncode != 0:
        raise _failed(done.stderr)


class _Told:
    """What uv prints as it goes, as progress."""

    def __init__(self, phases: Phases, total: int) -> None:
        self._phases, self._total = phases, total
        self._begun = self._done = 0

    def line(self, line: str) -> None:
        match line.split():
            case ["Downloading" | "Building", *_]:
                self._begun += 1
            case ["Downloaded" | "Built", name, *_]:
                self._done += 1
                part = self._done / max(self._begun, 1)
                detail = f"{name}: {self._done} of {self._begun} large packages are here"
                self._phases.enter("installing", detail, 0.1 + 0.5 * part)
            case ["Prepared" | "Installed" as did, number, *_]:
                self._phases.enter("installing", f"{did.lower()} {number} of {self._total}", 0.7)


def _failed(output: str) -> EnvironmentFailed:
    words = redacted(last_words(output))
    if disks.full(words):
        return disks.no_room(words)
    named = package_in(words)
    package = f"{named} could not be installed" if named else "The environment could not be made"
    error = EnvironmentFailed(
        f"{package}:\n{words}",
        hint="If a package is not for workers, leave it out with package_sync_ignore.",
    )
    error.passing = passing(words)
    return error


def _import_dask(log: BuildLog, environment: Path) -> None:
    """Once, so that not each process of the first cluster compiles it: with three of them on two
    CPUs the whole is then quicker by a quarter (6.3 against 8.1 s, on a busy machine; see
    benchmarks/environment.py). Absent: no matter here, and the log tells."""
    program = "import distributed.scheduler, distributed.worker"
    log.line(f"$ python -c '{program}'")
    log.line(run([python_of(environment), "-I", "-c", program]).stderr)
