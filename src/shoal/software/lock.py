"""The lock: a PEP 751 pylock.toml for the target, exact versions with hashes, made by `uv`.

What was scanned is already a closed set, so nothing is resolved, only pinned (`--no-deps`). A lock
is kept by a hash of its inputs: nothing changed means no index is asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec
import uv

from shoal.errors import EnvironmentFailed
from shoal.software.classify import Index
from shoal.wire.environments import WheelFile

# Both sides of a Dask connection must agree on these.
MUST_MATCH = frozenset({"dask", "distributed", "cloudpickle", "msgpack", "tornado"})
_FORMAT = "3"  # part of the cache key: raise it when the text made here changes
_LAST_WORDS = 15
_NO_SUCH_VERSION = re.compile(r"there is no version of ([A-Za-z0-9._-]+)==")


class Target(msgspec.Struct, frozen=True):
    """Where the environment is to run."""

    python: str  # "3.11.7"
    platform: str  # as uv names it


class NotOnIndex(EnvironmentFailed):
    """The index does not have this version of this package (for this target)."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(
            f"The package index does not have the installed version of {name}:\n{words}",
            hint=f"Install a published version, or leave it out: package_sync_ignore=[{name!r}].",
        )
        self.name = name


def lock(pins: Sequence[Index], wheels: Sequence[WheelFile], target: Target, cache: Path) -> str:
    """The text of pylock.toml: what comes from an index, then our wheels as `wheels/<filename>`."""
    text = cached(pins, target, cache)
    for wheel in sorted(wheels, key=lambda it: it.distribution):
        text += _package(wheel)
    return text


def cached(pins: Sequence[Index], target: Target, cache: Path) -> str:
    requirements = "".join(
        f"{it.name}=={it.version}\n" for it in sorted(pins, key=lambda p: p.name)
    )
    key = hashlib.sha256(f"{_FORMAT}\0{target}\0{requirements}".encode()).hexdigest()[:32]
    file = cache / "locks" / f"{key}.toml"
    if file.exists():
        return file.read_text(encoding="utf-8")
    text = compiled(requirements, target, closed=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)
    return text


def compiled(requirements: str, target: Target, *, closed: bool) -> str:
    """Requirements as pylock.toml text. `closed`: nothing beyond them is resolved."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "requirements.txt")
        source.write_text(requirements, encoding="utf-8")
        arguments: list[str | Path] = ["pip", "compile", source]
        arguments += ["--no-deps"] if closed else []
        return tidy(_uv([
            *arguments, "--format", "pylock.toml", "--no-header", "--no-annotate",
            "--generate-hashes", "--python-version", target.python, "--python-platform", target.platform,
        ]))  # fmt: skip


def exported(project: Path) -> str:
    """A project's uv.lock as pylock.toml text."""
    return tidy(_uv([
        "export", "--project", project, "--frozen", "--no-emit-project", "--format", "pylock.toml",
        "--no-header",
    ]))  # fmt: skip


def tidy(text: str) -> str:
    """Without what differs from run to run or must not be told: comments, and users in URLs."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return (
        re.sub(r'https?://[^"\s]+@[^"\s]+', lambda m: _without_user(m[0]), "\n".join(lines)) + "\n"
    )


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _package(wheel: WheelFile) -> str:
    path = json.dumps(f"wheels/{wheel.filename}")
    return (
        "\n[[packages]]\n"
        f"name = {json.dumps(wheel.distribution)}\n"
        f"version = {json.dumps(wheel.version)}\n"
        f'archive = {{ path = {path}, hashes = {{ sha256 = "{wheel.sha256}" }} }}\n'
    )


def _uv(arguments: Sequence[str | Path]) -> str:
    done = subprocess.run(
        [uv.find_uv_bin(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout
    words = "\n".join(done.stderr.strip().splitlines()[-_LAST_WORDS:])
    # uv wraps its sentences; the name may stand on the next line
    if missing := _NO_SUCH_VERSION.search(" ".join(done.stderr.split())):
        raise NotOnIndex(missing[1], words)
    raise EnvironmentFailed(
        f"The environment could not be locked:\n{words}",
        hint="Is the package index reachable? `uv` reads UV_DEFAULT_INDEX and uv.toml.",
    )
