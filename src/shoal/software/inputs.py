"""An environment that a file describes, in place of the session's own.

`INPUTS` is what is accepted, by name. All become one lock, and what the lock takes from this
machine or from git becomes wheels, which travel with it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from shoal.errors import InvalidRequest
from shoal.software import build, conda, pylock
from shoal.software.classify import Editable
from shoal.software.lock import compile_arguments, read, uv_lock
from shoal.software.targets import Target

_NEEDED = ("dask", "distributed")
_REQUIRES_PYTHON = re.compile(r'^requires-python = "([^"]*)"', re.MULTILINE)


class Described(msgspec.Struct, frozen=True):
    """A lock that any machine can install, given the wheels."""

    lock: pylock.Lock
    built: tuple[build.Built, ...]
    conda: conda.Locked | None = None


class Input(msgspec.Struct, frozen=True):
    """A kind of file, by the names that it may have; `lock` makes the text of a lock of it."""

    names: tuple[str, ...]  # with * for anything
    meaning: str
    lock: Callable[[Path, Target, frozenset[str]], str]  # less what conda installs


def input_of(name: str) -> Input | None:
    """Which kind of file it is, by its name."""
    return next((it for it in INPUTS if any(fnmatch(name, known) for known in it.names)), None)


def known_names() -> str:
    """For a sentence: "a, b or c"."""
    names = [name for it in INPUTS for name in it.names]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def described(software: Path, target: Target, cache: Path) -> Described:
    if not software.is_file():
        raise InvalidRequest(f"There is no file {software}.", hint=f"Give a {known_names()}.")
    kind = input_of(software.name)
    if kind is None:
        raise InvalidRequest(
            f"{software.name} is not a kind of file that describes an environment.",
            hint=f"Known are {known_names()}.",
        )
    asked = _conda_part(software, kind, target)
    prefix = conda.solved(*asked, target, cache) if asked else None
    names = frozenset(it.name for it in prefix.packages) if prefix else frozenset[str]()
    lock = read(kind.lock(software.resolve(), target, names))
    _must_run_dask(software, lock, names, target)
    built = tuple(_travelling(lock, software.resolve().parent, cache))
    wheels = [it.wheel for it in built]
    return Described(lock.joined(wheels), built, prefix)


def _must_run_dask(
    software: Path, lock: pylock.Lock, conda: frozenset[str], target: Target
) -> None:
    names = {it.name for it in lock.packages} | conda
    if missing := [it for it in _NEEDED if it not in names]:
        raise InvalidRequest(
            f"{software} has no {' and no '.join(missing)}, which a Dask cluster runs.",
            hint=f"Add {', '.join(missing)} to it, at the version that this session has.",
        )
    asked = _REQUIRES_PYTHON.search(lock.head)
    try:
        fits = asked is None or target.python in SpecifierSet(asked[1])
    except InvalidSpecifier:
        return
    if asked is not None and not fits:
        raise InvalidRequest(
            f"{software} is for Python {asked[1]}, and this session runs {target.python}: workers "
            "must have the same minor version.",
            hint=f"Lock it for Python {target.python}, or start the session with the other.",
        )


# -- each kind --------------------------------------------------------------------------------


def _pylock(software: Path, target: Target, conda: frozenset[str]) -> str:
    return software.read_text(encoding="utf-8")


def _uv_lock(software: Path, target: Target, conda: frozenset[str]) -> str:
    arguments = ["export", "--frozen", "--no-dev", "--format", "pylock.toml", "--no-header"]
    return uv_lock(arguments, software.parent)


def _requirements(software: Path, target: Target, conda: frozenset[str]) -> str:
    return uv_lock(compile_arguments(software, target), software.parent)


def _pyproject(software: Path, target: Target, conda: frozenset[str]) -> str:
    """The project itself, and what it needs."""
    return _resolved([f"-e {software.parent.as_posix()}"], software, target)


class _Pip(msgspec.Struct, frozen=True):
    pip: tuple[str, ...]


class _EnvironmentYml(msgspec.Struct, frozen=True):
    channels: tuple[str, ...] = ()
    dependencies: tuple[str | _Pip, ...] = ()

    @property
    def conda(self) -> list[str]:
        return [it for it in self.dependencies if isinstance(it, str)]

    @property
    def pip(self) -> list[str]:
        return [line for it in self.dependencies if isinstance(it, _Pip) for line in it.pip]


def _environment_yml(software: Path, target: Target, conda: frozenset[str]) -> str:
    """Its pip section."""
    return _resolved(_read_yml(software).pip, software, target, conda)


def _read_yml(software: Path) -> _EnvironmentYml:
    try:
        return msgspec.yaml.decode(software.read_bytes(), type=_EnvironmentYml)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{software} cannot be read: {error}") from error


def _conda_part(software: Path, kind: Input, target: Target) -> tuple[list[str], list[str]] | None:
    """Specs and channels; None: conda is asked for nothing but Python, which need not be its."""
    if kind.lock is not _environment_yml:
        return None
    asked = _read_yml(software)
    names = {_conda_name(it) for it in asked.conda}
    if names <= {"python", "pip"}:
        return None
    python = [] if "python" in names else [f"python {target.python.rpartition('.')[0]}.*"]
    channels = [it for it in asked.channels if it != "nodefaults"]
    return [*asked.conda, *python], [_channel(it) for it in channels or ["conda-forge"]]


def _conda_name(spec: str) -> str:
    """ "conda-forge::numpy=1.26" is of numpy."""
    return re.split(r"[ =<>!~\[]", spec.rpartition("::")[2].strip(), maxsplit=1)[0].lower()


def _channel(named: str) -> str:
    """A URL; names are those of anaconda.org, as conda has it."""
    return named if "://" in named else f"https://conda.anaconda.org/{named}"


def _resolved(
    lines: list[str], software: Path, target: Target, conda: frozenset[str] = frozenset()
) -> str:
    with tempfile.TemporaryDirectory() as directory:
        requirements, never = Path(directory, "requirements.txt"), Path(directory, "never.txt")
        requirements.write_text("\n".join(lines) + "\n", encoding="utf-8")
        never.write_text("".join(f"{it}; python_version < '0'\n" for it in sorted(conda)))
        arguments = [*compile_arguments(requirements, target), "--overrides", never]
        return uv_lock(arguments, software.parent)


INPUTS = (
    Input(("pylock.toml", "pylock.*.toml"), "a lock as PEP 751 has it, taken as it is", _pylock),
    Input(("uv.lock",), "the lock of a uv project; the project is built", _uv_lock),
    Input(("pyproject.toml",), "a project: it is built, what it needs is resolved", _pyproject),
    Input(
        ("requirements*.lock", "*.txt", "*.in"),
        "requirements as pip reads them; they are resolved",
        _requirements,
    ),
    Input(
        ("*.yml", "*.yaml"),
        "an environment.yml, of conda packages and a pip section",
        _environment_yml,
    ),
)


# -- what travels -----------------------------------------------------------------------------


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
