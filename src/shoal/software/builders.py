"""Environments that project wheels are built in (PEP 517), each kept for the next build.

Making one anew takes most of a small project's build (measured: 1.3–2 s against 0.3–0.5 s in one
that is there), and someone who edits a project waits for its wheel at each new cluster.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import filelock
import msgspec

from shoal.errors import EnvironmentFailed
from shoal.software import client_cache
from shoal.software.installer import attempt, last_words, run
from shoal.software.prefixes import python_of

_NEEDS_MORE = 3  # exit status: what is missing is in the file "requires"
_PROGRAM = """
import importlib, os, pathlib, sys
out, backend, known, path = sys.argv[1], sys.argv[2], sys.argv[3].split("\\n"), sys.argv[4:]
sys.path[:0] = path
module, _, attribute = backend.partition(":")
hooks = importlib.import_module(module)
for name in filter(None, attribute.split(".")):
    hooks = getattr(hooks, name)
asked = getattr(hooks, "get_requires_for_build_wheel", lambda settings: [])(None)
if missing := [it for it in asked if it not in known]:
    pathlib.Path(out, "requires").write_text("\\n".join(missing))
    raise SystemExit(3)
hooks.build_wheel(out)
"""


class BuildSystem(msgspec.Struct, frozen=True, rename="kebab"):
    """The [build-system] of a project; PEP 517's defaults for one that has none."""

    requires: tuple[str, ...] = ("setuptools>=40.8",)
    build_backend: str = "setuptools.build_meta:__legacy__"
    backend_path: tuple[str, ...] = ()

    @property
    def litters(self) -> bool:
        """setuptools writes build/ and *.egg-info beside the sources."""
        return self.build_backend.startswith("setuptools")


class _PyProject(msgspec.Struct, frozen=True, rename="kebab"):
    build_system: BuildSystem = BuildSystem()


def build_system(project: Path) -> BuildSystem:
    file = project / "pyproject.toml"
    if not file.exists():
        return BuildSystem()
    try:
        return msgspec.toml.decode(file.read_bytes(), type=_PyProject).build_system
    except msgspec.DecodeError as error:
        raise BuildFailed(f"{file} cannot be read: {error}") from error


def build_wheel(project: Path, system: BuildSystem, out: Path, cache: Path) -> Path:
    """Raises BuildFailed with the builder's own words."""
    requires = system.requires
    while True:
        words, missing = _run(project, system, requires, out, cache)
        if not missing:
            break
        requires = (*requires, *missing)
    built = next(out.glob("*.whl"), None)
    if built is None:
        raise BuildFailed(words)
    return built


class BuildFailed(EnvironmentFailed):
    """`message` is what the builder said."""


def _run(
    project: Path, system: BuildSystem, requires: tuple[str, ...], out: Path, cache: Path
) -> tuple[str, tuple[str, ...]]:
    """What it said, and what else it needs."""
    python = environment_with(requires, cache)
    path = os.pathsep.join((str(python.parent), os.environ.get("PATH", "")))
    command: list[str | Path] = [python, "-I", "-c", _PROGRAM, out, system.build_backend]
    command += ["\n".join(requires), *(project / it for it in system.backend_path)]
    environment = dict(os.environ, PATH=path, SOURCE_DATE_EPOCH="315532800")
    done = run(command, cwd=project, environment=environment)
    words = "\n".join(filter(None, map(last_words, (done.stdout, done.stderr))))
    if done.returncode == _NEEDS_MORE and (out / "requires").exists():
        return words, tuple((out / "requires").read_text(encoding="utf-8").splitlines())
    return words, ()


def environment_with(requires: tuple[str, ...], cache: Path) -> Path:
    """The Python of an environment with these requirements, made once and kept."""
    key = hashlib.sha256("\0".join((sys.version, *sorted(requires))).encode()).hexdigest()[:16]
    made = cache / "builders" / key
    if not client_cache.used(made):
        made.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(made.with_suffix(".lock")):
            if not client_cache.used(made):
                _make(requires, made)
                client_cache.prune(cache)
    return python_of(made)


def _make(requires: tuple[str, ...], made: Path) -> None:
    draft = Path(tempfile.mkdtemp(dir=made.parent, prefix=".making-"))
    try:
        environment = draft / "environment"
        _must(["venv", "--quiet", "--relocatable", "--python", sys.executable, environment])
        if requires:
            python = python_of(environment)
            _must(["pip", "install", "--quiet", "--python", python, *requires])
        environment.replace(made)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _must(arguments: list[str | Path]) -> None:
    done = attempt(arguments)
    if done.returncode != 0:
        raise BuildFailed(last_words(done.stderr))
