"""What makes a bare VM's agent: its wheels, chosen for the Python and processor that it has.

The agent's requirements are those of Shoal's extra of that name, locked by uv for the target like
anybody's environment; each is one wheel. Shoal's own wheel is made of the Shoal that runs here.
Kept in the cache by what goes in.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2
import msgspec
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from shoal.errors import EnvironmentFailed
from shoal.software import lock, pylock, runtime
from shoal.software.targets import Target
from shoal.wire.bundle import Bundle, BundleFile

_BESIDE = ("packaging", "uv")  # of what every Shoal needs, what the agent uses
_OLDEST_GLIBC, _NEWEST_GLIBC = 5, 35  # 2.35: Ubuntu 22.04, and all images that are newer
_DOWNLOAD_S = 120.0


class Bundles:
    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._files = cache / "bundles" / "files"

    def of(self, python: str, machine: str) -> Bundle:
        """For "3.12.3" and "aarch64". Raises EnvironmentFailed with uv's words."""
        own = runtime.own_wheel(self._cache)
        requirements = "\n".join(sorted(_requirements()))
        key = hashlib.sha256(f"{requirements} {own.wheel.sha256} {python} {machine}".encode())
        kept = self._cache / "bundles" / f"{key.hexdigest()[:32]}.json"
        if kept.exists():
            return msgspec.json.decode(kept.read_bytes(), type=Bundle)
        target = Target(python, f"{machine}-unknown-linux-gnu")
        files = (*_locked(requirements, target), BundleFile(own.path.name, own.wheel.sha256))
        made = Bundle(files)
        kept.parent.mkdir(parents=True, exist_ok=True)
        _write(kept, msgspec.json.encode(made))
        return made

    def file(self, bundle: Bundle, sha256: str) -> Path:
        """Downloaded here if it must be: the VM cannot reach its index."""
        own = runtime.own_wheel(self._cache)
        if sha256 == own.wheel.sha256:
            return own.path
        [wanted] = [it for it in bundle.files if it.sha256 == sha256]
        kept = self._files / sha256
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            _write(kept, _downloaded(wanted))
        return kept


def _requirements() -> Iterator[str]:
    for text in metadata.requires("shoal") or ():
        wanted = Requirement(text)
        extra = wanted.marker is not None and "extra" in str(wanted.marker)
        if wanted.name in _BESIDE and not extra:
            yield str(wanted)
        elif extra and wanted.marker is not None and wanted.marker.evaluate({"extra": "agent"}):
            yield f"{wanted.name}{wanted.specifier}"


def _locked(requirements: str, target: Target) -> Iterator[BundleFile]:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "requirements.txt")
        file.write_text(requirements, encoding="utf-8")
        text = lock.uv_lock([*lock.compile_arguments(file, target), "--only-binary", ":all:"])
    tags = {tag: place for place, tag in enumerate(_tags(target))}
    for package in pylock.parse(text).packages:
        yield _best(package, tags, target)


def _best(package: pylock.Package, tags: dict[Tag, int], target: Target) -> BundleFile:
    """The wheel that an installer would take."""
    ranked = []
    for it in package.wheels:
        filename = unquote(urlsplit(it.url).path.rpartition("/")[2])
        _, _, _, has = parse_wheel_filename(filename)
        if fitting := [tags[tag] for tag in has if tag in tags]:
            ranked.append((min(fitting), filename, it))
    if not ranked:
        raise EnvironmentFailed(
            f"The agent cannot run there: {package.name} has no wheel for {target.platform} with "
            f"Python {target.python}.",
            hint="Take an image with another Python: Ubuntu LTS and Debian have one that fits.",
        )
    _, filename, wheel = min(ranked, key=lambda it: it[:2])
    return BundleFile(filename, wheel.hashes["sha256"], wheel.url)


def _tags(target: Target) -> list[Tag]:
    """The best first."""
    machine = target.platform.partition("-")[0]
    major, minor = map(int, target.python.split(".")[:2])
    platforms = [f"manylinux_2_{n}_{machine}" for n in range(_NEWEST_GLIBC, _OLDEST_GLIBC - 1, -1)]
    platforms += [f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"linux_{machine}"]
    python = (major, minor)
    return [
        *cpython_tags(python, platforms=platforms),
        *compatible_tags(python, f"cp{major}{minor}", platforms),
    ]


def _downloaded(file: BundleFile) -> bytes:
    try:
        answer = httpx2.get(file.url, timeout=_DOWNLOAD_S, follow_redirects=True)
        answer.raise_for_status()
    except httpx2.HTTPError as error:
        raise EnvironmentFailed(
            f"{file.filename} of the agent cannot be downloaded: {error}",
            hint="The server or its VMs must reach the package index.",
        ) from error
    if hashlib.sha256(answer.content).hexdigest() != file.sha256:
        raise EnvironmentFailed(f"{file.filename} is not what the index said it is.")
    return answer.content


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
