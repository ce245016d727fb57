"""Shoal's own environments on this machine, apart from the user's: the server's and the agent's.

Each holds exactly the running version of Shoal with the requirements of that part. It is made once,
whole or not at all, and found by a hash of what is in it. `SHOAL_RUNTIME_<PART>_PYTHON` (SERVER or
AGENT) names another interpreter to use instead, for those who package Shoal.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import filelock

from shoal.errors import EnvironmentFailed
from shoal.software import build
from shoal.software.classify import Editable, Repacked
from shoal.software.installer import attempt, last_words
from shoal.software.prefixes import python_of
from shoal.software.scan import Distribution, distributions

_UNUSED_S = 7 * 86_400.0


def ensure(part: str, *, root: Path) -> Path:
    """The interpreter of Shoal's own environment for "server" or "agent" (or "server,postgres")."""
    named = os.environ.get(f"SHOAL_RUNTIME_{part.split(',')[0].upper()}_PYTHON")
    if named:
        return Path(named)
    root.mkdir(parents=True, exist_ok=True)
    requirement, content = _requirement(part, root / "cache")
    key = hashlib.sha256(f"{content} {sys.version}".encode()).hexdigest()[:16]
    made = root / f"{part.replace(',', '-')}-{key}"
    if not made.exists():
        with filelock.FileLock(root / f".{made.name}.lock"):
            if not made.exists():
                _make(requirement, made)
                _remove_unused(root, part, keep=made)
    _touch_used(root, made)
    return python_of(made)


def own_wheel(cache: Path) -> build.Built:
    """The Shoal that runs, as a wheel."""
    own = _own_distribution()
    built = _wheel(own, cache)
    if built is None:
        item = Repacked(own.name, own.version, own.metadata, "an index")
        built = build.repacked(item, cache)
    return built


def _requirement(part: str, cache: Path) -> tuple[str, str]:
    """What to install, and a hash of it: a wheel where this Shoal is from no index."""
    built = _wheel(_own_distribution(), cache)
    if built is None:
        version = _own_distribution().version
        return f"shoal[{part}]=={version}", version
    return f"shoal[{part}] @ {built.path.as_uri()}", built.wheel.sha256


def _wheel(own: Distribution, cache: Path) -> build.Built | None:
    if own.project is not None:
        return build.editable(Editable(own.name, own.version, own.project), cache)
    if own.direct_url is not None:
        item = Repacked(own.name, own.version, own.metadata, "a file or URL")
        return build.repacked(item, cache)
    return None


def _own_distribution() -> Distribution:
    """The Shoal that runs: what is installed, or the checkout that it is imported from."""
    site = Path(__file__).resolve().parents[2]
    for it in distributions([site, *map(Path, sys.path)]):
        if it.name == "shoal":
            return it
    if (site.parent / "pyproject.toml").is_file():
        return Distribution("shoal", "", site, project=site.parent)
    raise EnvironmentFailed(
        f"Shoal runs from {site}, but is not installed.",
        hint="Install it: pip install shoal (or pip install -e . in a checkout).",
    )


def _make(requirement: str, made: Path) -> None:
    draft = Path(tempfile.mkdtemp(dir=made.parent, prefix=".making-"))
    environment = draft / "environment"
    base = getattr(sys, "_base_executable", sys.executable)
    try:
        _must("venv", "--quiet", "--relocatable", "--python", base, environment)
        python = python_of(environment)
        _must("pip", "install", "--quiet", "--compile-bytecode", "--python", python, requirement)
        environment.replace(made)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _must(*arguments: str | Path) -> None:
    done = attempt(arguments)
    if done.returncode != 0:
        raise EnvironmentFailed(
            f"Shoal's own environment could not be made:\n{last_words(done.stderr)}",
            hint="Is the package index reachable? It is needed once for each version of Shoal.",
        )


def _touch_used(root: Path, made: Path) -> None:
    """This one is used, and so is the one that this very process runs in."""
    os.utime(made)
    own = Path(sys.prefix)
    if own.parent == root:
        os.utime(own)


def _remove_unused(root: Path, part: str, *, keep: Path) -> None:
    for other in root.glob(f"{part.replace(',', '-')}-*"):
        if other != keep and other.stat().st_mtime < time.time() - _UNUSED_S:
            shutil.rmtree(other, ignore_errors=True)
