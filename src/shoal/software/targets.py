"""Where an environment is to run, and whether a wheel that was made here runs there too."""

from __future__ import annotations

import platform as machine
import sys
import sysconfig
from collections.abc import Iterable

import msgspec
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from shoal.errors import EnvironmentFailed
from shoal.wire.environments import WheelFile

_ARCHITECTURES = {"arm64": "aarch64", "amd64": "x86_64"}


class Target(msgspec.Struct, frozen=True):
    """Where the environment is to run."""

    python: str  # "3.11.7"
    platform: str  # as uv names it: "x86_64-unknown-linux-gnu"


def here() -> Target:
    """This interpreter and machine, as uv names them."""
    name = machine.machine().lower()
    python = ".".join(map(str, sys.version_info[:3]))
    return Target(python, f"{_ARCHITECTURES.get(name, name)}-{_system()}")


def like_here(target: Target) -> bool:
    """What is installed here can be installed there."""
    return like(target, here())


def like(target: Target, client: Target) -> bool:
    """Same platform and minor version."""
    return target.platform == client.platform and _minor(target.python) == _minor(client.python)


def must_run_on(
    target: Target, wheels: Iterable[WheelFile], built_on: Target | None = None
) -> None:
    """Wheels with compiled parts run where they were built: here, if not told."""
    if like(target, built_on or here()):
        return
    for wheel in wheels:
        if not _pure(wheel.filename):
            raise EnvironmentFailed(
                f"{wheel.distribution} {wheel.version} has parts that were compiled for this "
                f"machine ({wheel.filename}); they do not run on {target.platform} with "
                f"Python {target.python}.",
                hint="Publish wheels of it for that platform, take workers like this machine, "
                f"or leave it out: package_sync_ignore=[{wheel.distribution!r}].",
            )


def _pure(filename: str) -> bool:
    try:
        _, _, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return False
    return any(it.abi == "none" and it.platform == "any" for it in tags)


def _system() -> str:
    if sys.platform == "darwin":
        return "apple-darwin"
    if sys.platform == "win32":
        return "pc-windows-msvc"
    musl = "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or "")
    return "unknown-linux-musl" if musl else "unknown-linux-gnu"


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])
