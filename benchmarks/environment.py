"""Package sync: what a user waits for at each new cluster, and what a VM does once.

The bare `uv pip sync` of the same lock is the yardstick; each is run in turn with a warm uv cache.
The project that is edited builds with hatchling, as Shoal itself does.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import uv

from benchmarks.table import Row
from shoal.software.realise import PythonSource, realise
from shoal.software.sync import Synchronised, SyncRequest, report, synchronise

PACKAGES = ("numpy", "pandas", "pyarrow", "scikit-learn", "dask", "distributed")
ROUNDS = 5
_PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "edited"
version = "1.0"
"""


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        bench = _Bench(Path(directory))
        made = bench.sync()
        return [*_client(bench), *_vm(bench, made)]


def _client(bench: _Bench) -> list[Row]:
    many = bench.many(300)
    return [
        Row("scan 300 packages", _median(lambda: report(many)), "s", aim="≤ 0.5"),
        Row("sync, nothing changed", _median(bench.sync), "s", aim="≤ 0.3"),
        Row(
            "sync, a project edited", _median(bench.edit_and_sync), "s", aim="≤ 3 with its cluster"
        ),
    ]


def _vm(bench: _Bench, made: Synchronised) -> list[Row]:
    """What a user waits for on a VM is that Dask runs: the first import counts."""
    rounds = [
        (bench.bare(made), bench.realise(made, alone=True), bench.realise(made, empty=True))
        for _ in range(ROUNDS)
    ]
    bare = [it for it, _, _ in rounds]
    alone = [it for _, it, _ in rounds]
    ours = [it for _, _, it in rounds]
    again = [bench.realise(made) for _ in range(ROUNDS)]
    edited = [bench.realise(bench.edit_and_sync()) for _ in range(ROUNDS)]
    made_bare = _middle(it.made for it in bare)
    made_alone = _middle(it.made for it in alone)
    imported_alone = _middle(it.imported for it in alone)
    imported = _middle(it.imported for it in ours)
    bare_imported = _middle(it.imported for it in bare)
    return [
        Row("bare uv pip sync, warm", made_bare, "s"),
        Row("  and distributed imported", bare_imported, "s"),
        Row("realise on a VM", made_alone, "s"),
        Row("  × bare", made_alone / made_bare, "×", aim="≤ 1.2"),
        Row("  and distributed imported", imported_alone, "s"),
        Row("  × bare", imported_alone / bare_imported, "×", aim="≤ 1.2"),
        Row(
            "realise on a new machine for all its VMs, Dask's byte code included",
            _middle(it.made for it in ours),
            "s",
        ),
        Row("  and distributed imported", imported, "s"),
        Row("  × bare", imported / bare_imported, "×", aim="≤ 1.2"),
        Row("realise, another VM of the machine", _middle(it.made for it in again), "s"),
        Row("  and distributed imported", _middle(it.imported for it in again), "s"),
        Row("realise, a project edited", _middle(it.made for it in edited), "s"),
    ]


class _Times(msgspec.Struct, frozen=True):
    """Seconds from the beginning."""

    made: float
    imported: float


class _Bench:
    """A data scientist's environment with an editable project, and a machine to realise it on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.project = directory / "edited"
        self.edits = 0
        self.bares = 0
        self._write_project()
        self.python = self._environment(*PACKAGES, "--editable", str(self.project))
        [self.site] = self.python.parents[1].glob("lib/python*/site-packages")

    def sync(self) -> Synchronised:
        work = self.directory / "work"
        work.mkdir(exist_ok=True)
        request = SyncRequest(working_directory=work, path=(str(self.site),))
        return synchronise(request, cache=self.directory / "cache")

    def edit_and_sync(self) -> Synchronised:
        self.edits += 1
        self._write_project()
        return self.sync()

    def many(self, number: int) -> SyncRequest:
        """A request whose packages are names only."""
        site = self.directory / "many"
        for n in range(number):
            (site / f"package_{n}-1.{n}.dist-info").mkdir(parents=True, exist_ok=True)
            (site / f"package_{n}-1.{n}.dist-info" / "METADATA").touch()
        return SyncRequest(working_directory=self.directory / "work", path=(str(site),))

    def realise(self, made: Synchronised, *, empty: bool = False, alone: bool = False) -> _Times:
        """`alone`: a VM that has its machine to itself, and starts with nothing."""
        store, prefix = self.directory / "store", self.directory / "prefix"
        if alone:
            store = self.directory / "prefixes"
            prefix = store / made.manifest.id
            shutil.rmtree(store, ignore_errors=True)
            store.mkdir()
        held = self._held(made)
        shutil.rmtree(prefix, ignore_errors=True)
        if empty:
            shutil.rmtree(store, ignore_errors=True)
        begun = time.perf_counter()
        asyncio.run(
            realise(
                made.manifest,
                wheels=held,
                prefix=prefix,
                store=store,
                report=lambda it: None,
                python_source=PythonSource(self.python.resolve()),
            )
        )
        return _imported(prefix, begun)

    def bare(self, made: Synchronised) -> _Times:
        """`uv venv` and `uv pip sync`. Each time elsewhere, as on a new VM: uv remembers what it
        found out about the interpreters of places that it has seen."""
        shutil.rmtree(self.directory / f"bare-{self.bares}", ignore_errors=True)
        self.bares += 1
        home = self.directory / f"bare-{self.bares}"
        lock, prefix = home / "pylock.toml", home / "prefix"
        (lock.parent / "wheels").mkdir(parents=True)
        for it in made.manifest.wheels:
            shutil.copy(made.wheel_paths[it.sha256], lock.parent / "wheels" / it.filename)
        lock.write_text(made.manifest.lock)
        begun = time.perf_counter()
        _uv("venv", "--python", self.python.resolve(), prefix)
        _uv("pip", "sync", "--python", prefix / "bin" / "python", lock)
        return _imported(prefix, begun)

    def _held(self, made: Synchronised) -> Path:
        held = self.directory / "held"
        held.mkdir(exist_ok=True)
        for sha256, path in made.wheel_paths.items():
            shutil.copy(path, held / sha256)
        return held

    def _write_project(self) -> None:
        package = self.project / "src" / "edited"
        package.mkdir(parents=True, exist_ok=True)
        (self.project / "pyproject.toml").write_text(_PYPROJECT)
        (package / "__init__.py").write_text(f"EDITS = {self.edits}\n")

    def _environment(self, *packages: str) -> Path:
        prefix = self.directory / "venv"
        _uv("venv", "--python", sys.executable, prefix)
        _uv("pip", "install", "--python", prefix / "bin" / "python", *packages)
        return prefix / "bin" / "python"


def _uv(*arguments: str | Path) -> None:
    subprocess.run([uv.find_uv_bin(), "--quiet", *arguments], check=True)


def _imported(prefix: Path, begun: float) -> _Times:
    made = time.perf_counter() - begun
    program = "import distributed.scheduler, distributed.worker"
    subprocess.run([prefix / "bin" / "python", "-I", "-c", program], check=True)
    return _Times(made, time.perf_counter() - begun)


def _median(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def _middle(seconds: Iterable[float]) -> float:
    return statistics.median(list(seconds))
