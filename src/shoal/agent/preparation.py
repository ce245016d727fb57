"""The user's environment on this VM: a prefix of its own, ready to run.

Whole or not at all: it is made under another name and renamed, so that an agent that was killed in
between begins anew, and one that was restarted finds it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from shoal.agent.vm import Vm
from shoal.software.realise import (
    PythonSource,
    Realised,
    RealiseProgress,
    complete,
    python_of,
    realise,
    version_of,
)
from shoal.wire.environments import Manifest

_MOST_PREFIXES = 2  # the current one, and the one before, which may still be running


def missing_wheels(manifest: Manifest, vm: Vm) -> tuple[str, ...]:
    """SHA-256 of the wheels that this VM needs and does not have."""
    if complete(manifest, vm.prefix(manifest.id)) or (vm.environments / manifest.id).exists():
        return ()
    return tuple(it.sha256 for it in manifest.wheels if not (vm.wheels / it.sha256).exists())


async def prepare(
    manifest: Manifest,
    vm: Vm,
    source: PythonSource,
    report: Callable[[RealiseProgress], None],
    say: Callable[[str], None],
) -> Realised:
    """The environment's Python, and what making it took. `say` gets the installer's words from
    another thread. Raises EnvironmentFailed with the last of them."""
    prefix = vm.prefix(manifest.id)
    made = Realised(python_of(prefix), True, {})
    if not complete(manifest, prefix):
        shared = vm.environments != prefix.parent and not manifest.conda
        draft = prefix.with_name(f".{prefix.name}") if shared else prefix
        shutil.rmtree(draft, ignore_errors=True)
        draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = await realise(
            manifest,
            wheels=vm.wheels,
            prefix=draft,
            store=vm.environments,
            report=report,
            python_source=source,
            say=say,
        )
        if shared:
            draft.replace(prefix)
    os.utime(prefix)
    return Realised(python_of(prefix), made.reused, made.seconds)


def other_python(manifest: Manifest, vm: Vm) -> str:
    """What to tell when its Python is of another patch version than asked; else nothing."""
    found = version_of(vm.prefix(manifest.id))
    if not found or found == manifest.python:
        return ""
    return f"Python {found} in place of {manifest.python}, which this VM does not have"


def forget_old(vm: Vm) -> None:
    """Remove all but the newest prefixes."""
    prefixes = sorted(
        (vm.directory / "prefixes").iterdir(), key=lambda it: it.stat().st_mtime, reverse=True
    )
    for prefix in prefixes[_MOST_PREFIXES:]:
        shutil.rmtree(prefix, ignore_errors=True)
