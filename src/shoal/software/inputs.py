"""An environment that a file describes, in place of the session's own.

Known are pylock.toml, uv.lock, requirements.txt and environment.yml. All become one lock, and what
the lock takes from this machine or from git becomes wheels, which travel with it.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from shoal.errors import InvalidRequest
from shoal.software import build, pylock
from shoal.software.classify import MUST_MATCH, Editable
from shoal.software.lock import compile_arguments, read, uv_lock
from shoal.software.targets import Target

_NEEDED = ("dask", "distributed")


class Described(msgspec.Struct, frozen=True):
    """A lock that any machine can install, given the wheels."""

    lock: pylock.Lock
    built: tuple[build.Built, ...]


def described(software: Path, target: Target, cache: Path) -> Described:
    if not software.exists():
        raise InvalidRequest(
            f"There is no file {software}.", hint="Give a lock or requirements file."
        )
    lock = read(_text(software.resolve(), target))
    names = {it.name for it in lock.packages}
    if missing := [it for it in _NEEDED if it not in names]:
        raise InvalidRequest(
            f"{software} has no {' and no '.join(missing)}, which a Dask cluster runs.",
            hint=f"Add {', '.join(missing)} to it, at the version that this session has.",
        )
    built = tuple(_travelling(lock, software.resolve().parent, cache))
    wheels = [it.wheel for it in built]
    return Described(lock.joined(wheels), built)


def differences(lock: pylock.Lock) -> Iterator[tuple[str, str]]:
    """Of packages that both sides of a Dask connection should have alike: name, and what is not."""
    for it in lock.packages:
        if it.name in MUST_MATCH and it.version:
            try:
                ours = importlib.metadata.version(it.name)
            except importlib.metadata.PackageNotFoundError:
                continue
            if ours != it.version:
                yield it.name, f"{it.version} there and {ours} in this session"


def _text(software: Path, target: Target) -> str:
    name = software.name
    if name == "uv.lock":
        arguments = ["export", "--frozen", "--no-dev", "--format", "pylock.toml", "--no-header"]
        return uv_lock(arguments, software.parent)
    if name.startswith("pylock.") and software.suffix == ".toml":
        return software.read_text(encoding="utf-8")
    if software.suffix in (".txt", ".in"):
        return uv_lock(compile_arguments(software, target), software.parent)
    if software.suffix in (".yml", ".yaml"):
        return _of_environment_yml(software, target)
    raise InvalidRequest(
        f"{name} is not a kind of file that describes an environment.",
        hint="Known are pylock.toml, uv.lock, requirements.txt and environment.yml.",
    )


class _Pip(msgspec.Struct, frozen=True):
    pip: tuple[str, ...]


class _EnvironmentYml(msgspec.Struct, frozen=True):
    dependencies: tuple[str | _Pip, ...] = ()


def _of_environment_yml(software: Path, target: Target) -> str:
    """Its pip section. What conda is to install is refused, with its names."""
    try:
        asked = msgspec.yaml.decode(software.read_bytes(), type=_EnvironmentYml)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{software} cannot be read: {error}") from error
    words = [it for it in asked.dependencies if isinstance(it, str)]
    conda = [it for it in words if it.split("=")[0].strip(" <>!") not in ("python", "pip")]
    if conda:
        raise InvalidRequest(
            f"{software.name} asks conda for {', '.join(conda)}: these cannot be synced yet.",
            hint="Put them into its pip section, or give a requirements.txt.",
        )
    lines = [line for it in asked.dependencies if isinstance(it, _Pip) for line in it.pip]
    with tempfile.TemporaryDirectory() as directory:
        requirements = Path(directory, "requirements.txt")
        requirements.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return uv_lock(compile_arguments(requirements, target), software.parent)


def _travelling(lock: pylock.Lock, directory: Path, cache: Path) -> Iterator[build.Built]:
    """Wheels of what only this machine can reach."""
    for it in lock.packages:
        if it.directory is not None:
            project = (directory / it.directory.path).resolve()
            yield build.editable(Editable(it.name, it.version, project), cache)
        elif it.archive is not None and it.archive.path:
            yield _archive(it, (directory / it.archive.path).resolve(), cache)
        elif it.vcs is not None:
            url = _vcs(it.vcs, directory)
            yield build.fetched(build.Fetched(it.name, url, it.vcs.type), cache)


def _archive(package: pylock.Package, file: Path, cache: Path) -> build.Built:
    if file.suffix == ".whl":
        return build.Built(build.describe(file, package.name, "file"), file)
    return build.fetched(build.Fetched(package.name, file.as_uri(), str(file)), cache)


def _vcs(vcs: pylock.Vcs, directory: Path) -> str:
    url = vcs.url or (directory / vcs.path).resolve().as_uri()
    below = f"#subdirectory={vcs.subdirectory}" if vcs.subdirectory else ""
    return f"{vcs.type}+{url}@{vcs.commit_id}{below}"
