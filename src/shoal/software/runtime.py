"""Shoal's own environments on this machine, apart from the user's: the server's and the agent's.

Each holds exactly the running version of Shoal with the requirements of that part. It is made once,
whole or not at all, and found by a hash of what is in it. `SHOAL_RUNTIME_<PART>_PYTHON` names
another interpreter to use instead (for those who package Shoal).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import filelock
import uv

from shoal.errors import EnvironmentFailed
from shoal.software import build
from shoal.software.classify import Editable, Repacked
from shoal.software.realise import python_of
from shoal.software.scan import Distribution, scan, source_directory

_UNUSED_S = 7 * 86_400.0


def ensure(part: str, *, root: Path) -> Path:
    """The interpreter of Shoal's own environment for "server" or "agent" (or "server,postgres")."""
    named = os.environ.get(f"SHOAL_RUNTIME_{part.split(',')[0].upper()}_PYTHON")
    if named:
        return Path(named)
    root.mkdir(parents=True, exist_ok=True)
    requirement, key = _requirement(part, root)
    made = root / f"{part.replace(',', '-')}-{key}"
    if not made.exists():
        with filelock.FileLock(root / f".{made.name}.lock"):
            if not made.exists():
                _make(requirement, made)
                _remove_unused(root, part, made)
    os.utime(made)
    return python_of(made)


def _requirement(part: str, root: Path) -> tuple[str, str]:
    """What to install, and a hash of it: a wheel where this Shoal is from no index."""
    own = _own_distribution()
    source = source_directory(own)
    if source is not None:
        wheel, path = build.editable(Editable(own.name, own.version, source), root / "cache")
        requirement, content = f"shoal[{part}] @ {path.as_uri()}", wheel.sha256
    elif own.direct_url is not None:
        item = Repacked(own.name, own.version, own.metadata, "a file or URL")
        wheel, path = build.repacked(item, root / "cache")
        requirement, content = f"shoal[{part}] @ {path.as_uri()}", wheel.sha256
    else:
        requirement, content = f"shoal[{part}]=={own.version}", own.version
    return requirement, hashlib.sha256(f"{content} {sys.version}".encode()).hexdigest()[:16]


def _own_distribution() -> Distribution:
    here = Path(__file__).resolve()
    for it in scan(Path("/nonexistent")).distributions:
        if it.name == "shoal":
            return it
    raise EnvironmentFailed(
        f"Shoal runs from {here.parents[1]}, but is not installed.",
        hint="Install it: pip install shoal (or pip install -e . in a checkout).",
    )


def _make(requirement: str, made: Path) -> None:
    draft = Path(tempfile.mkdtemp(dir=made.parent, prefix=".making-"))
    environment = draft / "environment"
    base = getattr(sys, "_base_executable", sys.executable)
    try:
        _run("venv", "--quiet", "--relocatable", "--python", base, environment)
        _run(
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--python",
            python_of(environment),
            requirement,
        )
        environment.replace(made)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _run(*arguments: str | Path) -> None:
    done = subprocess.run(
        [uv.find_uv_bin(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise EnvironmentFailed(
            f"Shoal's own environment could not be made:\n{words}",
            hint="Is the package index reachable? It is needed once for each version of Shoal.",
        )


def _remove_unused(root: Path, part: str, keep: Path) -> None:
    for other in root.glob(f"{part.replace(',', '-')}-*"):
        if other != keep and other.stat().st_mtime < time.time() - _UNUSED_S:
            shutil.rmtree(other, ignore_errors=True)
